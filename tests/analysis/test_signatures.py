"""Declared types of fields: hand-made signatures, damage, and the reference reader's answers on real dumps."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.dump import Dump
from analysis.errors import Corrupt
from analysis.reference_facts import reference_facts
from analysis.runtime.metadata import Metadata
from analysis.runtime.signatures import FieldType, field_type, format_name, type_spec_type
from tests.analysis.bundled_dumps import bundled_dump
from tests.analysis.synthetic_metadata import small_module

_OUTER, _INNER, _REF_OBJECT, _SPEC = bytes([2 << 2]), bytes([3 << 2]), bytes([1 << 2 | 1]), bytes([1 << 2 | 2])


@pytest.fixture(scope="module")
def metadata() -> Metadata:
    made = small_module()
    made.row(0x1B, "H", made.blob(b"\x15\x12" + _OUTER + b"\x01\x08"))  # N.Outer<Int32>
    return Metadata(made.build())


@pytest.mark.parametrize(
    ("signature", "element", "name"),
    [
        (b"\x02", "Boolean", "System.Boolean"),
        (b"\x0e", "String", "System.String"),
        (b"\x1c", "Object", "System.Object"),
        (b"\x18", "NativeInt", "System.IntPtr"),
        (b"\x12" + _REF_OBJECT, "Class", "System.Object"),
        (b"\x11" + _INNER, "Struct", "N.Outer`1+Inner"),
        (b"\x15\x12" + _OUTER + b"\x01\x0e", "Class", "N.Outer<System.String>"),
        (b"\x15\x11" + _INNER + b"\x01\x13\x00", "Struct", "N.Outer<First>+Inner"),
        (b"\x12" + _SPEC, "Class", "N.Outer<System.Int32>"),
        (b"\x13\x00", "Var", "First"),
        (b"\x13\x01", "Int64", "System.Int64"),
        (b"\x13\x02", "SZArray", "System.Char[]"),
        (b"\x13\x07", "Var", "!7"),
        (b"\x1e\x00", "MVar", "!!0"),
        (b"\x1d\x13\x00", "SZArray", "First[]"),
        (b"\x1d\x1d\x08", "SZArray", "System.Int32[][]"),
        (b"\x14\x08\x02\x00\x00", "Array", "System.Int32[,]"),
        (b"\x14\x08\x01\x01\x05\x01\x02", "Array", "System.Int32<*>"),
        (b"\x0f\x0f\x01", "Pointer", "System.Void**"),
        (b"\x1f" + _REF_OBJECT + b"\x08", "Int32", "System.Int32"),
        (b"\x1b\x00\x02\x01\x08\x0e", "FunctionPointer", "delegate*<System.Int32, System.String, System.Void>"),
        (b"\x1b\x02\x00\x08", "FunctionPointer", "delegate* unmanaged<System.Int32>"),
    ],
)
def test_hand_made_signatures(metadata: Metadata, signature: bytes, element: str, name: str) -> None:
    arguments = ("First", "System.Int64", "System.Char[]")
    assert field_type(b"\x06" + signature, metadata, arguments) == FieldType(element, name)
    assert type_spec_type(signature, metadata, arguments) == FieldType(element, name)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x06",
        b"\x07\x08",
        b"\x06\x99",
        b"\x06\x12",
        b"\x06\x12\x0f",
        b"\x06" + b"\x1d" * 5000 + b"\x08",
        b"\x06\x15\x12\x08\xff",
    ],
    ids=lambda signature: signature[:6].hex() or "empty",
)
def test_nonsense_is_corrupt(metadata: Metadata, signature: bytes) -> None:
    with pytest.raises(Corrupt):
        field_type(signature, metadata, ())


def test_type_specs_in_a_circle_are_corrupt() -> None:
    made = small_module()
    made.row(0x1B, "H", made.blob(b"\x15\x12" + _OUTER + b"\x08" + (b"\x12" + _SPEC) * 8))
    with pytest.raises(Corrupt, match="without end"):
        field_type(b"\x06\x12" + _SPEC, Metadata(made.build()), ())


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_random_signatures_never_raise_anything_else(signature: bytes) -> None:
    with suppress(Corrupt):
        field_type(b"\x06" + signature, Metadata(_SMALL), ("A", "B"))


_SMALL = small_module().build()


@pytest.mark.parametrize(
    ("parts", "arguments", "name"),
    [
        (("N.List`1", "Enumerator"), ["T"], "N.List<T>+Enumerator"),
        (("N.A`1", "B`2"), ["X", "Y", "Z"], "N.A<X>+B<Y, Z>"),
        (("N.A`2",), ["X"], "N.A`2"),
        (("N.A`\u00b2",), ["X", "Y"], "N.A`\u00b2"),
        (("N.A`" + "9" * 5000,), ["X"], ("N.A`" + "9" * 5000)[:4095] + "\u2026"),
    ],
)
def test_names_take_their_arguments(parts: tuple[str, ...], arguments: list[str], name: str) -> None:
    assert format_name(parts, arguments) == name


# The reference names a type it could not find by a stand-in. Ours is the declared type in each of these cases.


def _stand_in(name: str, element: str) -> bool:
    """The reference's name of a type that was never loaded, of a shared generic, or of code and void pointers."""
    return (
        name in ("Object", "System.Void", "System.UIntPtr", "System.IntPtr", "System.Enum", "System.ValueType[]")
        or name.startswith("Object[")
        or any(mark in name for mark in ("`", "T1", "__Canon"))
        or element == "FunctionPointer"
    )


#: On .NET 8 the reference gives this field, declared with the outer type's parameter, the inner type's argument.
_CELLS = "System.Collections.Generic.Dictionary<System.Int32, Scenarios.Outer<System.Guid>+Cell[]>"
_MIXED_UP = (f"Scenarios.Outer<System.String>+Inner<{_CELLS}>", "A")


@pytest.mark.parametrize("name", ["zoo-net10", "finalizer-net9", "zoo-net8"])
def test_declared_types_equal_the_reference(name: str) -> None:
    path: Path = bundled_dump(name)
    expected = json.loads(path.with_suffix(".oracle.json").read_text())["fields"]
    ours = reference_facts(Dump(path))["fields"]
    equal, different = 0, []
    for address, theirs in expected.items():
        for our_field, their_field in zip(ours[address]["instance"], theirs["instance"], strict=True):
            if our_field["type"] == their_field["type"]:
                equal += 1
                # The reference says Class for arrays and strings behind a type variable or of an unloaded element type.
                assert our_field["element"] == their_field["element"] or their_field["element"] == "Class"
            elif (theirs["name"], our_field["Name"]) == _MIXED_UP:
                assert our_field["type"] == "System.String"
            elif not _stand_in(their_field["type"], their_field["element"]):
                different.append((theirs["name"], our_field, their_field))
    assert different == []
    assert equal > 4000
