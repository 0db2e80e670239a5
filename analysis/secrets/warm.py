"""Compile the kernels of the search for secrets ahead, with the argument types a real dump gives."""

from __future__ import annotations

import time

import numpy as np

from analysis.secrets.scan import scan


def compile_secret_kernels() -> float:
    """Look at one text of either width; seconds it took (next to nothing when they were compiled before)."""
    began = time.perf_counter()
    # A memory-mapped dump is read-only, and a read-only array is another type to the compiler than a writable one.
    raw, begins, lengths = bytes(64), np.zeros(1, np.int64), np.ones(1, np.int64)
    scan(np.frombuffer(raw, np.uint16), begins, lengths)
    scan(np.frombuffer(raw, np.uint8), begins, lengths)
    return time.perf_counter() - began
