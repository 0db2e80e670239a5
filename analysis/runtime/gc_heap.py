"""The garbage collector's heaps: flavour, generations, segments or regions, allocation contexts.

Source: ``gc/gcinterface.dacvars.def`` and ``gc/gcinterface.dac.h`` in dotnet/runtime (the interface between the
collector and debuggers, the same for .NET 8, 9 and 10).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise

from analysis.contracts.target import Target
from analysis.errors import Corrupt, MemoryFault, OverLimit
from analysis.limits import LIMITS

LARGE, PINNED, FROZEN = 3, 4, 5  # places in the index's GENERATIONS; the three before them are 0, 1 and 2
_READ_ONLY_SEGMENT = 1
_SERVER_HEAP_TYPE = 2
# Positions in gc_heap_field_offsets and generation_field_offsets (gc/dac_gcheap_fields.h, gc/dac_generation_fields.h).
_ALLOC_ALLOCATED, _EPHEMERAL_SEGMENT, _GENERATION_TABLE = 0, 1, 18
_ALLOCATION_CONTEXT, _START_SEGMENT, _ALLOCATION_START = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment or region. Addresses; ``generations`` are (start, end) of generation 0, 1 and 2 in it."""

    heap: int
    kind: str
    start: int
    end: int
    committed_end: int
    reserved_end: int
    generations: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

    def parts(self) -> list[tuple[int, int, int]]:
        """Stretches of one generation in address order: (start, end, index into GENERATIONS)."""
        fixed = {"Large": LARGE, "Pinned": PINNED, "Frozen": FROZEN}.get(self.kind)
        if fixed is not None:
            return [(self.start, self.end, fixed)]
        found = [(start, end, number) for number, (start, end) in enumerate(self.generations) if start < end]
        return sorted(found)


