"""Lengths of chains: objects that each refer to the next one by the same field."""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel

UNREAD = -(1 << 40)


@kernel
def count_chains(words, starts, ends, bases, firsts, offset, budget, counts):
    """Write how many objects each chain has, UNREAD where it leaves the dump or ``budget`` steps in all do not suffice.

    starts, ends, bases int64[spans]: captured addresses, ascending, and the word of address 0 · firsts uint64[chains], 0: empty
    offset: bytes from an object's address to its field · counts int64[chains]
    """
    for row in range(firsts.size):
        at, count = np.int64(firsts[row]), 0
        while at != 0:
            place = at + offset
            span = np.searchsorted(starts, place, side="right") - 1
            if budget <= 0 or span < 0 or place + 8 > ends[span]:
                count = UNREAD
                break
            at = np.int64(words[bases[span] + (place >> 3)])
            count += 1
            budget -= 1
        counts[row] = count
