"""Unhandled exception: what ended the process, and where it was thrown."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Reference, Rule, Severity, exception, frame, thread
from analysis.insight.waits.parts import Certainty

_FAIL_FAST = "fail fast"
_KINDS = ("unhandled exception", "out of memory", _FAIL_FAST, "signal")
_MOST_CAUSES = 6


def _look(execution: Execution) -> Iterator[Finding]:
    crash = execution.crash
    if crash.kind not in _KINDS:
        return
    yield Finding(
        severity=Severity.CRITICAL,
        confidence=Certainty.LIKELY if crash.kind == "signal" else Certainty.CERTAIN,
        impact=1.0,
        title=tuple(_title(execution)),
        summary=tuple(_summary(execution)),
        evidence=tuple(_evidence(execution)),
    )


def _title(execution: Execution) -> Iterator[str | Reference]:
    crash = execution.crash
    if crash.exception is not None and crash.kind != _FAIL_FAST:
        yield from ("The process ended by an unhandled ", _short(execution, crash.exception))
    else:
        yield f"The process ended by {'Environment.FailFast' if crash.kind == _FAIL_FAST else f'the signal {crash.signal}'}"
    if crash.thread is not None:
        yield from (" on ", thread(crash.thread))


def _short(execution: Execution, row: int) -> str:
    """Name of its type without namespace and generic arguments."""
    return execution.exceptions.rows[row].exception.type_name.partition("<")[0].rpartition(".")[2]


def _summary(execution: Execution) -> Iterator[str | Reference]:
    crash = execution.crash
    if crash.exception is not None:
        yield exception(crash.exception)
        chain = execution.exceptions.chain(crash.exception)[1:]
        for row in chain[:_MOST_CAUSES]:
            yield from (", caused by ", exception(row))
        yield f" and {len(chain) - _MOST_CAUSES:,} more. " if len(chain) > _MOST_CAUSES else ". "
    if crash.thread is not None and crash.frame is not None:
        yield from ("It came from ", frame(execution.frame_row(crash.thread, crash.frame)), ". ")
    yield f"Signal {crash.signal}."


def _evidence(execution: Execution) -> Iterator[Evidence]:
    crash = execution.crash
    if crash.thread is not None:
        yield Evidence("the thread", thread(crash.thread))
        if crash.frame is not None:
            yield Evidence("the place in the program's code", frame(execution.frame_row(crash.thread, crash.frame)))
    if crash.exception is not None:
        yield Evidence("the exception with its stack trace", exception(crash.exception))


def _looked_at(execution: Execution) -> str:
    kind = execution.crash.kind
    return f"the process ended by a {kind}" if kind else "the dump was taken on demand: no thread received a signal"


RULE = Rule(
    name="unhandled-exception",
    title="Unhandled exception or native crash",
    look=_look,
    looked_at=_looked_at,
    why="Nobody caught it, so the runtime ended the process: everything it was doing is lost.",
    what_to_do=(
        "Start with the innermost exception: its stack trace shows where it began.",
        "Catch what can be expected where something can be done about it, and let the rest be logged and end the process.",
        "Compare the signature with earlier crashes: the same one has the same cause.",
    ),
    false_alarm="When the program ends itself on purpose, by Environment.FailFast or an exception that is meant to.",
)
