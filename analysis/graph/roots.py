"""Roots: everything outside the heap that keeps objects alive, with names."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.walk import HeapWalk
from analysis.index.retention import (
    ASYNC_PINNED,
    HANDLE_KINDS,
    PINNED,
    READY,
    REF_COUNTED,
    ROOT_KINDS,
    SIZED_REF,
    STACK,
    STATIC,
    STRONG,
    THREAD_STATIC,
)  # fmt: skip
from analysis.runtime.finalizer_queue import read_finalizer_queue
from analysis.runtime.handles import Handle, read_handles
from analysis.runtime.statics import StaticFields
from analysis.runtime.thread_statics import ThreadStatics
from analysis.runtime.type_columns import read_method_tables

#: Handles that keep their object alive, by the name of their kind. Weak ones do not, dependent ones pass life on.
_STRONG_HANDLES = {
    "Strong": STRONG,
    "Pinned": PINNED,
    "RefCounted": REF_COUNTED,
    "AsyncPinned": ASYNC_PINNED,
    "SizedRef": SIZED_REF,
}
_LOADER_ALLOCATOR = "System.Reflection.LoaderAllocator"
#: How far into the runtime's LoaderAllocator the handle of its object is looked for: its place differs between versions.
_SEARCHED_BYTES = 4096
_WEAK_LONG = HANDLE_KINDS.index("WeakLong")
_ARRAY_OF_STATICS = "array of thread statics"


@dataclass(frozen=True, slots=True)
class Root:
    """One slot. ``object`` and ``address`` (0 for a register) are addresses, ``frame`` a row of the index's frames or -1."""

    kind: int
    object: int
    address: int
    name: str = ""
    frame: int = -1
    interior: bool = False
    pinned: bool = False
    conservative: bool = False


@dataclass(slots=True)
class RootGroup:
    """Roots that belong together. ``thread`` is a row of threads or -1."""

    kind: int
    name: str
    thread: int
    roots: list[Root] = field(default_factory=list)


@dataclass(slots=True)
class Roots:
    """All roots by group, statics first, so that of two equally short paths the one from a named field is told.

    ``named_slots`` uint64[n]: addresses of static and thread-static fields; those that lie in an array on the heap are held
    by their field, not by the array. ``loader_allocators``: method table of a collectible type -> LoaderAllocator object.
    """

    groups: list[RootGroup]
    handles: list[Handle]
    finalizer_queue: list[tuple[int, bool]]
    named_slots: npt.NDArray[np.uint64]
    loader_allocators: dict[int, int]
    problems: list[str]


def collect_roots(dump: Dump, walked: HeapWalk) -> Roots:
    """Read every kind of root. What cannot be read is named in ``problems``."""
    target = dump.runtime.target
    handles, problems = read_handles(target)
    queue, more = read_finalizer_queue(target)
    problems += more
    statics, threads, named = _named_roots(dump, walked)
    _add_stack_roots(dump, threads)
    groups = [*statics, *threads, *_handle_groups(handles)]
    ready = [Root(READY, address, 0) for address, is_ready in queue if is_ready]
    groups.append(RootGroup(READY, ROOT_KINDS[READY], -1, ready))
    allocators = _loader_allocators(dump, walked, handles)
    return Roots([g for g in groups if g.roots], handles, queue, np.array(named, np.uint64), allocators, problems)


