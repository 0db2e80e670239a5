"""Walk the objects of heap ranges into columns.

Addresses are int64 (user space lies below 2**47), ids int32. The file is seen as 64-bit words; ``pieces`` say which
addresses lie at which word. All bounds are tested here: a kernel never reads outside ``words``.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel

DONE, UNKNOWN_TYPE, BAD_SIZE, NOT_CAPTURED, FULL = range(5)
#: Rows of ``state``: range being walked, next address, objects written, status.
RANGE, POSITION, WRITTEN, STATUS = range(4)
#: Columns of ``tally``: objects, bytes, free objects, free bytes, first object id of each range.
TALLY_COLUMNS = 5
_OVERSIZE = 0xFFFFFFFF
_SMALLEST_OBJECT = 24
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@kernel
def find_type(keys, values, bits, method_table):
    """Type id of ``method_table`` in the open-addressed table of 2**bits slots, -1 when it is not in it."""
    mask = (1 << bits) - 1
    slot = np.int64((method_table * _MULTIPLIER) >> np.uint64(64 - bits))
    for _ in range(mask + 1):
        key = keys[slot]
        if key == method_table:
            return np.int64(values[slot])
        if key == np.uint64(0):
            return np.int64(-1)
        slot = (slot + 1) & mask
    return np.int64(-1)


@kernel
def find_piece(piece_start, piece_end, address, guess):
    """Row of the captured piece that holds ``address``, -1 when none does; ``guess`` is tried first."""
    if 0 <= guess < piece_start.size and piece_start[guess] <= address < piece_end[guess]:
        return guess
    low, high = 0, piece_start.size
    while low < high:
        middle = (low + high) // 2
        if piece_start[middle] <= address:
            low = middle + 1
        else:
            high = middle
    row = low - 1
    if row >= 0 and address < piece_end[row]:
        return row
    return -1


@kernel
def walk_ranges(
    words, piece_start, piece_end, piece_word,
    range_start, range_end, range_generation,
    keys, values, bits, base_size, component_size,
    address_out, type_out, size_out, generation_out,
    counts, sizes, largest, tally, state,
):  # fmt: skip
    """Walk ranges from ``state`` on until all are done or something needs a decision; the reason goes to ``state``.

    words uint64[w] · piece_* int64[p] (address, address, word index) · range_* int64[r], generation uint8[r] ·
    keys uint64[2**bits], values int32[2**bits] · base_size, component_size int64[types] (bytes) ·
    address_out uint64[n], type_out uint32[n], size_out uint32[n], generation_out uint8[n] ·
    counts, sizes int64[types, 6] · largest int64[types] · tally int64[r, 5] · state int64[4].
    Type id 0 is the free block. Guarantee: on any status all columns up to ``state[WRITTEN]`` are complete.
    """
    row, position, written = state[0], state[1], state[2]
    capacity = address_out.size
    piece = np.int64(0)
    status = DONE
    while row < range_start.size:
        end = range_end[row]
        generation = range_generation[row]
        if position < range_start[row]:
            position = range_start[row]
            tally[row, 4] = written
        while position < end:
            if piece_start.size == 0 or not (piece_start[piece] <= position < piece_end[piece]):
                piece = find_piece(piece_start, piece_end, position, piece)
                if piece < 0:
                    piece = 0
                    status = NOT_CAPTURED
                    break
            word = piece_word[piece] + ((position - piece_start[piece]) >> 3)
            method_table = words[word] & ~np.uint64(7)
            kind = find_type(keys, values, bits, method_table)
            if kind < 0:
                status = UNKNOWN_TYPE
                break
            size = base_size[kind]
            if component_size[kind] != 0:
                if position + 8 < piece_end[piece]:
                    length = words[word + 1]
                else:
                    other = find_piece(piece_start, piece_end, position + 8, piece + 1)
                    if other < 0:
                        status = NOT_CAPTURED
                        break
                    length = words[piece_word[other] + ((position + 8 - piece_start[other]) >> 3)]
                size += np.int64(length & np.uint64(0xFFFFFFFF)) * component_size[kind]
            if size < _SMALLEST_OBJECT:
                size = np.int64(_SMALLEST_OBJECT)
            following = position + ((size + 7) & ~7)
            if following > end:
                status = BAD_SIZE
                break
            if written >= capacity:
                status = FULL
                break
            address_out[written] = position
            type_out[written] = kind
            size_out[written] = min(size, _OVERSIZE)
            generation_out[written] = generation
            written += 1
            counts[kind, generation] += 1
            sizes[kind, generation] += size
            largest[kind] = max(largest[kind], size)
            if kind == 0:
                tally[row, 2] += 1
                tally[row, 3] += size
            else:
                tally[row, 0] += 1
                tally[row, 1] += size
            position = following
        if status != DONE:
            break
        row += 1
        position = np.int64(0)
    state[0], state[1], state[2], state[3] = row, position, written, status


@kernel
def resynchronise(
    words, piece_start, piece_end, piece_word, keys, values, bits, base_size, component_size, start, end
):  # fmt: skip
    """The next address in (start, end) where two objects of known types follow each other; ``end`` when there is none."""
    position = start + 8
    while position < end:
        piece = find_piece(piece_start, piece_end, position, 0)
        if piece < 0:
            row = np.searchsorted(piece_start, position)
            if row >= piece_start.size:
                return end
            position = piece_start[row]
            continue
        word = piece_word[piece] + ((position - piece_start[piece]) >> 3)
        stop = min(piece_end[piece], end)
        while position < stop:
            kind = find_type(keys, values, bits, words[word])
            if kind >= 0:
                size = base_size[kind]
                if component_size[kind] != 0 and position + 8 < stop:
                    size += np.int64(words[word + 1] & np.uint64(0xFFFFFFFF)) * component_size[kind]
                following = position + ((max(size, _SMALLEST_OBJECT) + 7) & ~7)
                if following == end:
                    return position
                if following < stop:
                    after = words[word + ((following - position) >> 3)]
                    if find_type(keys, values, bits, after) >= 0:
                        return position
            position += 8
            word += 1
    return end


@kernel
def group_by_type(types, first, by_address):
    """Counting sort of object ids by type: ``first`` int64[types] holds each type's first row and is advanced."""
    for row in range(types.size):
        kind = types[row]
        by_address[first[kind]] = row
        first[kind] += 1
