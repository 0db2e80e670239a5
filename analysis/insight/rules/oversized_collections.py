"""Oversized collections: lists and dictionaries with far more room than items."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from analysis.index.retention import NO_CAPACITY, NOT_LIVE
from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, NotApplicable, Rule, Severity, heap_object, heap_type
from analysis.insight.live_objects import Rows, graph_of, live_bytes, type_name
from analysis.insight.waits.parts import Certainty

_LEAST_BYTES, _LEAST_SHARE, _LARGE_SHARE = 2_000_000, 0.1, 0.3
#: A collection that grows by doubling is at least this full; what is less has lost items or was made too large.
_USUALLY_FULL = 0.5
_MOST_SHOWN = 3


def _unused(execution: Execution) -> tuple[Rows, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Rows of live collections that are less than half full, bytes of the room they do not use, and which are empty."""
    found = execution.collections
    if found is None:
        raise NotApplicable("there is no heap in this dump")
    retention = graph_of(execution)
    sparse = (found.capacities != NO_CAPACITY) & (found.storage != NOT_LIVE) & (found.counts < _USUALLY_FULL * found.capacities)
    sparse &= retention.live[found.rows]
    storage = found.storage[sparse]
    # An array that several share (that of empty lists) is counted once.
    first = np.zeros(len(storage), np.bool_)
    first[np.unique(storage, return_index=True)[1]] = True
    rows, counts, capacities = (part[sparse][first] for part in (found.rows, found.counts, found.capacities))
    kinds = retention.walked.columns.type[storage[first]]
    element = np.array(retention.walked.types.component_size, np.int64)[kinds]
    return rows.astype(np.int64), (capacities - counts) * element, counts == 0


def _look(execution: Execution) -> Iterator[Finding]:
    retention = graph_of(execution)
    rows, unused, empty = _unused(execution)
    total, live = int(unused.sum()), live_bytes(retention)
    if total < _LEAST_BYTES or total < _LEAST_SHARE * live:
        return
    kinds = retention.walked.columns.type[rows]
    by_kind = np.bincount(kinds, unused.astype(np.float64))
    worst = np.argsort(-by_kind, kind="stable")[:_MOST_SHOWN]
    largest = rows[np.argsort(-unused, kind="stable")[:_MOST_SHOWN]]
    words = f", {int(empty.sum()):,} of them empty" if empty.any() else ""
    yield Finding(
        severity=Severity.WARNING if total >= _LARGE_SHARE * live else Severity.NOTICE,
        confidence=Certainty.LIKELY,
        impact=min(total / live, 1.0),
        title=(f"{len(rows):,} collections keep {total / 1e6:,.1f} MB of room for items they do not hold",),
        summary=(
            f"They are less than half full{words}. What they do not use is {total / live:.0%} of the live heap, most of it in "
            "objects of ", heap_type(int(worst[0])), ".",
        ),
        evidence=(
            *(Evidence(f"{int(by_kind[kind]):,} bytes of unused room", heap_type(int(kind))) for kind in worst if by_kind[kind]),
            *(Evidence("has the most unused room of one collection" if not place else "the next one", heap_object(int(row)))
              for place, row in enumerate(largest)),
        ),
    )  # fmt: skip


def _looked_at(execution: Execution) -> str:
    found = execution.collections
    rows, unused, _ = _unused(execution)
    largest = rows[int(unused.argmax())] if len(rows) else -1
    kind = type_name(execution, int(graph_of(execution).walked.columns.type[largest])) if largest >= 0 else ""
    words = f", most in a {kind}" if kind else ""
    return f"{len(found.rows) if found else 0:,} collections; unused room in live ones {int(unused.sum()) / 1e6:,.1f} MB{words}"


RULE = Rule(
    name="oversized-collections",
    title="Oversized collections",
    look=_look,
    looked_at=_looked_at,
    why="A collection keeps the largest array it ever needed. One that was filled once and emptied, or made with a large "
    "capacity to be on the safe side, holds that room for as long as it lives.",
    what_to_do=(
        "Call TrimExcess after a collection was emptied, or make a new one.",
        "Give collections the capacity they need; make those that mostly stay empty at first use.",
    ),
    false_alarm="When they are filled again and again, as buffers that are reused on purpose are.",
)
