"""Deadlock: threads that wait for each other in a cycle and cannot go on."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.deadlocks import Cycle
from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Reference, Rule, Severity, frame, listed, lock, thread
from analysis.insight.waits import class_constructor, finalizer, tasks, thread_join

#: A ring of threads is told this far in words, and this far as evidence.
_STEPS_IN_WORDS, _STEPS_OF_EVIDENCE = 6, 32
#: How a thread stands to what others wait for, where "holds" is not the word.
_VERBS = {tasks.KIND: "runs", class_constructor.KIND: "runs", thread_join.KIND: "must complete", finalizer.KIND: "empties"}


def _look(execution: Execution) -> Iterator[Finding]:
    for cycle in execution.cycles:
        members = list(dict.fromkeys(step.thread for step in cycle.steps))
        stuck = len(members) + len(cycle.bystanders)
        yield Finding(
            severity=Severity.CRITICAL,
            confidence=cycle.certainty,
            impact=stuck / max(len(execution.alive), 1),
            title=(*listed([thread(row) for row in members]), _each_other(len(members))),
            summary=(*_steps(execution, cycle), *_bystanders(cycle)),
            evidence=tuple(_evidence(execution, cycle)),
        )


def _each_other(members: int) -> str:
    return " waits for itself" if members == 1 else " wait for each other: none of them can ever go on"


def _steps(execution: Execution, cycle: Cycle) -> Iterator[str | Reference]:
    for place, step in enumerate(cycle.steps[:_STEPS_IN_WORDS]):
        yield from (
            *(("; ",) if place else ()),
            thread(step.thread),
            f" {_VERBS.get(execution.graph.locks[step.holds].kind, 'holds')} ",
            lock(step.holds),
            " and waits for ",
            lock(step.waits),
        )
    rest = len(cycle.steps) - _STEPS_IN_WORDS
    yield f"; {rest:,} more steps close the circle." if rest > 0 else "."


def _bystanders(cycle: Cycle) -> tuple[str | Reference, ...]:
    count = len(cycle.bystanders)
    if not count:
        return ()
    return (f" {count:,} more {'thread' if count == 1 else 'threads'} cannot move behind them: ",
            *listed([thread(row) for row in cycle.bystanders]), ".")  # fmt: skip


def _evidence(execution: Execution, cycle: Cycle) -> Iterator[Evidence]:
    for step in cycle.steps[:_STEPS_OF_EVIDENCE]:
        if step.holds_frame >= 0:
            yield Evidence("took the first lock here", frame(execution.frame_row(step.thread, step.holds_frame)))
        if step.waits_frame >= 0:
            yield Evidence("waits for the second one here", frame(execution.frame_row(step.thread, step.waits_frame)))


RULE = Rule(
    name="deadlock",
    title="Deadlock",
    look=_look,
    looked_at=lambda execution: (
        f"{len(execution.graph.waits):,} waits of {len(execution.alive):,} threads, {len(execution.graph.locks):,} locks"
    ),
    why="Each thread of the cycle holds what the next one needs. Nothing inside the process can end this, and every thread "
    "that needs one of these locks joins them.",
    what_to_do=(
        "Take the locks in the same order everywhere: the frames below show both orders.",
        "Or hold only one lock at a time: copy what is needed, release, then call on.",
        "Until then restart the process; a dump taken again will show the same cycle.",
    ),
    false_alarm="When a wait of the cycle has a timeout, or somebody outside the process can release one of the locks.",
)
