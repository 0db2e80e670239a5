"""Timers: thousands of timers that nobody has disposed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, heap_object, heap_type
from analysis.insight.live_objects import Rows, graph_of, live_bytes, live_objects, most_common, referred_to
from analysis.insight.rules.retained_memory import held_by, told_of
from analysis.insight.waits.parts import Certainty

#: Task.Delay and timeouts make a timer each; a busy server has hundreds under way, thousands are worth more than a look.
_FEWEST, _MANY = 500, 2_000
_TIMER = "System.Threading.TimerQueueTimer"


def _timers(execution: Execution) -> Rows:
    return live_objects(execution, lambda bases: _TIMER in bases)


def _look(execution: Execution) -> Iterator[Finding]:
    retention, rows = graph_of(execution), _timers(execution)
    if len(rows) < _FEWEST or told_of(execution)(int(rows[0])):
        return
    _, callbacks = referred_to(execution, rows, "_timerCallback")
    _, targets = referred_to(execution, callbacks, "_target")
    kind, count = most_common(retention.walked.columns.type[targets])
    # Each retains its own part only where no other way leads there: the sum is a lower bound.
    held = int(retention.retained[rows].sum(dtype=np.int64))
    first = int(rows[int(retention.retained[rows].argmax())])
    by, evidence = held_by(retention, first)
    yield Finding(
        severity=Severity.WARNING if len(rows) >= _MANY else Severity.NOTICE,
        confidence=Certainty.POSSIBLE,
        impact=min(held / live_bytes(retention), 1.0),
        title=(f"{len(rows):,} timers are alive", *((f", {count:,} of them of ", heap_type(kind)) if count else ())),
        summary=("A timer that was started is kept by the runtime until it has fired for the last time or is disposed, and so is "
                 "what its callback refers to. One of them is ", heap_object(first), *by, "."),
        evidence=(
            Evidence("one of them", heap_object(first)),
            *((Evidence(f"{count:,} callbacks belong to it", heap_type(kind)),) if count else ()),
            *evidence,
        ),
    )  # fmt: skip


def _looked_at(execution: Execution) -> str:
    return f"{len(_timers(execution)):,} live timers"


RULE = Rule(
    name="timers",
    title="Timers that were never disposed",
    look=_look,
    looked_at=_looked_at,
    why="The runtime holds every timer that is still to fire. One made for each request or connection and never disposed keeps "
    "what its callback refers to, and fires for ever.",
    what_to_do=(
        "Dispose timers where their owner ends; await using for PeriodicTimer.",
        "Give Task.Delay and timeouts a cancellation token that is cancelled when the work is done.",
    ),
    false_alarm="When that many delays and timeouts were under way at the moment of the dump.",
)
