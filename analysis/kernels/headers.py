"""Object headers: find the objects that are held through thin locks.

The header is the 32 bits before the method table pointer: the upper half of the word before the object.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel

#: A header with one of these bits is no thin lock: hash code or sync block index, and the spin lock of the header itself.
_NOT_THIN = np.uint32(0x18000000)
_THREAD_ID = np.uint32(0xFFFF)


@kernel
def find_thin_locks(words, addresses, starts, ends, bases, rows, headers):
    """Rows of ``addresses`` whose header is that of a held thin lock; how many there are, also beyond the room given.

    words uint64[n]; addresses uint64[objects], ascending; spans of captured memory as int64 columns starts, ends and bases
    (word index of address 0), ascending; rows int64[room] and headers uint32[room] are filled. The first object of a span
    is left out: the word before it may belong to other memory.
    """
    found, span = 0, 0
    for row in range(addresses.size):
        address = np.int64(addresses[row])
        while span < starts.size and ends[span] <= address:
            span += 1
        if span == starts.size:
            break
        if address <= starts[span]:
            continue
        header = np.uint32(words[np.uint64(bases[span] + (address >> 3) - 1)] >> np.uint64(32))
        if header & _NOT_THIN == 0 and header & _THREAD_ID != 0:
            if found < rows.size:
                rows[found] = row
                headers[found] = header
            found += 1
    return found
