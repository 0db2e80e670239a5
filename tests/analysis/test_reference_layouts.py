"""References of objects of random layouts: descriptors as the runtime writes them, read and followed by the engine.

The slow twin never sees a descriptor: it knows from the layout which words of an object hold references.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.graph.gc_descriptors import DescriptorTable, read_descriptors
from analysis.graph.references import ObjectPlaces, OutsideFields, References, find_references
from analysis.index.retention import DEPENDENT, LOADER_ALLOCATOR
from analysis.kernels import walk as kernels
from analysis.memory.reader import Memory
from analysis.memory.segments import SegmentTable
from analysis.runtime.type_columns import MethodTables
from analysis.runtime.types import CONTAINS_POINTERS

_METHOD_TABLES, _HEAP = 0x7E00_0000_0000, 0x7F00_0000_0000
#: Pieces of the heap lie further apart than a chunk of the kernels' index of places.
_APART = 5 << 20


@dataclass(frozen=True)
class Layout:
    """A type: ``words`` of an object (of an array: of what lies before its elements), words of one element or 0, and which of
    them hold references: counted from the method table, or in an array from the start of the element."""

    method_table: int
    words: int
    element: int
    references: tuple[int, ...]
    collectible: bool = False

    @property
    def info(self) -> Any:
        """What the engine's type system would say."""
        return SimpleNamespace(
            method_table=self.method_table, base_size=8 * self.words, component_size=8 * self.element,
            contains_pointers=bool(self.references),
        )  # fmt: skip

    @property
    def first_element(self) -> int:
        """Word behind the length and the bounds; the last word before the elements is the header of the next object."""
        return self.words - 1

    def slots(self, length: int) -> list[int]:
        """Words of an object with so many elements that hold references."""
        if not self.element:
            return list(self.references)
        return [self.first_element + number * self.element + word for number in range(length) for word in self.references]

    def descriptor(self) -> bytes:
        """What lies before the method table, as ``gc/gcdesc.h`` lays it out: read downwards from there."""
        runs = [[word for _, word in run] for _, run in groupby(enumerate(self.references), lambda pair: pair[1] - pair[0])]
        if not self.element:
            series = [struct.pack("<qQ", 8 * (len(run) - self.words), 8 * run[0]) for run in runs]
        elif self.references == tuple(range(self.element)):
            # Nothing but references: one series that grows with the object.
            series = [struct.pack("<qQ", -8 * self.words, 8 * self.first_element)]
        else:
            following = [run[0] for run in runs[1:]] + [self.element + runs[0][0]]
            items = [struct.pack("<II", len(run), 8 * (after - run[-1] - 1)) for run, after in zip(runs, following, strict=True)]
            return b"".join(items[::-1]) + struct.pack("<Qq", 8 * (self.first_element + runs[0][0]), -len(items))
        return b"".join(series[::-1]) + struct.pack("<q", len(series))


