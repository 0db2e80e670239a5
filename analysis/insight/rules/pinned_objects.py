"""Pinned objects: many objects in the generations that the collector moves may not be moved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.index.retention import ASYNC_PINNED, PINNED
from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, heap_object, heap_type
from analysis.insight.live_objects import Rows, graph_of
from analysis.insight.waits.parts import Certainty

#: The runtime itself pins a handful; a server under load pins a buffer for each read that is under way.
_FEWEST = 200
#: Generations whose objects the collector moves, by their place in GENERATIONS.
_MOVED = 3
_MOST_SHOWN = 3


def _pinned(execution: Execution) -> Rows:
    """Rows of objects in moved generations that a handle pins."""
    retention = graph_of(execution)
    held = [
        retention.resolved.object[row] for row, root in enumerate(retention.resolved.roots) if root.kind in (PINNED, ASYNC_PINNED)
    ]
    rows = np.unique(np.array(held, np.int64))
    return rows[retention.walked.columns.generation[rows] < _MOVED]


def _look(execution: Execution) -> Iterator[Finding]:
    rows = _pinned(execution)
    if len(rows) < _FEWEST:
        return
    columns = graph_of(execution).walked.columns
    kinds = np.bincount(columns.type[rows])
    worst = np.argsort(-kinds, kind="stable")[:_MOST_SHOWN]
    size = int(columns.size[rows].sum(dtype=np.int64))
    whole = max(int(execution.walked.types.sizes[:, :_MOVED].sum()) if execution.walked else 1, 1)
    yield Finding(
        severity=Severity.NOTICE,
        confidence=Certainty.LIKELY,
        impact=min(size / whole, 1.0),
        title=(f"{len(rows):,} objects are pinned where the collector would move them, {int(kinds[worst[0]]):,} of them ",
               heap_type(int(worst[0]))),
        summary=(
            f"They take {size / 1e6:,.1f} MB in generations 0 to 2. The collector has to leave each where it is and can only use "
            "the gaps between them.",
        ),
        evidence=(
            *(Evidence(f"{int(kinds[kind]):,} of them are pinned", heap_type(int(kind))) for kind in worst if kinds[kind]),
            *(Evidence("is pinned by a handle", heap_object(int(row))) for row in rows[:_MOST_SHOWN]),
        ),
    )  # fmt: skip


def _looked_at(execution: Execution) -> str:
    return f"{len(_pinned(execution)):,} objects in generations 0 to 2 are pinned by handles"


RULE = Rule(
    name="pinned-objects",
    title="Many pinned objects",
    look=_look,
    looked_at=_looked_at,
    why="An object that native code reads or writes is pinned. Many of them, spread over the heap, keep it from being compacted: "
    "it grows although little in it lives.",
    what_to_do=(
        "Use buffers that are pinned for good and in one place: GC.AllocateArray with pinned, or a pool of them.",
        "Free GCHandles of kind Pinned as soon as the native call is over.",
    ),
    false_alarm="When the program had just that many reads and writes under way, and unpins them when they are done.",
)
