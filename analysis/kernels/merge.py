"""Trees of objects merged by type: one row for all nodes that are reached by the same types from the root down.

A node whose label is met again among the nearest rows above is merged into that row (recursion is folded): a list of a
million nodes is one row. Labels are uint32 per node.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel
from analysis.kernels.graph import NOWHERE

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_FOLDED = 8
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)


@kernel
def merge_by_label(order, count, above, labels, keys, values, shift, rows, row_parent, row_label, row_first):
    """Give each node its merged row. order uint32[count]: nodes, every one behind the node ``above`` it, START first.

    keys uint64[2**bits] (all ones at first), values uint32[2**bits] and shift = 64 - bits: scratch. rows uint32[nodes] is
    filled; row_parent, row_label, row_first (a node) uint32[room] too. How many rows there are; when there is no room for
    another one, nodes join the row above them.
    """
    mask = np.uint64(keys.size - 1)
    start = order[0]
    rows[start] = 0
    row_parent[0], row_label[0], row_first[0] = 0, NOWHERE, start
    used = 1
    for place in range(1, count):
        node = order[place]
        label = labels[node]
        parent = rows[above[node]]
        row, found = parent, False
        for _ in range(_FOLDED):
            if row_label[row] == label:
                found = True
                break
            if row == 0:
                break
            row = row_parent[row]
        if found:
            rows[node] = row
            continue
        key = (np.uint64(parent) << _HALF) | np.uint64(label)
        slot = (key * _MULTIPLIER) >> shift
        while keys[slot] != key and keys[slot] != _EMPTY:
            slot = (slot + np.uint64(1)) & mask
        if keys[slot] == _EMPTY:
            if used == row_parent.size:
                rows[node] = parent
                continue
            keys[slot] = key
            values[slot] = used
            row_parent[used], row_label[used], row_first[used] = parent, label, node
            used += 1
        rows[node] = values[slot]
    return used


@kernel
def add_up_rows(rows, sizes, extra, row_objects, row_size):
    """Objects and bytes in each merged row. rows uint32[nodes] (NOWHERE: not live), sizes uint32[objects], extra
    uint64[n, 2]: object and bytes beyond its entry in sizes."""
    for node in range(sizes.size):
        if rows[node] != NOWHERE:
            row_objects[rows[node]] += 1
            row_size[rows[node]] += sizes[node]
    for place in range(extra.shape[0]):
        if rows[extra[place, 0]] != NOWHERE:
            row_size[rows[extra[place, 0]]] += extra[place, 1]


@kernel
def add_up_below(row_parent, objects, size):
    """Totals with all rows below, in place. A row's parent always lies before it."""
    for turn in range(row_parent.size - 1):
        row = row_parent.size - 1 - turn
        objects[row_parent[row]] += objects[row]
        size[row_parent[row]] += size[row]


@kernel
def count_field_references(offsets, targets, slots, first, last, types, places, elements, live, keys, counts, live_counts, shift):
    """Count references by field and target type, from object ``first`` on; the object it stopped at (``last`` when done).

    places int64[types]: number of the first word of a type's fields, word 0 stands for a dependent handle; elements
    int64[types]: words per element of an array (0: no array) · live uint32[objects]: NOWHERE for objects that are not live
    keys uint64[2**bits] (all ones at first): place << 32 | target type; counts, live_counts uint64[2**bits]. Stops half full.
    """
    mask = np.uint64(keys.size - 1)
    used = 0
    for slot in range(keys.size):
        used += keys[slot] != _EMPTY
    for row in range(first, last):
        if 2 * (used + 64) > keys.size:
            return row
        kind = types[row]
        is_live = live[row] != NOWHERE
        room = keys.size // 2 - used
        for edge in range(offsets[row], offsets[row + 1]):
            word = np.int64(slots[edge])
            if word == 0xFFFFFFFE:
                continue
            if word == 0xFFFFFFFF:
                word = 0
            elif elements[kind] > 0:
                word = 1 + (word - 2) % elements[kind]
            key = (np.uint64(places[kind] + word) << _HALF) | np.uint64(types[targets[edge]])
            slot = (key * _MULTIPLIER) >> shift
            while keys[slot] != key and keys[slot] != _EMPTY:
                slot = (slot + np.uint64(1)) & mask
            if keys[slot] == _EMPTY:
                if room <= 0:
                    continue
                keys[slot] = key
                used += 1
                room -= 1
            counts[slot] += 1
            live_counts[slot] += is_live
    return last
