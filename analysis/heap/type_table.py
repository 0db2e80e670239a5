"""The growing table of types that the walk kernels look method tables up in."""

from __future__ import annotations

import numpy as np

from analysis.errors import OverLimit
from analysis.kernels.walk import GENERATIONS
from analysis.limits import LIMITS

_MULTIPLIER = 0x9E3779B97F4A7C15
_SPARE = 4  # slots per type: short probes matter more than memory here


class TypeTable:
    """Type ids by method table.

    ``slots`` uint64[2**bits, 4] and ``shift`` are the kernels' hash table. ``base_size``, ``component_size`` int64[types]
    (bytes), ``counts`` and ``sizes`` int64[types, GENERATIONS] have spare rows behind ``len(self)``.
    """

    def __init__(self) -> None:
        self.method_tables: list[int] = []
        self._bits = 12
        self._allocate()

    def _allocate(self) -> None:
        old = getattr(self, "counts", None)
        self.slots = np.zeros((1 << self._bits, 4), np.uint64)
        self.shift = np.uint64(64 - self._bits)
        room = (1 << self._bits) // _SPARE
        columns = {"base_size": (room,), "component_size": (room,), "counts": (room, GENERATIONS), "sizes": (room, GENERATIONS)}
        for name, shape in columns.items():
            new = np.zeros(shape, np.int64)
            if old is not None:
                new[: len(old)] = getattr(self, name)
            setattr(self, name, new)

    base_size: np.ndarray[tuple[int], np.dtype[np.int64]]
    component_size: np.ndarray[tuple[int], np.dtype[np.int64]]
    counts: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    sizes: np.ndarray[tuple[int, int], np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.method_tables)

    def add(self, method_table: int, base_size: int, component_size: int) -> int:
        """A new type; its id. Raises OverLimit when a heap claims absurdly many."""
        number = len(self)
        if number >= LIMITS.types:
            raise OverLimit(f"more than {LIMITS.types:,} types on the heap")
        if number == len(self.base_size):
            self._bits += 2
            self._allocate()
            for row, known in enumerate(self.method_tables):
                self._insert(known, row)
        self.method_tables.append(method_table)
        self.base_size[number], self.component_size[number] = base_size, component_size
        self._insert(method_table, number)
        return number

    def _insert(self, method_table: int, number: int) -> None:
        mask = (1 << self._bits) - 1
        slot = (method_table * _MULTIPLIER & 0xFFFFFFFFFFFFFFFF) >> (64 - self._bits)
        while self.slots[slot, 0]:
            slot = (slot + 1) & mask
        self.slots[slot] = (method_table, self.base_size[number], self.component_size[number], number * GENERATIONS)
