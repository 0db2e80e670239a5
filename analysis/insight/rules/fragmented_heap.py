"""Fragmented heap: most of a generation is free room between objects, which the process holds and cannot give back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, NotApplicable, Rule, Severity, heap_type
from analysis.insight.waits.parts import Certainty

_LEAST_BYTES, _LEAST_SHARE = 5_000_000, 0.4
#: Old generations by their place in GENERATIONS. Free room in the young ones is gone with the next collection.
_OLD = {2: "generation 2", 3: "the large object heap", 4: "the pinned object heap"}


def _free(execution: Execution) -> list[tuple[int, int, int]]:
    """(generation, bytes in free blocks, all bytes) of the old generations."""
    if execution.walked is None:
        raise NotApplicable("there is no heap in this dump")
    sizes = execution.walked.types.sizes
    return [(number, int(sizes[0, number]), int(sizes[:, number].sum())) for number in _OLD]


def _look(execution: Execution) -> Iterator[Finding]:
    found = _free(execution)
    whole = max(sum(total for _, _, total in found), 1)
    for number, free, total in found:
        if free < _LEAST_BYTES or free < _LEAST_SHARE * total or execution.walked is None:
            continue
        types = execution.walked.types
        largest = int(np.argmax(types.sizes[1 : len(types), number])) + 1
        yield Finding(
            severity=Severity.NOTICE,
            confidence=Certainty.LIKELY,
            impact=min(free / whole, 1.0),
            title=(f"{free / total:.0%} of {_OLD[number]} is free room between objects: {free / 1e6:,.1f} MB",),
            summary=(
                f"{free / 1e6:,.1f} of {total / 1e6:,.1f} MB are gaps that the process holds without using them. Most bytes "
                "in between are ", heap_type(largest), ".",
            ),
            evidence=(Evidence("takes most of what is left", heap_type(largest)),),
        )  # fmt: skip


def _looked_at(execution: Execution) -> str:
    free = sum(free for _, free, _ in _free(execution))
    return f"{free / 1e6:,.1f} MB of free room in the old generations, less than {_LEAST_SHARE:.0%} of any of them or too little"


RULE = Rule(
    name="fragmented-heap",
    title="Fragmented heap",
    look=_look,
    looked_at=_looked_at,
    why="Large objects are not moved by default: when those between them die, gaps remain that only an object of at most that "
    "size can fill. The process looks as if it leaked although its objects do not take the room.",
    what_to_do=(
        "Rent large arrays from ArrayPool instead of making them anew.",
        "Unpin what need not be pinned; keep pinned buffers on the pinned object heap.",
        "Set GCSettings.LargeObjectHeapCompactionMode to CompactOnce before a full collection, or GCConserveMemory.",
    ),
    false_alarm="When the dump was taken right after a large batch: the next full collection may give the room back.",
)
