"""Collections of the framework on the heap: how many items each holds, how many fit, and in which array they lie.

``_KINDS`` says of each type by which fields it tells; what derives from a type is read the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.heap.field_columns import NO_OBJECT, UNREAD, FieldColumns
from analysis.index.retention import COLLECTION_KINDS, NO_CAPACITY
from analysis.runtime.handles import DEPENDENT_KIND

#: Segments of one queue or bag that are looked at.
_MOST_SEGMENTS = 4096
_GENERIC, _CONCURRENT = "System.Collections.Generic.", "System.Collections.Concurrent."
_CHANNELS, _IMMUTABLE = "System.Threading.Channels.", "System.Collections.Immutable."
#: The set inside a SortedDictionary: the dictionary is the collection.
_PARTS = frozenset({f"{_GENERIC}TreeSet`1"})
_Objects = npt.NDArray[np.uint64]
_Numbers = npt.NDArray[np.int64]
#: Items, room for items (NO_CAPACITY where there is no such number) and the array of them, of each object.
_Filling = tuple[_Numbers, _Numbers, _Objects]
_Reader = Callable[[FieldColumns, _Objects], _Filling]


@dataclass(frozen=True, slots=True)
class Collections:
    """Collections in address order: ``rows`` and ``storage`` uint32[n] object ids (NOT_LIVE: no array), ``kinds`` uint8[n],
    ``counts`` and ``capacities`` int64[n]. ``problems`` says how many could not be read."""

    rows: npt.NDArray[np.uint32]
    kinds: npt.NDArray[np.uint8]
    counts: _Numbers
    capacities: _Numbers
    storage: npt.NDArray[np.uint32]
    problems: list[str]


def find_collections(dump: Dump, retention: Retention) -> Collections:
    """Every collection of a kind that is known. One whose fields cannot be read, or contradict each other, is left out."""
    walked = retention.walked
    fields = FieldColumns(walked, dump.runtime.types, dump.named_fields)
    reading = [*_KINDS, ("ConditionalWeakTable", _WEAK_TABLE, partial(_weak_table, _living_handles(retention)))]
    number_of_type = _readers_of_types(dump, walked.types.method_tables, [definition for _, definition, _ in reading])
    number_of_object = number_of_type[walked.columns.type]
    rows = np.flatnonzero(number_of_object >= 0)
    numbers = number_of_object[rows]
    counts, capacities = np.full(len(rows), UNREAD, np.int64), np.full(len(rows), NO_CAPACITY, np.int64)
    arrays, kinds = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint8)
    for number in np.unique(numbers).tolist():
        kind, _, read = reading[number]
        part = np.flatnonzero(numbers == number)
        kinds[part] = COLLECTION_KINDS.index(kind)
        counts[part], capacities[part], arrays[part] = read(fields, walked.columns.address[rows[part]])
    believed = (counts >= 0) & (counts < NO_CAPACITY) & (capacities >= counts) & (capacities <= NO_CAPACITY)
    part_of_another = counts == _PART
    problems = [
        f"{int(lost):,} objects of kind {COLLECTION_KINDS[kind]} whose items could not be counted"
        for kind, lost in enumerate(np.bincount(kinds[~believed & ~part_of_another], minlength=len(COLLECTION_KINDS)))
        if lost
    ]
    storage = retention.places.find(arrays[believed])
    return Collections(
        rows[believed].astype(np.uint32), kinds[believed], counts[believed], capacities[believed], storage, problems
    )


def _readers_of_types(dump: Dump, method_tables: list[int], definitions: list[str]) -> npt.NDArray[np.int16]:
    """Row of ``definitions`` for each type, -1 for a type that is no collection."""
    places = {definition: row for row, definition in enumerate(definitions)}
    found = np.full(len(method_tables), -1, np.int16)
    for row, method_table in enumerate(method_tables[1:], 1):
        bases = dump.named_fields.bases(method_table)
        known = next((base for base in bases if base in places), None)
        # What derives from a collection inside itself is a view of another one (Hashtable+SyncHashtable).
        if known and bases[0] not in _PARTS and not bases[0].startswith(f"{known}+"):
            found[row] = places[known]
    return found


def _living_handles(retention: Retention) -> _Objects:
    """Addresses of the dependent handles whose first object is still there."""
    handles = (handle for handle in retention.roots.handles if handle.kind == DEPENDENT_KIND and handle.object)
    return np.array([handle.address for handle in handles], np.uint64)


#: Count of an object that belongs to another one of its kind and is no collection of its own.
_PART = UNREAD * 64


def _without_end(objects: _Objects) -> _Numbers:
    return np.full(len(objects), NO_CAPACITY, np.int64)


def _nowhere(objects: _Objects) -> _Objects:
    return np.full(len(objects), NO_OBJECT, np.uint64)


def _array(size: str, storage: str, removed: str = "", owner: str = "") -> _Reader:
    """Items lie in one array; ``removed`` counts those of ``size`` that are gone. ``owner``: the object that has the fields."""

    def read(fields: FieldColumns, objects: _Objects) -> _Filling:
        owners = fields.references(objects, owner) if owner else objects
        count = fields.numbers(owners, size)
        arrays = fields.references(owners, storage)
        return count - (fields.numbers(owners, removed) if removed else 0), fields.lengths(arrays), arrays

    return read


def _counted(size: str, owner: str = "") -> _Reader:
    """Items lie in nodes of their own."""

    def read(fields: FieldColumns, objects: _Objects) -> _Filling:
        owners = fields.references(objects, owner) if owner else objects
        return fields.numbers(owners, size), _without_end(objects), _nowhere(objects)

    return read


def _hashtable(fields: FieldColumns, objects: _Objects) -> _Filling:
    return fields.numbers(objects, "_count"), fields.numbers(objects, "_loadsize"), fields.references(objects, "_buckets")


def _immutable_array(fields: FieldColumns, objects: _Objects) -> _Filling:
    arrays = fields.references(objects, "array")
    length = fields.lengths(arrays)
    return length, length, arrays


def _string_builder(fields: FieldColumns, objects: _Objects) -> _Filling:
    """A builder is its last chunk; the chunks before it are builders too, and parts of it."""
    before, chunk = fields.numbers(objects, "m_ChunkOffset"), fields.references(objects, "m_ChunkChars")
    count = before + fields.numbers(objects, "m_ChunkLength")
    count[np.isin(objects, fields.references(objects, "m_ChunkPrevious"))] = _PART
    return count, before + fields.lengths(chunk), chunk


def _concurrent_dictionary(fields: FieldColumns, objects: _Objects) -> _Filling:
    """The sum of what lies under each lock."""
    tables = fields.references(objects, "_tables")
    per_lock = fields.references(tables, "_countPerLock")
    count = fields.add_up(per_lock, fields.lengths(per_lock))
    return count, _without_end(objects), fields.references(tables, "_buckets")


def _memory_cache(fields: FieldColumns, objects: _Objects) -> _Filling:
    """Keys that are strings and others lie in dictionaries of their own; older releases have one for both."""
    state = fields.references(objects, "_coherentState")
    owners = np.where(state == NO_OBJECT, objects, state)
    by_text, others = fields.references(owners, "_stringEntries", "_entries"), fields.references(owners, "_nonStringEntries")
    count, without_end, buckets = _concurrent_dictionary(fields, by_text)
    more, _, _ = _concurrent_dictionary(fields, others)
    return count + np.where(others == NO_OBJECT, 0, more), without_end, buckets


def _along(
    fields: FieldColumns, first: _Objects, following: str, count: Callable[[FieldColumns, _Objects], _Numbers]
) -> _Numbers:
    """What ``count`` says of all segments from the first on, added up."""
    total, rows, at = np.zeros(len(first), np.int64), np.arange(len(first)), first
    for _ in range(_MOST_SEGMENTS):
        total[rows[at == NO_OBJECT]] = UNREAD
        more = (at != 0) & (at != NO_OBJECT)
        rows, at = rows[more], at[more]
        if not len(rows):
            return total
        total[rows] += np.maximum(count(fields, at), UNREAD)
        at = fields.references(at, following)
    total[rows] = UNREAD
    return total


def _queue_segment(fields: FieldColumns, segments: _Objects) -> _Numbers:
    """Positions only grow, modulo 2**32; to close a segment its tail is moved on by twice its room."""
    room = fields.lengths(fields.references(segments, "_slots"))
    head, tail = fields.numbers(segments, "_headAndTail.Head"), fields.numbers(segments, "_headAndTail.Tail")
    closed = fields.numbers(segments, "_frozenForEnqueues") > 0
    items = (tail - head - np.where(closed, 2 * room, 0)).astype(np.int32).astype(np.int64)
    return np.where((room < 0) | (head == UNREAD) | (tail == UNREAD), UNREAD, np.clip(items, 0, np.maximum(room, 0)))


def _queue(fields: FieldColumns, objects: _Objects) -> _Filling:
    slots = fields.references(fields.references(objects, "_tail"), "_slots")
    count = _along(fields, fields.references(objects, "_head"), "_nextSegment", _queue_segment)
    return count, _without_end(objects), slots


def _stealing_queue(fields: FieldColumns, queues: _Objects) -> _Numbers:
    return fields.numbers(queues, "_addTakeCount") - fields.numbers(queues, "_stealCount")


def _bag(fields: FieldColumns, objects: _Objects) -> _Filling:
    """One queue for each thread that put something in."""
    first = fields.references(objects, "_workStealingQueues")
    return _along(fields, first, "_nextQueue", _stealing_queue), _without_end(objects), _nowhere(objects)


def _concurrent_stack(fields: FieldColumns, objects: _Objects) -> _Filling:
    """Nobody keeps count: the nodes are counted."""
    return fields.chain_lengths(fields.references(objects, "_head"), "_next"), _without_end(objects), _nowhere(objects)


def _unbounded_channel(fields: FieldColumns, objects: _Objects) -> _Filling:
    return _queue(fields, fields.references(objects, "_items"))


def _single_reader_segment(fields: FieldColumns, segments: _Objects) -> _Numbers:
    room = fields.lengths(fields.references(segments, "_array"))
    first, last = fields.numbers(segments, "_state._first"), fields.numbers(segments, "_state._last")
    return np.where((room <= 0) | (first < 0) | (last < 0), UNREAD, (last - first) & np.maximum(room - 1, 0))


def _single_reader_channel(fields: FieldColumns, objects: _Objects) -> _Filling:
    first = fields.references(fields.references(objects, "_items"), "_head")
    return _along(fields, first, "_next", _single_reader_segment), _without_end(objects), _nowhere(objects)


def _bounded_channel(fields: FieldColumns, objects: _Objects) -> _Filling:
    items = fields.references(objects, "_items")
    return fields.numbers(items, "_size"), fields.numbers(objects, "_bufferedCapacity"), fields.references(items, "_array")


_WEAK_TABLE = "System.Runtime.CompilerServices.ConditionalWeakTable`2"


def _weak_table(living: _Objects, fields: FieldColumns, objects: _Objects) -> _Filling:
    """Entries whose key is still there; the table keeps those whose key is gone until it grows."""
    container = fields.references(objects, "_container")
    entries = fields.references(container, "_entries")
    used = fields.numbers(container, "_firstFreeEntry")
    alive = fields.add_up(entries, used, "depHnd", lambda handles: np.isin(handles.view(np.uint64), living).astype(np.int64))
    return alive, fields.lengths(entries), entries


#: Kind, type as metadata names it, how it is read.
_KINDS: tuple[tuple[str, str, _Reader], ...] = (
    ("List", f"{_GENERIC}List`1", _array("_size", "_items")),
    ("Dictionary", f"{_GENERIC}Dictionary`2", _array("_count", "_entries", "_freeCount")),
    ("HashSet", f"{_GENERIC}HashSet`1", _array("_count", "_entries", "_freeCount")),
    ("Queue", f"{_GENERIC}Queue`1", _array("_size", "_array")),
    ("Queue", "System.Collections.Queue", _array("_size", "_array")),
    ("Stack", f"{_GENERIC}Stack`1", _array("_size", "_array")),
    ("Stack", "System.Collections.Stack", _array("_size", "_array")),
    ("LinkedList", f"{_GENERIC}LinkedList`1", _counted("count")),
    ("SortedDictionary", f"{_GENERIC}SortedDictionary`2", _counted("count", "_set")),
    ("SortedList", f"{_GENERIC}SortedList`2", _array("_size", "keys")),
    ("SortedList", "System.Collections.SortedList", _array("_size", "keys")),
    ("SortedSet", f"{_GENERIC}SortedSet`1", _counted("count")),
    ("PriorityQueue", f"{_GENERIC}PriorityQueue`2", _array("_size", "_nodes")),
    ("ConcurrentDictionary", f"{_CONCURRENT}ConcurrentDictionary`2", _concurrent_dictionary),
    ("ConcurrentQueue", f"{_CONCURRENT}ConcurrentQueue`1", _queue),
    ("ConcurrentStack", f"{_CONCURRENT}ConcurrentStack`1", _concurrent_stack),
    ("ConcurrentBag", f"{_CONCURRENT}ConcurrentBag`1", _bag),
    ("Channel", f"{_CHANNELS}BoundedChannel`1", _bounded_channel),
    ("Channel", f"{_CHANNELS}UnboundedChannel`1", _unbounded_channel),
    ("Channel", f"{_CHANNELS}SingleConsumerUnboundedChannel`1", _single_reader_channel),
    ("Channel", f"{_CHANNELS}UnboundedPrioritizedChannel`1", _array("_size", "_nodes", owner="_items")),
    ("MemoryCache", "Microsoft.Extensions.Caching.Memory.MemoryCache", _memory_cache),
    ("StringBuilder", "System.Text.StringBuilder", _string_builder),
    ("ImmutableArray", f"{_IMMUTABLE}ImmutableArray`1", _immutable_array),
    ("ImmutableArray", f"{_IMMUTABLE}ImmutableArray`1+Builder", _array("_count", "_elements")),
    ("ArrayList", "System.Collections.ArrayList", _array("_size", "_items")),
    ("Hashtable", "System.Collections.Hashtable", _hashtable),
)
