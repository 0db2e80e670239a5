"""A memory that remembers which addresses were read, so that what the runtime's own structures need is known by name of
nobody: it is what the reader itself reads of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.memory.reader import Memory
from analysis.scrub.intervals import Intervals, intervals


class RememberingMemory(Memory):
    """Text of unknown length is not remembered: who reads some says so with a rule of its own."""

    _bulk: list[tuple[npt.NDArray[np.uint64], int]]
    _single: dict[int, int]

    def _locate(self, address: int, length: int) -> int:
        known = self.__dict__.setdefault("_single", {})
        if known.get(address, 0) < length:
            known[address] = length
        return super()._locate(address, length)

    def gather(self, addresses: npt.NDArray[np.uint64], kind: npt.DTypeLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        self.__dict__.setdefault("_bulk", []).append((addresses.copy(), np.dtype(kind).itemsize))
        return super().gather(addresses, kind)

    @property
    def read_addresses(self) -> Intervals:
        """Everything that was asked for, whether it was there or not."""
        single = self.__dict__.get("_single", {})
        at, length = np.fromiter(single.keys(), np.uint64, len(single)), np.fromiter(single.values(), np.int64, len(single))
        starts, lengths = [at], [length]
        for addresses, size in self.__dict__.get("_bulk", []):
            starts.append(addresses)
            lengths.append(np.full(len(addresses), size, np.int64))
        start, size_of = np.concatenate(starts), np.concatenate(lengths)
        sane = start < np.uint64(1 << 47)
        low = start[sane].view(np.int64)
        return intervals(np.column_stack([low, low + size_of[sane]]))
