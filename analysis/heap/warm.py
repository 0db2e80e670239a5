"""Compile every kernel ahead, with the argument types a real dump gives, so that no first dump waits for a compiler."""

from __future__ import annotations

import time

import numpy as np

from analysis.heap.type_table import TypeTable
from analysis.index.schema import GENERATIONS
from analysis.kernels import walk as kernels


def compile_kernels() -> float:
    """Run each kernel on an empty heap; seconds it took (next to nothing when they were compiled before)."""
    began = time.perf_counter()
    types = TypeTable(len(GENERATIONS))
    types.add(1, 24, 1)
    # A memory-mapped dump is read-only, and a read-only array is another type to the compiler than a writable one.
    words = np.frombuffer(bytes(64), np.uint64)
    pieces = np.zeros((3, 0), np.int64)
    nothing = np.empty(0, np.int64)
    kernels.walk_ranges(
        words, *pieces, nothing, nothing, np.empty(0, np.uint8),
        types.keys, types.values, types.bits, types.base_size, types.component_size,
        np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.uint8),
        types.counts, types.sizes, types.largest, np.zeros((0, kernels.TALLY_COLUMNS), np.int64), np.zeros(4, np.int64),
    )  # fmt: skip
    kernels.resynchronise(words, *pieces, types.keys, types.values, types.bits, types.base_size, types.component_size, 0, 0)
    kernels.group_by_type(np.empty(0, np.uint32), nothing.copy(), np.empty(0, np.uint32))
    return time.perf_counter() - began
