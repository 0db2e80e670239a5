"""Rules of what leaks in small pieces, on a program that hoards all of it and has written down how much; and their thresholds."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from analysis.graph.retention import Retention
from analysis.insight.execution import Execution
from analysis.insight.findings import Diagnosis, Finding, Reference, diagnose
from analysis.insight.rules import (
    RULES,
    cancellation_registrations,
    duplicate_strings,
    event_subscribers,
    oversized_collections,
    pinned_objects,
    timers,
)
from tests.analysis.fresh_dumps import FreshDumps

_NAMES = (
    "event-subscribers",
    "timers",
    "cancellation-registrations",
    "duplicate-strings",
    "oversized-collections",
    "pinned-objects",
)


@pytest.fixture(scope="module")
def execution(fresh_dumps: FreshDumps) -> Execution:
    dump = fresh_dumps.get("hoards").dump
    walked = dump.walk()
    assert walked is not None
    return Execution(dump, walked, Retention(dump, walked))


@pytest.fixture(scope="module")
def diagnosis(execution: Execution) -> Diagnosis:
    return diagnose(execution, RULES)


def one(diagnosis: Diagnosis, name: str) -> Finding:
    (found,) = [finding for rule, finding in diagnosis.found if rule.name == name]
    return found


def words(execution: Execution, finding: Finding) -> str:
    """Title, summary and evidence with the names of types and objects filled in."""
    retention = execution.retention
    assert retention is not None
    types, tables = execution.dump.runtime.types, retention.walked.types.method_tables

    def told(piece: str | Reference) -> str:
        if isinstance(piece, str):
            return piece
        if piece.table == "object":
            return types.name(tables[retention.walked.columns.type[piece.row]])
        if piece.table == "root":
            return retention.resolved.roots[piece.row].name
        return types.name(tables[piece.row]) if piece.table == "type" else piece.table

    facts = (f"{one.text} {told(one.reference)}" for one in finding.evidence)
    return " ".join([*(told(piece) for piece in (*finding.title, *finding.summary)), *facts])


def test_each_is_told_once_and_nothing_else(diagnosis: Diagnosis) -> None:
    assert sorted(rule.name for rule, _ in diagnosis.found) == sorted(_NAMES)


def test_what_is_told_is_what_the_program_did(fresh_dumps: FreshDumps, execution: Execution, diagnosis: Diagnosis) -> None:
    truth = fresh_dumps.get("hoards").truth
    told = {name: words(execution, one(diagnosis, name)) for name in _NAMES}
    assert f"{truth['subscribers']:,} subscribers" in told["event-subscribers"]
    assert "Unusual.Bell.Rung" in told["event-subscribers"] and "Unusual.Visitor" in told["event-subscribers"]
    assert f"{truth['timers']:,} timers" in told["timers"] and "Unusual.Reminder" in told["timers"]
    assert f"{truth['registrations']:,} registrations" in told["cancellation-registrations"]
    assert "Unusual.Errand" in told["cancellation-registrations"] and "Unusual.Hoards.never" in told["cancellation-registrations"]
    assert "System.String[]" in told["duplicate-strings"] and "live strings are copies of others" in told["duplicate-strings"]
    assert "System.Collections.Generic.List<System.Int64>" in told["oversized-collections"]
    assert f"{truth['unused']:,} bytes" in told["oversized-collections"]
    pinned = int(told["pinned-objects"].partition(" ")[0])
    assert truth["pinned"] <= pinned < truth["pinned"] + 20 and "System.Byte[]" in told["pinned-objects"]


@pytest.mark.parametrize(
    ("rule", "threshold", "amount"),
    [
        (event_subscribers, "_FEWEST", lambda truth: truth["subscribers"]),
        (timers, "_FEWEST", lambda truth: truth["timers"]),
        (cancellation_registrations, "_FEWEST", lambda truth: truth["registrations"]),
        (pinned_objects, "_FEWEST", None),
        (duplicate_strings, "_LEAST_SHARE", None),
        (oversized_collections, "_LEAST_BYTES", None),
    ],
    ids=lambda value: value.RULE.name if isinstance(value, ModuleType) else None,
)
def test_below_the_threshold_nothing_is_told(
    rule: ModuleType, threshold: str, amount: Callable[[dict[str, int]], int] | None, fresh_dumps: FreshDumps,
    execution: Execution, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    at = amount(fresh_dumps.get("hoards").truth) if amount else None
    if at is not None:
        monkeypatch.setattr(rule, threshold, at)
        assert list(rule.RULE.look(execution))
    monkeypatch.setattr(rule, threshold, at + 1 if at is not None else 1 << 40)
    assert not list(rule.RULE.look(execution))
    assert rule.RULE.looked_at(execution)
