"""What would be free without a whole group of objects, for all groups of several partitions at once.

An object is retained by a group when every way from START to it passes the group. The set of groups of an object is its
own ones and those that all its predecessors' sets have in common, the largest solution of these equations; sets are kept
once and named by numbers, so that most steps compare two numbers. Groups of all partitions share one set: their labels
differ, so one pass answers for types, namespaces and assemblies together.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel
from analysis.kernels.graph import NOWHERE
from analysis.kernels.instructions import prefetch

#: Rows of ``state``: sets made, labels stored, whether room ran out (results are then lower bounds).
SETS, LABELS, FULL = range(3)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF, _ONE = np.uint64(32), np.uint64(1)
_WORD_BITS, _BIT_MASK = np.uint64(6), np.uint64(63)
LARGEST_SET = 2048
_MIX = np.uint64(29)
_FAR, _NEAR, _NEXT = 36, 24, 12
_JOIN = np.uint64(1) << np.uint64(63)


@kernel
def find_label_sets(
    offsets, sources, finished, kinds, labels, found, firsts, sizes, stored, known, memo, results, scratch, later, state,
    most_passes,
):  # fmt: skip
    """Set of each node's groups. How many passes it took.

    offsets, sources: the reversed graph · finished uint32[n]: live nodes in postorder, START last; they are taken backwards
    kinds uint32[objects]: row of ``labels`` of each object, other nodes have no labels · labels uint32[kinds, partitions],
    ascending in each row, NOWHERE for none · found uint32[nodes], NOWHERE at first
    firsts int64[sets], sizes int32[sets], stored uint32[room]: contents of the sets · known uint32[2**a], memo uint64[2**b]
    and later uint64[nodes / 64 + 1], all zero, results uint32[2**b], scratch uint32[LARGEST_SET] · state int64[3].
    """
    last = finished.size - 1
    found[finished[last]] = 0
    firsts[0], sizes[0] = 0, 0
    state[SETS] = 1
    mask = np.uint64(memo.size - 1)
    passes, changed = 0, True
    while changed and passes < most_passes:
        changed = False
        passes += 1
        for turn in range(1, finished.size):
            place = last - turn
            if place >= _FAR:
                prefetch(offsets, np.int64(finished[place - _FAR]))
                prefetch(kinds, np.int64(finished[place - _FAR]))
            if place >= _NEAR:
                prefetch(sources, np.int64(offsets[finished[place - _NEAR]]))
            if place >= _NEXT:
                prefetch(found, np.int64(sources[offsets[finished[place - _NEXT]]]))
            node = finished[place]
            # Handing a dozen arrays to a function takes longer than all this: only steps not done before are left to one.
            common, open_ends = np.int64(-1), False
            for edge in range(offsets[node], offsets[node + 1]):
                other = np.int64(found[sources[edge]])
                if other == NOWHERE:
                    open_ends = True
                elif common < 0 or other == 0:
                    common = other
                elif other != common and common != 0:
                    key = (np.uint64(min(common, other)) << _HALF) | np.uint64(max(common, other))
                    slot = ((key ^ (key >> _MIX)) * _MULTIPLIER) & mask
                    if memo[slot] == key:
                        common = np.int64(results[slot])
                    else:
                        common = meet(common, other, firsts, sizes, stored, known, memo, results, scratch, state)
            result = common
            if node < kinds.size:
                key = _JOIN | (np.uint64(common) << _HALF) | np.uint64(kinds[node])
                slot = ((key ^ (key >> _MIX)) * _MULTIPLIER) & mask
                if memo[slot] == key:
                    result = np.int64(results[slot])
                else:
                    result = join(common, kinds[node], labels, firsts, sizes, stored, known, memo, results, scratch, state)
            # In the first pass nothing was known before, so nothing can have changed.
            if found[node] != NOWHERE and found[node] != result:
                changed = True
            found[node] = result
            # A predecessor that comes later in the order may still take labels away: such nodes are looked at again.
            if open_ends and passes == 1:
                later[place >> 6] |= _ONE << (np.uint64(place) & _BIT_MASK)
        if passes == 1:
            changed = any_unsettled(
                offsets, sources, finished, kinds, labels, found, firsts, sizes, stored, known, memo, results, scratch, later,
                state,
            )  # fmt: skip
    return passes


@kernel
def any_unsettled(
    offsets, sources, finished, kinds, labels, found, firsts, sizes, stored, known, memo, results, scratch, later, state
):  # fmt: skip
    """Whether a node in ``later`` has another set than its predecessors' sets give by now."""
    for word in range(later.size):
        for bit in range(64 if later[word] else 0):
            if (later[word] >> np.uint64(bit)) & _ONE == 0:
                continue
            node, common = finished[64 * word + bit], np.int64(-1)
            for edge in range(offsets[node], offsets[node + 1]):
                other = np.int64(found[sources[edge]])
                if common < 0 and other != NOWHERE:
                    common = other
                elif other != NOWHERE and other != common:
                    common = meet(common, other, firsts, sizes, stored, known, memo, results, scratch, state)
            if node < kinds.size:
                common = join(common, kinds[node], labels, firsts, sizes, stored, known, memo, results, scratch, state)
            if found[node] != common:
                return True
    return False


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
    keep(memo, results, slot, key, result)
    return result


@kernel
def join(number, kind, labels, firsts, sizes, stored, known, memo, results, scratch, state):
    """A set with the labels of a kind of object added."""
    key = _JOIN | (np.uint64(number) << _HALF) | np.uint64(kind)
    slot = remembered(memo, key)
    if memo[slot] == key:
        return np.int64(results[slot])
    if sizes[number] + labels.shape[1] > LARGEST_SET:
        state[FULL] = 1
        return number
    count, place, end = 0, firsts[number], firsts[number] + sizes[number]
    for partition in range(labels.shape[1]):
        label = labels[kind, partition]
        while place < end and stored[place] <= label:
            scratch[count] = stored[place]
            count += 1
            place += 1
        if label != NOWHERE and (count == 0 or scratch[count - 1] != label):
            scratch[count] = label
            count += 1
    while place < end:
        scratch[count] = stored[place]
        count += 1
        place += 1
    result = intern(scratch, count, firsts, sizes, stored, known, state)
    if result < 0:
        return number
    keep(memo, results, slot, key, result)
    return result


@kernel
def remembered(memo, key):
    """Slot of a step done before, or the one to remember it in. A full table gives its last slot tried."""
    mask = np.uint64(memo.size - 1)
    slot = ((key ^ (key >> _MIX)) * _MULTIPLIER) & mask
    for _ in range(16):
        if memo[slot] == key or memo[slot] == 0:
            return slot
        slot = (slot + _ONE) & mask
    return slot


@kernel
def keep(memo, results, slot, key, result):
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
    while known[slot] != 0:
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
def add_up_sets(found, sizes, beyond, set_bytes):
    """Bytes of the objects with each set. found uint32[nodes], sizes uint32[objects], beyond uint64[n, 2]: object and bytes
    that its entry in sizes lacks."""
    for node in range(sizes.size):
        if found[node] != NOWHERE:
            set_bytes[found[node]] += sizes[node]
    for row in range(beyond.shape[0]):
        if found[beyond[row, 0]] != NOWHERE:
            set_bytes[found[beyond[row, 0]]] += beyond[row, 1]


@kernel
def add_up_labels(sets, firsts, sizes, stored, set_bytes, totals):
    """Bytes retained by each label. totals uint64[labels]."""
    for number in range(sets):
        for place in range(firsts[number], firsts[number] + sizes[number]):
            totals[stored[place]] += set_bytes[number]