@dataclass(slots=True)
class GcHeap:
    """What the collector knows about itself. ``problems`` says in words what could not be read."""

    server: bool
    regions: bool
    heaps: int
    structures_valid: bool
    segments: list[Segment] = field(default_factory=list)
    allocation_contexts: list[tuple[int, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _HeapSource:
    """Where one heap keeps its generation table and its ephemeral segment."""

    number: int
    generation_table: int
    ephemeral_segment: int
    alloc_allocated: int


def read_gc_heap(target: Target) -> GcHeap:
    """Read all heaps. Raises Corrupt or MemoryFault when the collector's globals cannot be read at all."""
    variables = target.global_pointer("GCDacGlobals")
    server = target.memory.u32(target.variable("HeapType")) == _SERVER_HEAP_TYPE
    offsets = struct.unpack("<3i", target.memory.read(target.pointer(variables, "GcDacVars", "GenerationFieldOffsets"), 12))
    invalid = target.memory.u32(target.pointer(variables, "GcDacVars", "StructuresInvalidCount"))
    sources = _server_heaps(target, variables) if server else [_workstation_heap(target, variables)]
    heap = GcHeap(server, offsets[_ALLOCATION_START] == -1, len(sources), invalid == 0)
    size = target.memory.u64(variables + target.layout.offset("GcDacVars", "GenerationSize"))
    if not 64 <= size <= 4096:
        raise Corrupt(f"a generation of {size} bytes", where="GcDacVars.generation_size")
    contexts: list[tuple[int, int]] = []
    for source in sources:
        _read_generations(target, heap, source, size, offsets, contexts)
    heap.segments.sort(key=lambda s: s.start)
    heap.allocation_contexts = contexts
    return heap


def _workstation_heap(target: Target, variables: int) -> _HeapSource:
    memory = target.memory
    return _HeapSource(
        0,
        target.pointer(variables, "GcDacVars", "GenerationTable"),
        memory.pointer(target.pointer(variables, "GcDacVars", "EphemeralHeapSegment")),
        memory.pointer(target.pointer(variables, "GcDacVars", "AllocAllocated")),
    )


def _server_heaps(target: Target, variables: int) -> list[_HeapSource]:
    memory = target.memory
    count = memory.u32(target.pointer(variables, "GcDacVars", "HeapCount"))
    if not 1 <= count <= LIMITS.heaps:
        raise Corrupt(f"{count:,} server heaps", where="GcDacVars.n_heaps")
    table = memory.pointer(target.pointer(variables, "GcDacVars", "Heaps"))
    fields = struct.unpack("<19i", memory.read(target.pointer(variables, "GcDacVars", "HeapFieldOffsets"), 76))
    found = []
    for number in range(count):
        heap = memory.pointer(table + 8 * number)
        found.append(
            _HeapSource(
                number,
                heap + fields[_GENERATION_TABLE],
                memory.pointer(heap + fields[_EPHEMERAL_SEGMENT]),
                memory.pointer(heap + fields[_ALLOC_ALLOCATED]),
            )
        )
    return found


def _read_generations(
    target: Target, heap: GcHeap, source: _HeapSource, size: int, offsets: tuple[int, ...], contexts: list[tuple[int, int]]
) -> None:
    memory = target.memory
    tables = [source.generation_table + size * number for number in range(5)]
    for table in tables:
        pointer, limit = read_allocation_context(target, table + offsets[_ALLOCATION_CONTEXT])
        if pointer:
            contexts.append((pointer, limit))
    starts = (0, 0, 0)
    if not heap.regions:
        starts = tuple(memory.pointer(table + offsets[_ALLOCATION_START]) for table in tables[:3])  # type: ignore[assignment]
    # With segments the three small-object generations share one list, which hangs on generation 2.
    for number in range(5) if heap.regions else (2, 3, 4):
        try:
            first = memory.pointer(tables[number] + offsets[_START_SEGMENT])
        except MemoryFault as fault:
            heap.problems.append(f"generation {number} of heap {source.number}: {fault}")
            continue
        _read_segments(target, heap, source, number, first, starts)


def _read_segments(
    target: Target, heap: GcHeap, source: _HeapSource, number: int, first: int, starts: tuple[int, int, int]
) -> None:
    seen: set[int] = set()
    address = first
    while address and address not in seen:
        seen.add(address)
        if len(heap.segments) >= LIMITS.regions:
            raise OverLimit(f"more than {LIMITS.regions:,} segments", where=f"heap {source.number}")
        try:
            heap.segments.append(_segment(target, heap.regions, source, number, address, starts))
            address = target.pointer(address, "HeapSegment", "Next")
        except MemoryFault as fault:
            heap.problems.append(f"the list of segments of heap {source.number} breaks off at {address:#x}: {fault.cause}")
            return
        except Corrupt as damage:
            heap.problems.append(str(damage))
            return


def _segment(
    target: Target, regions: bool, source: _HeapSource, number: int, address: int, starts: tuple[int, int, int]
) -> Segment:
    start = target.pointer(address, "HeapSegment", "Mem")
    end = target.pointer(address, "HeapSegment", "Allocated")
    committed = target.pointer(address, "HeapSegment", "Committed")
    reserved = target.pointer(address, "HeapSegment", "Reserved")
    frozen = bool(target.pointer(address, "HeapSegment", "Flags") & _READ_ONLY_SEGMENT)
    ephemeral = address == source.ephemeral_segment
    if ephemeral:
        end = source.alloc_allocated
    if not start <= end <= max(committed, reserved) or end - start > 1 << 46:
        raise Corrupt(f"a heap segment from {start:#x} to {end:#x}", where=f"heap_segment at {address:#x}")
    none = (0, 0)
    if frozen or number > 2:
        kind = "Frozen" if frozen else "Large" if number == 3 else "Pinned"
        return Segment(source.number, kind, start, end, committed, reserved, (none, none, (start, end)))
    if regions:
        bounds = [none, none, none]
        bounds[number] = (start, end)
        return Segment(source.number, f"Generation{number}", start, end, committed, reserved, (bounds[0], bounds[1], bounds[2]))
    if not ephemeral:
        return Segment(source.number, "Generation2", start, end, committed, reserved, (none, none, (start, end)))
    young, middle = starts[0], starts[1]
    return Segment(source.number, "Ephemeral", start, end, committed, reserved, ((young, end), (middle, young), (start, middle)))


def read_allocation_context(target: Target, address: int) -> tuple[int, int]:
    """(next allocation, limit) of the gc_alloc_context at ``address``; (0, 0) for an unused one."""
    return target.pointer(address, "GCAllocContext", "Pointer"), target.pointer(address, "GCAllocContext", "Limit")


def split_at_contexts(start: int, end: int, contexts: list[tuple[int, int]], minimum_object: int) -> list[tuple[int, int]]:
    """Cut [start, end) around the unused tails of allocation contexts, which hold no objects.

    The collector keeps room for one smallest object behind a context's limit.
    """
    edges = [start]
    for pointer, limit in sorted(contexts):
        if start <= pointer < end and pointer >= edges[-1]:
            edges += [pointer, min(limit + minimum_object, end)]
    edges.append(end)
    return [(left, right) for left, right in list(pairwise(edges))[::2] if left < right]
