"""Compile the kernels of the graph ahead, with the argument types a real dump gives."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from analysis.graph.label_sets import retained_by_labels
from analysis.graph.merged_tree import merge_tree
from analysis.graph.references import ObjectPlaces
from analysis.kernels import graph, merge, references, strings
from analysis.kernels.graph import NOWHERE
from analysis.kernels.walk import JOB_COLUMNS

_NODES = 2
_Array = np.ndarray[Any, Any]


def compile_graph_kernels() -> float:
    """Run each kernel on a graph of one object and START; seconds it took (next to nothing when they were compiled before)."""
    began = time.perf_counter()
    places = ObjectPlaces(np.array([4096], np.uint64))
    places.find([4096])
    offsets, targets = np.array([0, 0, 1], np.uint32), np.zeros(1, np.uint32)
    _warm_references(places)
    firsts, incoming = np.zeros(_NODES + 2, np.uint32), np.zeros(1, np.uint32)
    graph.begin_groups(targets, firsts)
    graph.reverse_edges(offsets, targets, _NODES, firsts, incoming)
    incoming_offsets = firsts[:-1]
    graph.keep_object_sources(incoming_offsets.copy(), incoming.copy(), 1)
    parents, order = np.full(_NODES, NOWHERE, np.uint32), np.zeros(_NODES, np.uint32)
    graph.search_breadth_first(offsets, targets, 1, parents, order)
    graph.climb(parents, 1, 1)
    graph.measure_paths(order[:0], parents, 1, np.zeros(1, np.uint32), np.zeros(1, np.uint32))
    parents[1] = 1
    finished, dominator = _warm_dominators(offsets, targets, incoming_offsets, incoming)
    graph.group_rows(dominator[:1], np.zeros(_NODES + 2, np.uint32), np.zeros(1, np.uint32))
    sizes, beyond, labels = np.array([24], np.uint32), np.zeros((0, 2), np.uint64), np.zeros(_NODES, np.uint32)
    retained_by_labels(incoming_offsets, incoming, finished, labels[:1], np.zeros((1, 1), np.uint32), sizes, beyond, 1)
    graph.count_live(parents, labels[:1], np.zeros(1, np.uint8), sizes, np.zeros((1, 6), np.int64), np.zeros(1, np.uint64))
    merge_tree(order, parents, labels, sizes, beyond)
    _warm_fields(offsets, targets, parents)
    _warm_strings(offsets, targets)
    return time.perf_counter() - began


def _warm_references(places: ObjectPlaces) -> None:
    words = np.frombuffer(bytes(64), np.uint64)
    jobs = np.zeros((0, JOB_COLUMNS), np.int64)
    none, addresses = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    per_type = np.zeros(1, np.int64)
    fixed = (none, addresses, np.zeros((1, 3), np.int64), np.zeros((1, 2), np.int64), per_type, per_type)
    offsets = np.zeros(1, np.uint32)
    references.find_references(
        words, jobs, 0, 0, *fixed, np.zeros(1, np.uint64), none, addresses, places.low, places.chunks, places.lines,
        0, offsets, none, none, np.zeros(3, np.uint64),
    )  # fmt: skip
    references.drop_missing(0, offsets, none, none)


def _warm_dominators(
    offsets: _Array,
    targets: _Array,
    incoming_offsets: _Array,
    incoming: _Array,
) -> tuple[_Array, _Array]:
    numbers, nodes, parents, finished, semi = (np.full(_NODES, NOWHERE, np.uint32) for _ in range(5))
    count = graph.number_depth_first(offsets, targets, 1, numbers, nodes, parents, finished)
    linked = np.empty(_NODES, np.uint64)
    graph.find_semidominators(incoming_offsets, incoming, numbers, nodes, parents, count, semi, linked)
    dominators, named = numbers, np.full(_NODES, NOWHERE, np.uint32)
    graph.find_dominators(parents, semi, count, dominators, *linked.view(np.uint32).reshape(2, -1))
    graph.name_dominators(dominators, nodes, count, named)
    graph.add_up_retained(dominators, nodes, count, np.array([24], np.uint32), np.zeros(_NODES, np.uint64))
    return finished, named


def _warm_fields(offsets: _Array, targets: _Array, parents: _Array) -> None:
    keys, counts = np.full(256, 2**64 - 1, np.uint64), np.zeros(256, np.uint64)
    kinds = np.zeros(1, np.int64)
    merge.count_field_references(
        offsets, targets, np.zeros(1, np.uint32), 0, 1, np.zeros(1, np.uint32), kinds, kinds, parents[:1], keys, counts,
        counts.copy(), np.uint64(56),
    )  # fmt: skip


def _warm_strings(offsets: _Array, targets: _Array) -> None:
    words, jobs = np.frombuffer(bytes(64), np.uint64), np.zeros((0, JOB_COLUMNS), np.int64)
    none, hashes, places = np.zeros(0, np.uint32), np.zeros(0, np.uint64), np.zeros(0, np.int64)
    strings.find_strings(words, jobs, none, hashes, 1, 8, none, places, none)
    strings.hash_strings(words, places, none, 0, 0, np.uint64(1), hashes)
    strings.group_strings(words, places, none, hashes, np.zeros(2, np.uint64), np.uint64(63), none, none)
    kinds = np.zeros(1, np.int64)
    strings.find_holders(
        offsets, targets, np.zeros(1, np.uint32), np.zeros(1, np.uint32), kinds, kinds, np.zeros(1, np.uint16), hashes
    )
    units = np.frombuffer(bytes(4), np.uint16)
    strings.texts_with(units, places, places, units, units, np.zeros(0, np.bool_))
