"""Collections of every dump, against a slow twin that reads one field of one object after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.index.retention import COLLECTION_KINDS, NO_CAPACITY, NOT_LIVE
from analysis.insight.collections import Collections, find_collections
from analysis.runtime.named_fields import NamedFields

#: Objects of one kind that are read one by one.
_COMPARED = 3_000
_LARGE_HEAP = 60_000
_Counter = Callable[[NamedFields, int], int]


@pytest.fixture(scope="module")
def retention(dump: Dump) -> Retention:
    walked = dump.walk()
    if walked is None or not walked.object_count:
        pytest.skip("a dump without a heap has no collections")
    return Retention(dump, walked)


@pytest.fixture(scope="module")
def found(dump: Dump, retention: Retention) -> Collections:
    return find_collections(dump, retention)


def _number(*names: str) -> _Counter:
    return lambda fields, at: sum(fields.number(at, name) or 0 for name in names)


def _with_free(fields: NamedFields, at: int) -> int:
    return (fields.number(at, "_count") or 0) - (fields.number(at, "_freeCount") or 0)


def _stack_nodes(fields: NamedFields, at: int) -> int:
    count, node = 0, fields.reference(at, "_head")
    while node:
        count, node = count + 1, fields.reference(node, "_next")
    return count


def _linked_nodes(fields: NamedFields, at: int) -> int:
    head = node = fields.reference(at, "head")
    count = 0
    while node and (count == 0 or node != head):
        count, node = count + 1, fields.reference(node, "next")
    return count


def _tree_nodes(fields: NamedFields, at: int) -> int:
    pending, count = [fields.reference(fields.reference(at, "_set") or 0, "root")], 0
    while pending:
        node = pending.pop()
        if node:
            count += 1
            pending += [fields.reference(node, f"<{side}>k__BackingField") for side in ("Left", "Right")]
    return count


def _dictionary_nodes(fields: NamedFields, at: int) -> int:
    """The nodes themselves: the engine adds up what the dictionary counts of them."""
    buckets = fields.reference(fields.reference(at, "_tables") or 0, "_buckets") or 0
    count = 0
    for node in fields.array_references(buckets, fields.array_length(buckets)):
        while node:
            count, node = count + 1, fields.reference(node, "_next") or 0
    return count


_TWINS: dict[str, tuple[_Counter, str]] = {
    "List": (_number("_size"), "_items"), "Dictionary": (_with_free, "_entries"), "HashSet": (_with_free, "_entries"),
    "Queue": (_number("_size"), "_array"), "Stack": (_number("_size"), "_array"), "LinkedList": (_linked_nodes, ""),
    "SortedDictionary": (_tree_nodes, ""), "PriorityQueue": (_number("_size"), "_nodes"),
    "ConcurrentDictionary": (_dictionary_nodes, ""), "ConcurrentStack": (_stack_nodes, ""),
    "StringBuilder": (_number("m_ChunkOffset", "m_ChunkLength"), ""), "Hashtable": (_number("_count"), ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", _TWINS)
def test_collections_equal_a_slow_twin(kind: str, dump: Dump, retention: Retention, found: Collections) -> None:
    count, storage = _TWINS[kind]
    fields, address = dump.named_fields, retention.walked.columns.address
    for place in np.flatnonzero(found.kinds == COLLECTION_KINDS.index(kind))[:_COMPARED].tolist():
        at = int(address[found.rows[place]])
        assert found.counts[place] == count(fields, at), hex(at)
        if storage:
            array = fields.reference(at, storage) or 0
            assert found.capacities[place] == fields.array_length(array), hex(at)
            row = found.storage[place]
            assert (int(address[row]) if row != NOT_LIVE else 0) == array, hex(at)


def test_every_collection_is_understood(retention: Retention, found: Collections) -> None:
    assert found.problems == []
    assert np.all(np.diff(found.rows.astype(np.int64)) > 0)
    assert np.all((found.counts <= found.capacities) & (found.capacities <= NO_CAPACITY))


def test_a_collection_with_impossible_numbers_is_named(dump: Dump, retention: Retention, found: Collections) -> None:
    """A list whose count is larger than its array, as a torn or damaged heap may have it, tells nothing and is left out."""
    lists = np.flatnonzero((found.kinds == COLLECTION_KINDS.index("List")) & (found.storage != NOT_LIVE))
    if not len(lists):
        pytest.skip("a dump without lists")
    captured = retention.walked.captured
    row = int(found.rows[lists[0]])
    field = dump.named_fields.find(int(retention.walked.columns.address[row]), "_size")
    assert field is not None
    at = int(retention.walked.columns.address[row]) + 8 + field.offset
    span = captured.find(at & ~7)
    assert span is not None
    words, intact = captured.words.copy(), captured.words
    words[span.base + (at >> 3)] |= np.uint64(0x40000000) << np.uint64(8 * (at & 7))
    captured.words = words
    try:
        damaged = find_collections(dump, retention)
    finally:
        captured.words = intact
    assert damaged.problems == ["1 objects of kind List whose items could not be counted"]
    assert row not in damaged.rows.tolist()
    for field_ in dataclasses.fields(Collections)[:-1]:
        before, after = getattr(found, field_.name), getattr(damaged, field_.name)
        assert np.array_equal(np.delete(before, lists[0]), after)


@pytest.mark.parametrize("seed", range(3))
def test_damage_never_ends_the_reading(seed: int, dump: Dump, retention: Retention, found: Collections) -> None:
    """One word of the heap in a hundred is anything: zero, another word of the heap, or noise."""
    if retention.objects > _LARGE_HEAP:
        pytest.skip("a heap too large to damage")
    captured, intact = retention.walked.captured, retention.walked.captured.words
    random = np.random.default_rng(seed)
    damaged = intact.copy()
    places = random.integers(0, len(damaged), len(damaged) // 100)
    noise = random.integers(0, 2**64, len(places), np.uint64, endpoint=False)
    other = intact[random.integers(0, len(intact), len(places))]
    damaged[places] = np.choose(random.integers(0, 3, len(places)), [np.zeros_like(noise), other, noise])
    damaged.flags.writeable = False
    captured.words = damaged
    try:
        torn = find_collections(dump, retention)
    finally:
        captured.words = intact
    assert np.isin(torn.rows, retention.walked.columns.type.nonzero()[0]).all()
    assert np.all((torn.counts >= 0) & (torn.counts <= torn.capacities))
    assert len(torn.rows) > len(found.rows) // 2
