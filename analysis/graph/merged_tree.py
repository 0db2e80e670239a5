"""A tree over all live nodes, merged by type: as small as a page can show, with counts and sizes that still add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.kernels import merge as kernels
from analysis.kernels.graph import NOWHERE
from analysis.limits import LIMITS

_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class MergedTree:
    """Rows from START (row 0) down, a parent always before its children.

    ``parent`` int64[rows] (-1 for row 0), ``representative`` uint32[rows]: a node; ``objects``, ``size`` (bytes) uint64[rows] of
    the row alone, ``total_objects``, ``total_size`` with all below.
    """

    parent: npt.NDArray[np.int64]
    representative: _U32
    objects: _U64
    size: _U64
    total_objects: _U64
    total_size: _U64


def merge_tree(order: _U32, above: _U32, labels: _U32, sizes: _U32, beyond: _U64) -> MergedTree:
    """Merge a tree given by ``above`` uint32[nodes]. ``order`` holds the live nodes, each behind the one above it; ``sizes``
    uint32[objects] in bytes, ``beyond`` uint64[n, 2]: object and bytes that its entry in sizes lacks."""
    room = min(len(order), LIMITS.merged_rows)
    bits = max(int(room * 2).bit_length(), 4)
    rows = np.full(len(above), NOWHERE, np.uint32)
    parent, label, first = (np.zeros(room, np.uint32) for _ in range(3))
    keys, values = np.full(1 << bits, 2**64 - 1, np.uint64), np.zeros(1 << bits, np.uint32)
    used = kernels.merge_by_label(
        order, len(order), above, labels, keys, values, np.uint64(64 - bits), rows, parent, label, first
    )
    own, size = np.zeros(used, np.uint64), np.zeros(used, np.uint64)
    kernels.add_up_rows(rows, sizes, beyond, own, size)
    total, total_size = own.copy(), size.copy()
    kernels.add_up_below(parent[:used], total, total_size)
    parents = parent[:used].astype(np.int64)
    parents[0] = -1
    return MergedTree(parents, first[:used], own, size, total, total_size)
