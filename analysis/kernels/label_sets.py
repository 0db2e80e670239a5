"""What would be free without a whole group of objects, for all groups of a partition at once.

An object is retained by a group when every way from START to it passes the group. The set of groups of an object is its
own one and those that all its predecessors' sets have in common, the largest solution of these equations; sets are kept
once and named by numbers, so that most steps compare two numbers.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel
from analysis.kernels.graph import NOWHERE
from analysis.kernels.instructions import prefetch

#: Rows of ``state``: sets made, labels stored, whether room ran out (results are then lower bounds).
SETS, LABELS, FULL = range(3)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
_HALF, _ONE = np.uint64(32), np.uint64(1)
LARGEST_SET = 1024
_MIX = np.uint64(29)
_FAR, _NEAR, _NEXT = 32, 16, 8
_JOIN = np.uint64(1) << np.uint64(63)


@kernel
def rows_in_order(offsets, sources, order, places, new_offsets, new_sources):
    """The reversed graph with nodes named by their place in ``order``; how many edges it has.

    offsets, sources: by node · order uint32[n]: live nodes in reverse postorder, START first · places uint32[nodes], NOWHERE
    at first · new_offsets uint32[n + 1] and new_sources uint32[edges] are filled. Neighbours in the order lie close together
    in memory, which makes every later pass several times as fast.
    """
    for place in range(order.size):
        places[order[place]] = place
    written = 0
    for place in range(order.size):
        if place + _FAR < order.size:
            prefetch(offsets, np.int64(order[place + _FAR]))
        if place + _NEAR < order.size:
            prefetch(sources, np.int64(offsets[order[place + _NEAR]]))
        if place + _NEXT < order.size:
            prefetch(places, np.int64(sources[offsets[order[place + _NEXT]]]))
        node = order[place]
        new_offsets[place] = written
        for edge in range(offsets[node], offsets[node + 1]):
            source = places[sources[edge]]
            if source != NOWHERE:
                new_sources[written] = source
                written += 1
    new_offsets[order.size] = written
    return written


@kernel
def find_label_sets(
    offsets, sources, labels, found, firsts, sizes, stored, known, memo, results, scratch, later, state, most_passes
):  # fmt: skip
    """Set of each node's groups; nodes are named by their place in reverse postorder, START first. How many passes it took.

    offsets, sources: the reversed graph · labels uint32[nodes], NOWHERE for none · found uint32[nodes], NOWHERE at first
    firsts int64[sets], sizes int32[sets], stored uint32[room]: contents of the sets · known uint32[2**a] (NOWHERE at first),
    memo uint64[2**b] (all ones), results uint32[2**b], scratch uint32[1024], later uint32[nodes] · state int64[3].
    """
    found[0] = 0
    firsts[0], sizes[0] = 0, 0
    state[SETS] = 1
    mask = np.uint64(memo.size - 1)
    passes, changed = 0, True
    while changed and passes < most_passes:
        changed = False
        passes += 1
        waiting = 0
        for node in range(1, labels.size):
            # Handing a dozen arrays to a function takes longer than all this: only steps not done before are left to one.
            common, open_ends = np.int64(-1), False
            for edge in range(offsets[node], offsets[node + 1]):
                other = np.int64(found[sources[edge]])
                if other == NOWHERE:
                    open_ends = True
                elif common < 0:
                    common = other
                elif other != common and common != 0:
                    key = (np.uint64(min(common, other)) << _HALF) | np.uint64(max(common, other))
                    slot = ((key ^ (key >> _MIX)) * _MULTIPLIER) & mask
                    if memo[slot] == key:
                        common = np.int64(results[slot])
                    else:
                        common = meet(common, other, firsts, sizes, stored, known, memo, results, scratch, state)
            result = common
            if labels[node] != NOWHERE:
                key = _JOIN | (np.uint64(common) << _HALF) | np.uint64(labels[node])
                slot = ((key ^ (key >> _MIX)) * _MULTIPLIER) & mask
                if memo[slot] == key:
                    result = np.int64(results[slot])
                else:
                    result = join(common, labels[node], firsts, sizes, stored, known, memo, results, scratch, state)
            # In the first pass nothing was known before, so nothing can have changed.
            if found[node] != NOWHERE and found[node] != result:
                changed = True
            found[node] = result
            # A predecessor that comes later in the order may still take labels away: such nodes are looked at again.
            if open_ends:
                later[waiting] = node
                waiting += 1
        for place in range(waiting):
            result, _ = solve(
                later[place], offsets, sources, labels, found, firsts, sizes, stored, known, memo, results, scratch, state
            )  # fmt: skip
            if found[later[place]] != result:
                changed = True
                break
    return passes


@kernel
def solve(node, offsets, sources, labels, found, firsts, sizes, stored, known, memo, results, scratch, state):
    """The set of one node from those of its predecessors, and whether one of them had none yet."""
    common, open_ends = np.int64(-1), False
    for edge in range(offsets[node], offsets[node + 1]):
        other = found[sources[edge]]
        if other == NOWHERE:
            open_ends = True
            continue
        if other == common:
            continue
        if common < 0:
            common = np.int64(other)
        elif common > 0:
            common = meet(common, np.int64(other), firsts, sizes, stored, known, memo, results, scratch, state)
    if labels[node] != NOWHERE:
        common = join(common, labels[node], firsts, sizes, stored, known, memo, results, scratch, state)
    return common, open_ends


@kernel
def meet(left, right, firsts, sizes, stored, known, memo, results, scratch, state):
    """The set of labels that two sets have in common."""
    if left == 0 or right == 0:
        return np.int64(0)
    if left > right:
        left, right = right, left
    key = (np.uint64(left) << _HALF) | np.uint64(right)
    slot = remembered(memo, key)
    if memo[slot] == key:
        return np.int64(results[slot])
    count, one, two = 0, firsts[left], firsts[right]
    one_end, two_end = one + sizes[left], two + sizes[right]
    while one < one_end and two < two_end:
        if stored[one] == stored[two]:
            scratch[count] = stored[one]
            count += 1
            one += 1
            two += 1
        elif stored[one] < stored[two]:
            one += 1
        else:
            two += 1
    result = intern(scratch, count, firsts, sizes, stored, known, state)
    if result < 0:
        return np.int64(0)
    keep(memo, results, slot, key, result, state)
    return result


@kernel
def join(number, label, firsts, sizes, stored, known, memo, results, scratch, state):
    """A set with one label more."""
    key = _JOIN | (np.uint64(number) << _HALF) | np.uint64(label)
    slot = remembered(memo, key)
    if memo[slot] == key:
        return np.int64(results[slot])
    if sizes[number] >= LARGEST_SET:
        state[FULL] = 1
        return number
    count, put = 0, False
    for place in range(firsts[number], firsts[number] + sizes[number]):
        if not put and stored[place] >= label:
            put = True
            if stored[place] != label:
                scratch[count] = label
                count += 1
        scratch[count] = stored[place]
        count += 1
    if not put:
        scratch[count] = label
        count += 1
    result = intern(scratch, count, firsts, sizes, stored, known, state)
    if result < 0:
        return number
    keep(memo, results, slot, key, result, state)
    return result


@kernel
def remembered(memo, key):
    """Slot of a step done before, or the one to remember it in. A full table gives its last slot tried."""
    mask = np.uint64(memo.size - 1)
    slot = ((key ^ (key >> _MIX)) * _MULTIPLIER) & mask
    for _ in range(16):
        if memo[slot] == key or memo[slot] == _EMPTY:
            return slot
        slot = (slot + _ONE) & mask
    return slot


@kernel
def keep(memo, results, slot, key, result, state):
    """Remember a step; an older one in its slot is forgotten and would be done again."""
    memo[slot] = key
    results[slot] = result


@kernel
def intern(labels, count, firsts, sizes, stored, known, state):
    """Number of the set with these labels (ascending), a new one when it was not met before; -1 when there is no room."""
    if count == 0:
        return np.int64(0)
    mixed = np.uint64(count)
    for place in range(count):
        mixed = (mixed ^ np.uint64(labels[place])) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(31)
    mask = np.uint64(known.size - 1)
    slot = mixed & mask
    while known[slot] != NOWHERE:
        number = np.int64(known[slot])
        if sizes[number] == count:
            same = True
            for place in range(count):
                if stored[firsts[number] + place] != labels[place]:
                    same = False
                    break
            if same:
                return number
        slot = (slot + _ONE) & mask
    number = state[SETS]
    if number >= sizes.size or state[LABELS] + count > stored.size or 2 * number > known.size:
        state[FULL] = 1
        return np.int64(-1)
    firsts[number], sizes[number] = state[LABELS], count
    for place in range(count):
        stored[state[LABELS] + place] = labels[place]
    state[LABELS] += count
    state[SETS] += 1
    known[slot] = number
    return number


@kernel
def add_up_sets(found, sizes, set_bytes):
    """Bytes of the objects with each set. sizes uint64[nodes]."""
    for node in range(found.size):
        set_bytes[found[node]] += sizes[node]


@kernel
def add_up_labels(sets, firsts, sizes, stored, set_bytes, totals):
    """Bytes retained by each label. totals uint64[labels]."""
    for number in range(sets):
        for place in range(firsts[number], firsts[number] + sizes[number]):
            totals[stored[place]] += set_bytes[number]
