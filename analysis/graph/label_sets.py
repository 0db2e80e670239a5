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
#: Most entries of the memory for steps done before: what is forgotten is done again.
_MEMO_BITS = 20


def retained_by_labels(
    offsets: _U32, sources: _U32, finished: _U32, kinds: _U32, labels: _U32, sizes: _U32, beyond: _U64, count: int
) -> tuple[_U64, bool]:
    """Bytes retained by each label (uint64[count]), and whether they are exact.

    offsets, sources: the reversed graph; finished uint32[n]: live nodes in postorder, START last; kinds and sizes (bytes)
    uint32[objects]; labels uint32[kinds, partitions], ascending in each row, NOWHERE for none; beyond uint64[n, 2]: object
    and bytes that its entry in sizes lacks.
    """
    sets = min(len(finished) + 2, LIMITS.label_sets)
    room = min(16 * labels.shape[1] * sets + 1024, LIMITS.labels_in_sets)
    bits = int(sets).bit_length() + 1
    memo_bits = min(bits, _MEMO_BITS)
    found = np.full(len(offsets) - 1, NOWHERE, np.uint32)
    firsts, lengths, stored = np.zeros(sets, np.int64), np.zeros(sets, np.int32), np.zeros(room, np.uint32)
    state = np.zeros(3, np.int64)
    passes = kernels.find_label_sets(
        offsets, sources, finished, kinds, labels, found, firsts, lengths, stored, np.zeros(1 << bits, np.uint32),
        np.zeros(1 << memo_bits, np.uint64), np.zeros(1 << memo_bits, np.uint32), np.zeros(kernels.LARGEST_SET, np.uint32),
        np.zeros(len(finished) // 64 + 1, np.uint64), state, _MOST_PASSES,
    )  # fmt: skip
    made = int(state[kernels.SETS])
    set_bytes, totals = np.zeros(made, np.uint64), np.zeros(count, np.uint64)
    kernels.add_up_sets(found, sizes, beyond, set_bytes)
    kernels.add_up_labels(made, firsts, lengths, stored, set_bytes, totals)
    return totals, not state[kernels.FULL] and passes < _MOST_PASSES
