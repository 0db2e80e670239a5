"""Texts of all strings: found, hashed, put together where they are the same, and who refers to the most frequent ones.

A string is its length (32 bits) and its characters (16 bits each) without a gap, from a multiple of eight bytes on. ``places``
int64[strings] are the words in which the lengths lie, CUT for a string that does not lie in the dump as a whole.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel
from analysis.kernels.instructions import prefetch
from analysis.kernels.walk import FIRST, STOP, WORD

CUT = -1
_AHEAD = 24
#: 16-bit units that the length takes.
_LENGTH_UNITS = 2
_LOW_HALF, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_ZERO, _ONE, _ALL = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
_MULTIPLIER, _FINAL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_FOLD = np.uint64(32)


@kernel
def find_strings(words, jobs, types, addresses, string_type, length_offset, rows, places, lengths):
    """Write object id, place and length (uint32 characters) of every string; how many were written."""
    count = 0
    for job in range(jobs.shape[0]):
        end = jobs[job + 1, FIRST] if job + 1 < jobs.shape[0] else types.size
        bound, base = jobs[job, STOP] + 8, jobs[job, WORD]
        for row in range(jobs[job, FIRST], end):
            if types[row] != string_type:
                continue
            at = np.int64(addresses[row]) + length_offset
            place = base + (at >> 3)
            length = words[place] & _LOW_HALF
            rows[count], lengths[count] = row, length
            places[count] = place if at + 2 * (np.int64(length) + _LENGTH_UNITS) <= bound else CUT
            count += 1
    return count


@kernel
def last_word_mask(length):
    """Bits of the last word of a string that belong to it."""
    rest = (np.int64(length) + _LENGTH_UNITS) & 3
    return (_ONE << np.uint64(16 * rest)) - _ONE if rest else _ALL


@kernel
def word_count(length):
    return (np.int64(length) + _LENGTH_UNITS + 3) >> 2


@kernel
def hash_strings(words, places, lengths, first, last, seed, hashes):
    """Hash length and characters of the strings ``first`` to ``last`` - 1: hashes uint64[strings]."""
    for row in range(first, last):
        place = places[row]
        if place == CUT:
            continue
        if row + _AHEAD < last:
            prefetch(words, places[row + _AHEAD])
        count = word_count(lengths[row])
        found = seed
        for word in range(place, place + count - 1):
            found = (found ^ words[word]) * _MULTIPLIER
            found ^= found >> _FOLD
        found = (found ^ (words[place + count - 1] & last_word_mask(lengths[row]))) * _MULTIPLIER
        found = (found ^ (found >> _FOLD)) * _FINAL
        hashes[row] = found ^ (found >> _FOLD)


@kernel
def same_text(words, place, other, length):
    """Whether two strings of one length are the same."""
    last = word_count(length) - 1
    for word in range(last):
        if words[place + word] != words[other + word]:
            return False
    return (words[place + last] ^ words[other + last]) & last_word_mask(length) == _ZERO


@kernel
def group_strings(words, places, lengths, hashes, slots, shift, groups, firsts):
    """Number texts in the order they are met; how many there are. Texts are compared, not only their hashes.

    slots uint64[2**bits], zero at first: lower half of the hash << 32 | group + 1; ``shift`` uint64 is 64 - bits · groups
    uint32[strings]: the text of each string · firsts uint32[strings]: the first string of each text
    """
    mask = np.uint64(slots.size - 1)
    count = 0
    for row in range(places.size):
        if row + _AHEAD < places.size:
            prefetch(slots, np.int64(hashes[row + _AHEAD] >> shift))
        place, length = places[row], lengths[row]
        slot, tag = hashes[row] >> shift, hashes[row] << _HALF
        group = np.int64(-1)
        while place != CUT and slots[slot] != _ZERO:
            if slots[slot] & ~_LOW_HALF == tag:
                known = np.int64(slots[slot] & _LOW_HALF) - 1
                if lengths[firsts[known]] == length and same_text(words, place, places[firsts[known]], length):
                    group = known
                    break
            slot = (slot + _ONE) & mask
        if group < 0:
            group = count
            firsts[count] = row
            count += 1
            if place != CUT:
                slots[slot] = tag | np.uint64(count)
        groups[row] = group
    return count


@kernel
def find_holders(offsets, targets, slots, types, places, elements, ranks, keys):
    """Write rank << 32 | word number for each reference to an object with a rank; how many there are.

    ranks uint16[objects]: 0 for none, else one more than the rank · places, elements as in ``merge.count_field_references``
    keys uint64[n]: has room for all of them
    """
    count, edges = 0, np.int64(offsets[ranks.size])
    for row in range(ranks.size):
        kind = types[row]
        for edge in range(offsets[row], offsets[row + 1]):
            if edge + _AHEAD < edges:
                prefetch(ranks, np.int64(targets[edge + _AHEAD]))
            rank = ranks[targets[edge]]
            if rank == 0 or count == keys.size:
                continue
            word = np.int64(slots[edge])
            # What lies in no field (a dependent handle) is word 0.
            if word >= 0xFFFFFFFE:
                word = 0
            elif elements[kind] > 0:
                word = 1 + (word - 2) % elements[kind]
            keys[count] = (np.uint64(rank - 1) << _HALF) | np.uint64(places[kind] + word)
            count += 1
    return count


@kernel
def texts_with(units, places, lengths, wanted, other, found):
    """Mark strings that contain ``wanted``, each of whose units may be the one of ``other`` instead.

    units uint16[n] · places int64[strings]: unit with which each text begins, or CUT · lengths int64[strings]: units
    wanted, other uint16[m], m > 0 · found bool[strings]
    """
    count = wanted.size
    for row in range(places.size):
        place = places[row]
        if place == CUT or place < 0 or place + lengths[row] > units.size:
            continue
        for start in range(place, place + lengths[row] - count + 1):
            matched = 0
            while matched < count and (units[start + matched] == wanted[matched] or units[start + matched] == other[matched]):
                matched += 1
            if matched == count:
                found[row] = True
                break
