"""Lock convoy: many threads in line for one lock whose holder works, sleeps or waits for something else."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.deadlocks import CONVOY_WAITERS, Convoy
from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Reference, Rule, Severity, frame, listed, lock, thread
from analysis.insight.waits.parts import Certainty

_MOST_OF_THE_PROCESS = 0.5
#: Waiting for these to end is waiting for work, not for permission.
_NO_LOCKS = ("Task", "Thread", "class constructor")


def _look(execution: Execution) -> Iterator[Finding]:
    for convoy in execution.convoys:
        subject = execution.graph.locks[convoy.lock]
        if subject.kind in _NO_LOCKS:
            continue
        impact = convoy.behind / max(len(execution.alive), 1)
        yield Finding(
            severity=Severity.CRITICAL if impact >= _MOST_OF_THE_PROCESS else Severity.WARNING,
            confidence=min((holder.certainty for holder in subject.holders), default=Certainty.LIKELY),
            impact=impact,
            title=(f"{convoy.waiters:,} threads stand in line for ", lock(convoy.lock)),
            summary=tuple(_summary(execution, convoy)),
            evidence=tuple(_evidence(execution, convoy)),
        )


def _summary(execution: Execution, convoy: Convoy) -> Iterator[str | Reference]:
    holders = execution.graph.locks[convoy.lock].holders
    yield from (lock(convoy.lock), " is held by ", *listed([thread(holder.thread) for holder in holders]))
    if len(holders) == 1 and execution.doing[holders[0].thread]:
        yield f". What it does: {execution.doing[holders[0].thread]}"
    else:
        yield "."
    if convoy.behind > convoy.waiters:
        yield f" With those that wait for the waiting, {convoy.behind:,} threads are held up."


def _evidence(execution: Execution, convoy: Convoy) -> Iterator[Evidence]:
    yield Evidence("the lock", lock(convoy.lock))
    for holder in execution.graph.locks[convoy.lock].holders[:4]:
        yield Evidence("holds it", thread(holder.thread))
        if holder.frame >= 0:
            yield Evidence("took it here", frame(execution.frame_row(holder.thread, holder.frame)))
    wait = next(wait for wait in execution.graph.waits if wait.lock == convoy.lock)
    yield Evidence("one of those in line waits here", frame(execution.frame_row(wait.thread, wait.frame)))


RULE = Rule(
    name="lock-convoy",
    title="Lock convoy",
    look=_look,
    looked_at=lambda execution: (
        f"{sum(lock.held for lock in execution.graph.locks):,} held locks, none with {CONVOY_WAITERS} or more threads in line "
        "and a holder that could go on"
    ),
    why="Work that could run side by side runs one after the other, at the pace of whoever holds the lock.",
    what_to_do=(
        "Look at what the holder does under the lock: calls out of the process, sleeps and file access belong outside.",
        "Guard less with one lock: one for each key, a concurrent collection, or a copy that is swapped in.",
        "In asynchronous code use SemaphoreSlim.WaitAsync, so that those in line do not keep a thread each.",
    ),
    false_alarm="When the line was there only for the moment of the dump: a second dump some seconds later tells.",
)
