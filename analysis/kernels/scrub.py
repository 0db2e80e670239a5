"""Copy what may stay of a dump: words that are pointers, and of objects what their types say.

``words`` uint64[n] is the file, read-only; ``copy`` uint64[n] the file to be, zero where nothing was written. ``starts`` and
``ends`` int64[n]: ranges of addresses the process had, ascending and apart. Every kernel tests its bounds itself.
"""

from __future__ import annotations

import numpy as np

from analysis.kernels.compile import kernel
from analysis.kernels.references import FIXED, NONE, REPEATED, line_of
from analysis.kernels.walk import FIRST, STOP, WORD

#: Columns of ``kept``: bytes of headers and method tables, lengths, references, fields that make up a structure.
HEADERS, LENGTHS, REFERENCES, FIELDS = range(4)
KEPT_COLUMNS = 4
#: Rows of ``plans``: bytes behind the method table that are always kept, first row and row behind the last one of
#: ``fields``, first byte of the elements, first row and row behind the last one of ``fields`` for each element.
LENGTH_BYTES, FIELDS_FROM, FIELDS_TO, ELEMENTS_AT, ELEMENT_FROM, ELEMENT_TO = range(6)
PLAN_COLUMNS = 6
_ZERO = np.uint64(0)
_LOW_HALF, _HIGH_HALF = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFF00000000)


@kernel
def points_into(value, starts, ends):
    """Whether a word lies in one of the ranges."""
    address = np.int64(value)
    if starts.size == 0 or address < starts[0] or address >= ends[-1]:
        return False
    row = np.searchsorted(starts, address, side="right") - 1
    return address < ends[row]


@kernel
def copy_pointers(words, copy, first, last, starts, ends, mark):
    """Copy the words ``first`` to ``last`` - 1 that are pointers; how many. Others become ``mark`` unless they are zero."""
    kept = 0
    for place in range(max(first, 0), min(last, words.size)):
        value = words[place]
        if value == _ZERO:
            continue
        if points_into(value, starts, ends):
            copy[place] = value
            kept += 1
        elif mark != _ZERO:
            copy[place] = mark
    return kept


@kernel
def copy_objects(
    words, copy, octets, copied, jobs, first, last, types, addresses, programs, runs, base_sizes, component_sizes,
    plans, fields, low, chunks, kept,
):  # fmt: skip
    """Copy header, method table, length, references and structural fields of the objects of jobs ``first`` to ``last`` - 1.

    octets, copied uint8[8n]: the same files as bytes · plans int64[types, 6] · fields int64[n, 2]: first byte and bytes ·
    low, chunks: where objects lie, as in ``analysis.kernels.references`` · kept int64[4] is added to.
    """
    for job in range(first, last):
        begin = jobs[job, FIRST]
        end = jobs[job + 1, FIRST] if job + 1 < jobs.shape[0] else types.size
        bound, base = jobs[job, STOP] + 8, jobs[job, WORD]
        for row in range(begin, end):
            kind = types[row]
            address = np.int64(addresses[row])
            place = base + (address >> 3)
            if place < 1 or place + 2 > words.size:
                break
            copy[place - 1] |= words[place - 1] & _HIGH_HALF
            copy[place] = words[place]
            kept[HEADERS] += 12
            length = np.int64(words[place + 1] & _LOW_HALF)
            size = max(base_sizes[kind] + length * component_sizes[kind], 24)
            stop = min(address + size, bound)
            always = min(plans[kind, LENGTH_BYTES], stop - address - 8)
            for byte in range(8 * place + 8, 8 * place + 8 + always):
                copied[byte] = octets[byte]
            kept[LENGTHS] += always
            program = programs[kind, 0]
            if program != NONE:
                run, behind = programs[kind, 1], programs[kind, 2]
                position = address + runs[run, 0]
                if program == REPEATED:
                    run += 1
                while run < behind and (program != REPEATED or position < address + size - 8):
                    if program == FIXED:
                        position, count = address + runs[run, 0], runs[run, 1]
                    elif program == REPEATED:
                        count = runs[run, 0]
                    else:
                        position, count = address + runs[run, 0], (runs[run, 1] + size) >> 3
                    leave = min(position + 8 * count, stop)
                    while position + 8 <= leave:
                        value = words[base + (position >> 3)]
                        # A slot that leads to no place where objects lie is not believed to be a reference.
                        if value != _ZERO and line_of(value, low, chunks) >= 0:
                            copy[base + (position >> 3)] = value
                        kept[REFERENCES] += 8
                        position += 8
                    if program == REPEATED:
                        position = leave + runs[run, 1]
                        if count <= 0 and runs[run, 1] <= 0:
                            break
                    run += 1
                    if program == REPEATED and run == behind and position < stop:
                        run = programs[kind, 1] + 1
            for field in range(plans[kind, FIELDS_FROM], plans[kind, FIELDS_TO]):
                at = address + fields[field, 0]
                if at + fields[field, 1] <= stop:
                    from_byte = 8 * base + at
                    for byte in range(from_byte, from_byte + fields[field, 1]):
                        copied[byte] = octets[byte]
                    kept[FIELDS] += fields[field, 1]
            if plans[kind, ELEMENT_TO] > plans[kind, ELEMENT_FROM]:
                element = address + plans[kind, ELEMENTS_AT]
                for _ in range(length):
                    if element + component_sizes[kind] > stop:
                        break
                    for field in range(plans[kind, ELEMENT_FROM], plans[kind, ELEMENT_TO]):
                        from_byte = 8 * base + element + fields[field, 0]
                        for byte in range(from_byte, from_byte + fields[field, 1]):
                            copied[byte] = octets[byte]
                        kept[FIELDS] += fields[field, 1]
                    element += component_sizes[kind]
