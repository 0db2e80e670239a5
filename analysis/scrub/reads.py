"""A memory that remembers which addresses were read: what the runtime's own structures need is what the reader itself reads
of them, not a list that somebody would have to keep up to date."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.memory.reader import Memory
from analysis.memory.segments import SegmentTable
from analysis.scrub.intervals import Intervals, intervals

_HIGHEST = np.uint64(1 << 47)


class RememberingMemory(Memory):
    """Text is not remembered: who keeps some has a rule of its own for it. Nor is what a search
    looked at in vain.

    ``single``: address -> most bytes read there at once; ``many``: addresses, and how many bytes at each of them.
    """

    def __init__(self, view: mmap.mmap, size_bytes: int, segments: SegmentTable) -> None:
        super().__init__(view, size_bytes, segments)
        self.single: dict[int, int] = {}
        self.many: list[tuple[npt.NDArray[np.uint64], int]] = []
        self._forgets = False

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        before, self._forgets = self._forgets, True
        try:
            yield
        finally:
            self._forgets = before

    def probe(self, is_it: Callable[[], bool]) -> bool:
        single, many = self.single, self.many
        self.single, self.many = {}, []
        try:
            found = is_it()
            if found:
                many += self.many
                single |= {at: max(length, single.get(at, 0)) for at, length in self.single.items()}
        finally:
            self.single, self.many = single, many
        return found

    def _locate(self, address: int, length: int) -> int:
        if not self._forgets and self.single.get(address, 0) < length:
            self.single[address] = length
        return super()._locate(address, length)

    def gather(self, addresses: npt.NDArray[np.uint64], kind: npt.DTypeLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        if not self._forgets:
            self.many.append((addresses.copy(), np.dtype(kind).itemsize))
        return super().gather(addresses, kind)


def read_addresses(memory: Memory) -> Intervals:
    """Every address that was asked for so far, whether it was there or not; none of a memory that does not remember."""
    if not isinstance(memory, RememberingMemory):
        return intervals([])
    known = {at: length for at, length in memory.single.items() if 0 <= at < _HIGHEST}
    starts = [np.fromiter(known.keys(), np.uint64, len(known)), *(addresses for addresses, _ in memory.many)]
    lengths = [np.fromiter(known.values(), np.int64, len(known))]
    lengths += [np.full(len(addresses), size, np.int64) for addresses, size in memory.many]
    start, length = np.concatenate(starts), np.concatenate(lengths)
    sane = start < _HIGHEST
    low = start[sane].view(np.int64)
    return intervals(np.column_stack([low, low + length[sane]]))
