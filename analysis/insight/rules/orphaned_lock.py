"""Orphaned lock: threads wait for a lock whose owner has ended without letting it go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, frame, listed, lock, thread
from analysis.insight.waits.parts import Wait

_MOST_SHOWN = 8


def _waits(execution: Execution) -> dict[int, list[Wait]]:
    found: dict[int, list[Wait]] = defaultdict(list)
    for wait in execution.graph.waits:
        if execution.graph.locks[wait.lock].orphaned:
            found[wait.lock].append(wait)
    return found


def _look(execution: Execution) -> Iterator[Finding]:
    for row, waits in _waits(execution).items():
        count = len(waits)
        yield Finding(
            severity=Severity.CRITICAL,
            confidence=min(wait.certainty for wait in waits),
            impact=min(count / max(len(execution.alive), 1), 1.0),
            title=(f"{count:,} {'thread waits' if count == 1 else 'threads wait'} for ", lock(row),
                   ", held by a thread that has ended"),
            summary=("The thread that entered ", lock(row), " ended without leaving it; nobody else can. In line: ",
                     *listed([thread(wait.thread) for wait in waits]), "."),
            evidence=(
                Evidence("the lock", lock(row)),
                *(
                    Evidence("waits here", frame(execution.frame_row(wait.thread, wait.frame)))
                    for wait in waits[:_MOST_SHOWN] if wait.frame >= 0
                ),
            ),
        )  # fmt: skip


RULE = Rule(
    name="orphaned-lock",
    title="Lock of a thread that has ended",
    look=_look,
    looked_at=lambda execution: f"{sum(lock.held for lock in execution.graph.locks):,} held locks",
    why="Whoever waits for it waits for good, and so does everyone who comes later.",
    what_to_do=(
        "Enter locks with the lock statement, or leave them in a finally block.",
        "Look for code that enters on one thread and leaves on another, and for threads that end in the middle of their work.",
    ),
    false_alarm="When the waits have a timeout, or another thread leaves the lock in place of the one that entered it.",
)
