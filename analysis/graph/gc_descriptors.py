"""The collector's descriptors of where objects of a type hold references, as programs for the kernels.

Source: ``gc/gcdesc.h`` in dotnet/runtime. A descriptor lies before the method table and is read downwards: the number of
series, then the series themselves; a negative number announces the runs of one element of an array of structs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError, Corrupt
from analysis.kernels import references as kernels
from analysis.limits import LIMITS
from analysis.memory.reader import Memory
from analysis.runtime.type_columns import MethodTables
from analysis.runtime.types import TypeInfo, TypeSystem

_WORD = 8
_SERIES_BYTES = 16


@dataclass(slots=True)
class DescriptorTable:
    """``programs`` int64[types, 3] and ``runs`` int64[n, 2] as the kernels want them (``analysis.kernels.references``)."""

    programs: npt.NDArray[np.int64]
    runs: npt.NDArray[np.int64]
    problems: list[str] = field(default_factory=list)


def read_descriptors(memory: Memory, type_system: TypeSystem, tables: MethodTables) -> DescriptorTable:
    """Programs of all types of a heap, whose ``tables`` begin with type 1: free blocks carry the flag of an array and nothing
    else. A descriptor that makes no sense is named in ``problems`` and counts as empty."""
    programs = np.zeros((1 + len(tables.address), 3), np.int64)
    plain, runs = _one_series(memory, tables)
    programs[1:][plain, 0] = np.where(tables.component_size[plain] > 0, kernels.SIZED, kernels.FIXED)
    programs[1:][plain, 1] = np.arange(1, len(runs) + 1)
    programs[1:][plain, 2] = np.arange(2, len(runs) + 2)
    more: list[tuple[int, int]] = []
    problems: list[str] = []
    for row in np.flatnonzero(tables.contains_pointers & ~plain).tolist():
        method_table = int(tables.address[row])
        try:
            kind, found = _program(memory, type_system.info(method_table))
        except AnalysisError as damage:
            problems.append(f"references of {type_system.name(method_table)}: {damage}")
            continue
        first = 1 + len(runs) + len(more)
        programs[1 + row] = kind, first, first + len(found)
        more += found
    unused = np.zeros((1, 2), np.int64)
    return DescriptorTable(programs, np.concatenate([unused, runs, np.array(more, np.int64).reshape(-1, 2)]), problems)


def _one_series(memory: Memory, tables: MethodTables) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """The types whose references lie in one sound series, as nearly all do, and their runs int64[n, 2]. The same conditions
    as in ``_program``, which names what is wrong with the others."""
    word = np.uint64(_WORD)
    count, plain = memory.gather(tables.address - word, np.int64)
    plain &= tables.contains_pointers & tables.consistent & (count == 1)
    address, base = tables.address[plain], tables.base_size[plain]
    start, there = memory.gather(address - 2 * word, np.int64)
    size, there_too = memory.gather(address - 3 * word, np.int64)
    sized = tables.component_size[plain] > 0
    length = np.where(sized, size, (size + base) // _WORD)
    sound = there & there_too & (start >= _WORD) & (start <= base) & (start & 7 == 0)
    # Compared by division: a length that was made up must not wrap around.
    sound &= sized | ((length >= 0) & (length <= (base - start) // _WORD))
    plain[plain] = sound
    return plain, np.column_stack([start, length])[sound]


def _program(memory: Memory, info: TypeInfo) -> tuple[int, list[tuple[int, int]]]:
    at = info.method_table - _WORD
    count = struct.unpack("<q", memory.read(at, _WORD))[0]
    if not 0 < abs(count) <= LIMITS.gc_slots:
        raise Corrupt(f"{count:,} series of references", where=f"before method table {info.method_table:#x}")
    if count < 0:
        return kernels.REPEATED, _repeated(memory, info, -count)
    raw = struct.unpack(f"<{2 * count}q", memory.read(at - _SERIES_BYTES * count, _SERIES_BYTES * count))
    series = [(start, size) for size, start in zip(raw[::2], raw[1::2], strict=True)][::-1]
    if any(start < _WORD or start > info.base_size or start & 7 for start, _ in series):
        raise Corrupt("a series of references that lies outside its object", where=f"method table {info.method_table:#x}")
    if info.component_size:
        return kernels.SIZED, sorted(series)
    fixed = sorted((start, (size + info.base_size) // _WORD) for start, size in series)
    if any(words < 0 or start + words * _WORD > info.base_size for start, words in fixed):
        raise Corrupt("a series of references that leaves its object", where=f"method table {info.method_table:#x}")
    return kernels.FIXED, fixed


def _repeated(memory: Memory, info: TypeInfo, items: int) -> list[tuple[int, int]]:
    at = info.method_table - 2 * _WORD
    start = memory.u64(at)
    # An element may begin with fields that are no references: numbers, or structs without any.
    behind_first_element = info.base_size - _WORD + info.component_size
    if not _WORD <= start < behind_first_element or start & 7:
        raise Corrupt("references of elements that begin outside the array", where=f"method table {info.method_table:#x}")
    found = [(int(start), 0)]
    for item in range(items):
        count, skip = struct.unpack("<II", memory.read(at - _WORD * (item + 1), _WORD))
        if count + skip == 0 or skip & 7:
            raise Corrupt("a run of references without length", where=f"method table {info.method_table:#x}")
        found.append((count, skip))
    return found
