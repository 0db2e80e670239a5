"""References of every object in compressed rows: one pass over the heap, two threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from analysis.errors import OverLimit
from analysis.graph.gc_descriptors import DescriptorTable
from analysis.heap.walk import HeapWalk
from analysis.kernels import references as kernels
from analysis.kernels import walk as walk_kernels

_THREADS = 2
_PARTS = 16
_U32 = npt.NDArray[np.uint32]
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
    """``offsets`` uint32[objects + 1 + more nodes], ``targets`` uint32[count + more edges] and ``slots`` uint32[count] (as in
    the index); what belongs to more nodes and edges is not filled.

    ``found`` counts slots that are not empty, ``address_sum`` adds up what they hold (modulo 2**64), both without
    references that lie in no field; ``lost`` of all references lead to no object and are left out of the rows.
    """

    offsets: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.uint32]
    slots: npt.NDArray[np.uint32]
    count: int
    found: int
    lost: int
    address_sum: int
    problems: list[str] = field(default_factory=list)

    def of(self, row: int) -> slice:
        """Rows of an object's references."""
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))


def find_references(
    walked: HeapWalk, descriptors: DescriptorTable, places: ObjectPlaces, outside: OutsideFields, nodes: int, edges: int
) -> References:
    """All references of a walked heap. Room for more ``nodes`` and ``edges`` is kept free behind the last ones, for roots."""
    objects, jobs, words = walked.columns, walked.jobs, walked.captured.words
    count, kinds = len(objects.address), len(walked.types)
    sizes = (walked.types.base_size[:kinds], walked.types.component_size[:kinds])
    parts = _parts(jobs[:, walk_kernels.FIRST], count)
    fixed = (
        objects.type, objects.address, descriptors.programs, descriptors.runs, *sizes,
        outside.allocators, outside.sources, outside.targets, places.low, places.chunks, places.lines,
    )  # fmt: skip
    tallies = np.zeros((len(parts), 3), np.uint64)
    none = np.zeros(0, np.uint32)

    def run(number: int, at: int, offsets: _U32 = none, targets: _U32 = none, slots: _U32 = none) -> int:
        return int(kernels.find_references(words, jobs, *parts[number], *fixed, at, offsets, targets, slots, tallies[number]))

    # Counting first makes the rows exact: room for every empty slot would be 70 % more.
    with ThreadPoolExecutor(_THREADS) as pool:
        ends = np.cumsum([0, *pool.map(lambda number: run(number, 0), range(len(parts)))])
        total = int(ends[-1])
        if total + edges > _MOST_REFERENCES:
            raise OverLimit(f"{total:,} references")
        offsets = np.empty(count + 1 + nodes, np.uint32)
        offsets[count] = total
        targets, slots = np.empty(max(total + edges, 1), np.uint32), np.empty(total, np.uint32)
        list(pool.map(lambda number: run(number, int(ends[number]), offsets, targets, slots), range(len(parts))))
    lost = int(tallies[:, kernels.LOST].sum())
    if lost:
        total = kernels.drop_missing(count, offsets, targets, slots)
    address_sum = int(np.sum(tallies[:, kernels.SUM], dtype=np.uint64))
    found = int(tallies[:, kernels.FOUND].sum())
    return References(offsets, targets, slots[:total], total, found, lost, address_sum, descriptors.problems)


def _parts(firsts: npt.NDArray[np.int64], count: int) -> list[tuple[int, int]]:
    """Jobs in stretches of about as many objects: more than threads, so that none waits long for another."""
    bounds = np.searchsorted(firsts, np.linspace(0, count, _PARTS + 1).astype(np.int64)[1:-1])
    return list(pairwise([0, *np.unique(bounds).tolist(), len(firsts)]))
