"""Compile every kernel ahead, with the argument types a real dump gives, so that no first dump waits for a compiler."""

from __future__ import annotations

import time

import numpy as np

from analysis.heap.type_table import TypeTable
from analysis.kernels import chains, headers
from analysis.kernels import walk as kernels


def compile_kernels() -> float:
    """Run each kernel on an empty heap; seconds it took (next to nothing when they were compiled before)."""
    began = time.perf_counter()
    types = TypeTable()
    # A memory-mapped dump is read-only, and a read-only array is another type to the compiler than a writable one.
    words = np.frombuffer(bytes(64), np.uint64)
    jobs = np.zeros((0, kernels.JOB_COLUMNS), np.int64)
    nothing = np.empty(0, np.uint32)
    kernels.count_objects(
        words, jobs, types.slots, types.shift, types.counts.reshape(-1), types.sizes.reshape(-1),
        np.zeros((0, 2), np.int64), np.full((kernels.LANES, 2), -1, np.int64), np.zeros(3, np.int64),
    )  # fmt: skip
    kernels.fill_columns(
        words, jobs, 0, 0, types.slots, types.shift, np.zeros((0, 2), np.int64),
        np.empty(0, np.uint64), nothing, nothing, np.empty(0, np.uint8), np.zeros((0, kernels.TALLY_COLUMNS), np.int64),
    )  # fmt: skip
    kernels.resynchronise(words, types.slots, types.shift, 0, 0, 0, 0)
    kernels.group_by_type(nothing, np.empty(0, np.int64), nothing)
    none = np.empty(0, np.int64)
    headers.find_thin_locks(words, np.empty(0, np.uint64), none, none, none, none, nothing)
    chains.count_chains(words, none, none, none, np.empty(0, np.uint64), 8, 0, none)
    return time.perf_counter() - began
