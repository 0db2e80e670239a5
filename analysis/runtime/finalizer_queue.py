"""The finalizer queue: objects whose finalizer has yet to run.

Source: ``gc/gcpriv.h`` (CFinalize) in dotnet/runtime: one array, divided by fill pointers into generations, objects that
the collector found dead (ready), and free room.
"""

from __future__ import annotations

import struct

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, Corrupt
from analysis.limits import LIMITS

#: Position of the queue in gc_heap_field_offsets (gc/dac_gcheap_fields.h).
_QUEUE_OF_HEAP = 2
_FILL_POINTERS = 7
_READY, _READY_END = 4, 6


def read_finalizer_queue(target: Target) -> tuple[list[tuple[int, bool]], list[str]]:
    """(address, ready) of all objects in the queues of all heaps; and what could not be read, in words."""
    found: list[tuple[int, bool]] = []
    problems: list[str] = []
    try:
        queues = _queues(target)
    except AnalysisError as damage:
        return [], [f"the finalizer queue: {damage}"]
    for queue in queues:
        try:
            found += _queue(target, queue)
        except AnalysisError as damage:
            problems.append(f"a finalizer queue: {damage}")
    return found, problems


def _queues(target: Target) -> list[int]:
    memory = target.memory
    variables = target.global_pointer("GCDacGlobals")
    heaps = target.pointer(variables, "GcDacVars", "Heaps")
    if not heaps or not memory.try_pointer(heaps):
        return [memory.pointer(target.pointer(variables, "GcDacVars", "FinalizeQueue"))]
    count = memory.u32(target.pointer(variables, "GcDacVars", "HeapCount"))
    if count > LIMITS.heaps:
        raise Corrupt(f"{count:,} server heaps", where="GcDacVars.n_heaps")
    offsets = struct.unpack("<19i", memory.read(target.pointer(variables, "GcDacVars", "HeapFieldOffsets"), 76))
    table = memory.pointer(heaps)
    return [memory.pointer(memory.pointer(table + 8 * number) + offsets[_QUEUE_OF_HEAP]) for number in range(count)]


def _queue(target: Target, queue: int) -> list[tuple[int, bool]]:
    memory = target.memory
    at = queue + target.layout.offset("FinalizeQueue", "FillPointers")
    edges = struct.unpack(f"<{_FILL_POINTERS}Q", memory.read(at, 8 * _FILL_POINTERS))
    start, end = target.pointer(queue, "FinalizeQueue", "Array"), edges[_READY_END]
    if not start <= edges[_READY] <= end or (end - start) // 8 > LIMITS.finalizable:
        raise Corrupt("fill pointers out of order", where=f"CFinalize at {queue:#x}")
    values = struct.unpack(f"<{(end - start) // 8}Q", memory.read(start, end - start)) if end > start else ()
    ready = (edges[_READY] - start) // 8
    return [(value, row >= ready) for row, value in enumerate(values) if value]
