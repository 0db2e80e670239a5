"""The table of captured address ranges of a dump."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two program headers claim the same addresses; the one that comes first in the file is believed."""

    start: int
    end: int


class SegmentTable:
    """Captured ranges, sorted by address and free of overlaps.

    ``starts``, ``ends``: virtual addresses (int64, rows); ``offsets``: file offset of each start (int64, rows).
    ``truncated``: ranges the headers promise but the file ends before (list of (start, end)).
    ``absent``: ranges that were mapped but not captured (list of (start, end)): memory size above file size.
    """

    def __init__(self, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]) -> None:
        self.starts, self.ends, self.offsets = starts, ends, offsets
        self.overlaps: list[Overlap] = []
        self.truncated: list[tuple[int, int]] = []
        self.absent: list[tuple[int, int]] = []
        self._starts, self._ends, self._offsets = starts.tolist(), ends.tolist(), offsets.tolist()

    @classmethod
    def build(
        cls,
        address: npt.NDArray[np.uint64],
        file_size: npt.NDArray[np.uint64],
        memory_size: npt.NDArray[np.uint64],
        offset: npt.NDArray[np.uint64],
        file_bytes: int,
    ) -> SegmentTable:
        """From raw program headers (uint64 columns, in file order) and the length of the file in bytes.

        Headers whose address or size wraps around or leaves the lower half of the address space are dropped and
        reported as absent; earlier headers win over later ones.
        """
        top = np.uint64(1 << 62)
        sane = (address < top) & (memory_size < top) & (file_size < top) & (offset < top)
        start, want = address[sane].astype(np.int64), file_size[sane].astype(np.int64)
        memory, at = memory_size[sane].astype(np.int64), offset[sane].astype(np.int64)
        have = np.clip(file_bytes - at, 0, want)
        table = cls._without_overlaps(start, start + have, at)
        short = np.flatnonzero(have < want)
        table.truncated = [(int(start[i] + have[i]), int(start[i] + want[i])) for i in short]
        table.absent = [(int(start[i] + want[i]), int(start[i] + memory[i])) for i in np.flatnonzero(memory > want)]
        return table

    @classmethod
    def _without_overlaps(
        cls, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64], offset: npt.NDArray[np.int64]
    ) -> SegmentTable:
        keep = np.flatnonzero(end > start)
        keep = keep[np.argsort(start[keep], kind="stable")]
        start, end, offset = start[keep], end[keep], offset[keep]
        if len(start) < 2 or bool(np.all(start[1:] >= end[:-1])):
            return cls(start, end, offset)
        return cls._spliced(start, end, offset, keep)

    @classmethod
    def _spliced(
        cls,
        start: npt.NDArray[np.int64],
        end: npt.NDArray[np.int64],
        offset: npt.NDArray[np.int64],
        rank: npt.NDArray[np.int64],
    ) -> SegmentTable:
        """Cut overlapping ranges so that every address belongs to the lowest ``rank`` that claims it."""
        edges = np.unique(np.concatenate([start, end]))
        opens: dict[int, list[int]] = {}
        for row, value in enumerate(start.tolist()):
            opens.setdefault(value, []).append(row)
        pieces: list[tuple[int, int, int]] = []
        overlaps: list[Overlap] = []
        active: list[int] = []
        ends, starts, offsets, ranks = end.tolist(), start.tolist(), offset.tolist(), rank.tolist()
        for left, right in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            active = [row for row in active if ends[row] > left] + opens.get(left, [])
            if not active:
                continue
            owner = min(active, key=ranks.__getitem__)
            if len(active) > 1:
                overlaps.append(Overlap(left, right))
            at = offsets[owner] + left - starts[owner]
            if pieces and pieces[-1][1] == left and pieces[-1][2] + left - pieces[-1][0] == at:
                pieces[-1] = (pieces[-1][0], right, pieces[-1][2])
            else:
                pieces.append((left, right, at))
        columns = np.array(pieces, np.int64).reshape(-1, 3)
        table = cls(columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].copy())
        table.overlaps = overlaps
        return table

    def __len__(self) -> int:
        return len(self._starts)

    def find(self, address: int) -> tuple[int, int, int] | None:
        """(start, end, file offset of start) of the captured range that holds ``address``, or None."""
        row = bisect_right(self._starts, address) - 1
        if row >= 0 and address < self._ends[row]:
            return self._starts[row], self._ends[row], self._offsets[row]
        return None

    def between(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Captured parts of [start, end) in address order, as (start, end, file offset)."""
        row = max(bisect_right(self._starts, start) - 1, 0)
        parts = []
        while row < len(self._starts) and self._starts[row] < end:
            left, right = max(self._starts[row], start), min(self._ends[row], end)
            if left < right:
                parts.append((left, right, self._offsets[row] + left - self._starts[row]))
            row += 1
        return parts
