"""Finalizer backlog: many dead objects wait for the one thread that runs finalizers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from analysis.graph.retention import Retention
from analysis.index.retention import NOT_LIVE, READY
from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, heap_type, thread
from analysis.insight.live_objects import graph_of
from analysis.insight.waits.parts import Certainty

#: A finalizer thread that keeps up has a handful of objects before it between two collections.
_FEWEST = 100


def _ready(retention: Retention) -> list[int]:
    addresses = [address for address, is_ready in retention.roots.finalizer_queue if is_ready]
    return [row for row in retention.places.find(np.array(addresses, np.uint64)).tolist() if row != NOT_LIVE]


def _look(execution: Execution) -> Iterator[Finding]:
    retention = graph_of(execution)
    ready = _ready(retention)
    if len(ready) < _FEWEST:
        return
    kinds = Counter(retention.walked.columns.type[ready].tolist())
    ((kind, count),) = kinds.most_common(1)
    group = next((row for row, one in enumerate(retention.resolved.groups) if one.kind == READY), -1)
    held = int(retention.retained[retention.start - len(retention.resolved.groups) + group]) if group >= 0 else 0
    live = max(int(retention.retained[retention.start]), 1)
    finalizer = next((row for row, one in enumerate(execution.threads) if one.finalizer), None)
    yield Finding(
        severity=Severity.WARNING,
        confidence=Certainty.CERTAIN,
        impact=min(held / live, 1.0),
        title=(f"{len(ready):,} objects wait for their finalizer, {count:,} of them ", heap_type(kind)),
        summary=(
            f"The collector found {len(ready):,} objects dead and cannot free them before their finalizer has run; they keep "
            f"{held / 1e6:,.1f} MB alive."
            if held >= 1e5
            else f"{held:,} B alive.",
            *((" ", thread(finalizer), f": {execution.doing[finalizer]}") if finalizer is not None else ()),
        ),
        evidence=(
            Evidence(f"{count:,} of them wait", heap_type(kind)),
            *([Evidence("the finalizer thread", thread(finalizer))] if finalizer is not None else []),
        ),
    )


def _looked_at(execution: Execution) -> str:
    queue = graph_of(execution).roots.finalizer_queue
    return f"{len(queue):,} objects with a finalizer, {sum(ready for _, ready in queue):,} of them ready for it"


RULE = Rule(
    name="finalizer-backlog",
    title="Finalizer backlog",
    look=_look,
    looked_at=_looked_at,
    why="One thread runs all finalizers. When objects come faster than it works, or it is stuck, dead objects and all they refer "
    "to stay in memory for as long as the queue is.",
    what_to_do=(
        "Dispose these objects in time, with GC.SuppressFinalize in Dispose, so that their finalizer is not needed.",
        "Take slow work, locks and waiting out of the finalizer.",
    ),
    false_alarm="When a collection had just found them and the finalizer thread was about to begin.",
)
