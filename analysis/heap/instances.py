"""Object ids grouped by type, so that a page of one type's instances is a slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.heap.walk import HeapWalk
from analysis.kernels.walk import group_by_type


@dataclass(frozen=True, slots=True)
class Instances:
    """``first`` int64[types]: first row of each type. ``by_address``, ``by_size`` uint32[objects]: object ids, per type
    in ascending address and in descending size (then ascending address) order."""

    first: npt.NDArray[np.int64]
    by_address: npt.NDArray[np.uint32]
    by_size: npt.NDArray[np.uint32]


def group_instances(walked: HeapWalk) -> Instances:
    """Group all objects of a walk by type: one counting sort, and one sort for each type whose sizes differ."""
    count = len(walked.types)
    totals = walked.types.counts[:count].sum(axis=1)
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(totals)[:-1]])
    by_address = np.empty(len(walked.address), np.uint32)
    group_by_type(walked.type, first.copy(), by_address)
    by_size = by_address.copy()
    for kind in np.flatnonzero((walked.types.component_size[:count] > 0) & (totals > 1)).tolist():
        rows = by_address[first[kind] : first[kind] + totals[kind]]
        by_size[first[kind] : first[kind] + totals[kind]] = rows[_descending(walked, rows)]
    return Instances(first, by_address, by_size)


def _descending(walked: HeapWalk, rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Order of ``rows`` by falling size; equal sizes keep their address order."""
    sizes = walked.size[rows].astype(np.int64)
    if len(walked.oversize):
        at = np.minimum(np.searchsorted(walked.oversize[:, 0], rows), len(walked.oversize) - 1)
        hit = walked.oversize[at, 0] == rows
        sizes[hit] = walked.oversize[at, 1][hit]
    return np.argsort(-sizes, kind="stable")
