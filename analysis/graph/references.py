"""References of every object in compressed rows: one pass over the heap, two threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.errors import OverLimit
from analysis.graph.gc_descriptors import DescriptorTable
from analysis.heap.walk import HeapWalk
from analysis.kernels import references as kernels
from analysis.kernels import walk as walk_kernels

_THREADS = 2
_MOST_REFERENCES = 0xFFFFFFF0


class ObjectPlaces:
    """Object ids by address: about three bytes for each object (see the kernels)."""

    def __init__(self, addresses: npt.NDArray[np.uint64]) -> None:
        """``addresses`` uint64[n], ascending."""
        size = 1 << kernels.CHUNK_BITS
        self.low = int(addresses[0]) & -size if len(addresses) else 0
        chunks = ((int(addresses[-1]) - self.low) // size + 1) if len(addresses) else 0
        self.chunks = np.zeros(chunks, np.uint32)
        used = kernels.mark_chunks(addresses, self.low, self.chunks)
        self.lines = np.zeros(used * kernels.LINES_PER_CHUNK, np.uint64)
        kernels.fill_lines(addresses, self.low, self.chunks, self.lines)

    def find(self, addresses: npt.ArrayLike) -> npt.NDArray[np.uint32]:
        """Ids of the objects that begin at ``addresses``; 0xFFFFFFFF where none does."""
        wanted = np.ascontiguousarray(addresses, np.uint64)
        found = np.empty(len(wanted), np.uint32)
        kernels.objects_at(wanted, self.low, self.chunks, self.lines, found)
        return found


@dataclass(slots=True)
class OutsideFields:
    """References that lie in no field: ``sources`` object ids, ascending, with ``targets`` (addresses) of dependent handles;
    ``allocators`` uint64[types]: the loader allocator that objects of a collectible type refer to, 0 for none."""

    sources: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.uint64]
    allocators: npt.NDArray[np.uint64]


@dataclass(slots=True)
class References:
    """``offsets`` uint32[objects + 1]; ``targets`` and ``slots`` uint32[references + room] (``slots`` as in the index).

    ``found`` counts slots that are not empty, ``address_sum`` adds up what they hold (modulo 2**64), both without
    references that lie in no field; ``lost`` of all references lead to no object and are left out of the rows.
    """

    offsets: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.uint32]
    slots: npt.NDArray[np.uint32]
    found: int
    lost: int
    address_sum: int
    problems: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return int(self.offsets[-1])

    def of(self, row: int) -> slice:
        """Rows of an object's references."""
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))


def find_references(
    walked: HeapWalk, descriptors: DescriptorTable, places: ObjectPlaces, outside: OutsideFields, room: int = 0
) -> References:
    """All references of a walked heap. ``room`` rows more are kept free behind the last one, for roots."""
    objects, jobs, words = walked.columns, walked.jobs, walked.captured.words
    count, kinds = len(objects.address), len(walked.types)
    sizes = (walked.types.base_size[:kinds], walked.types.component_size[:kinds])
    middle = int(np.searchsorted(jobs[:, walk_kernels.FIRST], count // _THREADS))
    parts = [(0, middle), (middle, len(jobs))]
    fixed = (objects.type, objects.address, descriptors.programs, descriptors.runs, *sizes)

    def capacity(part: tuple[int, int]) -> int:
        extra = int(outside.allocators.any()) * count + len(outside.sources)
        return int(kernels.room_for_references(words, jobs, *part, *fixed)) + extra

    with ThreadPoolExecutor(_THREADS) as pool:
        rooms = list(pool.map(capacity, parts))
        if sum(rooms) + room > _MOST_REFERENCES:
            raise OverLimit(f"up to {sum(rooms):,} references")
        offsets = np.zeros(count + 1, np.uint32)
        targets, slots = np.empty(sum(rooms) + room, np.uint32), np.empty(sum(rooms) + room, np.uint32)
        tallies = np.zeros((_THREADS, 3), np.uint64)

        def fill(number: int) -> int:
            return int(
                kernels.find_references(
                    words, jobs, *parts[number], *fixed, outside.allocators, outside.sources, outside.targets,
                    places.low, places.chunks, places.lines, sum(rooms[:number]), offsets, targets, slots, tallies[number],
                )
            )  # fmt: skip

        ends = list(pool.map(fill, range(_THREADS)))
    gap = rooms[0] - ends[0]
    first = int(jobs[middle, walk_kernels.FIRST]) if middle < len(jobs) else count
    kernels.close_gap(offsets, first, count, gap, targets, slots, rooms[0], ends[1])
    offsets[count] = ends[1] - gap
    lost = int(tallies[:, kernels.LOST].sum())
    if lost:
        kernels.drop_missing(count, offsets, targets, slots)
    total = int(np.sum(tallies[:, kernels.SUM], dtype=np.uint64))
    found = int(tallies[:, kernels.FOUND].sum())
    return References(offsets, targets, slots, found, lost, total, descriptors.problems)
