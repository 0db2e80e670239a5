"""Walk every segment: count all objects, then write them into columns; name and step over what cannot be walked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError, MemoryFault
from analysis.heap.spans import CapturedWords
from analysis.heap.type_table import TypeTable
from analysis.kernels import walk as kernels
from analysis.limits import LIMITS
from analysis.memory.reader import Memory
from analysis.runtime.gc_heap import GcHeap, split_at_contexts
from analysis.runtime.types import SMALLEST_BASE_SIZE, TypeSystem

_SMALLEST_OBJECT = 24
_FREE_BASE_SIZE, _FREE_COMPONENT_SIZE = 24, 1
_WORD = 8
#: How far behind damage an object of a type not met before is looked for, when none of a known type follows.
_SEARCHED_BYTES = 1 << 15
_THREADS = 2


@dataclass(frozen=True, slots=True)
class Gap:
    """Addresses [start, end) of a segment that hold no understood objects, and what was found at ``start``."""

    segment: int
    start: int
    end: int
    cause: str


@dataclass(slots=True)
class ObjectColumns:
    """All objects in address order: uint64, uint32, uint32 (0xFFFFFFFF: look in ``oversize``), uint8 columns.

    ``tally`` int64[segments, 3]: objects, bytes, bytes in free blocks; ``first`` int64[segments]: first object id.
    ``oversize`` int64[n, 2]: object id and size in bytes of objects of 4 GiB and more.
    """

    address: npt.NDArray[np.uint64]
    type: npt.NDArray[np.uint32]
    size: npt.NDArray[np.uint32]
    generation: npt.NDArray[np.uint8]
    tally: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    oversize: npt.NDArray[np.int64]

    @property
    def address_sum(self) -> int:
        """Sum of all object addresses modulo 2**64."""
        return int(np.sum(self.address, dtype=np.uint64))

    def containing(self, addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """The object each address lies in, by its address; an address in no object stays as it is."""
        if not len(self.address):
            return addresses
        row = np.maximum(np.searchsorted(self.address, addresses, side="right") - 1, 0)
        inside = (self.address[row] <= addresses) & (addresses - self.address[row] < self.size[row])
        return np.where(inside, self.address[row], addresses)


#: Start, end, generation and segment of a stretch to walk; and one row of the kernels' job table.
_Range = tuple[int, int, int, int]
_Job = tuple[int, int, int, int, int, int]


@dataclass(slots=True)
class _Batch:
    """Jobs for one run of the counting kernel, and the segment of each."""

    rows: list[_Job] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)


class HeapWalk:
    """One walk of a heap. Construction counts; ``columns`` writes the objects out. Neither raises for bad contents.

    ``types`` holds counts and sizes by type and generation, ``gaps`` what was stepped over, ``captured`` the words of the
    heap and ``jobs`` int64[n, 6] the stretches of them that were walked (columns as in ``analysis.kernels.walk``).
    """

    def __init__(
        self, memory: Memory, heap: GcHeap, type_system: TypeSystem, progress: Callable[[float], None] = lambda fraction: None
    ) -> None:
        self.types, self.gaps = TypeTable(), list[Gap]()
        self._memory, self._heap, self._type_system, self._progress = memory, heap, type_system, progress
        # Type 0 is the free block in every walk, also where the runtime's global for it could not be read.
        self.types.add(type_system.free_method_table or 1, _FREE_BASE_SIZE, _FREE_COMPONENT_SIZE)
        self.captured = CapturedWords(memory, heap)
        self._skips: list[tuple[int, int]] = []
        self._segment_of: list[int] = []
        self.jobs = np.zeros((0, kernels.JOB_COLUMNS), np.int64)
        self._objects = np.zeros(0, np.int64)
        self._count(self._ranges())

    @property
    def object_count(self) -> int:
        return int(self._objects.sum())

    def _ranges(self) -> list[_Range]:
        """Stretches of one generation without allocation contexts, in address order: start, end, generation, segment."""
        contexts = self._heap.allocation_contexts
        return [
            (left, right, generation, number)
            for number, segment in enumerate(self._heap.segments)
            for start, end, generation in segment.parts()
            for left, right in split_at_contexts(start, end, contexts, _SMALLEST_OBJECT)
        ]

    def _count(self, ranges: list[_Range]) -> None:
        """Count range after range; a range that leaves its captured span goes on as another job where it comes back."""
        rows: list[_Job] = []
        # What begins outside the dump comes last: the next object in it is found by the types known by then.
        begun = [row for row in ranges if self.captured.find(row[0])]
        for pending in (begun, [row for row in ranges if not self.captured.find(row[0])]):
            while pending:
                batch = _Batch()
                for row in pending:
                    self._add_job(batch, *row)
                pending = self._run(batch)
                rows += batch.rows
                self._segment_of += batch.segments
        table = np.array(rows, np.int64).reshape(-1, kernels.JOB_COLUMNS)
        order = np.argsort(table[:, kernels.START], kind="stable")
        self.jobs, self._objects = table[order], self._objects[order]
        self._segment_of = [self._segment_of[row] for row in order.tolist()]
        self.jobs[:, kernels.FIRST] = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._objects)])[:-1]
        self._skips.sort()
        self.gaps.sort(key=lambda gap: gap.start)

    def _add_job(self, batch: _Batch, start: int, end: int, generation: int, segment: int) -> None:
        """A job for the captured part at ``start``; where nothing is captured there, a gap up to where something is."""
        begin, span = start, self.captured.find(start)
        while span is None and start < end:
            following = self.captured.after(start)
            start = min(following.start if following else end, end)
            span = self.captured.find(start)
            if span and start < end:
                start = self._resume(start, min(end, span.end - _WORD), end, span.base)
        self._gap(segment, begin, start, f"memory that is not in the dump ({self._memory.absence(begin)})")
        if span and start < end:
            batch.rows.append((start, min(end, span.end - _WORD), end, span.base, generation, 0))
            batch.segments.append(segment)

    def _run(self, batch: _Batch) -> list[_Range]:
        """Count a batch; the ranges whose captured span ended before they did."""
        jobs = np.array(batch.rows, np.int64).reshape(-1, kernels.JOB_COLUMNS)
        reached = np.zeros((len(jobs), 2), np.int64)
        lanes = np.full((kernels.LANES, 2), -1, np.int64)
        state = np.zeros(3, np.int64)
        while True:
            types = self.types
            kernels.count_objects(
                self.captured.words, jobs, types.slots, types.shift,
                types.counts.reshape(-1), types.sizes.reshape(-1), reached, lanes, state,
            )  # fmt: skip
            if state[kernels.STATUS] == kernels.DONE:
                break
            self._decide(jobs, batch, lanes[state[kernels.LANE]], int(state[kernels.STATUS]))
            self._progress(float(state[kernels.NEXT_JOB]) / max(len(jobs), 1))
        self._objects = np.concatenate([self._objects, reached[:, kernels.OBJECTS]])
        unfinished = np.flatnonzero(reached[:, kernels.END] < jobs[:, kernels.LIMIT]).tolist()
        return [
            (
                int(reached[job, kernels.END]),
                int(jobs[job, kernels.LIMIT]),
                int(jobs[job, kernels.GENERATION]),
                batch.segments[job],
            )
            for job in unfinished
        ]

    def _decide(self, jobs: npt.NDArray[np.int64], batch: _Batch, lane: npt.NDArray[np.int64], status: int) -> None:
        """A lane stopped at an object: learn its type, or record a gap and move the lane behind it."""
        job, position = int(lane[0]), int(lane[1])
        cause = "an object that is larger than what is left of its segment"
        if status == kernels.UNKNOWN_TYPE:
            learnt = self._learn(position)
            if learnt is None:
                return
            cause = learnt
        row = jobs[job]
        resumed = self._resume(position + _WORD, int(row[kernels.STOP]), int(row[kernels.LIMIT]), int(row[kernels.WORD]))
        self._gap(batch.segments[job], position, resumed, cause)
        if len(self.gaps) >= LIMITS.gaps:
            resumed = int(row[kernels.LIMIT])
        self._skips.append((position, resumed))
        lane[1] = resumed

    def _gap(self, segment: int, start: int, end: int, cause: str) -> None:
        if start < end:
            self.gaps.append(Gap(segment, start, end, cause))

    def _resume(self, position: int, stop: int, limit: int, base: int) -> int:
        """Where objects go on behind damage; the end of the captured part (or of the range) when nowhere in it."""
        types = self.types
        found = int(kernels.resynchronise(self.captured.words, types.slots, types.shift, position, stop, limit, base))
        if found < limit:
            return found
        for candidate in range(position, min(position + _SEARCHED_BYTES, stop), _WORD):
            if self._learn(candidate) is None:
                return candidate
        return limit if limit - stop <= _WORD else stop

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
        self.types.add(method_table, info.base_size, info.component_size)
        return None

    @cached_property
    def columns(self) -> ObjectColumns:
        """All objects as columns, written by two threads: one pass over the heap, 17 bytes for each object."""
        count = self.object_count
        address, kind = np.empty(count, np.uint64), np.empty(count, np.uint32)
        size, generation = np.empty(count, np.uint32), np.empty(count, np.uint8)
        tally = np.zeros((len(self.jobs), kernels.TALLY_COLUMNS), np.int64)
        skips = np.array(self._skips, np.int64).reshape(-1, 2)

        def fill(first: int, last: int) -> None:
            kernels.fill_columns(
                self.captured.words, self.jobs, first, last, self.types.slots, self.types.shift, skips,
                address, kind, size, generation, tally,
            )  # fmt: skip

        middle = int(np.searchsorted(self.jobs[:, kernels.FIRST], count // _THREADS))
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fill, (0, middle), (middle, len(self.jobs))))
        per_segment, first = self._per_segment(tally)
        return ObjectColumns(address, kind, size, generation, per_segment, first, self._oversize(address, kind, size))

    def _per_segment(self, tally: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        segments = len(self._heap.segments)
        per_segment = np.zeros((segments, kernels.TALLY_COLUMNS), np.int64)
        np.add.at(per_segment, self._segment_of, tally)
        first = np.zeros(segments, np.int64)
        first[self._segment_of[::-1]] = self.jobs[::-1, kernels.FIRST]
        return per_segment, first

    def _oversize(
        self, address: npt.NDArray[np.uint64], kind: npt.NDArray[np.uint32], size: npt.NDArray[np.uint32]
    ) -> npt.NDArray[np.int64]:
        rows = (
            np.flatnonzero(size == kernels.OVERSIZE) if int(self.types.sizes.max()) >= kernels.OVERSIZE else np.empty(0, np.int64)
        )
        found = [(row, self._true_size(int(address[row]), int(kind[row]))) for row in rows.tolist()]
        return np.array(found, np.int64).reshape(-1, 2)

    def _true_size(self, address: int, kind: int) -> int:
        length = self._memory.u32(address + _WORD)
        return int(self.types.base_size[kind]) + length * int(self.types.component_size[kind])
