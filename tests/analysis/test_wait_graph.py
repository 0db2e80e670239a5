"""Who waits for what: on real dumps against what their programs knew, on small graphs against a slow search."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.dump import Dump
from analysis.insight.activity import describe_threads
from analysis.insight.deadlocks import Cycle, find_convoys, find_cycles
from analysis.insight.wait_graph import Chain, WaitGraph, build_wait_graph
from analysis.insight.waits import evidence
from analysis.insight.waits.parts import Certainty, Holder, Lock, Wait
from analysis.runtime.stack_frames import ThreadStack
from analysis.runtime.sync_blocks import SyncTable, read_sync_table
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps

_DEADLOCKS = ("net10/deadlock", "net9/deadlock", "net8/deadlock")
#: Dumps of the reference set in which nothing is deadlocked, one for each way to wait.
_HEALTHY = (
    "net10/locks",
    "net10/stacks",
    "net10/starvation",
    "net10/async",
    "net10/events",
    "web/webshop",
    "net8/zoo",
    "net9/zoo",
)


class Seen:
    """The graph of one dump, by the names of threads."""

    def __init__(self, dump: Dump, stacks: list[ThreadStack] | None = None, *, heap: bool = True) -> None:
        self.dump = dump
        self.stacks = stacks or dump.stacks
        self.graph = build_wait_graph(dump, self.stacks, dump.walk() if heap else None)
        self.cycles = find_cycles(self.graph)
        self.names = [thread.name for thread in dump.threads.threads]

    def waits(self, name: str) -> list[tuple[Wait, Lock]]:
        return [(wait, self.graph.locks[wait.lock]) for wait in self.graph.waits if self.names[wait.thread] == name]

    def waited_by(self, name: str) -> Lock:
        ((_, lock),) = self.waits(name)
        return lock

    def holders(self, lock: Lock) -> list[tuple[str, str]]:
        return sorted((self.names[holder.thread], holder.mode) for holder in lock.holders)

    def rings(self) -> set[frozenset[str]]:
        return {frozenset(self.names[step.thread] for step in cycle.steps) for cycle in self.cycles}

    def chain(self, lock: Lock) -> list[Lock]:
        """The lock and what it waits for in turn, the first link at each."""
        following = {chain.lock: chain.next for chain in reversed(self.graph.chains)}
        row, found = self.graph.locks.index(lock), [lock]
        while row in following:
            row = following[row]
            found.append(self.graph.locks[row])
        return found

    def sentence(self, name: str) -> str:
        stacks = self.stacks[: len(self.names)]
        sentences = describe_threads(self.dump.threads.threads, stacks, self.graph, self.cycles)
        return sentences[self.names.index(name)]


def _dump(name: str) -> Dump:
    found = next((dump for dump in reference_dumps() if dump.name == name), None)
    if found is None:
        pytest.skip(f"{name} is not among the dumps at hand")
    return Dump(found.path)


@lru_cache(maxsize=2)
def _seen(name: str) -> Seen:
    return Seen(_dump(name))


def _truth(name: str) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads(_dump(name).core.path.with_suffix(".truth.json").read_text())
    return truth


def test_every_dump_has_a_graph_that_agrees_with_the_locks(reference: ReferenceDump, dump: Dump) -> None:
    """Where stacks are at hand, the threads found before a Monitor are as many as its own state counts."""
    seen = Seen(dump)
    assert seen.graph.problems == []
    for lock in seen.graph.locks:
        if lock.kind == "Monitor" and lock.form == "sync block":
            assert lock.waiters == lock.stated_waiters
        assert not lock.orphaned
    assert bool(seen.cycles) == (reference.name in _DEADLOCKS)
    assert len({(wait.thread, wait.lock) for wait in seen.graph.waits}) == len(seen.graph.waits)


@pytest.mark.parametrize("name", _DEADLOCKS)
def test_deadlocks_come_out_with_their_bystanders(name: str) -> None:
    seen, truth = _seen(name), _truth(name)
    assert seen.rings() == {frozenset(cycle) for cycle in truth["cycles"]}
    behind = {frozenset(seen.names[step.thread] for step in cycle.steps): cycle for cycle in seen.cycles}
    assert len(behind[frozenset(truth["cycles"][0])].bystanders) == truth["bystanders_on_left"]
    assert behind[frozenset(truth["cycles"][1])].bystanders == []
    assert all(cycle.certainty is Certainty.CERTAIN for cycle in seen.cycles)
    assert find_convoys(seen.graph, seen.cycles) == []


@pytest.mark.parametrize("name", _DEADLOCKS)
def test_steps_of_a_cycle_fit_together(name: str) -> None:
    seen = _seen(name)
    for cycle in seen.cycles:
        for before, step in zip((cycle.steps[-1], *cycle.steps[:-1]), cycle.steps, strict=True):
            assert step.holds == before.waits
            assert seen.graph.locks[step.holds].owner == step.thread
            frames = seen.stacks[step.thread].frames
            took, waits = frames[step.holds_frame], frames[step.waits_frame]
            assert took.method and waits.method and took.method.type_name == waits.method.type_name == "Scenarios.Deadlock"


@pytest.mark.parametrize("name", _HEALTHY)
def test_a_healthy_dump_has_no_deadlock(name: str) -> None:
    assert _seen(name).cycles == []


def test_locks_of_every_kind() -> None:
    seen, truth = _seen("net10/locks"), _truth("net10/locks")
    contended = seen.waited_by("wants-contended-0")
    assert (contended.kind, contended.waiters, contended.recursion) == ("Monitor", truth["contended_waiters"], 1)
    pulsed = seen.waited_by("in-monitor-wait-0")
    assert (pulsed.waiters, pulsed.held) == (truth["monitor_waiters"], False)
    assert sorted(wait.position for name in ("in-monitor-wait-0", "in-monitor-wait-1") for wait, _ in seen.waits(name)) == [1, 2]
    assert truth["recursive_count"] in {lock.recursion for lock in seen.graph.locks if lock.form == "thin lock"}
    modern = seen.waited_by("modern-waiting-0")
    assert (modern.kind, modern.waiters, seen.holders(modern)) == ("Lock", truth["modern_waiters"], [("modern-owner", "owner")])
    assert [lock.recursion for lock in seen.graph.locks if lock.kind == "Lock" and not lock.waiters] == [
        truth["modern_lock_recursion"]
    ]
    assert seen.holders(seen.waited_by("rw-writer-waiting")) == [("rw-reader-1", "reader"), ("rw-reader-2", "reader")]
    assert (seen.holders(seen.waited_by("rww-reader-waiting")), seen.waited_by("rww-reader-waiting").recursion) == (
        [("rww-writer", "writer")], 2,
    )  # fmt: skip
    assert seen.waited_by("joiner").owner == seen.names.index("joined")


def test_kinds_and_states() -> None:
    seen = _seen("net10/locks")
    kinds = {
        "sem-waiting": ("SemaphoreSlim", "count 0 of 3"), "mres-waiting": ("ManualResetEventSlim", "not set"),
        "cde-waiting": ("CountdownEvent", "3 of 3 signals missing"), "joiner": ("Thread", "running"),
    }  # fmt: skip
    for name, (kind, state) in kinds.items():
        assert (seen.waited_by(name).kind, seen.waited_by(name).state) == (kind, state)
    for name, kind in (("os-sem-waiting", "Semaphore"), ("mutex-waiting", "Mutex"), ("are-waiting", "AutoResetEvent")):
        assert seen.waited_by(name).kind == kind
        assert "not known" in seen.waited_by(name).state


def test_a_task_leads_to_the_thread_that_runs_it() -> None:
    seen = _seen("net10/stacks")
    for waiter in ("task-run-wait", "async-sync"):
        last = seen.chain(seen.waited_by(waiter))[-1]
        assert last.owner >= 0 and seen.names[last.owner] == ".NET TP Worker"
        top = next(frame.method for frame in seen.stacks[last.owner].frames if frame.method and frame.method.own_code)
        assert top.method_name == "Park"
    assert "run by thread" in seen.sentence("task-run-wait")


def test_starved_workers_wait_for_methods_that_are_queued() -> None:
    """Every worker waits for an asynchronous method whose next step is in a queue that only workers empty."""
    seen = _seen("net10/starvation")
    assert len(seen.graph.waits) == _truth("net10/starvation")["max_threads"]
    for wait in seen.graph.waits:
        lock = seen.graph.locks[wait.lock]
        assert lock.kind == "Task" and lock.state == "its continuation is queued in the thread pool, no thread has taken it"
        assert not lock.holders


def test_requests_behind_one_lock_are_a_convoy_and_no_deadlock() -> None:
    seen = _seen("web/webshop")
    (convoy,) = find_convoys(seen.graph, seen.cycles)
    lock = seen.graph.locks[convoy.lock]
    assert (lock.kind, lock.held, lock.waiters) == ("Monitor", True, lock.stated_waiters)
    assert convoy.waiters >= 5


@pytest.mark.parametrize("name", ["net10/deadlock", "net8/deadlock", "net10/locks"])
def test_monitors_need_neither_heap_nor_stacks(name: str) -> None:
    """The runtime's own records are enough, as in a dump that was taken without the heap and whose stacks were lost."""
    dump, whole = _dump(name), _seen(name)
    bare = Seen(dump, [ThreadStack(stack.thread, stack.os_id) for stack in dump.stacks], heap=False)
    monitors = {(wait.thread, whole.graph.locks[wait.lock].object) for wait in whole.graph.waits
                if whole.graph.locks[wait.lock].kind == "Monitor"}  # fmt: skip
    assert monitors <= {(wait.thread, bare.graph.locks[wait.lock].object) for wait in bare.graph.waits}
    assert bare.rings() == whole.rings()


