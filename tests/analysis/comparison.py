"""The rules by which the engine's facts are held against the reference reader's, one function for each part.

Where the reference is wrong, the name of the exception says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
#: createdump leaves the segment records of a triage dump out except that of the frozen segment, which we list in any case.
_TRIAGE = "-triage"


#: The reference has no name for function pointers, open parameters in the place of arguments that were made at run time
#: (``Deep<T1>``), and the names of reflection where an array of a generic type has a lower bound (``Pair`2[[...]][*]``).
_FUNCTION_POINTER = "delegate*"
_OPEN_PARAMETER = re.compile(r"<T\d+[,>]")


@dataclass(frozen=True)
class Answers:
    """One dump: its name, the engine's facts and the reference's."""

    name: str
    facts: dict[str, Any]
    reference: dict[str, Any]


def _picked(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in keys} for row in rows]


def _poorly_named(name: str | None) -> bool:
    return name is None or re.search(r"`\d+\[\[", name) is not None or _OPEN_PARAMETER.search(name) is not None


def _guessed_size(field: dict[str, Any]) -> bool:
    """Whether the reference sized a field by open parameters, or is known to be wrong about its type."""
    return field["type"] in _UNEQUAL_SIZES or (field["element"] == "Struct" and _OPEN_PARAMETER.search(field["type"]) is not None)


def _plain(name: str) -> str:
    """A type name up to its arguments."""
    return re.split(r"[`<]", name, maxsplit=1)[0]


def compare_heap_totals(answers: Answers) -> None:
    expected = answers.reference["heap"]
    assert answers.facts["heap"] == {key: expected[key] for key in answers.facts["heap"]}
    assert answers.facts["generations"] == answers.reference["generations"]


def compare_segments_and_allocation_contexts(answers: Answers) -> None:
    facts, expected = answers.facts, answers.reference
    if answers.name.endswith(_TRIAGE):
        assert expected["segments"] in ([], facts["segments"])
        assert [segment["kind"] for segment in facts["segments"]] == ["Frozen"]
    else:
        assert facts["segments"] == expected["segments"]
    assert sorted(facts["allocation_contexts"]) == sorted(expected["allocation_contexts"])


def compare_types(answers: Answers) -> None:
    ours = {row["method_table"]: row for row in answers.facts["types"]}
    theirs = {row["method_table"]: row for row in answers.reference["types"]}
    assert ours.keys() == theirs.keys()
    for address, expected in theirs.items():
        if expected["name"] == _STRING:
            expected = {**expected, "static_size": 22}
        if _poorly_named(expected["name"]):
            assert _plain(ours[address]["name"]) == _plain(expected["name"] or _FUNCTION_POINTER)
            expected = {**expected, "name": ours[address]["name"]}
        if expected["module"] is None:
            # The reference does not name modules made at run time; their metadata does.
            expected = {**expected, "module": ours[address]["module"]}
            assert ours[address]["module"] in {row["name"] for row in answers.facts["modules"] if row["dynamic"]}
        assert ours[address] == expected


def compare_fields(answers: Answers) -> None:
    expected = answers.reference["fields"]
    assert answers.facts["fields"].keys() == expected.keys()
    for address, theirs in expected.items():
        ours = answers.facts["fields"][address]
        assert _picked(ours["instance"], ("Name", "Offset")) == _picked(theirs["instance"], ("Name", "Offset"))
        assert ours["statics"] == theirs["statics"]
        for our_field, their_field in zip(ours["instance"], theirs["instance"], strict=True):
            if not _guessed_size(their_field):
                assert our_field["Size"] == their_field["Size"], (theirs["name"], our_field, their_field)


def compare_modules(answers: Answers) -> None:
    facts, expected = answers.facts["modules"], answers.reference["modules"]
    keys = ("image_base", "Size", "dynamic", "pe", "address", "metadata", "metadata_length")
    assert _picked(facts, keys) == _picked(expected, keys)
    for ours, theirs in zip(facts, expected, strict=True):
        # The reference does not name modules made at run time; their metadata does.
        assert ours["name"] == theirs["name"] or (theirs["name"] is None and ours["dynamic"])


def compare_threads(answers: Answers) -> None:
    facts, expected = answers.facts["threads"], answers.reference["threads"]
    keys = ("address", "managed_id", "os_id", "state", "gc_mode", "alive", "finalizer")
    assert _picked(facts, keys) == _picked(expected, keys)
    ours = [row["exception"]["type"] if row["exception"] else None for row in facts]
    theirs = [row["exception"]["type"] if row["exception"] else None for row in expected]
    assert ours == theirs


def compare_strings_and_objects(answers: Answers) -> None:
    facts, expected = answers.facts, answers.reference
    assert facts["string_count"] == expected["string_count"]
    assert facts["strings_sample"] == expected["strings_sample"]
    ours, theirs = facts["objects_sample"], expected["objects_sample"]
    assert _picked(ours, ("address", "size")) == _picked(theirs, ("address", "size"))
    for our_object, their_object in zip(ours, theirs, strict=True):
        assert our_object["type"] == their_object["type"] or _poorly_named(their_object["type"])


def compare_native_modules(answers: Answers) -> None:
    """We also list mapped data files. A mapping that begins inside the runtime's anonymous code memory is no module."""
    ours = {row["image_base"] for row in answers.facts["native_modules"]}
    theirs = {row["image_base"] for row in answers.reference["native_modules"] if not row["name"].startswith("memfd:")}
    assert theirs <= ours


#: A comparison of one part; it raises AssertionError.
Rule = Callable[[Answers], None]

RULES: tuple[Rule, ...] = (
    compare_heap_totals,
    compare_segments_and_allocation_contexts,
    compare_types,
    compare_fields,
    compare_modules,
    compare_threads,
    compare_strings_and_objects,
    compare_native_modules,
)
