"""Scrubbed copies of dumps made just now: marks planted everywhere are gone, the reference reader sees the same structure, and
no byte it calls a value has any influence."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analysis.dump import Dump
from analysis.pipeline import analyse
from analysis.reference_facts import reference_facts
from analysis.scrub import copying
from tests.analysis.canaries import count_fixed, count_marks, marks
from tests.analysis.fresh_dumps import FreshDump, FreshDumps
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps
from tests.analysis.reference_reader import ReferenceReader
from tests.analysis.scrubbed import FOR_OTHER_READERS, MISSED_RULES, WIPING, Copy, differences, make_copy, refill, without
from tests.goals import Goals

_REFILLS = 2
#: The lab can read those of its own version only.
STORED = [dump for dump in reference_dumps() if dump.name in (
    "web/webshop", "net10/zoo-mini", "net10/zoo-triage", "net10/nullref-mini", "net10/nullref-triage",
)]  # fmt: skip


@dataclass(frozen=True)
class Scrubbed:
    made: FreshDump
    copy: Copy
    directory: Path


@pytest.fixture(scope="module")
def reader(fresh_dumps: FreshDumps, tmp_path_factory: pytest.TempPathFactory) -> ReferenceReader:
    return ReferenceReader(Path(fresh_dumps.lab), tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="module", params=["canaries", "server", "full"])
def scrubbed(
    request: pytest.FixtureRequest, fresh_dumps: FreshDumps, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scrubbed]:
    directory = tmp_path_factory.mktemp("scrubbed")
    made = fresh_dumps.get(request.param)
    yield Scrubbed(made, make_copy(made.path, directory), directory)
    shutil.rmtree(directory)


def test_both_readers_see_the_same_structure(scrubbed: Scrubbed, reader: ReferenceReader, goals: Goals) -> None:
    ours = differences(reference_facts(scrubbed.made.dump), reference_facts(Dump(scrubbed.copy.path)))
    theirs = differences(reader.facts(scrubbed.made.path), reader.facts(scrubbed.copy.path))
    goals.count("G26 scrubbed copy: structure equal by our facts", not ours, 1)
    goals.count("G26 scrubbed copy: structure equal by the reference reader", not theirs, 1)
    assert (ours, theirs) == ([], [])


@pytest.mark.parametrize("stored", STORED, ids=[dump.name for dump in STORED])
def test_the_reference_reader_sees_the_same_in_stored_dumps(
    stored: ReferenceDump, reader: ReferenceReader, tmp_path: Path, goals: Goals
) -> None:
    """Of a web application, of which the runtime ran much code twice; and of those that hold no more than stacks need."""
    found = differences(reader.facts(stored.path), reader.facts(make_copy(stored.path, tmp_path).path))
    goals.count("G26 scrubbed copy: structure equal by the reference reader", not found, 1)
    assert not found


def test_no_value_that_the_reference_reader_sees_changes_the_copy(
    scrubbed: Scrubbed, reader: ReferenceReader, goals: Goals
) -> None:
    payload, same = reader.payload(scrubbed.made.path), 0
    for seed in range(_REFILLS):
        other = scrubbed.directory / "refilled.dmp"
        assert refill(scrubbed.made.path, other, payload, seed) > 400_000
        same += make_copy(other, scrubbed.directory, "other").certificate["result"] == scrubbed.copy.certificate["result"]
    goals.count("G26 scrubbed copy: pairs without a difference", same, _REFILLS)
    assert same == _REFILLS


def test_marks_are_gone_from_the_copy_and_its_index(
    fresh_dumps: FreshDumps, tmp_path_factory: pytest.TempPathFactory, goals: Goals
) -> None:
    directory = tmp_path_factory.mktemp("canaries")
    made = fresh_dumps.get("canaries")
    wanted = marks(made.truth["places"])
    before = count_marks([made.path], wanted)
    assert len(before) >= 40
    assert [place for place, count in before.items() if not count] == []
    assert [place for place, count in count_fixed(made.path).items() if not count] == []
    copy = make_copy(made.path, directory)
    analyse(copy.path, directory / "index", lambda stage, fraction, detail: None)
    index = [path for path in (directory / "index").rglob("*") if path.is_file()]
    left = sum(count_marks([copy.path, *index], wanted).values()) + sum(count_fixed(copy.path).values())
    goals.count("G26 scrubbed copy: kinds of places whose marks are all gone", len(before) if not left else 0, len(before))
    assert left == 0
    shutil.rmtree(directory)


@pytest.mark.parametrize("kind", ["mini", "triage"])
def test_marks_are_gone_from_copies_of_small_dumps(kind: str, fresh_dumps: FreshDumps, tmp_path: Path) -> None:
    """They hold what the stacks refer to, names of threads, and much of the native memory."""
    path, truth = fresh_dumps.small(kind, "canaries")
    wanted = marks(truth["places"])
    before = count_marks([path], wanted)
    assert before["name of thread"] and before["freed before threads start"]
    copy = make_copy(path, tmp_path)
    assert {place: count for place, count in count_marks([copy.path], wanted).items() if count} == {}
    assert {place: count for place, count in count_fixed(copy.path).items() if count} == {}


@pytest.mark.parametrize("rule", WIPING)
def test_without_a_rule_that_wipes_marks_are_left(
    rule: str, fresh_dumps: FreshDumps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goals: Goals
) -> None:
    made = fresh_dumps.get("canaries")
    whole = make_copy(made.path, tmp_path, "whole")
    monkeypatch.setattr(copying, "Ledger", without(rule))
    copy = make_copy(made.path, tmp_path)
    left = sum(count_marks([copy.path], marks(made.truth["places"])).values()) + sum(count_fixed(copy.path).values())
    # What lies below a stack pointer holds no whole mark that is not a number; without the rule more of it is kept.
    missed = bool(left) or copy.certificate["kept_bytes"] > whole.certificate["kept_bytes"]
    goals.count(MISSED_RULES, missed, 1)
    assert missed


@pytest.fixture(scope="module")
def told(fresh_dumps: FreshDumps, reader: ReferenceReader) -> dict[str, Any]:
    return reader.facts(fresh_dumps.get("server").path)


@pytest.mark.parametrize("rule", FOR_OTHER_READERS)
def test_without_a_rule_for_other_readers_the_reference_reader_sees_something_else(
    rule: str, fresh_dumps: FreshDumps, reader: ReferenceReader, told: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    goals: Goals,
) -> None:  # fmt: skip
    made = fresh_dumps.get("server")
    monkeypatch.setattr(copying, "Ledger", without(rule))
    copy = make_copy(made.path, tmp_path)
    try:
        found = differences(told, reader.facts(copy.path))
    except AssertionError:
        found = ["it ended with an error"]
    goals.count(MISSED_RULES, bool(found), 1)
    assert found
