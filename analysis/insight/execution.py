"""Everything the threads and the heap of a dump tell, found once: what rules look at and what the tables of the index hold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.graph.retention import Retention
from analysis.graph.strings import Holders, Strings, find_holders, find_strings
from analysis.heap.by_type import ObjectsByType
from analysis.heap.walk import HeapWalk
from analysis.insight.activity import describe_threads
from analysis.insight.collections import Collections, find_collections
from analysis.insight.crash import Crash, find_crash
from analysis.insight.deadlocks import Convoy, Cycle, find_convoys, find_cycles
from analysis.insight.exceptions import ExceptionList, collect_exceptions
from analysis.insight.merged_stacks import MergedStacks, merge_stacks
from analysis.insight.wait_graph import WaitGraph, build_wait_graph
from analysis.runtime.stack_frames import StackFrame, ThreadStack
from analysis.runtime.threads import ManagedThread


class Execution:
    """The threads of one dump. Rows of threads count in ``threads``; ``stacks`` run along them."""

    def __init__(self, dump: Dump, walked: HeapWalk | None, retention: Retention | None = None) -> None:
        self.dump, self.walked, self.retention = dump, walked, retention
        self.threads: Sequence[ManagedThread] = dump.threads.threads
        self.stacks: Sequence[ThreadStack] = dump.stacks[: len(self.threads)]

    @cached_property
    def alive(self) -> list[int]:
        """Rows of threads that have started and not ended."""
        return [row for row, thread in enumerate(self.threads) if thread.alive]

    @cached_property
    def merged(self) -> MergedStacks:
        return merge_stacks(self.stacks)

    @cached_property
    def exceptions(self) -> ExceptionList:
        heap = None if isinstance(self.dump.gc_heap, AnalysisError) else self.dump.gc_heap
        by_type = ObjectsByType(self.dump.core.memory, heap, self.walked, self.dump.named_fields.bases)
        return collect_exceptions(self.dump, by_type)

    @cached_property
    def crash(self) -> Crash:
        return find_crash(self.dump, self.exceptions)

    @cached_property
    def graph(self) -> WaitGraph:
        return build_wait_graph(self.dump, self.stacks, self.walked)

    @cached_property
    def cycles(self) -> list[Cycle]:
        return find_cycles(self.graph)

    @cached_property
    def convoys(self) -> list[Convoy]:
        return find_convoys(self.graph, self.cycles)

    @cached_property
    def doing(self) -> list[str]:
        """What each thread does, one sentence each."""
        return describe_threads(self.threads, self.stacks, self.graph, self.cycles)

    @cached_property
    def strings(self) -> Strings | None:
        """All strings of the heap; None without one."""
        return find_strings(self.dump, self.walked) if self.walked and self.walked.object_count else None

    @cached_property
    def holders(self) -> Holders | None:
        """Who refers to the texts that waste most."""
        return find_holders(self.strings, self.strings.worst(), self.retention) if self.strings and self.retention else None

    @cached_property
    def collections(self) -> Collections | None:
        """All collections of the heap; None without one."""
        return find_collections(self.dump, self.retention) if self.retention else None

    @cached_property
    def first_frames(self) -> list[int]:
        """Row of the index's table of frames at which each stack begins, and at the end how many there are."""
        return [0, *accumulate(len(stack.frames) for stack in self.dump.stacks)]

    def frame_row(self, thread: int, place: int) -> int:
        """Row of a frame in the index from its place in the stack of a thread; -1 for none."""
        return self.first_frames[thread] + place if place >= 0 else -1

    def own_frame(self, thread: int) -> StackFrame | None:
        """The innermost frame of a thread in the program's own code."""
        place = self.merged.own_frame[thread]
        return self.stacks[thread].frames[place] if place >= 0 else None
