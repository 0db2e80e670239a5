"""Graphs in compressed rows: ``offsets`` uint32[nodes + 1] and ``targets`` uint32[edges]; node ids are uint32.

Breadth first for shortest paths, depth first and semidominators (Semi-NCA: Georgiadis, "Linear-Time Algorithms for
Dominators and Related Problems", 2005) for dominators. Nothing recurses: a list of ten million nodes is ordinary input.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel
from analysis.kernels.instructions import prefetch

NOWHERE = 0xFFFFFFFF
_FAR, _NEAR = 24, 12
_ONE, _WORD_BITS, _BIT_MASK = np.uint64(1), np.uint64(6), np.uint64(63)
_HALF, _LOW_HALF = np.uint64(32), np.uint64(0xFFFFFFFF)


@kernel
def begin_groups(keys, firsts):
    """First half of a counting sort: firsts uint32[groups + 2], zero at first, gets the first row of each group one place
    further on, so that the second half can advance it to where it belongs. Keys of NOWHERE are in no group."""
    for row in range(keys.size):
        if row + _FAR < keys.size:
            prefetch(firsts, np.int64(keys[row + _FAR]))
        if keys[row] != NOWHERE:
            firsts[keys[row] + 2] += 1
    for group in range(2, firsts.size):
        firsts[group] += firsts[group - 1]


@kernel
def reverse_edges(offsets, targets, nodes, firsts, sources):
    """Sources of each node's incoming edges, ascending: firsts uint32[nodes + 2] from ``begin_groups``, sources uint32[edges]."""
    for node in range(nodes):
        for edge in range(offsets[node], offsets[node + 1]):
            target = targets[edge] + 1
            if edge + _FAR < targets.size:
                prefetch(firsts, np.int64(targets[edge + _FAR]))
            if edge + _NEAR < targets.size:
                prefetch(sources, np.int64(firsts[targets[edge + _NEAR] + 1]))
            sources[firsts[target]] = node
            firsts[target] += 1


@kernel
def search_breadth_first(offsets, targets, start, parents, order):
    """Shortest paths from ``start``: parents uint32[nodes] (NOWHERE at first), order uint32[nodes]; how many are reached."""
    seen = np.zeros((parents.size >> 6) + 1, np.uint64)
    seen[start >> 6] |= _ONE << (np.uint64(start) & _BIT_MASK)
    order[0] = start
    head, tail = 0, 1
    while head < tail:
        if head + _FAR < tail:
            prefetch(offsets, np.int64(order[head + _FAR]))
        if head + _NEAR < tail:
            prefetch(targets, np.int64(offsets[order[head + _NEAR]]))
        node = order[head]
        head += 1
        for edge in range(offsets[node], offsets[node + 1]):
            target = np.uint64(targets[edge])
            word, bit = target >> _WORD_BITS, _ONE << (target & _BIT_MASK)
            if seen[word] & bit == 0:
                seen[word] |= bit
                parents[target] = node
                order[tail] = target
                tail += 1
    return tail


@kernel
def measure_paths(order, parents, first, depths, roots):
    """Along the order of a breadth-first search: depths uint32[first], hops from the root to each object, the root's own is 1;
    roots uint32[first], at which of the roots, the nodes from ``first`` on, the path of each object begins."""
    for place in range(order.size):
        if place + _FAR < order.size:
            prefetch(parents, np.int64(order[place + _FAR]))
        node = order[place]
        if node >= first:
            continue
        above = parents[node]
        if above >= first:
            depths[node], roots[node] = 1, above - first
        else:
            depths[node], roots[node] = depths[above] + 1, roots[above]


@kernel
def climb(parents, node, first):
    """The node from ``first`` on at which the path of an object begins, and the hops from there to it."""
    hops = 0
    while node < first:
        node = parents[node]
        hops += 1
    return node, hops


@kernel
def number_depth_first(offsets, targets, start, numbers, nodes, parents, finished):
    """Preorder and postorder of a depth-first search; how many nodes are reached.

    numbers uint32[nodes]: place of each node (NOWHERE at first); nodes: node at each place; parents: place of the tree
    parent of each place; finished: nodes in the order they are left.
    """
    numbers[start] = 0
    nodes[0] = start
    parents[0] = 0
    count, left = 1, 0
    # Where to go on in nodes not yet left is kept at the far end of ``finished``: no node is in both parts.
    free = finished.size - 1
    place, node, edge = np.uint32(0), np.int64(start), offsets[start]
    while True:
        end = offsets[node + 1]
        going_down = False
        while edge < end:
            target = np.int64(targets[edge])
            edge += 1
            if numbers[target] != NOWHERE:
                continue
            numbers[target] = count
            nodes[count] = target
            parents[count] = place
            count += 1
            if offsets[target] < offsets[target + 1]:
                finished[free] = edge
                free -= 1
                place, node, edge = np.uint32(count - 1), target, offsets[target]
                going_down = True
                break
            finished[left] = target
            left += 1
        if going_down:
            continue
        finished[left] = node
        left += 1
        free += 1
        if free == finished.size:
            return count
        edge, place = finished[free], parents[place]
        node = np.int64(nodes[place])


