"""Sets of integers as sorted, disjoint intervals: int64[n, 2] of (first, one behind the last)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

_HIGHEST = 1 << 62

Intervals = npt.NDArray[np.int64]


def intervals(pairs: Iterable[tuple[int, int]] | Intervals) -> Intervals:
    """From pairs in any order, which may overlap or be empty. Those that leave the numbers of addresses and offsets are no pairs:
    a dump can say anything."""
    if not isinstance(pairs, np.ndarray):
        pairs = np.array([pair for pair in pairs if 0 <= pair[0] <= pair[1] < _HIGHEST], np.int64)
    rows = pairs.reshape(-1, 2)
    return _where(rows[rows[:, 1] > rows[:, 0]], np.zeros((0, 2), np.int64), wanted=False)


def subtract(these: Intervals, those: Intervals) -> Intervals:
    """What is in ``these`` and not in ``those``. Both may hold overlapping rows."""
    return _where(these, those, wanted=False)


def intersect(these: Intervals, those: Intervals) -> Intervals:
    """What is in both."""
    return _where(these, those, wanted=True)


def contains(these: Intervals, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which of ``values`` lie in sorted, disjoint intervals."""
    if not len(these):
        return np.zeros(len(values), np.bool_)
    row = np.searchsorted(these[:, 0].view(np.uint64), values, side="right") - 1
    found: npt.NDArray[np.bool_] = (row >= 0) & (values < these[np.maximum(row, 0), 1].view(np.uint64))
    return found


def total(these: Intervals) -> int:
    """How many integers there are."""
    return int((these[:, 1] - these[:, 0]).sum())


def _where(these: Intervals, those: Intervals, *, wanted: bool) -> Intervals:
    """Stretches that lie in ``these`` and whose lying in ``those`` is as ``wanted``: one pass over all edges."""
    edges = np.concatenate([these.ravel(), those.ravel()])
    if not len(these):
        return np.zeros((0, 2), np.int64)
    order = np.argsort(edges, kind="stable")
    steps = np.ones(len(edges), np.int64)
    steps[1::2] = -1
    in_these, in_those = steps.copy(), steps
    in_these[these.size :], in_those[: these.size] = 0, 0
    place = edges[order]
    inside = (np.cumsum(in_these[order]) > 0) & ((np.cumsum(in_those[order]) > 0) == wanted)
    inside = inside[:-1] & (place[1:] > place[:-1])
    # Neighbours that touch are one stretch.
    begins, ends = place[:-1][inside], place[1:][inside]
    apart = begins[1:] != ends[:-1] if len(begins) else np.zeros(0, np.bool_)
    first, last = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    return np.column_stack([begins[first], ends[last]]) if len(begins) else np.zeros((0, 2), np.int64)
