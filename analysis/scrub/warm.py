"""Compile the kernels of the scrubbed copy ahead, with the argument types a real dump gives."""

from __future__ import annotations

import time

import numpy as np

from analysis.kernels import scrub as kernels
from analysis.kernels.walk import JOB_COLUMNS


def compile_scrub_kernels() -> float:
    """Run each kernel on nothing; seconds it took (next to nothing when they were compiled before)."""
    began = time.perf_counter()
    words, copy = np.frombuffer(bytes(64), np.uint64), np.zeros(8, np.uint64)
    none = np.zeros(0, np.int64)
    kernels.copy_pointers(words, copy, 0, 0, none, none, np.uint64(0))
    pairs, per_type = np.zeros((0, 2), np.int64), np.zeros(1, np.int64)
    kernels.copy_objects(
        words, copy, words.view(np.uint8), copy.view(np.uint8), np.zeros((0, JOB_COLUMNS), np.int64), 0, 0,
        np.zeros(0, np.uint32), np.zeros(0, np.uint64), np.zeros((1, 3), np.int64), pairs, per_type, per_type,
        np.zeros((1, kernels.PLAN_COLUMNS), np.int64), pairs, 0, np.zeros(0, np.uint32), np.zeros(kernels.KEPT_COLUMNS, np.int64),
    )  # fmt: skip
    return time.perf_counter() - began