def _named_roots(dump: Dump, walked: HeapWalk) -> tuple[list[RootGroup], list[RootGroup], list[int]]:
    """Groups of static fields by type, groups of threads with their thread statics, addresses of all these fields."""
    types, memory = dump.runtime.types, dump.core.memory
    statics, thread_statics = StaticFields(types, dump.fields), ThreadStatics(types, dump.fields)
    threads = [RootGroup(STACK, "", row) for row in range(len(dump.threads.threads))]
    by_type: list[RootGroup] = []
    named: list[int] = []
    for method_table in statics.types_with_statics(walked.types.method_tables[1:]):
        try:
            found, own = statics.of(method_table), statics.thread_statics(method_table)
        except AnalysisError:
            continue  # a damaged type has no statics that anybody could name; its objects are still held by their array
        roots = [
            Root(STATIC, value, one.address, f"{one.field.declared_by}.{one.field.name}")
            for one in found
            if (value := memory.try_pointer(one.address))
        ]
        if roots:
            by_type.append(RootGroup(STATIC, types.name(method_table), -1, roots))
            named += [root.address for root in roots]
        for row, thread in enumerate(dump.threads.threads) if own else ():
            try:
                base = thread_statics.base(thread.address, method_table)
            except AnalysisError:
                continue
            for item in own:
                if value := memory.try_pointer(base + item.offset):
                    threads[row].roots.append(Root(THREAD_STATIC, value, base + item.offset, f"{item.declared_by}.{item.name}"))
                    named.append(base + item.offset)
    for row, thread in enumerate(dump.threads.threads):
        try:
            array = thread_statics.array(thread.address)
        except AnalysisError:
            continue
        if array:
            threads[row].roots.append(Root(THREAD_STATIC, array, 0, _ARRAY_OF_STATICS))
    by_type.sort(key=lambda group: group.name)
    return by_type, threads, named


def _add_stack_roots(dump: Dump, threads: list[RootGroup]) -> None:
    first = [0, *accumulate(len(stack.frames) for stack in dump.stacks)]
    for row, group in enumerate(threads):
        for place, frame in enumerate(dump.stacks[row].frames):
            group.roots += [
                Root(
                    STACK, one.object, one.slot, one.register, first[row] + place, one.interior, one.pinned,
                    conservative=not one.precise,
                )
                for one in frame.objects
            ]  # fmt: skip


def _handle_groups(handles: list[Handle]) -> list[RootGroup]:
    groups = {kind: RootGroup(kind, ROOT_KINDS[kind], -1) for kind in _STRONG_HANDLES.values()}
    for handle in handles:
        kind = _STRONG_HANDLES.get(HANDLE_KINDS[handle.kind]) if handle.kind < len(HANDLE_KINDS) else None
        if kind is not None:
            pinned = kind in (PINNED, ASYNC_PINNED)
            groups[kind].roots.append(Root(kind, handle.object, handle.address, pinned=pinned))
    return list(groups.values())


def _loader_allocators(dump: Dump, walked: HeapWalk, handles: list[Handle]) -> dict[int, int]:
    """Every object of a collectible type keeps the loader allocator of its type alive, through no field of its own."""
    target, found = dump.runtime.target, dict[int, int]()
    candidates = {handle.address: handle.object for handle in handles if handle.kind == _WEAK_LONG}
    known: dict[int, int] = {}
    tables = read_method_tables(target, walked.types.method_tables[1:])
    for method_table in tables.address[tables.collectible].tolist():
        try:
            if target.layout.has("MethodTableAuxiliaryData", "LoaderModule"):
                auxiliary = target.pointer(method_table, "MethodTable", "AuxiliaryData")
                module = target.pointer(auxiliary, "MethodTableAuxiliaryData", "LoaderModule")
            else:
                module = target.pointer(method_table, "MethodTable", "LoaderModule")
            allocator = target.pointer(module, "Module", "LoaderAllocator")
            if allocator not in known:
                known[allocator] = _managed_allocator(dump, allocator, candidates)
        except AnalysisError:
            continue
        if known[allocator]:
            found[method_table] = known[allocator]
    return found


def _managed_allocator(dump: Dump, allocator: int, candidates: dict[int, int]) -> int:
    """The LoaderAllocator object of the runtime's own structure: the weak handle to one that lies in it."""
    memory, types = dump.core.memory, dump.runtime.types

    def is_it(at: int) -> bool:
        value = candidates.get(memory.try_pointer(at) or 0)
        return bool(value and types.name(dump.objects.type_of(value).method_table) == _LOADER_ALLOCATOR)

    found = next((at for at in range(allocator, allocator + _SEARCHED_BYTES, 8) if memory.probe(partial(is_it, at))), None)
    return candidates[memory.pointer(found)] if found else 0
