"""Retained sizes of whole groups, as sets: an object counts for a group when every path to it passes the group."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.kernels import label_sets as kernels
from analysis.kernels.graph import NOWHERE
from analysis.limits import LIMITS

_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
#: Object graphs settle in two or three passes; whoever builds one that does not gets figures marked as not exact.
_MOST_PASSES = 64


class LabelSets:
    """A graph laid out for questions about groups of its nodes."""

    def __init__(self, offsets: _U32, sources: _U32, order: _U32) -> None:
        """offsets, sources: the reversed graph; order uint32[n]: live nodes in reverse postorder, START first."""
        self.order = order
        places = np.full(len(offsets) - 1, NOWHERE, np.uint32)
        self._offsets, room = np.empty(len(order) + 1, np.uint32), np.empty(len(sources), np.uint32)
        self._sources = room[: kernels.rows_in_order(offsets, sources, order, places, self._offsets, room)]

    def retained(self, labels: _U32, sizes: _U64, count: int) -> tuple[_U64, bool]:
        """Bytes retained by each label (uint64[count]), and whether they are exact.

        labels uint32[n] (NOWHERE for none) and sizes uint64[n] in bytes run along ``order``.
        """
        sets = min(len(self.order) + 2, LIMITS.label_sets)
        room = min(16 * sets + 1024, LIMITS.labels_in_sets)
        bits = int(sets).bit_length() + 2
        found, later = np.full(len(labels), NOWHERE, np.uint32), np.empty(len(labels), np.uint32)
        firsts, lengths, stored = np.zeros(sets, np.int64), np.zeros(sets, np.int32), np.zeros(room, np.uint32)
        known, memo = np.full(1 << bits, NOWHERE, np.uint32), np.full(1 << bits, 2**64 - 1, np.uint64)
        state = np.zeros(3, np.int64)
        passes = kernels.find_label_sets(
            self._offsets, self._sources, labels, found, firsts, lengths, stored, known, memo, np.zeros(1 << bits, np.uint32),
            np.zeros(kernels.LARGEST_SET, np.uint32), later, state, _MOST_PASSES,
        )  # fmt: skip
        made = int(state[kernels.SETS])
        set_bytes, totals = np.zeros(made, np.uint64), np.zeros(count, np.uint64)
        kernels.add_up_sets(found, sizes, set_bytes)
        kernels.add_up_labels(made, firsts, lengths, stored, set_bytes, totals)
        return totals, not state[kernels.FULL] and passes < _MOST_PASSES