@dataclass
class Heap:
    """Objects in pieces: (layout, length, address, values of all words behind the method table that the dump holds)."""

    layouts: list[Layout]
    objects: list[tuple[Layout, int, int, list[int]]] = field(default_factory=list)
    jobs: list[list[int]] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    dependents: list[tuple[int, int]] = field(default_factory=list)
    allocators: list[int] = field(default_factory=list)

    def memory(self) -> Memory:
        """What lies before the method tables."""
        file = b"".join((one.descriptor() if one.references else b"").rjust(0x1000, b"\xaa") for one in self.layouts)
        starts = np.array([one.method_table - 0x1000 for one in self.layouts], np.uint64)
        sizes = np.full(len(starts), 0x1000, np.uint64)
        offsets = np.arange(len(starts), dtype=np.uint64) * np.uint64(0x1000)
        view: Any = file
        return Memory(view, len(file), SegmentTable.build(starts, sizes, sizes, offsets, len(file)))

    @property
    def addresses(self) -> list[int]:
        return [address for _, _, address, _ in self.objects]

    def engine(self) -> tuple[DescriptorTable, References]:
        """The engine's answer."""
        infos = {one.method_table: one.info for one in self.layouts}
        base = np.array([8 * one.words for one in self.layouts], np.int64)
        component = np.array([8 * one.element for one in self.layouts], np.int64)
        types: Any = _Types(list(infos), base, component)
        numbers = np.array([self.layouts.index(layout) for layout, _, _, _ in self.objects], np.uint32)
        addresses = np.array(self.addresses, np.uint64)
        walked: Any = SimpleNamespace(
            columns=SimpleNamespace(type=numbers, address=addresses), types=types,
            jobs=np.array(self.jobs, np.int64).reshape(-1, kernels.JOB_COLUMNS),
            captured=SimpleNamespace(words=np.array(self.words, np.uint64)),
        )  # fmt: skip
        type_system: Any = SimpleNamespace(info=infos.__getitem__, name=hex)
        flags = np.array([CONTAINS_POINTERS if one.references else 0 for one in self.layouts[1:]], np.uint32)
        every, none = np.ones(len(flags), np.bool_), np.zeros(len(flags), np.uint64)
        tables = MethodTables(np.array([*infos][1:], np.uint64), flags, base[1:], component[1:], none, every, every)
        descriptors = read_descriptors(self.memory(), type_system, tables)
        outside = OutsideFields(
            np.array([row for row, _ in self.dependents], np.uint32), np.array([to for _, to in self.dependents], np.uint64),
            np.array(self.allocators, np.uint64),
        )  # fmt: skip
        return descriptors, find_references(walked, descriptors, ObjectPlaces(addresses), outside, nodes=2, edges=3)

    def twin(self) -> tuple[list[list[tuple[int, int]]], int, int, int]:
        """(slot, target) of the references of each object; how many slots are not empty, how many references lead nowhere, and
        the sum of what the slots hold."""
        row_at = {address: row for row, address in enumerate(self.addresses)}
        rows, found, lost, total = [], 0, 0, 0
        for number, (layout, length, _, values) in enumerate(self.objects):
            held = [(slot, values[slot - 1]) for slot in layout.slots(length) if slot <= len(values) and values[slot - 1]]
            found, total = found + len(held), total + sum(value for _, value in held)
            held += [(DEPENDENT, to) for row, to in self.dependents if row == number]
            allocator = self.allocators[self.layouts.index(layout)]
            held += [(LOADER_ALLOCATOR, allocator)] if allocator else []
            rows.append([(slot, row_at[value]) for slot, value in held if value in row_at])
            lost += len(held) - len(rows[-1])
        return rows, found, lost, total % 2**64


class _Types(SimpleNamespace):
    """What the engine keeps about the types of a heap; the arrays have spare rows behind the last type."""

    def __init__(self, method_tables: list[int], base_size: np.ndarray, component_size: np.ndarray) -> None:
        spare = np.full(3, 8, np.int64)
        super().__init__(
            method_tables=method_tables, base_size=np.append(base_size, spare), component_size=np.append(component_size, spare)
        )

    def __len__(self) -> int:
        return len(self.method_tables)


def random_layouts(rng: random.Random) -> list[Layout]:
    """Free blocks first, then objects with one and several runs of references, arrays of them, of structs and of numbers."""
    layouts = [Layout(_METHOD_TABLES, 3, 0, ())]
    for number in range(1, rng.randint(2, 9)):
        method_table, collectible = _METHOD_TABLES + 0x2000 * number, rng.random() < 0.2
        if rng.random() < 0.5:
            words = rng.randint(3, 30)
            chosen = rng.sample(range(1, words - 1), rng.randint(0, words - 2))
            layouts.append(Layout(method_table, words, 0, tuple(sorted(chosen)), collectible))
        else:
            element = rng.randint(1, 6)
            chosen = rng.sample(range(element), rng.randint(0, element))
            # Bounds of arrays of several dimensions make what lies before the elements longer.
            layouts.append(Layout(method_table, 3 + rng.randint(0, 2), element, tuple(sorted(chosen)), collectible))
    return layouts


