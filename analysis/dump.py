"""One opened dump: every part read once, when it is first asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import AnalysisError
from analysis.memory.elf_core import ElfCore, open_elf_core
from analysis.memory.images import MappedImage, mapped_images
from analysis.memory.initial_stack import InitialStack, read_initial_stack
from analysis.memory.reader import Memory
from analysis.runtime.exceptions import ExceptionReader
from analysis.runtime.fields import FieldReader
from analysis.runtime.gc_heap import GcHeap, read_allocation_context, read_gc_heap
from analysis.runtime.named_fields import NamedFields
from analysis.runtime.native_frames import NativeCode
from analysis.runtime.objects import ObjectReader
from analysis.runtime.opening import Runtime, open_runtime
from analysis.runtime.stack_frames import ThreadStack
from analysis.runtime.stack_roots import StackRoots
from analysis.runtime.stack_walk import StackWalker
from analysis.runtime.threads import ThreadList, read_threads

if TYPE_CHECKING:
    from analysis.heap.walk import HeapWalk

#: Below this share of captured heap bytes a dump counts as one without a heap (mini and triage dumps keep stack pages only).
_HEAP_PRESENT = 0.1
_MOSTLY = 0.9


@dataclass(frozen=True, slots=True)
class HeapShare:
    """How much of the heap's allocated bytes the dump holds."""

    captured_bytes: int
    allocated_bytes: int

    @property
    def present(self) -> bool:
        return self.captured_bytes > self.allocated_bytes * _HEAP_PRESENT


class Dump:
    """A process dump opened by the engine. Construction raises NotADump, Unsupported, Corrupt or OverLimit."""

    def __init__(self, path: Path, memory: type[Memory] = Memory) -> None:
        self.core: ElfCore = open_elf_core(path, memory)
        self.images: list[MappedImage] = mapped_images(self.core.mappings)

    @cached_property
    def runtime(self) -> Runtime:
        return open_runtime(self.core, self.images)

    @cached_property
    def initial_stack(self) -> InitialStack | None:
        """Arguments and environment the process was started with, where the dump holds them."""
        return read_initial_stack(self.core)

    @cached_property
    def fields(self) -> FieldReader:
        return FieldReader(self.runtime.types)

    @cached_property
    def objects(self) -> ObjectReader:
        return ObjectReader(self.runtime.types, self.fields)

    @cached_property
    def named_fields(self) -> NamedFields:
        return NamedFields(self.runtime.types, self.fields)

    @cached_property
    def exceptions(self) -> ExceptionReader:
        return ExceptionReader(self.runtime.target, self.named_fields, self.objects)

    @cached_property
    def threads(self) -> ThreadList:
        return read_threads(self.runtime.target, self.runtime.types, self.objects, self.core.process.pid)

    @cached_property
    def gc_heap(self) -> GcHeap | AnalysisError:
        """The collector's heaps with all allocation contexts, or why they cannot be read."""
        target = self.runtime.target
        try:
            heap = read_gc_heap(target)
        except AnalysisError as error:
            return error
        contexts = [thread.allocation_context for thread in self.threads.threads]
        try:
            contexts.append(read_allocation_context(target, target.variable("GlobalAllocContext")))
        except AnalysisError as error:
            heap.problems.append(f"the global allocation context: {error}")
        heap.allocation_contexts = [pair for pair in contexts + heap.allocation_contexts if pair[0]]
        return heap

    @cached_property
    def heap_share(self) -> HeapShare:
        heap = self.gc_heap
        if isinstance(heap, AnalysisError):
            return HeapShare(0, 0)
        captured = sum(
            right - left for s in heap.segments for left, right, _ in self.core.memory.segments.between(s.start, s.end)
        )
        return HeapShare(captured, sum(segment.end - segment.start for segment in heap.segments))

    @cached_property
    def stack_walker(self) -> StackWalker:
        """Code, methods and unwinding of this dump, shared by all threads."""
        roots = StackRoots(self.runtime.target, self._in_heap, self._is_object)
        return StackWalker(self.runtime.types, NativeCode(self.core.memory, self.images), roots)

    @cached_property
    def stacks(self) -> list[ThreadStack]:
        """The stacks of all managed threads in their order, then of the threads the runtime does not manage."""
        states = {state.os_id: state for state in self.core.threads}
        stacks = []
        for thread in self.threads.threads:
            state = states.pop(thread.os_id, None) if thread.os_id else None
            stacks.append(self.stack_walker.walk(thread, state) if thread.os_id else ThreadStack(thread, 0))
        return stacks + [self.stack_walker.walk(None, state) for state in states.values()]

    @cached_property
    def _heap_ranges(self) -> tuple[list[int], list[int]]:
        heap = self.gc_heap
        if isinstance(heap, AnalysisError) or self.kind == "triage":
            return [], []
        found = sorted((segment.start, segment.end) for segment in heap.segments)
        return [start for start, _ in found], [end for _, end in found]

    def _in_heap(self, address: int) -> bool:
        """Whether an address lies in a segment. A dump without the list of segments (triage) cannot tell: any may."""
        starts, ends = self._heap_ranges
        if not starts:
            return True
        place = bisect_right(starts, address) - 1
        return place >= 0 and address < ends[place]

    def _is_object(self, address: int) -> bool:
        return self.core.memory.probe(partial(self._has_type, address))

    def _has_type(self, address: int) -> bool:
        try:
            self.objects.type_of(address)
        except AnalysisError:
            return False
        return True

    def walk(self, progress: Callable[[float], None] = lambda fraction: None) -> HeapWalk | None:
        """A walk of the heap, or None for a dump that was taken without it."""
        # The compiled kernels take longer to load than most stacks to walk: who asks for no heap does not wait for them.
        from analysis.heap.walk import HeapWalk

        heap = self.gc_heap
        if isinstance(heap, AnalysisError) or not self.heap_share.present:
            return None
        return HeapWalk(self.core.memory, heap, self.runtime.types, progress)

    @cached_property
    def kind(self) -> str:
        """full, heap, mini or triage: what the writer left in."""
        image = self.runtime.target.runtime.image
        captured = sum(right - left for left, right, _ in self.core.memory.segments.between(image.base, image.end))
        if self.heap_share.present:
            return "full" if captured > image.size * _MOSTLY else "heap"
        heap = self.gc_heap
        return "triage" if isinstance(heap, AnalysisError) or heap.problems else "mini"
