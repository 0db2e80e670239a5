"""Thin locks: Monitors whose owner fits into the object's own header, so that no sync block is needed.

Source: ``vm/syncblk.h`` (SBLK_MASK_LOCK_THREADID and the bits around it) in dotnet/runtime; the same in .NET 8 to 10.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.heap.spans import CapturedWords
from analysis.kernels import headers as kernels
from analysis.memory.reader import Memory
from analysis.runtime.gc_heap import GcHeap

_THREAD_ID = 0xFFFF
_RECURSION_SHIFT, _RECURSION = 16, 0x3F
_NOT_THIN = 0x18000000
_HEADER_BYTES = 4
_FIRST_ROOM = 4096


@dataclass(frozen=True, slots=True)
class ThinLock:
    """An object held through its header. ``owner_id`` is a managed thread id; ``recursion`` counts entries, 1 for once."""

    object: int
    owner_id: int
    recursion: int


def find_thin_locks(
    memory: Memory, heap: GcHeap, addresses: npt.NDArray[np.uint64], managed_ids: Collection[int]
) -> list[ThinLock]:
    """Thin locks among the objects at ``addresses`` (uint64, ascending) that a thread of ``managed_ids`` holds.

    A header that names no thread is no lock: a freed block or damage.
    """
    captured = CapturedWords(memory, heap)
    columns = [np.array([getattr(s, name) for s in captured.spans], np.int64) for name in ("start", "end", "base")]
    room = _FIRST_ROOM
    while True:
        rows, headers = np.empty(room, np.int64), np.empty(room, np.uint32)
        found = int(kernels.find_thin_locks(captured.words, addresses, *columns, rows, headers))
        if found <= room:
            break
        room = found
    held = np.isin(headers[:found] & _THREAD_ID, np.fromiter(managed_ids, np.uint32))
    locks = [
        _thin_lock(address, header)
        for address, header in zip(addresses[rows[:found]][held].tolist(), headers[:found][held].tolist(), strict=True)
    ]
    return sorted([*locks, *_at_span_starts(memory, captured, addresses, managed_ids)], key=lambda lock: lock.object)


def _at_span_starts(
    memory: Memory, captured: CapturedWords, addresses: npt.NDArray[np.uint64], managed_ids: Collection[int]
) -> list[ThinLock]:
    """The same for the first object of each span, whose header may lie elsewhere in the file."""
    if not len(addresses):
        return []
    starts = np.array([span.start for span in captured.spans], np.uint64)
    nearest = addresses[np.minimum(np.searchsorted(addresses, starts), len(addresses) - 1)]
    locks = []
    for address in starts[nearest == starts].tolist():
        raw = memory.try_read(address - _HEADER_BYTES, _HEADER_BYTES)
        header = int.from_bytes(raw, "little") if raw else _NOT_THIN
        if not header & _NOT_THIN and header & _THREAD_ID in managed_ids:
            locks.append(_thin_lock(address, header))
    return locks


def _thin_lock(address: int, header: int) -> ThinLock:
    return ThinLock(address, header & _THREAD_ID, (header >> _RECURSION_SHIFT & _RECURSION) + 1)
