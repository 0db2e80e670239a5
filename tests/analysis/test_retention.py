"""References, roots, paths and dominators of every dump against the reference reader, and against themselves.

Where the reference is wrong or knows less, the reason stands here: ``UNDERWALKED`` (server GC: it reads the tables of the
heaps in use only, and the runtime keeps more of them), and the thread statics of .NET 9 and 10, which it does not know as roots.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.graph.retention import Retention
from analysis.index.retention import (
    ASYNC_PINNED,
    HANDLE_KINDS,
    NOT_LIVE,
    PINNED,
    READY,
    REF_COUNTED,
    SIZED_REF,
    STACK,
    STATIC,
    STRONG,
)  # fmt: skip
from analysis.kernels import graph as kernels
from tests.analysis.iterated_dominators import iterated_dominators
from tests.analysis.reference_dumps import ReferenceDump

#: Roots that the reference knows.
_KNOWN = frozenset((STACK, STRONG, PINNED, ASYNC_PINNED, REF_COUNTED, SIZED_REF, READY))
_STRONG_KINDS = ("Strong", "Pinned", "AsyncPinned", "RefCounted", "SizedRef")
#: The reference answers list no more roots of a stack.
_REFERENCE_ROOTS = 5000
_CERTIFIED = 12


@pytest.fixture(scope="module")
def retention(dump: Dump) -> Retention:
    walked = dump.walk()
    if walked is None or not walked.object_count:
        pytest.skip("a dump without a heap has no graph")
    return Retention(dump, walked)


def _answer(reference: ReferenceDump, name: str) -> Any:
    """A part of the reference answers; the bundled dumps keep the parts that are small."""
    if reference.oracle.get(name) is None:
        pytest.skip(f"the reference answers of this dump hold no {name}")
    return reference.oracle[name]


def _server(dump: Dump) -> bool:
    return not isinstance(dump.gc_heap, AnalysisError) and dump.gc_heap.server


def test_references_equal(reference: ReferenceDump, retention: Retention) -> None:
    heap = reference.oracle["heap"]
    found = retention.references
    assert (found.found, hex(found.address_sum), found.lost) == (heap["references"], heap["reference_sum"], 0)


def test_references_of_every_sampled_object_equal(reference: ReferenceDump, retention: Retention) -> None:
    address = retention.walked.columns.address
    for sample in _answer(reference, "objects_sample"):
        (row,) = retention.places.find([int(sample["address"], 16)]).tolist()
        part = retention.references.of(row)
        targets = retention.targets[part][retention.slots[part] < 0xFFFFFFFE]
        assert len(targets) == sample["ref_count"], sample["address"]
        if len(sample.get("refs", ())) == sample["ref_count"]:
            assert sorted(map(hex, address[targets].tolist())) == sorted(sample.get("refs", ())), sample["address"]


def test_handles_equal(reference: ReferenceDump, dump: Dump, retention: Retention) -> None:
    def key(kind: str, address: int, object_: int) -> tuple[str, int, int]:
        return kind if kind in HANDLE_KINDS else HANDLE_KINDS[int(kind)], address, object_

    handles = _answer(reference, "handles")
    wanted = {key(h["kind"], int(h["address"], 16), int(h["object"], 16)) for h in handles}
    found = {key(HANDLE_KINDS[h.kind], h.address, h.object) for h in retention.roots.handles}
    assert found >= wanted
    if not _server(dump):  # UNDERWALKED
        assert found == wanted
    second = {int(h["address"], 16): int(h["dependent"], 16) for h in handles if h["dependent"]}
    ours = {h.address: h.secondary for h in retention.roots.handles}
    assert {address: ours[address] for address in second} == second
    more = [h for h in retention.roots.handles if (HANDLE_KINDS[h.kind], h.address, h.object) not in wanted]
    assert all(place != NOT_LIVE for place in retention.places.find([h.object for h in more]).tolist())


def test_the_finalizer_queue_equals(reference: ReferenceDump, dump: Dump, retention: Retention) -> None:
    queue = retention.roots.finalizer_queue
    ready = Counter(address for address, is_ready in queue if is_ready)
    assert ready == Counter(int(_address(one), 16) for one in _answer(reference, "finalizer_roots"))
    names = Counter(dump.runtime.types.name(dump.objects.type_of(address).method_table) for address, _ in queue)
    assert names == Counter({one["type"]: one["count"] for one in _answer(reference, "finalizable")})


def _address(root: Any) -> str:
    return str(root if isinstance(root, str) else root.get("object", root.get("address")))


def test_statics_equal(reference: ReferenceDump, retention: Retention) -> None:
    found = {
        root.name: (hex(root.address), hex(root.object))
        for group in retention.roots.groups if group.kind == STATIC for root in group.roots
    }  # fmt: skip
    for one in _answer(reference, "statics"):
        if one["element"] in ("Class", "String", "Object", "SZArray", "Array") and one["address"] != "0x0" and one["value"]:
            address, _ = found[f"{one['type']}.{one['field']}"]
            assert address == one["address"]


def test_roots_by_kind_equal(reference: ReferenceDump, dump: Dump, retention: Retention) -> None:
    counts = reference.oracle.get("root_counts") or {}
    found = Counter(root.kind for group in retention.roots.groups for root in group.roots)
    names = {"StrongHandle": STRONG, "PinnedHandle": PINNED, "AsyncPinnedHandle": ASYNC_PINNED, "RefCountedHandle": REF_COUNTED}
    for name, kind in names.items():
        assert found[kind] >= counts.get(name, 0)
        if not _server(dump) and counts:  # UNDERWALKED
            assert found[kind] == counts.get(name, 0)


def test_reachable_equals(reference: ReferenceDump, dump: Dump, retention: Retention) -> None:
    """From the reference's own roots our graph leads to exactly the objects it leads to; from ours to no fewer, and what is
    more is held by references found without GC info, which say so, or by handles the reference does not see."""
    oracle, wanted, columns = reference.oracle, _answer(reference, "reachable"), retention.walked.columns
    if not oracle["root_counts"]:
        assert wanted["objects"] == 0, "the reference died on the roots of this dump, so it has no answer"
        return
    stacks = [thread.get("stack_roots") or [] for thread in oracle["threads"]]
    handles = [one for one in oracle["handles"] if one["kind"] in _STRONG_KINDS]
    ready = [root.object for root in retention.resolved.roots if root.kind == READY]
    roots = [int(one["object"], 16) for part in (*stacks, handles) for one in part]
    theirs = retention.reachable_from(_rows(retention, [*roots, *ready]))
    live = retention.reachable_from(_rows(retention, [one.object for one in retention.resolved.roots if one.kind in _KNOWN]))
    if any(len(stack) >= _REFERENCE_ROOTS for stack in stacks):
        theirs = live  # what the reference answers of a stack ends here, and its list of live objects does not
    found = int(columns.size[theirs].sum(dtype=np.uint64)), hex(int(columns.address[theirs].sum(dtype=np.uint64)))
    assert found == (wanted["bytes"], wanted["address_sum"])
    # The reference counts a null root as an object: always in .NET 8, and where a handle held null.
    assert int(theirs.sum()) in (wanted["objects"], wanted["objects"] - 1)
    assert not (theirs & ~live).any(), "objects that live are called dead"
    if _server(dump):
        return  # UNDERWALKED
    known = {*roots, *ready}
    certain = [one.object for one in retention.resolved.roots if one.kind in _KNOWN and not one.conservative]
    more = retention.reachable_from(_rows(retention, certain)) & ~theirs
    assert not more.any(), [hex(one) for one in set(certain) - known]


def _rows(retention: Retention, addresses: list[int]) -> npt.NDArray[np.uint32]:
    """Rows of the objects at or around addresses; what leads to none is left out."""
    wanted = np.array(addresses, np.uint64)
    rows = retention.places.find(wanted)
    inside = rows == NOT_LIVE
    rows[inside] = retention.places.find(retention.walked.columns.containing(wanted[inside]))
    return rows[rows != NOT_LIVE]


def test_every_hop_of_every_path_is_a_real_reference(retention: Retention) -> None:
    """All live objects at once: the parent is an object that refers to it, or a root of it."""
    objects, parent = retention.objects, retention.parent[: retention.objects]
    live = np.flatnonzero(parent != NOT_LIVE)
    held = live[parent[live] < objects]
    sources = np.repeat(np.arange(objects, dtype=np.uint64), np.diff(retention.offsets[: objects + 1].astype(np.int64)))
    edges = np.unique((sources << np.uint64(32)) | retention.targets[: retention.references.count])
    wanted = (parent[held].astype(np.uint64) << np.uint64(32)) | held.astype(np.uint64)
    assert np.isin(wanted, edges, assume_unique=True).all()
    rooted = live[parent[live] >= objects]
    assert (retention.resolved.object[parent[rooted] - objects] == rooted).all()


def test_retained_sizes_add_up(retention: Retention) -> None:
    """A slow twin: sizes of all objects below each one in the dominator tree, from the leaves up."""
    tree, start = retention.dominator.astype(np.int64), retention.start
    offsets, grouped = retention.dominated()
    order, stack = [], [start]
    while stack:
        node = stack.pop()
        order.append(node)
        stack += grouped[offsets[node] : offsets[node + 1]].tolist()
    sizes = np.zeros(start + 1, np.int64)
    sizes[: retention.objects] = np.where(retention.live, retention.walked.columns.size, 0)
    sizes[retention.oversize[:, 0].astype(np.int64)] += retention.oversize[:, 1].astype(np.int64)
    total = sizes.tolist()
    above = tree.tolist()
    for node in order[:0:-1]:
        total[above[node]] += total[node]
    assert retention.retained.astype(np.int64).tolist() == total
    assert len(order) == int((retention.dominator != NOT_LIVE).sum())


def test_dominators_are_certified(retention: Retention) -> None:
    """The biggest objects and some at random: without the dominator they are cut off, and so is all that they retain."""
    rng = np.random.default_rng(1)
    live = np.flatnonzero(retention.live)
    biggest = live[np.argsort(-retention.retained[live].astype(np.int64))[: _CERTIFIED // 2]]
    for row in (*biggest.tolist(), *rng.choice(live, _CERTIFIED // 2).tolist()):
        lost = retention.live & ~_live_without(retention, row)
        size = int(retention.walked.columns.size[lost].sum(dtype=np.int64))
        assert size == int(retention.retained[row])
        above = int(retention.dominator[row])
        if above < retention.objects:
            assert not _live_without(retention, above)[row]


def test_what_load_contexts_retain_is_lost_without_them(retention: Retention) -> None:
    """Where some can be unloaded: without all objects of a context nothing else is lost than it retains."""
    if not retention.roots.loader_allocators:
        assert "load context" not in retention.partitions
        return
    names, label_of_type, retained = retention.partitions["load context"]
    size = retention.walked.columns.size
    for label in [number for number, name in enumerate(names) if name][:_CERTIFIED]:
        rows = np.flatnonzero((label_of_type[retention.walked.columns.type] == label) & retention.live)
        lost = retention.live & ~_live_without(retention, *rows.tolist())
        assert int(size[lost].sum(dtype=np.int64)) == int(retained[label])


def _live_without(retention: Retention, *rows: int) -> np.ndarray:
    """Objects that are reached without some; static fields hold what they refer to themselves, as in the graph."""
    offsets = retention.offsets
    parents, order = np.full(retention.start + 1, NOT_LIVE, np.uint32), np.zeros(retention.start + 1, np.uint32)
    edges = retention._edges_of_named_slots()
    changed = retention.targets.copy()
    changed[edges] = np.searchsorted(offsets, edges, "right").astype(np.uint32) - np.uint32(1)
    for row in rows:
        changed[offsets[row] : offsets[row + 1]] = row
    kernels.search_breadth_first(offsets, changed, retention.start, parents, order)
    found = parents[: retention.objects] != NOT_LIVE
    found[list(rows)] = False
    return found


def test_dominators_equal_those_of_a_second_algorithm(retention: Retention) -> None:
    """Every dominator of every object of every dump; static fields hold what they refer to themselves, as in the graph."""
    targets, edges = retention.targets.copy(), retention._edges_of_named_slots()
    targets[edges] = np.searchsorted(retention.offsets, edges, "right").astype(np.uint32) - np.uint32(1)
    assert (iterated_dominators(retention.offsets, targets, retention.start) == retention.dominator).all()


def test_groups_retain_at_least_what_their_largest_member_does(retention: Retention) -> None:
    largest = np.zeros(len(retention.walked.types), np.uint64)
    np.maximum.at(largest, retention.walked.columns.type, retention.retained[: retention.objects])
    assert retention.exact
    assert (retention.type_retained >= largest).all()
    assert (retention.type_retained >= retention.live_size).all()


def test_merged_trees_hold_every_live_object_once(retention: Retention) -> None:
    for tree in (retention.merged_paths, retention.merged_dominators):
        assert int(tree.total_objects[0]) == int(tree.objects.sum()) == int(retention.live.sum())
        assert int(tree.total_size[0]) == int(retention.retained[retention.start])
        assert (tree.parent[1:] < np.arange(1, len(tree.parent))).all()
