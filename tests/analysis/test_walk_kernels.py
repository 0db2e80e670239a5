"""The walk kernels against slow twins in plain Python, on synthetic heaps: pieces apart in the file, damage, cut ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.heap.type_table import TypeTable
from analysis.kernels import walk as kernels

_FREE = 0x7F00_0000_1000
#: Method table -> base size, component size. The first is the free block, which has the id 0.
_TYPES = {
    _FREE: (24, 1), 0x7F00_0000_2000: (24, 0), 0x7F00_0000_2008: (22, 2), 0x7F00_0000_3000: (40, 0), 0x7F00_0000_4000: (24, 8),
    0x7F00_0000_5010: (64, 0), 0x7F00_0000_6000: (32, 3),
}  # fmt: skip
_TABLES = list(_TYPES)
_ENORMOUS = 0xFFFF_FFFF


@dataclass
class Piece:
    """Objects of one stretch: (type, length, damage); damage replaces the word of the method table. ``cut_words`` are lost
    at its end, ``spare_words`` of foreign data lie behind it in the file."""

    objects: list[tuple[int, int, int | None]]
    cut_words: int
    spare_words: int
    generation: int


@dataclass
class Heap:
    words: npt.NDArray[np.uint64]
    jobs: npt.NDArray[np.int64]


@dataclass
class Walked:
    """What a walk found: (address, type, size, generation) of each object, stretches skipped, where each job ended."""

    objects: list[list[tuple[int, int, int, int]]] = field(default_factory=list)
    skips: list[tuple[int, int]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


def _size(kind: int, length: int) -> int:
    base, component = _TYPES[_TABLES[kind]]
    return max(base + length * component, 24)


_foreign = st.just(0) | st.integers(0, 2**64 - 1).filter(lambda word: word & ~7 not in _TYPES)
_objects = st.tuples(
    st.integers(0, len(_TABLES) - 1),
    st.integers(0, 40) | st.just(_ENORMOUS),
    st.none() | st.none() | st.none() | st.none() | _foreign,
)
_pieces = st.builds(
    Piece, st.lists(_objects, min_size=1, max_size=25), st.integers(0, 4) | st.just(0), st.integers(0, 3), st.integers(0, 5)
)


def _build(pieces: list[Piece]) -> Heap:
    """Lay the pieces out: one after the other in the file, far apart in memory."""
    words: list[int] = [0xABAD_1DEA] * 3
    rows: list[tuple[int, ...]] = []
    address = 0x7F10_0000_0000
    for piece in pieces:
        body: list[int] = []
        for kind, length, damage in piece.objects:
            has_length = _TYPES[_TABLES[kind]][1] > 0
            # An enormous length is a lie: no bytes follow.
            occupied = 24 if has_length and length == _ENORMOUS else _size(kind, length)
            filler = [0x1111_1111_1111_1118] * ((occupied + 7) // 8 - 2)
            body += [_TABLES[kind] | (kind & 1) if damage is None else damage, length | 0x55 << 32, *filler]
        limit = address + 8 * len(body)
        body = body[: max(len(body) - piece.cut_words, 1)]
        stop = address + 8 * len(body) - 8
        rows.append((address, stop, limit, len(words) - address // 8, piece.generation, 0))
        words += [*body, *[0xABAD_1DEA] * piece.spare_words]
        address = (limit + 0x1_0000) & ~0xFFF
    return Heap(np.array(words, np.uint64), np.array(rows, np.int64))


def _table() -> TypeTable:
    table = TypeTable()
    for address, (base, component) in _TYPES.items():
        table.add(address, base, component)
    return table


def _header(heap: Heap, job: Any, address: int) -> tuple[int, int] | None:
    """Type and size of the object at ``address`` in the job, None for no known type."""
    at = int(job[kernels.WORD]) + address // 8
    method_table = int(heap.words[at]) & ~7
    if method_table not in _TYPES:
        return None
    kind = _TABLES.index(method_table)
    return kind, _size(kind, int(heap.words[at + 1]) & 0xFFFF_FFFF)


def _resynchronise(heap: Heap, job: Any, address: int) -> int:
    stop, limit = int(job[kernels.STOP]), int(job[kernels.LIMIT])
    for candidate in range(address, stop, 8):
        header = _header(heap, job, candidate)
        if header is None:
            continue
        following = candidate + (header[1] + 7 & ~7)
        if following == limit or (following < stop and _header(heap, job, following) is not None):
            return candidate
    return limit


def _walk(heap: Heap) -> Walked:
    """The twin of count_objects, fill_columns and resynchronise."""
    found = Walked()
    for job in heap.jobs:
        address, objects = int(job[kernels.START]), []
        while address < job[kernels.STOP]:
            header = _header(heap, job, address)
            following = address + (header[1] + 7 & ~7) if header else 0
            if header is None or following > job[kernels.LIMIT]:
                resumed = _resynchronise(heap, job, address + 8)
                found.skips.append((address, resumed))
                address = resumed
                continue
            objects.append((address, *header, int(job[kernels.GENERATION])))
            address = following
        found.objects.append(objects)
        found.ends.append(address)
    return found


def _count(heap: Heap, table: TypeTable) -> Walked:
    """Drive count_objects as the heap walk does; fills the counts of ``table`` and the first object ids of the jobs."""
    found = Walked()
    reached = np.zeros((len(heap.jobs), 2), np.int64)
    lanes, state = np.full((kernels.LANES, 2), -1, np.int64), np.zeros(3, np.int64)
    while True:
        kernels.count_objects(
            heap.words,
            heap.jobs,
            table.slots,
            table.shift,
            table.counts.reshape(-1),
            table.sizes.reshape(-1),
            reached,
            lanes,
            state,
        )
        if state[kernels.STATUS] == kernels.DONE:
            break
        lane = lanes[state[kernels.LANE]]
        job, position = heap.jobs[lane[0]], int(lane[1])
        stop, limit, word = int(job[kernels.STOP]), int(job[kernels.LIMIT]), int(job[kernels.WORD])
        lane[1] = kernels.resynchronise(heap.words, table.slots, table.shift, position + 8, stop, limit, word)
        found.skips.append((position, int(lane[1])))
    found.skips.sort()
    found.ends = reached[:, kernels.END].tolist()
    heap.jobs[1:, kernels.FIRST] = np.cumsum(reached[:, kernels.OBJECTS])[:-1]
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(_pieces, min_size=1, max_size=9), st.integers(0, 9))
def test_walking_agrees_with_the_twin(pieces: list[Piece], cut: int) -> None:
    heap, table = _build(pieces), _table()
    expected = _walk(heap)
    found = _count(heap, table)
    assert (found.skips, found.ends) == (sorted(expected.skips), expected.ends)
    flat = [row for objects in expected.objects for row in objects]
    for kind in range(len(_TABLES)):
        for generation in range(kernels.GENERATIONS):
            sizes = [row[2] for row in flat if (row[1], row[3]) == (kind, generation)]
            assert (table.counts[kind, generation], table.sizes[kind, generation]) == (len(sizes), sum(sizes))
    address, kinds = np.zeros(len(flat), np.uint64), np.zeros(len(flat), np.uint32)
    size, generations = np.zeros(len(flat), np.uint32), np.zeros(len(flat), np.uint8)
    tally = np.zeros((len(heap.jobs), kernels.TALLY_COLUMNS), np.int64)
    skips = np.array(found.skips, np.int64).reshape(-1, 2)
    middle = min(cut, len(heap.jobs))
    for first, last in ((middle, len(heap.jobs)), (0, middle)):
        kernels.fill_columns(
            heap.words, heap.jobs, first, last, table.slots, table.shift, skips, address, kinds, size, generations, tally
        )
    assert list(zip(address.tolist(), kinds.tolist(), size.tolist(), generations.tolist(), strict=True)) == flat
    assert tally.tolist() == [
        [len(objects), sum(row[2] for row in objects), sum(row[2] for row in objects if row[1] == 0)]
        for objects in expected.objects
    ]


@given(st.sets(st.integers(1, 2**44).map(lambda number: number * 8), min_size=1, max_size=60), st.integers(0, 7))
@settings(deadline=None)
def test_method_tables_are_found_by_the_number_they_were_added_under(addresses: set[int], marks: int) -> None:
    """Mark bits do not matter; a stranger is not found."""
    known = sorted(addresses)
    table = TypeTable()
    for address in known[1:]:
        table.add(address, 24, 0)
    for number, address in enumerate(known[1:]):
        slot = kernels.find_slot(table.slots, table.shift, np.uint64(address | marks))
        assert table.slots[slot, 0] == address
        assert table.slots[slot, 3] == number * kernels.GENERATIONS
    assert kernels.find_slot(table.slots, table.shift, np.uint64(known[0])) == -1
    # An empty slot's key is zero: memory that was cleared must not be found in it.
    assert kernels.find_slot(table.slots, table.shift, np.uint64(marks)) == -1


def test_a_growing_table_keeps_numbers_sizes_and_counts() -> None:
    table, known = TypeTable(), [0x7F00_0000_0000 + 8 * number * number for number in range(1, 5000)]
    for number, address in enumerate(known):
        assert table.add(address, 24 + number, number % 5) == number
        table.counts[number, number % kernels.GENERATIONS] = number
    for number, address in enumerate(known):
        slot = kernels.find_slot(table.slots, table.shift, np.uint64(address))
        assert table.slots[slot].tolist() == [address, 24 + number, number % 5, number * kernels.GENERATIONS]
        assert kernels.object_size(table.slots, slot, np.uint64(7 << 32 | 3)) == 24 + number + 3 * (number % 5)
        assert table.counts[number].sum() == number


@given(st.lists(st.integers(0, 9), max_size=200))
@settings(deadline=None)
def test_grouping_is_a_stable_sort(kinds: list[int]) -> None:
    types = np.array(kinds, np.uint32)
    first = np.searchsorted(np.sort(types), np.arange(10)).astype(np.int64)
    grouped = np.zeros(len(types), np.uint32)
    kernels.group_by_type(types, first, grouped)
    assert grouped.tolist() == np.argsort(types, kind="stable").tolist()


def test_an_object_of_four_gibibytes_is_marked_for_the_table_of_the_oversize() -> None:
    """Its words need not be there: only the header is read."""
    length = 600_000_000
    end = 0x7F10_0000_0000 + 24 + 8 * length
    heap = Heap(
        np.array([0x7F00_0000_4000, length, 0, 0], np.uint64),
        np.array([(0x7F10_0000_0000, 0x7F10_0000_0018, end, -(0x7F10_0000_0000 // 8), 3, 0)], np.int64),
    )
    table = _table()
    assert _count(heap, table).ends == [end]
    size = np.zeros(1, np.uint32)
    kernels.fill_columns(
        heap.words, heap.jobs, 0, 1, table.slots, table.shift, np.zeros((0, 2), np.int64), np.zeros(1, np.uint64),
        np.zeros(1, np.uint32), size, np.zeros(1, np.uint8), np.zeros((1, 3), np.int64),
    )  # fmt: skip
    assert (size[0], table.sizes.sum()) == (kernels.OVERSIZE, 24 + 8 * length)