@kernel
def find_semidominators(offsets, sources, numbers, nodes, parents, count, semi, linked):
    """Semidominators by preorder place. offsets, sources: the reversed graph · semi uint32[count] · linked uint64[count]
    (ancestor << 32 | smallest semidominator on the way to it) is scratch."""
    for turn in range(count - 1):
        place = np.uint32(count - 1 - turn)
        if place > _FAR:
            prefetch(offsets, np.int64(nodes[place - _FAR]))
        if place > _NEAR:
            prefetch(sources, np.int64(offsets[nodes[place - _NEAR]]))
        node = nodes[place]
        best = parents[place]
        begin, end = offsets[node], offsets[node + 1]
        if end - begin > 1:
            for edge in range(begin, end):
                source = numbers[sources[edge]]
                if source == NOWHERE:
                    continue
                if source > place:
                    source = smallest_above(linked, source, place)
                best = min(best, source)
        semi[place] = best
        linked[place] = (np.uint64(parents[place]) << _HALF) | np.uint64(best)


@kernel
def smallest_above(linked, place, last):
    """Smallest semidominator among ``place`` and its tree ancestors behind ``last``; ways passed are shortened.

    On the way up every link is turned round, so that the way back needs no list.
    """
    top, below = np.uint64(place), np.uint64(NOWHERE)
    while True:
        own = linked[top]
        above = own >> _HALF
        if above <= last:
            break
        linked[top] = (below << _HALF) | (own & _LOW_HALF)
        below, top = top, above
    smallest = own & _LOW_HALF
    while below != NOWHERE:
        own = linked[below]
        smallest = min(smallest, own & _LOW_HALF)
        linked[below] = (above << _HALF) | smallest
        below = own >> _HALF
    return np.uint32(smallest)


@kernel
def find_dominators(parents, semi, count, dominators, jumps, depths):
    """Immediate dominators by preorder place: the nearest common ancestor of tree parent and semidominator.

    jumps and depths uint32[count] are scratch: pointers to far ancestors keep the climb logarithmic.
    """
    dominators[0] = 0
    jumps[0] = 0
    depths[0] = 0
    for place in range(1, count):
        above, bound = parents[place], semi[place]
        while above > bound:
            above = jumps[above] if jumps[above] > bound else dominators[above]
        dominators[place] = above
        depths[place] = depths[above] + 1
        far = jumps[above]
        jumps[place] = jumps[far] if depths[above] - depths[far] == depths[far] - depths[jumps[far]] else above


@kernel
def add_up_retained(dominators, nodes, count, sizes, retained):
    """Retained sizes by node. dominators by preorder place; sizes uint32[objects] bytes (other nodes have none); retained
    uint64[nodes] holds what objects of 4 GiB and more have beyond their entry in sizes."""
    for turn in range(count):
        place = count - 1 - turn
        node = nodes[place]
        if node < sizes.size:
            retained[node] += sizes[node]
        if place:
            retained[nodes[dominators[place]]] += retained[node]


@kernel
def name_dominators(dominators, nodes, count, named):
    """From preorder places to nodes: named uint32[nodes], NOWHERE at first; START is its own."""
    for place in range(count):
        named[nodes[place]] = nodes[dominators[place]]


@kernel
def group_rows(keys, firsts, grouped):
    """Rows of each group, ascending: firsts uint32[groups + 2] from ``begin_groups``, grouped uint32[rows that have a key]."""
    for row in range(keys.size):
        if keys[row] != NOWHERE:
            group = keys[row] + 1
            grouped[firsts[group]] = row
            firsts[group] += 1


@kernel
def keep_object_sources(offsets, sources, objects):
    """Leave sources that are no objects out of the first rows of a reversed graph, in place; how many are left."""
    written, begin = 0, offsets[0]
    for node in range(objects):
        end = offsets[node + 1]
        for edge in range(begin, end):
            if sources[edge] < objects:
                sources[written] = sources[edge]
                written += 1
        begin = end
        offsets[node + 1] = written
    return written


@kernel
def count_live(parents, types, generations, sizes, counts, bytes_of):
    """Add up live objects by type. parents uint32[nodes], NOWHERE where not live; counts int64[types, generations], bytes_of
    uint64[types]."""
    for row in range(types.size):
        if parents[row] != NOWHERE:
            counts[types[row], generations[row]] += 1
            bytes_of[types[row]] += sizes[row]
