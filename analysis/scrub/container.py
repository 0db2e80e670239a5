"""The file round the memory: ELF header, program headers, and notes on threads, process and mapped files."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from analysis.dump import Dump
from analysis.errors import Corrupt
from analysis.memory.elf_core import NOTE_AUXILIARY_VECTOR, NOTE_FILES, NOTE_PROCESS, NOTE_THREAD, Note
from analysis.scrub.intervals import Intervals, intervals
from analysis.scrub.paths import kept_from

_HEADER_BYTES = 64
_COUNTED_ELSEWHERE, _COUNT_OF_SEGMENTS = 0xFFFF, (44, 48)
#: elf_prstatus: signal and thread ids are kept, then the registers as words, of which only pointers are.
_SIGNAL, _THREAD_IDS, _REGISTERS, _REGISTERS_END = (12, 14), (32, 48), 112, 328
#: Selectors and flags of the processor among the registers; the number of a system call is not one of them.
_SELECTORS = ((248, 256), (272, 280), (296, 328))
#: elf_prpsinfo: process ids.
_PROCESS_IDS = (24, 40)
#: Kinds of the auxiliary vector whose values are addresses of texts or ids of the user.
_PRIVATE_KINDS = frozenset({11, 12, 13, 14})
_FILE_ROW_BYTES = 24


@dataclass(slots=True)
class Container:
    """File offsets. ``fills``: (offset, bytes) that take the place of what is wiped."""

    headers: Intervals
    notes: Intervals
    registers: Intervals
    names: Intervals
    fills: list[tuple[int, bytes]] = field(default_factory=list)


def container(dump: Dump, known: Intervals) -> Container:
    """What is kept of everything that is not memory; of registers those that point into the ranges ``known``. Raises Corrupt for
    notes that leave their place."""
    core = dump.core
    headers = [
        (0, _HEADER_BYTES),
        core.program_headers,
        *_first_section(core.memory.raw(0, _HEADER_BYTES), core.memory.size_bytes),
    ]
    kept: list[tuple[int, int]] = []
    registers: list[tuple[int, int]] = []
    names: list[tuple[int, int]] = []
    fills: list[tuple[int, bytes]] = []
    for note in core.notes:
        kept.append((note.start, note.body))
        if note.kind == NOTE_THREAD and note.size >= _REGISTERS_END:
            kept += [(note.body + left, note.body + right) for left, right in (_SIGNAL, _THREAD_IDS, *_SELECTORS)]
            registers += _pointers(core.memory.raw(note.body, note.size), note, known)
        elif note.kind == NOTE_PROCESS and note.size >= _PROCESS_IDS[1]:
            kept.append((note.body + _PROCESS_IDS[0], note.body + _PROCESS_IDS[1]))
        elif note.kind == NOTE_AUXILIARY_VECTOR:
            kept += _auxiliary_vector(core.memory.raw(note.body, note.size), note)
        elif note.kind == NOTE_FILES:
            rows, found, filled = _files(core.memory.raw(note.body, note.size), note)
            kept.append(rows)
            names += found
            fills += filled
    return Container(intervals(headers), intervals(kept), intervals(registers), intervals(names), fills)


def _first_section(header: bytes, size: int) -> list[tuple[int, int]]:
    """Where more program headers than the file's header can count are counted: in the header of the first section."""
    (at,), (count,) = struct.unpack_from("<Q", header, 40), struct.unpack_from("<H", header, 56)
    first, last = at + _COUNT_OF_SEGMENTS[0], at + _COUNT_OF_SEGMENTS[1]
    return [(first, last)] if count == _COUNTED_ELSEWHERE and last <= size else []


def _pointers(raw: bytes, note: Note, known: Intervals) -> list[tuple[int, int]]:
    """The registers of a thread that hold pointers."""
    found = []
    for at in range(_REGISTERS, _REGISTERS_END, 8):
        (value,) = struct.unpack_from("<Q", raw, at)
        row = int(np.searchsorted(known[:, 0], value, side="right")) - 1 if value < 1 << 62 else -1
        if row >= 0 and value < known[row, 1]:
            found.append((note.body + at, note.body + at + 8))
    return found


def _auxiliary_vector(raw: bytes, note: Note) -> list[tuple[int, int]]:
    kinds = struct.unpack(f"<{len(raw) // 16 * 2}Q", raw[: len(raw) // 16 * 16])[::2]
    # Without its kind, a pair would end the list.
    return [
        (note.body + 16 * row, note.body + 16 * row + (8 if kind in _PRIVATE_KINDS else 16)) for row, kind in enumerate(kinds)
    ]


def _files(raw: bytes, note: Note) -> tuple[tuple[int, int], list[tuple[int, int]], list[tuple[int, bytes]]]:
    """The rows of addresses, the names that are kept, and slashes for their directories."""
    if len(raw) < 16:
        return (note.body, note.body), [], []
    (count,) = struct.unpack_from("<Q", raw)
    first = 16 + count * _FILE_ROW_BYTES
    if first > len(raw):
        raise Corrupt("the list of mapped files is longer than its note", where="NT_FILE")
    names: list[tuple[int, int]] = []
    fills: list[tuple[int, bytes]] = []
    at = first
    for _ in range(count):
        end = raw.find(b"\0", at)
        if end < 0:
            break
        # Latin-1 has a letter for every byte: places in the text are places in the file.
        keep = kept_from(raw[at:end].decode("latin-1"))
        names.append((note.body + at + keep, note.body + end))
        if keep:
            fills.append((note.body + at, b"/" * keep))
        at = end + 1
    return (note.body, note.body + first), names, fills
