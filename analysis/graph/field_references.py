"""References added up by field and target type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.graph.retention import Retention
from analysis.kernels import merge as kernels

_FIRST_BITS = 14
_NO_KEY = np.uint64(2**64 - 1)


def count_field_references(
    retention: Retention, places: npt.NDArray[np.int64], elements: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Keys (word number << 32 | target type) with references and references of live objects. The table grows as needed."""
    bits, row = _FIRST_BITS, 0
    keys = np.full(1 << bits, _NO_KEY, np.uint64)
    counts, live = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.uint64)
    found: dict[int, tuple[int, int]] = {}
    while True:
        row = kernels.count_field_references(
            retention.offsets, retention.targets, retention.slots, row, retention.objects, retention.walked.columns.type,
            places, elements, retention.parent[: retention.objects], keys, counts, live, np.uint64(64 - bits),
        )  # fmt: skip
        if row == retention.objects:
            break
        # Half full: what was counted so far is put aside, and counting goes on in a larger table.
        _merge_counts(found, keys, counts, live)
        bits += 2
        keys = np.full(1 << bits, _NO_KEY, np.uint64)
        counts, live = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.uint64)
    _merge_counts(found, keys, counts, live)
    rows = np.array([(key, *pair) for key, pair in found.items()], np.uint64).reshape(-1, 3)
    return rows[:, 0], rows[:, 1], rows[:, 2]


def _merge_counts(
    found: dict[int, tuple[int, int]],
    keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.uint64], live: npt.NDArray[np.uint64],
) -> None:  # fmt: skip
    used = keys != _NO_KEY
    for key, count, alive in zip(keys[used].tolist(), counts[used].tolist(), live[used].tolist(), strict=True):
        before = found.get(key, (0, 0))
        found[key] = before[0] + count, before[1] + alive
