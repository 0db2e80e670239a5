"""Blocked finalizer: the one thread that runs finalizers waits inside one of them."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, NotApplicable, Rule, Severity, frame, thread
from analysis.insight.waits.parts import Certainty
from analysis.runtime.stack_frames import FrameKind

_FINALIZE, _WAITING = "Finalize", "waiting"


def _finalizer(execution: Execution) -> int:
    row = next((row for row, found in enumerate(execution.threads) if found.finalizer), None)
    if row is None:
        raise NotApplicable("the finalizer thread was not found")
    return row


def _look(execution: Execution) -> Iterator[Finding]:
    row = _finalizer(execution)
    frames = execution.stacks[row].frames
    place = next((n for n, f in enumerate(frames) if f.method and f.method.method_name == _FINALIZE), -1)
    waits = any(wait.thread == row for wait in execution.graph.waits)
    if place < 0 or not (waits or _WAITING in execution.threads[row].state_words):
        return
    method = frames[place].method
    name = method.type_name if method else ""
    yield Finding(
        severity=Severity.CRITICAL,
        confidence=Certainty.CERTAIN if waits else Certainty.LIKELY,
        impact=1.0,
        title=("The finalizer thread is blocked in the finalizer of ", name),
        summary=(thread(row), f": {execution.doing[row]} No other finalizer can run, so everything that has one, and all it "
                 "refers to, stays in memory."),
        evidence=(
            Evidence("the finalizer thread", thread(row)),
            Evidence("the finalizer that does not return", frame(execution.frame_row(row, place))),
        ),
    )  # fmt: skip


def _looked_at(execution: Execution) -> str:
    frames = execution.stacks[_finalizer(execution)].frames
    managed = sum(f.kind == FrameKind.MANAGED for f in frames)
    return "the finalizer thread, which is idle" if not managed else "the finalizer thread, which is not waiting in a finalizer"


RULE = Rule(
    name="blocked-finalizer",
    title="Blocked finalizer",
    look=_look,
    looked_at=_looked_at,
    why="One thread runs all finalizers. While one of them waits, memory, file handles and sockets of every other object "
    "that has one are not given back.",
    what_to_do=(
        "Take waiting, locks and calls to other threads out of the finalizer.",
        "Dispose the objects in time and call GC.SuppressFinalize, so that their finalizers are not needed.",
    ),
    false_alarm="When the finalizer waited only for the moment of the dump.",
)
