"""Object ids grouped by type, so that a page of one type's instances is a slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.heap.type_table import TypeTable
from analysis.heap.walk import ObjectColumns
from analysis.kernels.walk import group_by_type


@dataclass(frozen=True, slots=True)
class Instances:
    """``first`` int64[types]: first row of each type. ``by_address``, ``by_size`` uint32[objects]: object ids, per type
    in ascending address and in descending size (then ascending address) order."""

    first: npt.NDArray[np.int64]
    by_address: npt.NDArray[np.uint32]
    by_size: npt.NDArray[np.uint32]


def group_instances(types: TypeTable, objects: ObjectColumns) -> Instances:
    """Group all objects of a walk by type: one counting sort, and one sort for each type whose sizes differ."""
    count = len(types)
    totals = types.counts[:count].sum(axis=1)
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(totals)[:-1]])
    by_address = np.empty(len(objects.address), np.uint32)
    group_by_type(objects.type, first.copy(), by_address)
    by_size = by_address.copy()
    for kind in np.flatnonzero((types.component_size[:count] > 0) & (totals > 1)).tolist():
        rows = by_address[first[kind] : first[kind] + totals[kind]]
        by_size[first[kind] : first[kind] + totals[kind]] = rows[_descending(objects, rows)]
    return Instances(first, by_address, by_size)


def _descending(objects: ObjectColumns, rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Order of ``rows`` by falling size; equal sizes keep their address order."""
    sizes = objects.size[rows].astype(np.int64)
    if len(objects.oversize):
        at = np.minimum(np.searchsorted(objects.oversize[:, 0], rows), len(objects.oversize) - 1)
        hit = objects.oversize[at, 0] == rows
        sizes[hit] = objects.oversize[at, 1][hit]
    return np.argsort(-sizes, kind="stable")
