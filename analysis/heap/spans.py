"""Where heap ranges lie in the file: captured spans as 64-bit words, and the jobs kernels walk."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from analysis.memory.reader import Memory
from analysis.runtime.gc_heap import GcHeap


@dataclass(frozen=True, slots=True)
class Span:
    """Captured addresses [start, end) whose words begin at ``words[base + start // 8]``."""

    start: int
    end: int
    base: int


class CapturedWords:
    """Words of a dump's heap. ``words`` uint64[n]; spans are in address order and do not touch each other."""

    def __init__(self, memory: Memory, heap: GcHeap) -> None:
        pieces: list[tuple[int, int, int]] = []
        for segment in heap.segments:
            for piece in memory.segments.between(segment.start & ~7, (segment.end + 7) & ~7):
                _join(pieces, piece)
        if all((offset | start) & 7 == 0 for start, _, offset in pieces) and _apart(pieces):
            self.words: npt.NDArray[np.uint64] = memory.words()
            self.spans = [Span(start, end & ~7, (offset - start) // 8) for start, end, offset in pieces]
        else:
            self.words, self.spans = _copied(memory, pieces)
        self._starts = [span.start for span in self.spans]

    def find(self, address: int) -> Span | None:
        """The span that holds a whole object header at ``address``: method table and the word behind it."""
        row = bisect_right(self._starts, address) - 1
        return self.spans[row] if row >= 0 and address + 16 <= self.spans[row].end else None

    def after(self, address: int) -> Span | None:
        """The first span that begins behind ``address``."""
        row = bisect_right(self._starts, address)
        return self.spans[row] if row < len(self.spans) else None


def _join(pieces: list[tuple[int, int, int]], piece: tuple[int, int, int]) -> None:
    """Append a piece, or lengthen the last one when both addresses and file bytes go on from it."""
    start, end, offset = piece
    if pieces and pieces[-1][1] >= start and offset - start == pieces[-1][2] - pieces[-1][0]:
        pieces[-1] = (pieces[-1][0], max(end, pieces[-1][1]), pieces[-1][2])
    else:
        pieces.append(piece)


def _apart(pieces: list[tuple[int, int, int]]) -> bool:
    """Whether no two pieces touch: an object across a seam could not be read as consecutive words of the file."""
    return all(left[1] < right[0] for left, right in pairwise(pieces))


def _copied(memory: Memory, pieces: list[tuple[int, int, int]]) -> tuple[npt.NDArray[np.uint64], list[Span]]:
    """Pieces copied into one array, those that touch made one span. For files whose segments are not on multiples of
    eight bytes or are torn apart; createdump writes none, so the cost of a copy is acceptable."""
    runs: list[list[tuple[int, int, int]]] = []
    for piece in sorted(pieces):
        if runs and runs[-1][-1][1] >= piece[0]:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    copies: list[npt.NDArray[np.uint64]] = []
    spans: list[Span] = []
    at = 0
    for run in runs:
        start, end = (run[0][0] + 7) & ~7, max(piece[1] for piece in run) & ~7
        if end <= start:
            continue
        raw = b"".join(memory.read(left, min(end, left + (64 << 20)) - left) for left in range(start, end, 64 << 20))
        copies.append(np.frombuffer(raw, np.uint64))
        spans.append(Span(start, end, at - start // 8))
        at += len(copies[-1])
    return (np.concatenate(copies) if copies else np.zeros(0, np.uint64)), spans
