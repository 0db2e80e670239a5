"""The runtime's table of handles: references that native code, weak references and dependent pairs hold.

Source: ``gc/objecthandle.h`` and ``gc/handletablepriv.h`` in dotnet/runtime, the same for .NET 8 to 10: a list of maps leads to
buckets, a bucket to one table for each heap, a table to 64 KiB segments whose blocks of 64 handles are of one kind each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, MemoryFault
from analysis.limits import LIMITS

_BUCKETS_PER_MAP = 10
_BLOCKS, _HANDLES_PER_BLOCK = 120, 64
_SEGMENT_BYTES = 0x10000
_WORDS = struct.Struct(f"<{_HANDLES_PER_BLOCK}Q")
_BLOCK_BYTES = 8 * _HANDLES_PER_BLOCK
_FREE_BLOCK = 0xFF
#: Kinds of handles a build knows: .NET 8 and later have 12; the table of a debug or newer build one more.
_KINDS = (12, 13)
_MAXIMUM_SEGMENTS = 100_000
DEPENDENT_KIND = 6


@dataclass(frozen=True, slots=True)
class Handle:
    """``kind`` as HandleType numbers them; addresses of the handle, its object, and of a dependent handle's second object."""

    kind: int
    address: int
    object: int
    secondary: int


def read_handles(target: Target) -> tuple[list[Handle], list[str]]:
    """All handles that refer to something, by bucket and address; and what could not be read, in words."""
    problems: list[str] = []
    found: list[Handle] = []
    try:
        for table in _tables(target):
            found += _table(target, table, problems)
            if len(found) > LIMITS.handles:
                problems.append(f"more than {LIMITS.handles:,} handles: the rest was left out")
                break
    except AnalysisError as damage:
        problems.append(f"the handle table: {damage}")
    return found, problems


def _tables(target: Target) -> Iterator[int]:
    """Addresses of all tables. With server GC more of them exist than heaps are in use: only a null ends a bucket."""
    memory = target.memory
    table_map = target.pointer(target.global_pointer("GCDacGlobals"), "GcDacVars", "HandleTableMap")
    seen: set[int] = set()
    while table_map and table_map not in seen:
        seen.add(table_map)
        buckets = target.pointer(table_map, "HandleTableMap", "Buckets")
        for bucket in struct.unpack(f"<{_BUCKETS_PER_MAP}Q", memory.read(buckets, 8 * _BUCKETS_PER_MAP)) if buckets else ():
            place = memory.pointer(bucket) if bucket else 0
            while place:
                table = memory.try_pointer(place)
                if not table or table in seen or not _first_segment(target, table):
                    break
                seen.add(table)
                yield table
                place += 8
        table_map = target.pointer(table_map, "HandleTableMap", "Next")


def _first_segment(target: Target, table: int) -> tuple[int, int] | None:
    """(kinds, address of the first segment): the segment names its table, which tells the two builds apart."""
    per_type = target.layout.offset("HandleTableSegment", "PerType")
    each = target.layout.offset("HandleTableSegment", "PerTypeBytes")
    for kinds in _KINDS:
        segment = target.memory.try_pointer(table + (4 * kinds + 7 & ~7))
        if (
            segment
            and segment % _SEGMENT_BYTES == 0
            and target.memory.try_pointer(segment + per_type + each * kinds + 8) == table
        ):
            return kinds, segment
    return None


def _table(target: Target, table: int, problems: list[str]) -> Iterator[Handle]:
    for segment, header, kinds in _segments(target, table, problems):
        yield from _segment(target, header, segment, kinds)


def _segments(target: Target, table: int, problems: list[str]) -> Iterator[tuple[int, bytes, int]]:
    """Address, head and number of kinds of each segment of a table."""
    first = _first_segment(target, table)
    if first is None:
        return
    kinds, segment = first
    following = (
        target.layout.offset("HandleTableSegment", "PerType") + target.layout.offset("HandleTableSegment", "PerTypeBytes") * kinds
    )
    for _ in range(_MAXIMUM_SEGMENTS):
        try:
            header = target.memory.read(segment, target.layout.offset("HandleTableSegment", "Values"))
        except MemoryFault as fault:
            problems.append(f"a segment of handles: {fault}")
            return
        yield segment, header, kinds
        (segment,) = struct.unpack_from("<Q", header, following)
        if not segment:
            return


def _segment(target: Target, header: bytes, segment: int, kinds: int) -> Iterator[Handle]:
    """Handles of one segment. Blocks that were never used are not even backed by memory."""
    layout = target.layout
    types, user_data, values = (layout.offset("HandleTableSegment", name) for name in ("BlockType", "UserData", "Values"))
    for block in range(_BLOCKS):
        kind = header[types + block]
        if kind == _FREE_BLOCK or kind >= kinds - 1:
            continue
        at = segment + values + _BLOCK_BYTES * block
        raw = target.memory.try_read(at, _BLOCK_BYTES)
        if raw is None or not any(raw):
            continue
        second = None
        if kind == DEPENDENT_KIND and header[user_data + block] < _BLOCKS:
            second = target.memory.try_read(segment + values + _BLOCK_BYTES * header[user_data + block], _BLOCK_BYTES)
        objects, others = _WORDS.unpack(raw), _WORDS.unpack(second or bytes(_BLOCK_BYTES))
        yield from (Handle(kind, at + 8 * row, value, others[row]) for row, value in enumerate(objects) if value)