def random_heap(seed: int) -> Heap:
    rng = random.Random(seed)
    heap = Heap(random_layouts(rng))
    for piece in range(rng.randint(1, 5)):
        address = _HEAP + piece * _APART + 8 * rng.randint(0, 100)
        placed = []
        for _ in range(rng.choice([0, 1, 3, 40])):
            layout = rng.choice(heap.layouts)
            length = rng.choice([0, 0, 1, 2, 9]) if layout.element else 0
            placed.append((layout, length, address))
            address += 8 * (layout.words + layout.element * length)
        # The dump may end in the middle of the last object, but holds its method table and the word behind it.
        end = max(address - 8 * rng.choice([0, 0, 1, 7]), placed[-1][2] + 16) if placed else address
        heap.objects += [(*one, []) for one in placed]
        first, stop = (placed[0][2], end - 8) if placed else (address, address - 8)
        heap.jobs.append([first, stop, end, piece, 0, len(heap.objects) - len(placed)])
    _fill(heap, rng)
    return heap


def _fill(heap: Heap, rng: random.Random) -> None:
    """Give every word behind a method table a value: nothing, an object, a place inside one, or anything."""
    known = heap.addresses

    def value() -> int:
        choice = rng.random()
        if choice < 0.3 or not known:
            return 0
        if choice < 0.85:
            return rng.choice(known)
        return rng.choice([rng.choice(known) + 8, rng.choice(known) + 1, rng.getrandbits(64), _HEAP - 8, _HEAP + 2 * _APART])

    heap.words = [rng.getrandbits(64) for _ in range(rng.randint(0, 9))]
    for number, job in enumerate(heap.jobs):
        first = job[kernels.FIRST]
        last = heap.jobs[number + 1][kernels.FIRST] if number + 1 < len(heap.jobs) else len(heap.objects)
        job[kernels.WORD] = len(heap.words) - (job[kernels.START] >> 3)
        for layout, length, address, values in heap.objects[first:last]:
            size = layout.words + layout.element * length
            values += [length if layout.element else value()] + [value() for _ in range(size - 2)]
            del values[(job[kernels.STOP] + 8 - address) // 8 - 1 :]
            heap.words += [layout.method_table, *values]
    dependents = [(rng.randrange(len(known)), value()) for _ in range(rng.choice([0, 0, 4]))] if known else []
    heap.dependents = sorted((row, to) for row, to in dependents if to)
    heap.allocators = [value() if layout.collectible else 0 for layout in heap.layouts]


@pytest.mark.parametrize("seed", range(200))
def test_references_equal_those_of_a_plain_reading(seed: int) -> None:
    heap = random_heap(seed)
    descriptors, found = heap.engine()
    rows, count, lost, total = heap.twin()
    assert descriptors.problems == []
    assert (found.found, found.lost, found.address_sum) == (count, lost, total)
    parts = [found.of(row) for row in range(len(rows))]
    assert [list(zip(found.slots[part].tolist(), found.targets[part].tolist(), strict=True)) for part in parts] == rows
    assert found.count == sum(map(len, rows))
    assert len(found.offsets) == len(rows) + 3 and len(found.targets) >= found.count + 3, "room for the roots"


def test_a_struct_may_begin_with_fields_that_are_no_references() -> None:
    """Dictionary<long, (string, string)> is one: what two hashes and a key precede in its entries are references still."""
    layout = Layout(_METHOD_TABLES + 0x2000, words=3, element=4, references=(2, 3))
    heap = Heap([Layout(_METHOD_TABLES, 3, 0, ()), layout], allocators=[0, 0])
    values = [2, *(word for number in range(2) for word in (number, number, _HEAP, _HEAP)), 0]
    heap.objects.append((layout, 2, _HEAP, values))
    heap.words = [layout.method_table, *values]
    heap.jobs.append([_HEAP, _HEAP + 8 * len(values), _HEAP + 8 * len(values) + 8, -_HEAP >> 3, 0, 0])
    descriptors, found = heap.engine()
    assert (descriptors.problems, found.slots[: found.count].tolist()) == ([], [4, 5, 8, 9])
