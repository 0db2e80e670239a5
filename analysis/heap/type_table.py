"""The growing table of types that the walk kernel looks method tables up in."""

from __future__ import annotations

import numpy as np

from analysis.errors import OverLimit
from analysis.limits import LIMITS

_MULTIPLIER = 0x9E3779B97F4A7C15
_SPARE = 4  # slots per type: short probes matter more than memory here


class TypeTable:
    """Type ids by method table. ``keys`` uint64[2**bits] and ``values`` int32[2**bits] are the hash table,
    ``base_size`` and ``component_size`` int64[types] (bytes), ``counts`` and ``sizes`` int64[types, generations]."""

    def __init__(self, generations: int) -> None:
        self.method_tables: list[int] = []
        self.bits = 12
        self.keys, self.values = np.zeros(1 << self.bits, np.uint64), np.zeros(1 << self.bits, np.int32)
        room = (1 << self.bits) // _SPARE
        self.base_size, self.component_size = np.zeros(room, np.int64), np.zeros(room, np.int64)
        self.counts, self.sizes = np.zeros((room, generations), np.int64), np.zeros((room, generations), np.int64)
        self.largest = np.zeros(room, np.int64)

    def __len__(self) -> int:
        return len(self.method_tables)

    def add(self, method_table: int, base_size: int, component_size: int) -> int:
        """A new type; its id. Raises OverLimit when a heap claims absurdly many."""
        if len(self) >= LIMITS.types:
            raise OverLimit(f"more than {LIMITS.types:,} types on the heap")
        if len(self) == len(self.base_size):
            self._grow()
        number = len(self)
        self.method_tables.append(method_table)
        self.base_size[number], self.component_size[number] = base_size, component_size
        self._insert(method_table, number)
        return number

    def _insert(self, method_table: int, number: int) -> None:
        mask = (1 << self.bits) - 1
        slot = (method_table * _MULTIPLIER & 0xFFFFFFFFFFFFFFFF) >> (64 - self.bits)
        while self.keys[slot]:
            slot = (slot + 1) & mask
        self.keys[slot], self.values[slot] = method_table, number

    def _grow(self) -> None:
        self.bits += 2
        self.keys, self.values = np.zeros(1 << self.bits, np.uint64), np.zeros(1 << self.bits, np.int32)
        room = (1 << self.bits) // _SPARE
        for name in ("base_size", "component_size", "counts", "sizes", "largest"):
            old = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), np.int64)
            new[: len(old)] = old
            setattr(self, name, new)
        for number, method_table in enumerate(self.method_tables):
            self._insert(method_table, number)
