"""Cycles through every primitive, on a dump made just now by a program that knows what it did."""

from __future__ import annotations

import pytest

from analysis.insight.deadlocks import find_convoys
from tests.analysis.fresh_dumps import FreshDumps
from tests.analysis.test_wait_graph import Seen


@pytest.fixture(scope="module")
def seen(fresh_dumps: FreshDumps) -> Seen:
    return Seen(fresh_dumps.get("waits").dump)


def test_cycles_come_out(fresh_dumps: FreshDumps, seen: Seen) -> None:
    truth = fresh_dumps.get("waits").truth
    assert seen.rings() == {frozenset(cycle) for cycle in truth["cycles"]}
    assert (seen.graph.problems, seen.graph.unknown) == ([], {})
    behind = {seen.names[row] for cycle in seen.cycles for row in cycle.bystanders}
    assert behind == {"behind-the-cycle", "waits-for-turn"}


def test_the_line_before_one_lock_is_a_convoy(fresh_dumps: FreshDumps, seen: Seen) -> None:
    (convoy,) = find_convoys(seen.graph, seen.cycles)
    assert convoy.waiters == fresh_dumps.get("waits").truth["convoy"]
    assert seen.holders(seen.graph.locks[convoy.lock]) == [("convoy-owner", "owner")]


def test_locks_of_threads_that_have_ended_are_orphaned(seen: Seen) -> None:
    for name in ("wants-abandoned", "wants-abandoned-lock"):
        lock = seen.waited_by(name)
        assert lock.orphaned and "has ended" in lock.state
        assert "held by a thread that has ended" in seen.sentence(name)
    assert sum(lock.orphaned for lock in seen.graph.locks) == 2


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("joined", "ReaderWriterLockSlim", "read"), ("writer", "SemaphoreSlim", "enter"), ("semaphore", "Task", "completion"),
        ("task", "Thread", "join"), ("in-constructor", "Monitor", "enter"),
        ("wants-constructor", "class constructor", "initialise"), ("waits-for-finalizers", "finalizer queue", "completion"),
        ("counts-down", "CountdownEvent", "signal"), ("meets-1", "Barrier", "signal"), ("wants-mutex", "Mutex", "enter"),
        ("consumer", "SemaphoreSlim", "enter"), ("monitor-then-lock", "Lock", "enter"),
    ],
)  # fmt: skip
def test_every_primitive_is_told(seen: Seen, name: str, kind: str, mode: str) -> None:
    ((wait, lock),) = seen.waits(name)
    assert (lock.kind, wait.mode, wait.certainty.word) == (kind, mode, "certain")
    assert wait.frame > 0


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("waits-for-promise", "nobody is known to be about to complete it: some code must set its result"),
        ("waits-for-async", "nobody is known to be about to complete it: some code must set its result"),
        ("waits-for-delay", "a delay without end"), ("waits-for-never-started", "never started"),
        ("waits-for-running", "running"),
        ("waits-for-turn", "count 0 of 1"),
        ("waits-for-when-all", "nobody is known to be about to complete it: some code must set its result"),
        ("waits-for-unwrapped", "nobody is known to be about to complete it: some code must set its result"),
        ("waits-for-continuation", "nobody is known to be about to complete it: some code must set its result"),
    ],
)  # fmt: skip
def test_tasks_lead_to_what_would_complete_them(seen: Seen, name: str, state: str) -> None:
    assert seen.chain(seen.waited_by(name))[-1].state.startswith(state)


def test_what_can_go_on_after_any_of_several_is_only_possible(seen: Seen) -> None:
    row = seen.graph.locks.index(seen.waited_by("waits-for-when-any"))
    assert [chain.certainty.word for chain in seen.graph.chains if chain.lock == row] == ["possible"] * 2


def test_a_reader_that_becomes_the_writer_does_not_wait_for_itself(seen: Seen) -> None:
    lock = seen.waited_by("upgrades-in-time")
    assert seen.holders(lock) == [("reads-for-ever", "reader"), ("upgrades-in-time", "upgradeable reader")]
    assert "held by thread" in seen.sentence("upgrades-in-time") and "deadlock" not in seen.sentence("upgrades-in-time")


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("waits-for-any-handle", "ManualResetEvent", "any"), ("waits-for-all-handles", "ManualResetEvent", "all"),
        ("waits-for-any", "Task", "any"), ("waits-for-all", "Task", "all"),
    ],
)  # fmt: skip
def test_waits_for_several_at_once(seen: Seen, name: str, kind: str, mode: str) -> None:
    assert [(lock.kind, wait.mode) for wait, lock in seen.waits(name)] == [(kind, mode)] * 2


def test_a_mutex_owner_is_told_from_the_stack_and_said_to_be_likely(seen: Seen) -> None:
    lock = seen.waited_by("wants-mutex")
    (holder,) = lock.holders
    assert (seen.names[holder.thread], holder.certainty.word) == ("owns-mutex", "likely")
    assert "nor who owns it" in lock.state
