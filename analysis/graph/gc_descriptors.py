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
from analysis.heap.type_table import TypeTable
from analysis.kernels import references as kernels
from analysis.limits import LIMITS
from analysis.memory.reader import Memory
from analysis.runtime.types import TypeInfo, TypeSystem

_WORD = 8
_SERIES_BYTES = 16


@dataclass(slots=True)
class DescriptorTable:
    """``programs`` int64[types, 3] and ``runs`` int64[n, 2] as the kernels want them (``analysis.kernels.references``)."""

    programs: npt.NDArray[np.int64]
    runs: npt.NDArray[np.int64]
    problems: list[str] = field(default_factory=list)


def read_descriptors(memory: Memory, type_system: TypeSystem, types: TypeTable) -> DescriptorTable:
    """Programs of all types of a heap. A descriptor that makes no sense is named in ``problems`` and counts as empty."""
    programs = np.zeros((len(types), 3), np.int64)
    runs: list[tuple[int, int]] = [(0, 0)]
    problems: list[str] = []
    for row, method_table in enumerate(types.method_tables):
        try:
            # Free blocks carry the flag of an array and nothing else.
            info = type_system.info(method_table) if row else None
            found = _program(memory, info) if info and info.contains_pointers else None
        except AnalysisError as damage:
            problems.append(f"references of {type_system.name(method_table)}: {damage}")
            continue
        if found:
            programs[row] = found[0], len(runs), len(runs) + len(found[1])
            runs += found[1]
    return DescriptorTable(programs, np.array(runs, np.int64), problems)


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
