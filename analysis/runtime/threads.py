"""Managed threads: ids, names, state in words, roles, current exception.

Source: docs/design/datacontracts/Thread.md and ``vm/threads.h`` (enum ThreadState) in dotnet/runtime.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contracts.target import Target
from analysis.errors import AnalysisError
from analysis.limits import LIMITS
from analysis.runtime.gc_heap import read_allocation_context
from analysis.runtime.objects import ObjectReader
from analysis.runtime.types import TypeSystem

_BACKGROUND, _UNSTARTED, _DEAD, _POOL_WORKER, _INTERRUPTIBLE = 0x200, 0x400, 0x800, 0x1000000, 0x2000000
_WORDS = (
    (0x1, "abort requested"), (0x2, "asked to stop for a collection"), (0x8, "asked to stop by a debugger"), (0x80, "hijacked"),
    (_BACKGROUND, "background"), (0x4000, "single-threaded apartment"), (0x8000, "multi-threaded apartment"),
    (0x80000, "stopped by a debugger"), (0x4000000, "interrupted"), (0x10000000, "being aborted"),
    (0x40000000, "failed to start"),
)  # fmt: skip
#: What the runtime stores as the id of an operating system thread that is gone.
_NO_OS_THREAD = 0xBAADF00D


@dataclass(frozen=True, slots=True)
class ManagedThread:
    """One managed thread; ``exception`` is the address of its current exception object, 0 for none."""

    address: int
    managed_id: int
    os_id: int
    state: int
    name: str
    cooperative: bool
    finalizer: bool
    main: bool
    exception: int
    exception_type: str
    allocation_context: tuple[int, int]

    @property
    def alive(self) -> bool:
        return not self.state & (_DEAD | _UNSTARTED)

    @property
    def gc_mode(self) -> str:
        return "Cooperative" if self.cooperative else "Preemptive"

    @property
    def state_words(self) -> tuple[str, ...]:
        """State in words, the most telling first. Waiting means an interruptible wait: sleep, join, lock or event."""
        first = (
            "dead" if self.state & _DEAD else "not started" if self.state & _UNSTARTED
            else "waiting" if self.state & _INTERRUPTIBLE else "running" if self.cooperative else "in native code"
        )  # fmt: skip
        return (first, *(word for bit, word in _WORDS if self.state & bit))

    @property
    def roles(self) -> tuple[str, ...]:
        """What the thread is for: main, finalizer, pool worker, background."""
        found = [role for role, present in (
            ("main", self.main), ("finalizer", self.finalizer), ("pool worker", bool(self.state & _POOL_WORKER)),
            ("background", bool(self.state & _BACKGROUND)),
        ) if present]  # fmt: skip
        return tuple(found)


@dataclass(frozen=True, slots=True)
class ThreadList:
    """All threads in the runtime's order; ``problem`` says where the list broke off, empty when it is whole."""

    threads: tuple[ManagedThread, ...]
    problem: str


def thread_addresses(target: Target) -> tuple[list[int], str]:
    """Addresses of all Thread structures, and what broke the list off (empty when its length is what the runtime says)."""
    store = target.global_pointer("ThreadStore")
    promised = target.u32(store, "ThreadStore", "ThreadCount")
    link_at = target.layout.offset("Thread", "LinkNext")
    found: list[int] = []
    seen: set[int] = set()
    try:
        link = target.pointer(store, "ThreadStore", "FirstThreadLink")
        while link and link not in seen and len(found) < LIMITS.threads:
            seen.add(link)
            found.append(link - link_at)
            link = target.memory.pointer(link)
    except AnalysisError as error:
        return found, f"the list of threads breaks off after {len(found)} of {promised}: {error.what}"
    if len(found) != promised:
        return found, f"the list of threads has {len(found)} entries, the runtime counts {promised}"
    return found, ""


def read_threads(target: Target, types: TypeSystem, objects: ObjectReader, main_os_id: int | None) -> ThreadList:
    """All managed threads. A thread that cannot be read is left out and counted in ``problem``."""
    addresses, problem = thread_addresses(target)
    finalizer = target.memory.try_pointer(target.globals.get("FinalizerThread", 0)) or 0
    found, lost = [], 0
    for address in addresses:
        try:
            found.append(_thread(target, types, objects, address, finalizer, main_os_id))
        except AnalysisError:
            lost += 1
    if lost:
        problem = f"{problem} {lost} of {len(addresses)} threads could not be read.".strip()
    return ThreadList(tuple(found), problem)


def _thread(
    target: Target, types: TypeSystem, objects: ObjectReader, address: int, finalizer: int, main_os_id: int | None
) -> ManagedThread:
    state = target.u32(address, "Thread", "State")
    os_id = target.memory.u64(address + target.layout.offset("Thread", "OSId")) & 0xFFFFFFFF
    exception, exception_type = _exception(target, types, objects, address)
    return ManagedThread(
        address=address,
        managed_id=target.u32(address, "Thread", "Id"),
        os_id=0 if os_id == _NO_OS_THREAD else os_id,
        state=state,
        name=_name(target, objects, address),
        cooperative=bool(target.u32(address, "Thread", "PreemptiveGCDisabled")),
        finalizer=address == finalizer,
        main=os_id == main_os_id,
        exception=exception,
        exception_type=exception_type,
        allocation_context=_allocation_context(target, address),
    )


def _name(target: Target, objects: ObjectReader, address: int) -> str:
    """Thread.Name of the managed Thread object, empty when it has none or lies outside the dump."""
    try:
        handle = target.pointer(address, "Thread", "GCHandle")
        managed = target.memory.pointer(handle) if handle else 0
        text = objects.reference(managed, "_name") if managed else 0
        return objects.string(text, LIMITS.name_characters) if text else ""
    except AnalysisError:
        return ""


def _exception(target: Target, types: TypeSystem, objects: ObjectReader, address: int) -> tuple[int, str]:
    """Address and type of the thread's current exception: the innermost tracker's object, or the last one thrown when
    the runtime gave up on it without a tracker (a stack overflow)."""
    try:
        tracker = target.pointer(address, "Thread", "ExceptionTracker")
        handle = target.pointer(tracker, "ExceptionInfo", "ThrownObject") if tracker else 0
        if not handle and target.u32(address, "Thread", "LastThrownObjectIsUnhandled"):
            handle = target.pointer(address, "Thread", "LastThrownObject")
        thrown = target.memory.pointer(handle) if handle else 0
        if not thrown:
            return 0, ""
        return thrown, types.name(objects.type_of(thrown).method_table)
    except AnalysisError:
        return 0, ""


def _allocation_context(target: Target, address: int) -> tuple[int, int]:
    """Where the thread allocates: inline in .NET 8, behind RuntimeThreadLocals from 9, one word further in 10."""
    layout = target.layout
    try:
        if layout.has("Thread", "AllocContext"):
            return read_allocation_context(target, address + layout.offset("Thread", "AllocContext"))
        locals_at = target.pointer(address, "Thread", "RuntimeThreadLocals")
        if not locals_at:
            return 0, 0
        at = locals_at + layout.offset("RuntimeThreadLocals", "AllocContext")
        if layout.has("EEAllocContext", "GCAllocationContext"):
            at += layout.offset("EEAllocContext", "GCAllocationContext")
        return read_allocation_context(target, at)
    except AnalysisError:
        return 0, 0
