"""Values of fields, against the constants in the source of the dumped program (``Scenarios.Primitives``)."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from functools import lru_cache

import pytest

from analysis.dump import Dump
from analysis.errors import Corrupt, MemoryFault
from tests.analysis.bundled_dumps import bundled_dump

_DUMPS = ("zoo-net10", "zoo-net8")
_TICK = timedelta(microseconds=1)
_KIND_UTC = 1 << 62

NUMBERS = {
    "T": True, "F": False, "C": "λ", "I8": -8, "U8": 200, "I16": -1600, "U16": 56000, "I32": -123456789, "U32": 4000000000,
    "I64": -1234567890123456789, "U64": 18000000000000000000, "R4": 3.25, "R8": -2.5e300, "NI": -77, "NU": 77, "Tint": 4,
    "Rights": 3,
}  # fmt: skip


def _ticks(span: timedelta) -> int:
    return span // _TICK * 10


STRUCTS = {
    # flags, high and low part of decimal.MaxValue, which is 2**96 - 1
    "M": struct.pack("<IIQ", 0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF),
    "When": struct.pack("<Q", _ticks(datetime(2024, 2, 29, 12, 34, 56) - datetime(1, 1, 1)) | _KIND_UTC),
    "Span": struct.pack("<q", _ticks(timedelta(hours=36.5))),
    "G": bytes.fromhex("33221100554477668899aabbccddeeff"),
    "Some": struct.pack("<?xxxi", True, 42),
    "None": bytes(8),
    "H": struct.pack("<e", 1.5),
    "Day": struct.pack("<i", (datetime(2025, 12, 31) - datetime(1, 1, 1)).days),
}


@lru_cache(maxsize=2)
def _opened(name: str) -> tuple[Dump, int]:
    """The dump and the address of its one object of type Scenarios.Primitives."""
    dump = Dump(bundled_dump(name))
    walked = dump.walk()
    assert walked is not None
    names = [dump.runtime.types.name(address) for address in walked.types.method_tables]
    (address,) = walked.columns.address[walked.columns.type == names.index("Scenarios.Primitives")].tolist()
    return dump, address


@pytest.mark.parametrize("name", _DUMPS)
def test_values_are_those_of_the_source(name: str) -> None:
    dump, address = _opened(name)
    values = {value.field.name: value for value in dump.objects.read_field_values(address)}
    assert {field: values[field].value for field in NUMBERS} == NUMBERS
    structs = {field: values[field].value for field in STRUCTS}
    assert {field: bytes(raw)[: len(STRUCTS[field])] for field, raw in structs.items()} == STRUCTS
    assert not any(value.missing for value in values.values())


@pytest.mark.parametrize("name", _DUMPS)
def test_references_lead_to_their_objects(name: str) -> None:
    """Pair is a (int, string): the runtime puts the reference first."""
    dump, address = _opened(name)
    pair = next(value.value for value in dump.objects.read_field_values(address) if value.field.name == "Pair")
    assert isinstance(pair, bytes)
    text, number = struct.unpack_from("<Qi", pair)
    assert (dump.objects.string(text), number) == ("five", 5)


def test_inherited_fields_come_first() -> None:
    dump, _ = _opened("zoo-net10")
    walked = dump.walk()
    assert walked is not None
    names = [dump.runtime.types.name(table) for table in walked.types.method_tables]
    address = int(walked.columns.address[walked.columns.type == names.index("Scenarios.Derived")][0])
    values = dump.objects.read_field_values(address)
    assert {value.field.declared_by for value in values[:3]} == {"Scenarios.Base"}
    assert {value.field.name: value.value for value in values}["flag"] == 7
    assert dump.objects.string(dump.objects.reference(address, "baseName")) == "base"


def test_what_is_no_object_or_no_field_is_refused() -> None:
    dump, address = _opened("zoo-net10")
    with pytest.raises(Corrupt, match="not a string"):
        dump.objects.string(address)
    with pytest.raises(Corrupt, match="has no field nothing"):
        dump.objects.reference(address, "nothing")
    with pytest.raises((Corrupt, MemoryFault)):
        dump.objects.read_field_values(address + 8)
    with pytest.raises(MemoryFault):
        dump.objects.read_field_values(16)


@pytest.mark.parametrize("name", _DUMPS)
def test_statics_do_not_make_a_struct_larger(name: str) -> None:
    """DateTime has statics of its own type; whichever field is asked for first, a value takes eight bytes."""
    dump = Dump(bundled_dump(name))
    core = dump.runtime.modules[0]
    rid = core.metadata.find_type("System.DateTime") if core.metadata else None
    assert rid is not None
    method_table = core.method_table_of(rid)
    dump.fields.static_fields(method_table)
    assert dump.fields.value_size(method_table) == 8
