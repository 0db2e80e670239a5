"""References of all objects, as the collector's own descriptors of types lay them out, and the index that makes ids of addresses.

``places`` finds the object at an address in one load: ``chunks`` uint32[n] has a row for each 4 MiB of address space from
``low`` on, 0 where no object lies; ``lines`` uint64[rows * 16384] has a word for each 256 bytes of such a chunk: objects before
it in the upper half, and a bit for each of its 32 places at which an object begins.

``programs`` int64[types, 3] (kind, first row, row behind the last of ``runs``) and ``runs`` int64[n, 2] say where the
references of a type lie: FIXED runs (first byte, words); SIZED runs (first byte, bytes to add to the object's size);
REPEATED: (first byte, 0), then runs (words with references, bytes to skip) that repeat to the object's end.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel
from analysis.kernels.instructions import count_bits, prefetch
from analysis.kernels.walk import FIRST, STOP, WORD

NONE, FIXED, SIZED, REPEATED = range(4)
CHUNK_BITS, LINE_BITS = 22, 8
LINES_PER_CHUNK = 1 << (CHUNK_BITS - LINE_BITS)
MISSING = 0xFFFFFFFF
#: Columns of ``tally``: references found, those that lead to no object, sum of their addresses.
FOUND, LOST, SUM = range(3)
_AHEAD = 24
_RING = 63
_ONE = np.uint64(1)
_LOW_HALF, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@kernel
def mark_chunks(addresses, low, chunks):
    """Number the chunks that hold objects, from 1; how many there are. addresses uint64[n], ascending."""
    count = 0
    for row in range(addresses.size):
        chunk = (np.int64(addresses[row]) - low) >> CHUNK_BITS
        if chunks[chunk] == 0:
            count += 1
            chunks[chunk] = count
    return count


@kernel
def fill_lines(addresses, low, chunks, lines):
    """Set the bit of every object, then write the objects before each line. ``lines`` is zero at first."""
    for row in range(addresses.size):
        away = np.int64(addresses[row]) - low
        line = (np.int64(chunks[away >> CHUNK_BITS]) - 1) * LINES_PER_CHUNK + ((away >> LINE_BITS) & (LINES_PER_CHUNK - 1))
        if lines[line] == 0:
            lines[line] = np.uint64(row) << _HALF
        lines[line] |= _ONE << np.uint64((away >> 3) & 31)


@kernel
def line_of(address, low, chunks):
    """Row of ``lines`` for an address, -1 where no object can begin."""
    away = np.int64(address) - low
    if away < 0 or away & 7:
        return np.int64(-1)
    chunk = away >> CHUNK_BITS
    if chunk >= chunks.size or chunks[chunk] == 0:
        return np.int64(-1)
    return (np.int64(chunks[chunk]) - 1) * LINES_PER_CHUNK + ((away >> LINE_BITS) & (LINES_PER_CHUNK - 1))


@kernel
def object_at(address, line, lines):
    """Id of the object that begins at ``address``, whose line is known; MISSING where none begins."""
    if line < 0:
        return np.uint32(MISSING)
    found = lines[line]
    bit = _ONE << ((np.uint64(address) >> np.uint64(3)) & np.uint64(31))
    if found & bit == 0:
        return np.uint32(MISSING)
    return np.uint32((found >> _HALF) + count_bits(found & _LOW_HALF & (bit - _ONE)))


@kernel
def objects_at(addresses, low, chunks, lines, found):
    """Ids of the objects at many addresses: found uint32[n], MISSING where none begins."""
    for row in range(addresses.size):
        found[row] = object_at(addresses[row], line_of(addresses[row], low, chunks), lines)


@kernel
def find_references(
    words, jobs, first, last, types, addresses, programs, runs, base_sizes, component_sizes,
    allocators, extra_sources, extra_targets, low, chunks, lines, at, offsets, targets, slots, tally,
):  # fmt: skip
    """Write the references of the objects of jobs ``first`` to ``last`` - 1 from row ``at`` of targets and slots on; the row
    behind the last one. Without any rows in targets they are only counted.

    allocators uint64[types]: loader allocator every object of a collectible type refers to, 0 for none · extra_sources
    uint32[n] ascending and extra_targets uint64[n]: references that lie in no field, as addresses (dependent handles)
    offsets uint32[objects + 1] is filled for these objects · targets, slots uint32[room] · tally uint64[3].
    """
    ring = np.zeros(_RING + 1, np.uint64)
    writing = targets.size > 0
    begun, written = at, at
    lost, total, outside = 0, np.uint64(0), 0
    for job in range(first, last):
        begin = jobs[job, FIRST]
        end = jobs[job + 1, FIRST] if job + 1 < jobs.shape[0] else types.size
        bound, base = jobs[job, STOP] + 8, jobs[job, WORD]
        extra = np.searchsorted(extra_sources, begin)
        for row in range(begin, end):
            if writing:
                offsets[row] = begun
            kind = types[row]
            program = programs[kind, 0]
            address = np.int64(addresses[row])
            if program != NONE:
                size = base_sizes[kind]
                if program != FIXED:
                    size += np.int64(words[np.uint64(base + (address >> 3) + 1)] & _LOW_HALF) * component_sizes[kind]
                stop = min(address + size, bound)
                run, behind = programs[kind, 1], programs[kind, 2]
                position = address + runs[run, 0]
                if program == REPEATED:
                    run += 1
                # The repeated runs of an array of structs begin again at their first one until the object ends.
                while run < behind and (program != REPEATED or position < address + size - 8):
                    if program == FIXED:
                        position, count = address + runs[run, 0], runs[run, 1]
                    elif program == SIZED:
                        position, count = address + runs[run, 0], (runs[run, 1] + size) >> 3
                    else:
                        count = runs[run, 0]
                    leave = min(position + 8 * count, stop)
                    while position + 8 <= leave:
                        value = words[np.uint64(base + (position >> 3))]
                        if value != 0 and not writing:
                            begun += 1
                        elif value != 0:
                            total += value
                            slots[begun] = (position - address) >> 3
                            ring[begun & _RING] = value
                            line = line_of(value, low, chunks)
                            if line >= 0:
                                prefetch(lines, line)
                            begun += 1
                            if begun - written > _AHEAD:
                                older = ring[written & _RING]
                                found = object_at(older, line_of(older, low, chunks), lines)
                                lost += found == MISSING
                                targets[written] = found
                                written += 1
                        position += 8
                    if program == REPEATED:
                        position = leave + runs[run, 1]
                        if count <= 0 and runs[run, 1] <= 0:
                            break
                    run += 1
                    if program == REPEATED and run == behind and position < stop:
                        run = programs[kind, 1] + 1
            # What lies in no field goes the same way: through the ring, so that the order of rows is kept.
            while True:
                if allocators[kind] != 0 and (extra >= extra_sources.size or extra_sources[extra] != row):
                    value, slot = allocators[kind], np.uint32(0xFFFFFFFE)
                    last_one = True
                elif extra < extra_sources.size and extra_sources[extra] == row:
                    value, slot = extra_targets[extra], np.uint32(0xFFFFFFFF)
                    extra += 1
                    last_one = False
                else:
                    break
                outside += 1
                if not writing:
                    begun += 1
                    if last_one:
                        break
                    continue
                slots[begun] = slot
                ring[begun & _RING] = value
                begun += 1
                if begun - written > _AHEAD:
                    older = ring[written & _RING]
                    found = object_at(older, line_of(older, low, chunks), lines)
                    lost += found == MISSING
                    targets[written] = found
                    written += 1
                if last_one:
                    break
    while writing and written < begun:
        older = ring[written & _RING]
        found = object_at(older, line_of(older, low, chunks), lines)
        lost += found == MISSING
        targets[written] = found
        written += 1
    tally[FOUND] = begun - at - outside
    tally[LOST] = lost
    tally[SUM] = total
    return begun


@kernel
def drop_missing(objects, offsets, targets, slots):
    """Leave out references that lead to no object; how many are left. ``offsets`` has a row behind the last object."""
    written = 0
    begin = offsets[0]
    for row in range(objects):
        end = offsets[row + 1]
        for place in range(begin, end):
            if targets[place] != MISSING:
                targets[written] = targets[place]
                slots[written] = slots[place]
                written += 1
        begin = end
        offsets[row + 1] = written
    return written
