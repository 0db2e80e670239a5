"""Live objects by their type, for rules: which there are, what they refer to, and what is told of them already."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from analysis.graph.retention import Retention
from analysis.insight.execution import Execution
from analysis.insight.findings import NotApplicable

Rows = npt.NDArray[np.int64]
_POINTER_BYTES = 8


def graph_of(execution: Execution) -> Retention:
    """The graph of a dump that holds a heap. Raises NotApplicable for one that does not."""
    if execution.retention is None:
        raise NotApplicable("there is no heap in this dump")
    return execution.retention


def live_bytes(retention: Retention) -> int:
    """Bytes of all live objects, at least 1."""
    return max(int(retention.retained[retention.start]), 1)


def live_objects(execution: Execution, wanted: Callable[[tuple[str, ...]], bool]) -> Rows:
    """Rows of live objects whose type fits: ``wanted`` gets its definition as metadata names it, and those it derives from."""
    retention, named = graph_of(execution), execution.dump.named_fields
    tables = retention.walked.types.method_tables
    fits = np.array([False, *(wanted(named.bases(table)) for table in tables[1:])], np.bool_)
    return np.flatnonzero(fits[retention.walked.columns.type] & retention.live)


def referred_to(execution: Execution, rows: Rows, field: str) -> tuple[Rows, Rows]:
    """Places in ``rows`` of those whose field is not null, and the rows of what it refers to."""
    retention, named = graph_of(execution), execution.dump.named_fields
    kinds = retention.walked.columns.type[rows]
    places, targets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for kind in np.unique(kinds).tolist():
        found = named.fields(retention.walked.types.method_tables[kind]).get(field)
        if found is None:
            continue
        of_kind = np.flatnonzero(kinds == kind)
        at, to = _through(retention, rows[of_kind], (found.offset + _POINTER_BYTES) // _POINTER_BYTES)
        places.append(of_kind[at])
        targets.append(to)
    return np.concatenate(places), np.concatenate(targets)


def references_of(retention: Retention, row: int) -> Rows:
    """What one object refers to."""
    found: Rows = retention.targets[int(retention.offsets[row]) : int(retention.offsets[row + 1])].astype(np.int64)
    return found


def _through(retention: Retention, rows: Rows, word: int) -> tuple[Rows, Rows]:
    """Places in ``rows`` of the objects with a reference in a word, and where it leads."""
    first = retention.offsets[rows].astype(np.int64)
    counts = retention.offsets[rows + 1].astype(np.int64) - first
    edges = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
    hit = retention.slots[edges] == word
    return np.repeat(np.arange(len(rows)), counts)[hit], retention.targets[edges[hit]].astype(np.int64)


def type_name(execution: Execution, kind: int) -> str:
    """Full name of a row of types, "" where it cannot be read."""
    try:
        return execution.dump.runtime.types.name(graph_of(execution).walked.types.method_tables[kind])
    except AnalysisError:
        return ""


def most_common(values: npt.NDArray[np.integer]) -> tuple[int, int]:
    """The value that occurs most, and how often; (-1, 0) of none."""
    if not len(values):
        return -1, 0
    counts = np.bincount(values)
    return int(counts.argmax()), int(counts.max())
