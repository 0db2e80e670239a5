"""Walk every segment into object columns, counting and naming what could not be walked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError, MemoryFault
from analysis.heap.type_table import TypeTable
from analysis.index.schema import GENERATIONS
from analysis.kernels import walk as kernels
from analysis.limits import LIMITS
from analysis.memory.reader import Memory
from analysis.runtime.gc_heap import GcHeap, split_at_contexts
from analysis.runtime.types import SMALLEST_BASE_SIZE, TypeSystem

_SMALLEST_OBJECT = 24
_FREE_BASE_SIZE, _FREE_COMPONENT_SIZE = 24, 1


@dataclass(frozen=True, slots=True)
class Gap:
    """Addresses [start, end) of a segment that hold no understood objects, and what was found at ``start``."""

    segment: int
    start: int
    end: int
    cause: str


@dataclass(slots=True)
class HeapWalk:
    """Object columns in address order (uint64, uint32, uint32 with 0xFFFFFFFF for oversize, uint8) and their sums.

    ``tally`` int64[segments, 5]: objects, bytes, free objects, free bytes, first object id.
    ``oversize`` int64[n, 2]: object id and size in bytes of objects of 4 GiB and more.
    """

    address: npt.NDArray[np.uint64]
    type: npt.NDArray[np.uint32]
    size: npt.NDArray[np.uint32]
    generation: npt.NDArray[np.uint8]
    types: TypeTable
    tally: npt.NDArray[np.int64]
    oversize: npt.NDArray[np.int64]
    gaps: list[Gap] = field(default_factory=list)

    @property
    def address_sum(self) -> int:
        """Sum of all object addresses modulo 2**64."""
        return int(np.sum(self.address, dtype=np.uint64))


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Stretches to walk, in address order: addresses, generation, row of the segment they belong to."""

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    generation: npt.NDArray[np.uint8]
    segment: npt.NDArray[np.int64]


def walk_heap(memory: Memory, heap: GcHeap, type_system: TypeSystem, progress: Callable[[float], None]) -> HeapWalk:
    """Walk all segments of ``heap``. Damage becomes gaps; it never raises for bad heap contents."""
    return _Walker(memory, heap, type_system, progress).run()


