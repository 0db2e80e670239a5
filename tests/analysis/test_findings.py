"""Rules fire where they must, on every version there is a dump of, and nowhere else; one that fails costs only itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from analysis.dump import Dump
from analysis.errors import Corrupt
from analysis.graph.retention import Retention
from analysis.index.store import Index, open_index
from analysis.insight.execution import Execution
from analysis.insight.findings import Diagnosis, Finding, NotApplicable, Rule, Severity, diagnose, listed, thread
from analysis.insight.merged_stacks import merge_stacks
from analysis.insight.rules import RULES, orphaned_lock, piled_threads, retained_memory, sync_over_async
from analysis.insight.wait_graph import WaitGraph
from analysis.insight.waits.parts import Certainty, Lock, Wait
from analysis.limits import LIMITS
from analysis.pipeline import analyse
from analysis.runtime.stack_frames import ThreadStack
from tests.analysis.reference_dumps import reference_dumps
from tests.analysis.test_merged_stacks import frame, stack

#: Which rules fire on the dump of a scenario, on whatever version it was made. Scenarios not named here are healthy.
_EXPECTED = {
    "crash": ["unhandled-exception"],
    "nullref": ["unhandled-exception"],
    "nullref-mini": ["unhandled-exception"],
    "nullref-triage": ["unhandled-exception"],
    "oom": ["unhandled-exception", "retained-memory"],
    "stackoverflow": ["stack-overflow"],
    "deadlock": ["deadlock", "deadlock"],
    "starvation": ["sync-over-async"],
    "finalizer": ["blocked-finalizer", "finalizer-backlog"],
    "frag": ["fragmented-heap"],
    "webshop": ["retained-memory", "lock-convoy"],
    "leak": ["retained-memory"],
    "leak-server": ["retained-memory"],
    "leak-segments": ["retained-memory"],
    "events": ["retained-memory", "timers", "cancellation-registrations"],
    "stacks": ["piled-threads"],
    "alc": ["unloadable-context"],
}
#: Rules that need a heap.
_OF_THE_HEAP = {
    "retained-memory", "unloadable-context", "finalizer-backlog", "fragmented-heap", "duplicate-strings", "oversized-collections",
    "pinned-objects", "event-subscribers", "timers", "cancellation-registrations",
}  # fmt: skip


@pytest.fixture(scope="module")
def diagnosis(dump: Dump) -> Diagnosis:
    walked = dump.walk()
    return diagnose(Execution(dump, walked, Retention(dump, walked) if walked else None), RULES)


def _scenario(name: str) -> str:
    """``finalizer`` of ``finalizer-net9/finalizer-net9`` and of ``net9/finalizer``."""
    return name.rpartition("/")[2].rpartition("-net")[0] or name.rpartition("/")[2]


def test_rules_fire_where_they_must_and_nowhere_else(dump: Dump, reference: Any, diagnosis: Diagnosis) -> None:
    assert [rule.name for rule, _ in diagnosis.found] == _EXPECTED.get(_scenario(reference.name), [])
    without_heap = {rule.name for rule, _ in diagnosis.not_run}
    assert without_heap == (set() if dump.walk() else _OF_THE_HEAP)
    fired = {rule.name for rule, _ in diagnosis.found}
    assert {rule.name for rule, _ in diagnosis.passed} == {rule.name for rule in RULES} - fired - without_heap
    assert all(words for _, words in diagnosis.passed)


def test_a_list_of_many_nodes_is_an_accumulation() -> None:
    """Each node holds the next one alone: nothing falls apart into children, and still it grows."""
    nodes = 3_000
    offsets = np.array([*range(nodes), nodes - 1, nodes], np.uint32)
    retention = SimpleNamespace(
        objects=nodes, start=nodes, retained=np.append(np.arange(nodes, 0, -1) * 1000, nodes * 1000),
        dominated=lambda: (offsets, np.array([*range(1, nodes), 0], np.uint32)),
        walked=SimpleNamespace(columns=SimpleNamespace(type=np.ones(nodes, int)), types=SimpleNamespace(component_size=[0, 0])),
        live_count=np.array([[0], [nodes]]),
    )  # fmt: skip
    (found,) = retained_memory.find_accumulations(cast(Retention, retention), 1_000_000, np.zeros(0, np.int64))
    assert (found.holder, found.collection, found.type, found.count, found.retained) == (0, 0, 1, nodes, nodes * 1000)


def _index_of(name: str, directory: Path) -> Index | None:
    path = next((dump.path for dump in reference_dumps() if dump.name == name), None)
    if path is None:
        return None
    out = directory / name.replace("/", "-")
    analyse(path, out, lambda stage, fraction, detail: None)
    return open_index(out)


_TABLES = {
    "thread": "threads",
    "lock": "locks",
    "frame": "frames",
    "method": "methods",
    "exception": "exceptions",
    "object": "objects",
    "type": "types",
    "root": "roots",
}


@pytest.mark.parametrize(
    "name", ["net10/crash", "net10/deadlock", "net9/finalizer", "net10/starvation", "net8/deadlock", "net8/leak"]
)
def test_findings_in_the_index(name: str, tmp_path: Path) -> None:
    """References lead to rows that are there; no name of a thread and no message is in them."""
    index = _index_of(name, tmp_path)
    if index is None:
        pytest.skip("the families of dumps are not there")
    found = index.facts("findings")
    assert found["items"]
    for item in found["items"]:
        pieces = [*item["title"], *item["summary"], *item["evidence"]]
        for piece in (piece for piece in pieces if "ref" in piece):
            assert 0 <= piece["row"] < index.rows[_TABLES[piece["ref"]]]
        assert item["evidence"] and item["why"] and item["what_to_do"] and item["false_alarm"]
        assert 0 < item["impact"] <= 1
        assert all(piece.get("text", "x") for piece in pieces)
    text = json.dumps(found)
    secret = {*index.text("threads", "name").all, *index.text("exceptions", "message").all} - {""}
    assert [name for name in secret if name in text and len(name) > 3] == []


# The frame


def _rule(name: str, look: Any, **changes: Any) -> Rule:
    said = {"title": name, "looked_at": lambda execution: "everything", "why": "", "what_to_do": (), "false_alarm": ""}
    return Rule(name, look=look, **{**said, **changes})


def _finding(severity: Severity, impact: float) -> Finding:
    return Finding(severity, Certainty.CERTAIN, impact, ("title",), ("summary",))


def test_findings_are_ranked_by_severity_then_impact() -> None:
    rules = [
        _rule("small", lambda _: [_finding(Severity.CRITICAL, 0.1), _finding(Severity.CRITICAL, 0.2)]),
        _rule("notice", lambda _: [_finding(Severity.NOTICE, 1.0)]),
        _rule("large", lambda _: [_finding(Severity.CRITICAL, 0.9)]),
    ]
    found = diagnose(SimpleNamespace(), rules).found  # type: ignore[arg-type]
    assert [(rule.name, finding.impact) for rule, finding in found] == [
        ("large", 0.9),
        ("small", 0.2),
        ("small", 0.1),
        ("notice", 1.0),
    ]


def test_a_rule_that_fails_is_not_run_and_costs_no_other() -> None:
    def damaged(_: Execution) -> Iterator[Finding]:
        yield _finding(Severity.CRITICAL, 1.0)
        raise Corrupt("a table is damaged")

    def wrong(_: Execution) -> list[Finding]:
        raise ZeroDivisionError("secret message")

    def without(_: Execution) -> list[Finding]:
        raise NotApplicable("no finalizer thread was found")

    rules = [_rule("damaged", damaged), _rule("wrong", wrong), _rule("without", without), _rule("good", lambda _: [])]
    rules.append(_rule("silent", lambda _: [], looked_at=wrong))
    diagnosis = diagnose(SimpleNamespace(), rules)  # type: ignore[arg-type]
    assert diagnosis.found == ()
    assert [rule.name for rule, _ in diagnosis.passed] == ["good"]
    reasons = {rule.name: reason for rule, reason in diagnosis.not_run}
    assert reasons["damaged"] == "a table is damaged"
    assert reasons["without"] == "no finalizer thread was found"
    assert "ZeroDivisionError" in reasons["wrong"] and "secret" not in reasons["wrong"] + reasons["silent"]


def test_findings_of_one_rule_are_bounded() -> None:
    endless = _rule("endless", lambda _: iter(lambda: _finding(Severity.NOTICE, 0.5), None))
    assert len(diagnose(SimpleNamespace(), [endless]).found) == LIMITS.findings_per_rule  # type: ignore[arg-type]


def test_long_lists_are_cut() -> None:
    assert listed([thread(1)]) == [thread(1)]
    assert listed([thread(1), thread(2), thread(3)]) == [thread(1), ", ", thread(2), " and ", thread(3)]
    assert listed([thread(n) for n in range(2000)])[-1] == " and 1,996 more"


def test_every_rule_says_what_it_has_to() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.title and rule.why and rule.what_to_do and rule.false_alarm and rule.version >= 1
        assert rule.name == rule.name.lower() and " " not in rule.name


# Rules for which there is no dump: threads and locks made by hand


def _execution(stacks: list[ThreadStack], graph: WaitGraph, role: str = "") -> Any:
    merged = merge_stacks(stacks)
    return SimpleNamespace(
        threads=[SimpleNamespace(managed_id=row + 1, roles=(role,), alive=True) for row in range(len(stacks))],
        alive=list(range(len(stacks))), stacks=stacks, graph=graph, merged=merged, cycles=[], convoys=[],
        doing=["" for _ in stacks], frame_row=lambda row, place: row * 100 + place if place >= 0 else -1,
        own_frame=lambda row: stacks[row].frames[merged.own_frame[row]] if merged.own_frame[row] >= 0 else None,
    )  # fmt: skip


def _wait(row: int, lock: int = 0, place: int = 1) -> Wait:
    return Wait(row, lock, place, "completion", -1, "a record", Certainty.CERTAIN)


def test_a_lock_of_an_ended_thread() -> None:
    locks = [
        Lock("Monitor", 0x100, "System.Object", held=True, orphaned=True),
        Lock("Monitor", 0x200, "System.Object", held=True),
    ]
    execution = _execution([stack("wA")] * 4, WaitGraph(locks=locks, waits=[_wait(0), _wait(2), _wait(3, lock=1)]))
    (finding,) = orphaned_lock.RULE.look(execution)
    assert (finding.severity, finding.impact, len(finding.evidence)) == (Severity.CRITICAL, 0.5, 3)


def test_workers_that_wait_for_tasks_of_their_own_library_are_not_blocked() -> None:
    """Parallel.For runs its tasks while it waits for them."""
    graph = WaitGraph(locks=[Lock("Task", 0x100, "System.Threading.Tasks.Task")], waits=[_wait(row) for row in range(4)])
    fires = list(sync_over_async.RULE.look(_execution([stack("wA")] * 4, graph, "pool worker")))
    assert len(fires) == 1
    parallel = stack("wpA")
    parallel.frames[1] = frame("p")
    method = parallel.frames[1].method
    assert method is not None
    parallel.frames[1].method = type(method)(8, "Run", "System.Threading.Tasks.TaskReplicator", "Run", method.module, 1)
    assert not list(sync_over_async.RULE.look(_execution([parallel] * 4, graph, "pool worker")))
    assert not list(sync_over_async.RULE.look(_execution([stack("wA")] * 4, graph))), "threads of the program's own may block"


def test_idle_workers_of_the_framework_are_no_pile() -> None:
    nothing = WaitGraph()
    assert not list(piled_threads.RULE.look(_execution([stack("wp")] * 50 + [stack("A")], nothing)))
    assert list(piled_threads.RULE.look(_execution([stack("wA")] * 50 + [stack("B")], nothing)))
    assert not list(piled_threads.RULE.look(_execution([stack("wA")] * 9, nothing)))
