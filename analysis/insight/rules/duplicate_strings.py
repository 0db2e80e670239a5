"""Duplicate strings: much of the live heap is the same texts again and again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from analysis.graph.strings import Strings
from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, NotApplicable, Rule, Severity, heap_type
from analysis.insight.live_objects import graph_of, live_bytes
from analysis.insight.waits.parts import Certainty

#: Every program has some copies; what they take must be worth the work of sharing them.
_LEAST_BYTES, _LEAST_SHARE, _LARGE_SHARE = 1_000_000, 0.1, 0.3
_MOST_HOLDERS = 4


def _strings(execution: Execution) -> Strings:
    if execution.strings is None:
        raise NotApplicable("there is no heap in this dump")
    return execution.strings


def _wasted(execution: Execution) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Live strings of each text, and the bytes of all of them but one."""
    strings = _strings(execution)
    alive = graph_of(execution).live[strings.rows]
    counts = np.bincount(strings.groups[alive], minlength=len(strings.firsts)).astype(np.int64)
    return counts, np.maximum(counts - 1, 0) * strings.sizes[strings.firsts]


def _look(execution: Execution) -> Iterator[Finding]:
    counts, wasted = _wasted(execution)
    total, live = int(wasted.sum()), live_bytes(graph_of(execution))
    if total < _LEAST_BYTES or total < _LEAST_SHARE * live:
        return
    copies = int((counts[counts > 1] - 1).sum())
    large = total >= _LARGE_SHARE * live
    yield Finding(
        severity=Severity.WARNING if large else Severity.NOTICE,
        confidence=Certainty.LIKELY,
        impact=min(total / live, 1.0),
        title=(f"{copies:,} live strings are copies of others: {total / 1e6:,.1f} MB, {total / live:.0%} of the live heap",),
        summary=(f"{int((counts > 1).sum()):,} texts occur more than once.",),
        # Sums only: which strings are equal is told by the page of strings, to those who may know.
        evidence=tuple(
            Evidence(f"refers to {references:,} copies", heap_type(kind)) for kind, references in _holders(execution)
        ),
    )  # fmt: skip


def _holders(execution: Execution) -> list[tuple[int, int]]:
    """Types whose fields refer to most copies, and how many."""
    if execution.holders is None or not len(execution.holders.source_type):
        return []
    counts = np.bincount(execution.holders.source_type, execution.holders.references.astype(np.float64))
    order = np.argsort(-counts, kind="stable")[:_MOST_HOLDERS]
    return [(int(kind), int(counts[kind])) for kind in order if counts[kind]]


def _looked_at(execution: Execution) -> str:
    counts, wasted = _wasted(execution)
    return f"{int(counts.sum()):,} live strings; copies take {int(wasted.sum()) / 1e6:,.1f} MB"


RULE = Rule(
    name="duplicate-strings",
    title="Duplicate strings",
    look=_look,
    looked_at=_looked_at,
    why="Every string that is read from a file, a socket or a database is a new object, also when its text is there already. "
    "Names of columns, countries, states and users are then kept thousands of times.",
    what_to_do=(
        "Keep one object for texts that repeat: a dictionary of your own, or string.Intern for texts that stay.",
        "Use an enum or a number where the texts are few and known.",
        "The page of strings names the fields that hold the copies.",
    ),
    false_alarm="When the strings are about to die: a batch that has just been read.",
)
