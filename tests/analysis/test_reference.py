"""The engine's facts equal the reference reader's on every dump. Where the reference is wrong, its name says why."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.dump import Dump
from analysis.reference_facts import reference_facts
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps

#: The reference gives a string a base size of 20 bytes; its method table says 22 in every dump.
_STRING = "System.String"
#: Field types the reference could not find because the program never loaded them; it then guesses the size:
#: "System.Void" with 0 bytes for an unloaded class (a reference takes 8), "Nullable<T1>" with 9 bytes for a nullable of an
#: unloaded enum (JsonIgnoreCondition: 8), and shared generics where it counts an open parameter as 8 bytes.
_UNLOADED = (
    "System.Void",
    "System.Nullable<T1>",
    "System.Collections.Immutable.ImmutableDictionary<System.__Canon, System.Int32>+HashBucket",
)
#: The reference says 16 bytes; the object that holds one (ConcurrentDictionary's Node, base size 64) has room for 24.
_THREE_REFERENCES = "Microsoft.Extensions.FileProviders.Physical.PhysicalFilesWatcher+ChangeTokenInfo"
_UNEQUAL_SIZES = (*_UNLOADED, _THREE_REFERENCES)
#: createdump leaves the segment records of a triage dump out except that of the frozen segment, which we list.
_TRIAGE = "-triage"


@pytest.fixture(scope="module")
def facts(dump: Dump) -> dict[str, Any]:
    return reference_facts(dump)


def _picked(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in keys} for row in rows]


def test_every_family_is_compared() -> None:
    families = {dump.path.parent.name for dump in reference_dumps()}
    assert families == {"net10", "net9", "net8", "web"}, "unpack the reference dumps first (docs/engine.md)"


def test_heap_totals(reference: ReferenceDump, facts: dict[str, Any]) -> None:
    expected = reference.oracle["heap"]
    assert facts["heap"] == {key: expected[key] for key in facts["heap"]}
    assert facts["generations"] == reference.oracle["generations"]


def test_segments_and_allocation_contexts(reference: ReferenceDump, facts: dict[str, Any]) -> None:
    if reference.name.endswith(_TRIAGE):
        assert reference.oracle["segments"] == []
        assert [segment["kind"] for segment in facts["segments"]] == ["Frozen"]
    else:
        assert facts["segments"] == reference.oracle["segments"]
    assert sorted(facts["allocation_contexts"]) == sorted(reference.oracle["allocation_contexts"])


def test_types(reference: ReferenceDump, facts: dict[str, Any]) -> None:
    ours = {row["method_table"]: row for row in facts["types"]}
    theirs = {row["method_table"]: row for row in reference.oracle["types"]}
    assert ours.keys() == theirs.keys()
    for address, expected in theirs.items():
        if expected["name"] == _STRING:
            expected = {**expected, "static_size": 22}
        if expected["module"] is None:
            # The reference does not name modules made at run time; their metadata does.
            expected = {**expected, "module": ours[address]["module"]}
            assert ours[address]["module"] in {row["name"] for row in facts["modules"] if row["dynamic"]}
        assert ours[address] == expected


def test_fields(reference: ReferenceDump, facts: dict[str, Any]) -> None:
    expected = reference.oracle["fields"]
    assert facts["fields"].keys() == expected.keys()
    for address, theirs in expected.items():
        ours = facts["fields"][address]
        assert _picked(ours["instance"], ("Name", "Offset")) == _picked(theirs["instance"], ("Name", "Offset"))
        assert ours["statics"] == theirs["statics"]
        for our_field, their_field in zip(ours["instance"], theirs["instance"], strict=True):
            if their_field["type"] not in _UNEQUAL_SIZES:
                assert our_field["Size"] == their_field["Size"], (theirs["name"], our_field, their_field)


def test_modules(reference: ReferenceDump, facts: dict[str, Any]) -> None:
    keys = ("image_base", "Size", "dynamic", "pe", "address", "metadata", "metadata_length")
    assert _picked(facts["modules"], keys) == _picked(reference.oracle["modules"], keys)
    for ours, theirs in zip(facts["modules"], reference.oracle["modules"], strict=True):
        # The reference does not name modules made at run time; their metadata does.
        assert ours["name"] == theirs["name"] or (theirs["name"] is None and ours["dynamic"])


def test_threads(reference: ReferenceDump, facts: dict[str, Any]) -> None:
    keys = ("address", "managed_id", "os_id", "state", "gc_mode", "alive", "finalizer")
    assert _picked(facts["threads"], keys) == _picked(reference.oracle["threads"], keys)
    ours = [row["exception"]["type"] if row["exception"] else None for row in facts["threads"]]
    theirs = [row["exception"]["type"] if row["exception"] else None for row in reference.oracle["threads"]]
    assert ours == theirs


def test_strings_and_objects(reference: ReferenceDump, facts: dict[str, Any]) -> None:
    assert facts["string_count"] == reference.oracle["string_count"]
    assert facts["strings_sample"] == reference.oracle["strings_sample"]
    keys = ("address", "type", "size")
    assert _picked(facts["objects_sample"], keys) == _picked(reference.oracle["objects_sample"], keys)


def test_native_modules_hold_all_of_the_reference(reference: ReferenceDump, facts: dict[str, Any]) -> None:
    """We also list mapped data files. A mapping that begins inside the runtime's anonymous code memory is no module."""
    ours = {row["image_base"] for row in facts["native_modules"]}
    theirs = {row["image_base"] for row in reference.oracle["native_modules"] if not row["name"].startswith("memfd:")}
    assert theirs <= ours
