"""Arrays of numbers that are structure: stack traces of exceptions, and those of the reviewed list."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.walk import HeapWalk
from analysis.runtime.exceptions import EXCEPTION
from analysis.scrub.intervals import Intervals, intersect, intervals
from analysis.scrub.structural_fields import STRUCTURAL_ARRAYS

_WORD = 8
_BYTES_PER_REFERENCE = 8
#: Of an element of a stack trace: instruction pointer, stack pointer, method, flags.
_ELEMENT_BYTES = 28


def structural_arrays(dump: Dump, walked: HeapWalk) -> Intervals:
    """Addresses of what is kept in such arrays."""
    found: list[tuple[int, int]] = []
    for kind, method_table in enumerate(walked.types.method_tables[1:], 1):
        bases = dump.named_fields.bases(method_table)
        if EXCEPTION in bases:
            for array in _referred(dump, walked, kind, "_stackTrace", EXCEPTION):
                found += _stack_trace(dump, array)
        for name in bases:
            for field in STRUCTURAL_ARRAYS.get(_plain(name), ()):
                for array in _referred(dump, walked, kind, field):
                    found += _whole(dump, array)
    return intervals(found)


def copy_structural_arrays(dump: Dump, walked: HeapWalk, copied: npt.NDArray[np.uint8]) -> int:
    """Copy them; how many bytes."""
    memory, kept = dump.core.memory, 0
    heap = dump.gc_heap
    segments = [] if isinstance(heap, AnalysisError) else [(segment.start, segment.end) for segment in heap.segments]
    inside = intersect(structural_arrays(dump, walked), intervals(segments))
    for start, end in inside.tolist():
        for left, right, offset in memory.segments.between(start, end):
            copied[offset : offset + right - left] = np.frombuffer(memory.read(left, right - left), np.uint8)
            kept += right - left
    return kept


def _plain(name: str) -> str:
    return "+".join(part.split("`")[0] for part in name.split("+"))


def _referred(dump: Dump, walked: HeapWalk, kind: int, field_name: str, declared_by: str = "") -> list[int]:
    """Distinct objects that the field of this name refers to in all objects of a type."""
    field = dump.named_fields.fields(walked.types.method_tables[kind], declared_by).get(field_name)
    if field is None:
        return []
    owners = walked.columns.address[walked.columns.type == kind]
    values, there = dump.core.memory.gather(owners + np.uint64(_WORD + field.offset), np.uint64)
    found: list[int] = np.unique(values[there & (values != 0)]).tolist()
    return found


def _stack_trace(dump: Dump, array: int) -> list[tuple[int, int]]:
    """A byte array, or an object array whose first element is that byte array."""
    target = dump.runtime.target
    layout, memory = target.layout, target.memory
    try:
        if dump.objects.type_of(array).component_size == _BYTES_PER_REFERENCE:
            array = memory.pointer(array + layout.types["Array"]["!"])
        if not array or dump.objects.type_of(array).component_size != 1:
            return []
        data = array + layout.types["Array"]["!"]
        end = data + memory.u32(array + layout.offset("Array", "m_NumComponents"))
        first = data + layout.offset("StackTraceArray", "Elements")
        size = layout.types["StackTraceElement"]["!"]
        count = min(memory.u32(data + layout.offset("StackTraceArray", "Count")), max(end - first, 0) // size)
    except AnalysisError:
        return []
    elements = [(first + size * row, first + size * row + _ELEMENT_BYTES) for row in range(count)]
    return [(data, min(first, end)), *elements]


def _whole(dump: Dump, array: int) -> list[tuple[int, int]]:
    target = dump.runtime.target
    try:
        info = dump.objects.type_of(array)
        length = target.memory.u32(array + target.layout.offset("Array", "m_NumComponents"))
    except AnalysisError:
        return []
    data = array + target.layout.types["Array"]["!"]
    return [(data, data + length * info.component_size)] if info.rank == 1 else []
