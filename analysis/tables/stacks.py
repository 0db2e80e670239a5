"""Tables of threads and their stacks: threads, frames, native_threads, stack_objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.walk import HeapWalk
from analysis.index.store import IndexWriter
from analysis.runtime.stack_frames import FrameKind, StackFrame, StackObject, ThreadStack
from analysis.secrets.mask import masked
from analysis.tables.methods import MethodRows


@dataclass(frozen=True, slots=True)
class ThreadInsight:
    """What is said of each managed thread beside its frames; lists run along ``threads``."""

    stack_group: Sequence[int]
    merged_leaf: Sequence[int]
    top_own_frame: Sequence[int]
    doing: Sequence[str]


def first_frames(stacks: Sequence[ThreadStack]) -> list[int]:
    """Row of ``frames`` at which each stack begins, and at the end how many there are."""
    return [0, *np.cumsum([len(stack.frames) for stack in stacks], dtype=np.int64).tolist()]


def write_stacks(writer: IndexWriter, dump: Dump, methods: MethodRows) -> None:
    """frames and native_threads."""
    stacks = dump.stacks
    managed = len(dump.threads.threads)
    frames = [(row if row < managed else -1, frame) for row, stack in enumerate(stacks) for frame in stack.frames]
    writer.table("frames", {
        "thread": [row for row, _ in frames],
        "kind": [frame.kind for _, frame in frames],
        "ip": [frame.ip for _, frame in frames],
        "sp": [frame.sp for _, frame in frames],
        "method": [_method(frame, methods) for _, frame in frames],
        "label": [frame.label for _, frame in frames],
        "il_offset": [frame.il_offset for _, frame in frames],
    })  # fmt: skip
    starts = first_frames(stacks)
    writer.table("native_threads", {
        "os_id": [stack.os_id for stack in stacks[managed:]],
        "first_frame": starts[managed:-1],
        "frames": [len(stack.frames) for stack in stacks[managed:]],
    })  # fmt: skip


def _method(frame: StackFrame, methods: MethodRows) -> int:
    if frame.kind == FrameKind.MANAGED and frame.code:
        return methods.row(frame.code)
    return methods.row_of_method(frame.method)


def write_stack_objects(writer: IndexWriter, dump: Dump, walked: HeapWalk | None) -> None:
    """stack_objects. A reference into an object is given as the object itself where the heap is there to tell."""
    found: list[tuple[int, StackObject]] = []
    row = 0
    for stack in dump.stacks:
        for frame in stack.frames:
            found += [(row, item) for item in frame.objects]
            row += 1
    objects = np.array([item.object for _, item in found], np.uint64)
    interior = np.array([item.interior for _, item in found], bool)
    if walked is not None and len(found):
        objects[interior] = walked.columns.containing(objects[interior])
    writer.table("stack_objects", {
        "frame": [row for row, _ in found],
        "slot": [item.slot for _, item in found],
        "register": [item.register for _, item in found],
        "object": objects,
        "type_name": _type_names(dump, objects.tolist()),
        "interior": interior,
        "pinned": [item.pinned for _, item in found],
        "precise": [item.precise for _, item in found],
    })  # fmt: skip


def _type_names(dump: Dump, addresses: list[int]) -> list[str]:
    known: dict[int, str] = {}
    for address in set(addresses):
        try:
            known[address] = dump.runtime.types.name(dump.objects.type_of(address).method_table)
        except AnalysisError:
            known[address] = ""
    return [known[address] for address in addresses]


def write_threads(writer: IndexWriter, dump: Dump, insight: ThreadInsight) -> None:
    """threads, in the runtime's order."""
    threads, stacks = dump.threads.threads, dump.stacks
    writer.table("threads", {
        "address": [t.address for t in threads],
        "managed_id": [t.managed_id for t in threads],
        "os_id": [t.os_id for t in threads],
        "name": masked([t.name for t in threads]),
        "state": [t.state for t in threads],
        "state_words": [", ".join(t.state_words) for t in threads],
        "gc_mode": [t.gc_mode for t in threads],
        "roles": [", ".join(t.roles) for t in threads],
        "alive": [t.alive for t in threads],
        "finalizer": [t.finalizer for t in threads],
        "exception_type": [t.exception_type for t in threads],
        "exception_address": [t.exception for t in threads],
        "first_frame": first_frames(stacks)[: len(threads)],
        "frames": [len(stack.frames) for stack in stacks[: len(threads)]],
        "stopped": [stack.stopped for stack in stacks[: len(threads)]],
        "stack_group": insight.stack_group,
        "merged_leaf": insight.merged_leaf,
        "top_own_frame": insight.top_own_frame,
        "doing": insight.doing,
    })  # fmt: skip
