"""The heap walk on synthetic memory with holes, damage and torn files: nothing is lost in silence, nothing is made up."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import Corrupt
from analysis.heap.walk import HeapWalk
from analysis.memory.reader import Memory
from analysis.memory.segments import SegmentTable
from analysis.runtime.gc_heap import GcHeap, Segment

_START = 0x7F10_0000_0000
_FREE, _PLAIN, _ARRAY, _RARE = 0x7F00_0000_1000, 0x7F00_0000_2000, 0x7F00_0000_3000, 0x7F00_0000_4000
_TYPES = {_FREE: (24, 1), _PLAIN: (40, 0), _ARRAY: (24, 8), _RARE: (32, 0)}
_FILLER = 0x1111_1111_1111_1118
_Object = tuple[int, int]


class _Types:
    """What the walk asks of a type system."""

    free_method_table = _FREE

    def info(self, method_table: int) -> Any:
        if method_table not in _TYPES:
            raise Corrupt("no such type")
        base_size, component_size = _TYPES[method_table]
        return SimpleNamespace(base_size=base_size, component_size=component_size)

    def name(self, method_table: int) -> str:
        return hex(method_table)


@dataclass
class _Laid:
    """Objects in memory: ``body`` bytes from _START on; address -> (method table, size)."""

    body: bytearray
    objects: dict[int, _Object]

    @property
    def end(self) -> int:
        return _START + len(self.body)


def _lay(objects: list[_Object]) -> _Laid:
    laid = _Laid(bytearray(), {})
    for method_table, length in objects:
        base, component = _TYPES[method_table]
        size = base + component * length
        laid.objects[laid.end] = (method_table, size)
        words = [method_table, length] + [_FILLER] * ((size + 7) // 8 - 2)
        laid.body += struct.pack(f"<{len(words)}Q", *words)
    return laid


def _walk(laid: _Laid, pieces: list[tuple[int, int]], spacing: int = 0, contexts: tuple[tuple[int, int], ...] = ()) -> HeapWalk:
    """Walk one region of which the file holds ``pieces`` (start and end within the body), ``spacing`` bytes apart."""
    file, rows = bytearray(64), []
    for start, end in pieces:
        rows.append((_START + start, end - start, len(file)))
        file += laid.body[start:end] + b"\xab" * spacing
    view = mmap.mmap(-1, len(file))
    view[:] = bytes(file)
    address, size, offset = (np.array(column, np.uint64) for column in zip(*rows, strict=True))
    memory = Memory(view, len(file), SegmentTable.build(address, size, size, offset, len(file)))
    none = (0, 0)
    segment = Segment(0, "Generation0", _START, laid.end, laid.end, laid.end, ((_START, laid.end), none, none))
    return HeapWalk(memory, GcHeap(False, True, 1, True, [segment], list(contexts)), _Types())  # type: ignore[arg-type]


def _found(walk: HeapWalk) -> dict[int, _Object]:
    columns = walk.columns
    kinds = [walk.types.method_tables[kind] for kind in columns.type.tolist()]
    return dict(zip(columns.address.tolist(), zip(kinds, columns.size.tolist(), strict=True), strict=True))


_objects = st.lists(
    st.tuples(st.sampled_from([_PLAIN, _PLAIN, _RARE, _FREE]), st.just(0)) | st.tuples(st.just(_ARRAY), st.integers(0, 30)),
    min_size=3, max_size=60,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_objects, st.data())
def test_objects_and_gaps_fill_the_segment(objects: list[_Object], data: st.DataObject) -> None:
    """Whatever is missing or overwritten: what is reported is true, and each byte is in an object or in a named gap."""
    laid = _lay(objects)
    for address in data.draw(st.sets(st.sampled_from(sorted(laid.objects)), max_size=3)):
        struct.pack_into("<Q", laid.body, address - _START, _FILLER)
        del laid.objects[address]
    words = len(laid.body) // 8
    edges = [0, *sorted(data.draw(st.sets(st.integers(1, words - 1), max_size=6))), words]
    pieces = [(8 * left, 8 * right) for left, right in pairwise(edges)]
    kept = [piece for number, piece in enumerate(pieces) if number == 0 or data.draw(st.booleans())]
    walk = _walk(laid, kept, spacing=data.draw(st.sampled_from([0, 4, 8, 24])))
    found = _found(walk)
    assert found.items() <= laid.objects.items()
    filled = sorted(
        [(address, address + (size + 7 & ~7)) for address, (_, size) in found.items()] + [(g.start, g.end) for g in walk.gaps]
    )
    assert [left for left, _ in filled] == [_START, *(right for _, right in filled[:-1])]
    assert filled[-1][1] == laid.end
    assert walk.columns.tally[0].tolist() == [
        len(found), sum(size for _, size in found.values()), sum(size for kind, size in found.values() if kind == _FREE),
    ]  # fmt: skip


def test_a_whole_heap_has_no_gaps_however_its_file_is_torn() -> None:
    """Pieces that touch in memory, apart in the file, some beginning at no multiple of eight bytes."""
    laid = _lay([(_PLAIN, 0), (_ARRAY, 5), (_RARE, 0), (_ARRAY, 17), (_PLAIN, 0)] * 20)
    for spacing in (0, 3, 8):
        for step in (8, 24, 1000):
            pieces = [(left, min(left + step, len(laid.body))) for left in range(0, len(laid.body), step)]
            walk = _walk(laid, pieces, spacing)
            assert (_found(walk), walk.gaps) == (laid.objects, [])


def test_a_hole_is_one_gap_and_the_walk_goes_on_behind_it() -> None:
    laid = _lay([(_PLAIN, 0)] * 200)
    walk = _walk(laid, [(0, 1000), (5000, len(laid.body))], spacing=8)
    found = _found(walk)
    (gap,) = walk.gaps
    # The object at the edge has its header in the dump, and so its size: the gap begins behind it.
    assert (gap.start - _START, gap.end - _START, "not in the dump" in gap.cause) == (1000, 5000, True)
    assert len(found) == 200 - (gap.end - gap.start) // 40


def test_a_segment_that_begins_outside_the_dump_is_found_by_its_later_objects() -> None:
    laid = _lay([(_RARE, 0), (_PLAIN, 0), (_ARRAY, 4)] * 50)
    walk = _walk(laid, [(400, len(laid.body))])
    first = min(address for address in laid.objects if address >= _START + 400)
    assert [(gap.start, gap.end) for gap in walk.gaps] == [(_START, first)]
    assert _found(walk) == {address: row for address, row in laid.objects.items() if address >= first}


def test_unused_tails_of_allocation_contexts_are_no_gaps() -> None:
    """Behind the limit the collector keeps room for one smallest object."""
    laid = _lay([(_PLAIN, 0)] * 3 + [(_ARRAY, 29)] + [(_PLAIN, 0)] * 3)
    tail = _START + 120
    laid.body[120 : 120 + 256] = b"\xee" * 256
    del laid.objects[tail]
    walk = _walk(laid, [(0, len(laid.body))], contexts=((tail, tail + 256 - 24),))
    assert (_found(walk), walk.gaps) == (laid.objects, [])


def test_a_type_first_met_behind_damage_is_learnt() -> None:
    laid = _lay([(_PLAIN, 0)] * 5 + [(_RARE, 0)] * 4)
    struct.pack_into("<Q", laid.body, 4 * 40, _FILLER)
    del laid.objects[_START + 4 * 40]
    walk = _walk(laid, [(0, len(laid.body))])
    assert _found(walk) == laid.objects
    assert [(gap.start - _START, gap.end - _START) for gap in walk.gaps] == [(160, 200)]