class _Walker:
    def __init__(self, memory: Memory, heap: GcHeap, type_system: TypeSystem, progress: Callable[[float], None]) -> None:
        self._memory, self._heap, self._type_system, self._progress = memory, heap, type_system, progress
        self._types = TypeTable(len(GENERATIONS))
        # Type 0 is the free block in every walk, also where the runtime's global for it could not be read.
        self._types.add(type_system.free_method_table or 1, _FREE_BASE_SIZE, _FREE_COMPONENT_SIZE)
        self._ranges = self._split()
        self._before = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._ranges.end - self._ranges.start)])
        self._pieces, self._words = self._captured()
        self._gaps: list[Gap] = []

    def _split(self) -> _Ranges:
        rows = [
            (left, right, generation, number)
            for number, segment in enumerate(self._heap.segments)
            for start, end, generation in segment.parts()
            for left, right in split_at_contexts(start, end, self._heap.allocation_contexts, _SMALLEST_OBJECT)
        ]
        columns = np.array(rows, np.int64).reshape(-1, 4)
        return _Ranges(
            columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].astype(np.uint8), columns[:, 3].copy()
        )  # fmt: skip

    def _captured(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Captured pieces of the ranges, int64[3, pieces] (start, end, word index), and the words they point into.

        A file whose segments do not start on multiples of eight bytes is copied piece by piece; this is rare.
        """
        pieces: list[tuple[int, int, int]] = []
        for segment in self._heap.segments:
            pieces += self._memory.segments.between(segment.start & ~7, segment.end)
        aligned = [(start, end & ~7, offset) for start, end, offset in sorted(set(pieces)) if end - start >= 8]
        if all((offset | start) & 7 == 0 for start, _, offset in aligned):
            table = np.array([(start, end, offset // 8) for start, end, offset in aligned], np.int64).reshape(-1, 3)
            return np.ascontiguousarray(table.T), self._memory.words()
        copies, rows, at = [], [], 0
        for start, end, _ in aligned:
            copies.append(np.frombuffer(self._memory.read(start, end - start), np.uint64))
            rows.append((start, end, at))
            at += len(copies[-1])
        return np.ascontiguousarray(np.array(rows, np.int64).reshape(-1, 3).T), np.concatenate(copies)

    def run(self) -> HeapWalk:
        ranges, capacity = self._ranges, int(self._before[-1]) // _SMALLEST_OBJECT
        # Pages of np.empty that are never written cost nothing, so the upper bound is free.
        address, kind = np.empty(capacity, np.uint64), np.empty(capacity, np.uint32)
        size, generation = np.empty(capacity, np.uint32), np.empty(capacity, np.uint8)
        tally = np.zeros((len(ranges.start), kernels.TALLY_COLUMNS), np.int64)
        state = np.zeros(4, np.int64)
        while True:
            types = self._types
            kernels.walk_ranges(
                self._words, *self._pieces, ranges.start, ranges.end, ranges.generation,
                types.keys, types.values, types.bits, types.base_size, types.component_size,
                address, kind, size, generation, types.counts, types.sizes, types.largest, tally, state,
            )  # fmt: skip
            if state[kernels.STATUS] == kernels.DONE:
                break
            self._decide(state)
        count = int(state[kernels.WRITTEN])
        walked = HeapWalk(
            address[:count], kind[:count], size[:count], generation[:count], types,
            self._per_segment(tally), np.empty((0, 2), np.int64), self._gaps,
        )  # fmt: skip
        walked.oversize = self._oversize(walked)
        return walked

    def _decide(self, state: npt.NDArray[np.int64]) -> None:
        """The kernel stopped: learn a new type, or record a gap and move on behind it."""
        position, row, status = int(state[kernels.POSITION]), int(state[kernels.RANGE]), int(state[kernels.STATUS])
        cause = {kernels.BAD_SIZE: "an object that is larger than what is left of its segment",
                 kernels.FULL: "more objects than the segment has room for"}.get(status)  # fmt: skip
        if status == kernels.NOT_CAPTURED:
            cause = f"memory that is not in the dump ({self._memory.absence(position)})"
        if cause is None:
            cause = self._learn(position)
            self._progress(float(self._before[row] + position - self._ranges.start[row]) / max(float(self._before[-1]), 1.0))
        if cause is None:
            return
        end = int(self._ranges.end[row])
        resumed = self._resume(position, end)
        self._gaps.append(Gap(int(self._ranges.segment[row]), position, resumed, cause))
        if resumed >= end or len(self._gaps) >= LIMITS.gaps:
            state[kernels.RANGE], state[kernels.POSITION] = row + 1, 0
        else:
            state[kernels.POSITION] = resumed

    def _learn(self, position: int) -> str | None:
        """Add the type of the object at ``position``; what is wrong with it, or None when it was learnt."""
        try:
            method_table = self._memory.pointer(position) & ~7
            info = self._type_system.info(method_table)
        except MemoryFault as fault:
            return f"an object whose type is not in the dump ({fault.cause})"
        except AnalysisError as damage:
            return f"no valid object header: {damage.what}"
        if info.base_size < SMALLEST_BASE_SIZE:
            return f"an object of {self._type_system.name(method_table)}, which has no instances"
        self._types.add(method_table, info.base_size, info.component_size)
        return None

    def _resume(self, position: int, end: int) -> int:
        types = self._types
        found: int = kernels.resynchronise(
            self._words, *self._pieces, types.keys, types.values, types.bits, types.base_size, types.component_size,
            position, end,
        )  # fmt: skip
        return int(found)

    def _per_segment(self, tally: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        result = np.zeros((len(self._heap.segments), kernels.TALLY_COLUMNS), np.int64)
        for row, segment in enumerate(self._ranges.segment.tolist()):
            if not result[segment, :4].any():
                result[segment, 4] = tally[row, 4]
            result[segment, :4] += tally[row, :4]
        return result

    def _oversize(self, walked: HeapWalk) -> npt.NDArray[np.int64]:
        rows = (
            np.flatnonzero(walked.size == 0xFFFFFFFF)
            if walked.types.largest.max(initial=0) >= 0xFFFFFFFF
            else np.empty(0, np.int64)
        )
        found: list[tuple[int, int]] = []
        for row in rows.tolist():
            kind = int(walked.type[row])
            length: Any = self._memory.u32(int(walked.address[row]) + 8)
            found.append((row, int(walked.types.base_size[kind]) + length * int(walked.types.component_size[kind])))
        return np.array(found, np.int64).reshape(-1, 2)