@pytest.mark.parametrize("name", _DEADLOCKS)
def test_deadlocks_come_out_of_a_dump_without_sync_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a mini dump: the table names the object a thread waits for, stacks tell who keeps it, and it is only likely."""
    dump, whole = _dump(name), _seen(name)
    table = read_sync_table(dump.runtime.target)
    unread = SyncTable(unread={block.address: (block.index, block.object) for block in table.blocks.values()})
    monkeypatch.setattr(evidence, "read_sync_table", lambda target: unread)
    seen = Seen(dump, heap=False)
    assert seen.rings() == whole.rings()
    assert all(cycle.certainty is Certainty.LIKELY for cycle in seen.cycles)


def _with_objects(dump: Dump, *, precise: bool | None) -> list[ThreadStack]:
    """Stacks whose references were found by scanning, or (None) that have none."""
    return [
        replace(stack, frames=[
            replace(frame, objects=() if precise is None else tuple(replace(o, precise=precise) for o in frame.objects))
            for frame in stack.frames
        ])
        for stack in dump.stacks
    ]  # fmt: skip


def test_what_was_found_by_scanning_is_only_likely() -> None:
    dump, whole = _dump("net10/locks"), _seen("net10/locks")
    seen = Seen(dump, _with_objects(dump, precise=False))
    assert [lock.key for lock in seen.graph.locks] == [lock.key for lock in whole.graph.locks]
    for name in ("modern-waiting-0", "rw-writer-waiting", "os-sem-waiting", "joiner"):
        ((wait, _),) = seen.waits(name)
        assert wait.certainty is Certainty.LIKELY


def test_without_references_locks_are_found_by_elimination_and_by_the_monitor_inside() -> None:
    dump = _dump("net10/locks")
    seen = Seen(dump, _with_objects(dump, precise=None))
    for name in ("modern-waiting-0", "modern-waiting-1", "modern-waiting-2"):
        ((wait, lock),) = seen.waits(name)
        assert (lock.kind, wait.certainty) == ("Lock", Certainty.LIKELY)
        assert "not accounted for" in wait.how
    for name, kind in (("sem-waiting", "SemaphoreSlim"), ("mres-waiting", "ManualResetEventSlim")):
        ((wait, lock),) = seen.waits(name)
        assert (lock.kind, wait.certainty) == (kind, Certainty.CERTAIN)
    # Two locks of one kind with a waiter each cannot be told apart.
    unknown = {seen.names[row]: found.kind for row, found in seen.graph.unknown.items()}
    assert unknown["rw-writer-waiting"] == unknown["rww-reader-waiting"] == "ReaderWriterLockSlim"
    assert "could not be told" in seen.sentence("rw-writer-waiting")


def test_sentences_say_who_waits_for_whom() -> None:
    seen = _seen("net10/deadlock")
    left = seen.sentence("transfer-left")
    other = str(seen.dump.threads.threads[seen.names.index("transfer-right")].managed_id)
    assert left.startswith("Background thread waits to enter the lock of Scenarios.Ledger 0x")
    assert f"held by thread {other}" in left and f"deadlocked with thread {other}" in left
    assert "stands behind the deadlock" in seen.sentence("bystander-0")
    assert seen.sentence("alive-waiter").startswith("Background thread sleeps")


def _graph(waits: list[tuple[int, int]], holds: list[tuple[int, int]], chains: list[tuple[int, int]] | None = None) -> WaitGraph:
    rows = 1 + max([lock for _, lock in waits] + [lock for lock, _ in holds] + [row for pair in chains or () for row in pair])
    graph = WaitGraph([Lock("Monitor", 8 * row, "T") for row in range(rows)])
    graph.waits = [Wait(thread, lock, 1, "enter", -1, "", Certainty.CERTAIN) for thread, lock in waits]
    for lock, thread in holds:
        graph.locks[lock].holders.append(Holder(thread, "owner", ""))
    graph.chains = [Chain(lock, following, "", Certainty.CERTAIN) for lock, following in chains or ()]
    return graph


def _members(cycles: list[Cycle]) -> list[list[int]]:
    return [sorted(step.thread for step in cycle.steps) for cycle in cycles]


def test_a_thread_can_wait_for_itself() -> None:
    (cycle,) = find_cycles(_graph([(0, 0)], [(0, 0)]))
    assert _members([cycle]) == [[0]]
    assert (cycle.steps[0].holds, cycle.steps[0].waits) == (0, 0)


def test_a_cycle_leads_through_tasks() -> None:
    (cycle,) = find_cycles(_graph([(0, 0), (1, 2)], [(1, 1), (2, 0)], [(0, 1)]))
    assert _members([cycle]) == [[0, 1]]
    assert {step.thread: (step.holds, step.waits) for step in cycle.steps} == {0: (2, 0), 1: (0, 2)}


@pytest.mark.parametrize("change", [{"mode": "any"}, {"timed": True}, {"certainty": Certainty.POSSIBLE}, {"mode": "pulse"}])
def test_edges_that_can_come_loose_make_no_deadlock(change: dict[str, Any]) -> None:
    graph = _graph([(0, 0), (1, 1)], [(0, 1), (1, 0)])
    assert len(find_cycles(graph)) == 1
    graph.waits[0] = replace(graph.waits[0], **change)
    assert find_cycles(graph) == []


def test_a_line_of_a_hundred_thousand_threads_behind_a_cycle() -> None:
    length = 100_000
    waits = [(thread, thread) for thread in range(length)]
    graph = _graph(waits, [(thread, thread + 1) for thread in range(length - 1)] + [(length - 1, length - 2)])
    (cycle,) = find_cycles(graph)
    assert _members([cycle]) == [[length - 2, length - 1]]
    assert len(cycle.bystanders) == length - 2


def test_a_reader_that_becomes_the_writer_is_stuck_only_with_another() -> None:
    graph = _graph([(0, 0)], [(0, 0), (0, 1)])
    graph.locks[0].kind = "ReaderWriterLockSlim"
    assert find_cycles(graph) == []
    graph = _graph([(0, 0), (1, 1)], [(0, 0), (0, 1), (1, 0)])
    graph.locks[0].kind = "ReaderWriterLockSlim"
    (cycle,) = find_cycles(graph)
    assert {step.thread: (step.holds, step.waits) for step in cycle.steps} == {0: (1, 0), 1: (0, 1)}


_EDGES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8, unique=True)


@given(_EDGES.filter(bool), _EDGES)
def test_cycles_agree_with_a_slow_search(waits: list[tuple[int, int]], holds: list[tuple[int, int]]) -> None:
    cycles = find_cycles(_graph(waits, holds))
    follows = {(thread, holder) for thread, lock in waits for held, holder in holds if lock == held}
    stuck = {
        thread
        for size in range(1, 6)
        for ring in permutations(range(5), size)
        if all((ring[n], ring[(n + 1) % size]) in follows for n in range(size))
        for thread in ring
    }
    members = [thread for group in _members(cycles) for thread in group]
    assert set(members) <= stuck
    assert len(members) == len(set(members))
    assert bool(cycles) == bool(stuck)
    for cycle in cycles:
        for before, step in zip((cycle.steps[-1], *cycle.steps[:-1]), cycle.steps, strict=True):
            assert (step.thread, step.waits) in waits and (step.holds, step.thread) in holds
            assert step.holds == before.waits
    # Everybody who reaches a cycle and is in none is a bystander of one of them, or shares the knot of one.
    reach = set(members)
    while True:
        more = {a for a, b in follows if b in reach} - reach
        if not more:
            break
        reach |= more
    behind = Counter(row for cycle in cycles for row in cycle.bystanders)
    assert set(behind) == reach - set(members)
    assert not behind or max(behind.values()) == 1
