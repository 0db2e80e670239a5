"""Metadata against the reference reader on real dumps, against hand-made blocks, and against damage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.dump import Dump
from analysis.errors import AnalysisError, Corrupt
from analysis.memory.elf_core import ElfCore, open_elf_core
from analysis.runtime.metadata import Metadata
from analysis.runtime.pe_image import PeImage
from tests.analysis.bundled_dumps import bundled_dump
from tests.analysis.synthetic_metadata import small_module

_CORE_LIBRARY = "System.Private.CoreLib.dll"
_VERSIONS = {"zoo-net10": "10.0.12", "finalizer-net9": "9.0.22", "zoo-net8": "8.0.33"}


@pytest.fixture(scope="module", params=sorted(_VERSIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def core(name: str) -> ElfCore:
    return open_elf_core(bundled_dump(name))


@pytest.fixture(scope="module")
def answers(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(bundled_dump(name).with_suffix(".oracle.json").read_text())
    return loaded


def _modules(core: ElfCore, answers: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
    for module in answers["modules"]:
        address = int(module["metadata"], 16)
        if address:
            yield module, core.memory.read(address, module["metadata_length"])


def test_names_equal_the_reference(core: ElfCore, answers: dict[str, Any]) -> None:
    compared = 0
    for module, raw in _modules(core, answers):
        metadata = Metadata(raw)
        assert module["name"] in (metadata.module_name, metadata.assembly_name + ".dll")
        for row in answers["types"]:
            rid = row["token"] & 0xFFFFFF
            if row["module"] == module["name"] and rid and "<" not in row["name"]:
                assert metadata.type_name(rid) == row["name"]
                assert metadata.find_type(row["name"]) == rid
                compared += 1
    assert compared > 100


def test_fields_have_the_names_of_the_reference(core: ElfCore, answers: dict[str, Any]) -> None:
    metadata = next(Metadata(raw) for module, raw in _modules(core, answers) if module["name"] == _CORE_LIBRARY)
    string = metadata.find_type("System.String")
    assert string is not None
    expected = next(row for row in answers["fields"].values() if row["name"] == "System.String")
    names = {metadata.field_name(rid) for rid in metadata.fields_of(string)}
    assert {field["Name"] for field in expected["instance"]} | set(expected["statics"]) <= names


def test_versions(name: str, core: ElfCore, answers: dict[str, Any]) -> None:
    metadata = next(Metadata(raw) for module, raw in _modules(core, answers) if module["name"] == _CORE_LIBRARY)
    attributes = metadata.custom_version_attributes()
    assert attributes["AssemblyInformationalVersion"].split("-")[0].split("+")[0] == _VERSIONS[name]
    assert metadata.file_version == attributes["AssemblyFileVersion"]
    assert metadata.assembly_version == f"{_VERSIONS[name].split('.')[0]}.0.0.0"


def test_every_row_of_every_module_can_be_read(core: ElfCore, answers: dict[str, Any]) -> None:
    for _, raw in _modules(core, answers):
        metadata = Metadata(raw)
        for rid in range(1, metadata.type_row_count + 1):
            assert metadata.type_name(rid)
            assert all(metadata.field_owner(field) == rid for field in metadata.fields_of(rid))
            assert all(metadata.method_owner(method) == rid for method in metadata.methods_of(rid))


def test_construction_reads_headers_only(core: ElfCore, answers: dict[str, Any]) -> None:
    raw = next(raw for module, raw in _modules(core, answers) if module["name"] == _CORE_LIBRARY)
    Metadata(raw)
    fastest = min(_seconds(raw) for _ in range(20))
    assert len(raw) > 2_500_000
    assert fastest < 0.005


def _seconds(raw: bytes) -> float:
    start = time.perf_counter()
    Metadata(raw)
    return time.perf_counter() - start


def test_images_point_to_the_metadata_of_the_reference(core: ElfCore, answers: dict[str, Any]) -> None:
    for module in answers["modules"]:
        base, expected = int(module["image_base"], 16), (int(module["metadata"], 16), module["metadata_length"])
        found = []
        for mapped in (True, False):
            try:
                image = PeImage(lambda offset, length, base=base: core.memory.read(base + offset, length), mapped=mapped)
            except AnalysisError:  # read the wrong way round
                continue
            found.append((base + image.metadata_offset, image.metadata_size))
            if found[-1] == expected:
                assert image.code_view is not None
                assert image.code_view.path.endswith(".pdb")
        assert expected in found


# Hand-made blocks


def test_a_small_module() -> None:
    metadata = Metadata(small_module().build())
    assert (metadata.module_name, metadata.assembly_name, metadata.assembly_version) == ("tiny.dll", "tiny", "3.1.4.1")
    assert metadata.mvid == "03020100-0504-0706-0809-0a0b0c0d0e0f"
    assert [metadata.type_name(rid) for rid in (1, 2, 3)] == ["<Module>", "N.Outer`1", "N.Outer`1+Inner"]
    assert metadata.type_ref_name(2) == "System.Object+Nested"
    assert metadata.generic_parameters(2) == ("T",)
    assert metadata.generic_parameters(3) == metadata.method_generic_parameters(1) == ()
    assert [list(metadata.fields_of(rid)) for rid in (1, 2, 3)] == [[], [1], [2]]
    assert [metadata.field_owner(rid) for rid in (1, 2)] == [2, 3]
    assert (metadata.field_name(2), metadata.field_flags(2), metadata.field_rva(2)) == ("items", 0x10, 0x2000)
    assert metadata.field_rva(1) is None
    assert (metadata.method_name(1), metadata.method_owner(1)) == ("Run", 2)
    assert metadata.extends(2) == 0x01000001


def test_extra_data_behind_the_row_counts() -> None:
    assert Metadata(small_module(extra_data=True).build()).assembly_name == "tiny"


def test_edited_tables_go_through_their_pointers() -> None:
    made = small_module(table_stream="#-")
    made.row(0x03, "H", 2)  # the first type's field is row 2, the second one's row 1
    made.row(0x03, "H", 1)
    metadata = Metadata(made.build())
    assert [list(metadata.fields_of(rid)) for rid in (2, 3)] == [[2], [1]]
    assert [metadata.field_owner(rid) for rid in (1, 2)] == [3, 2]


def test_a_minimal_delta_has_wide_indexes() -> None:
    assert Metadata(_wide_module()).module_name == "wide.dll"


def _wide_module() -> bytes:
    made = small_module(extra_streams=("#JTD",))
    made.tables.clear()
    made.row(0x00, "HIIII", 0, made.text("wide.dll"), 1, 0, 0)
    return made.build()


def test_missing_heaps_read_as_empty() -> None:
    made = small_module()
    made.tables = {0x00: made.tables[0x00]}
    metadata = Metadata(made.build().replace(b"#GUID", b"#None").replace(b"#Blob", b"#Nada"))
    assert metadata.mvid == ""
    assert metadata.assembly_name == metadata.assembly_version == ""


@pytest.mark.parametrize("raw", [b"", b"BSJB", bytes(64), b"BSJB" + b"\xff" * 64, b"\xff" * 4096], ids=repr)
def test_nonsense_is_corrupt(raw: bytes) -> None:
    with pytest.raises(Corrupt):
        Metadata(raw[:4096])


def test_nesting_in_a_circle_is_corrupt() -> None:
    made = small_module()
    made.row(0x29, "HH", 2, 3)
    with pytest.raises(Corrupt, match="nested without end"):
        Metadata(made.build()).type_name(2)


def test_names_are_cut() -> None:
    made = small_module()
    rid = made.row(0x02, "IHHHHH", 1, made.text("x" * 60_000), made.text("N"), 0, 3, 2)
    assert len(Metadata(made.build()).type_name(rid)) == 4096


# Damage


def test_a_damaged_name_of_one_module_does_not_end_the_analysis() -> None:
    made = small_module()
    made.tables[0x20].clear()
    made.row(0x20, "IHHHHIHHH", 0, 3, 1, 4, 1, 0, 0, 0xFFF0, 0)
    module = Dump(bundled_dump("zoo-mini-net10")).runtime.modules[1]
    module.metadata = Metadata(made.build())
    assert (module.assembly_name, module.assembly_version) == ("", "3.1.4.1")
    assert "behind its heap" in module.problems[-1]


def _read_everything(raw: bytes) -> None:
    """Ask for all there is; only Corrupt may come out."""
    try:
        metadata = Metadata(raw)
    except Corrupt:
        return
    questions = [lambda: metadata.module_name, lambda: metadata.mvid, lambda: metadata.assembly_name]
    questions += [lambda: metadata.assembly_version, lambda: metadata.file_version, lambda: str(metadata.find_type("N.Outer`1"))]
    for question in questions:
        _only_corrupt(question)
    by_rid = (
        *(metadata.type_name, metadata.type_ref_name, metadata.generic_parameters, metadata.method_generic_parameters),
        *(metadata.extends, metadata.field_name, metadata.field_signature, metadata.field_owner, metadata.field_rva),
        *(metadata.field_flags, metadata.method_name, metadata.method_signature, metadata.method_owner),
        *(metadata.type_spec_signature, metadata.generic_parameter_name, metadata.type_flags),
    )
    for rid in (0, 1, 2, 3, 4, 0x10000, 0xFFFFFF):
        for ask in by_rid:
            _only_corrupt(lambda ask=ask, rid=rid: ask(rid))
        _only_corrupt(lambda rid=rid: list(metadata.fields_of(rid)))
        _only_corrupt(lambda rid=rid: list(metadata.methods_of(rid)))


def _only_corrupt(question: Any) -> None:
    with suppress(Corrupt):
        question()


_SMALL = small_module().build()


@given(changes=st.lists(st.tuples(st.integers(0, len(_SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_changed_bytes_never_raise_anything_else(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(_SMALL)
    for at, value in changes:
        raw[at] = value
    _read_everything(bytes(raw))


@given(length=st.integers(0, len(_SMALL)))
@settings(max_examples=100, deadline=None)
def test_cut_metadata_never_raises_anything_else(length: int) -> None:
    _read_everything(_SMALL[:length])


@given(st.binary(max_size=2048))
@settings(max_examples=200, deadline=None)
def test_random_tables_never_raise_anything_else(tables: bytes) -> None:
    at = _SMALL.index(b"#~") + 200
    _read_everything(_SMALL[: at - 200 + 12] + tables)


@pytest.fixture(scope="module")
def real_block() -> bytes:
    core = open_elf_core(bundled_dump("zoo-net10"))
    rows = json.loads(bundled_dump("zoo-net10").with_suffix(".oracle.json").read_text())["modules"]
    row = next(row for row in rows if row["name"] == "scenarios.dll")
    return core.memory.read(int(row["metadata"], 16), row["metadata_length"])


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_to_a_real_block(real_block: bytes, data: st.DataObject) -> None:
    raw = bytearray(real_block)
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(0, 8191))
        raw[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    _read_everything(bytes(raw))
