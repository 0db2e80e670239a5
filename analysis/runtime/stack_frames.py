"""What a stack is made of: frames, the methods in them, the objects they refer to. Filled by ``stack_walk``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from analysis.runtime.loader import Module
from analysis.runtime.threads import ManagedThread


class FrameKind(IntEnum):
    """What kind of frame; the values are those of ``analysis.index.execution``."""

    MANAGED = 0
    RUNTIME = 1
    NATIVE = 2


@dataclass(frozen=True, slots=True)
class Method:
    """A method as the runtime describes it. ``token`` is 0 for a dynamic method or a stub; ``module`` None where it has none.

    ``name`` is the whole text ``clrstack`` prints, ``type_name`` the declaring type as ``TypeSystem.name`` writes it.
    """

    address: int
    name: str
    type_name: str
    method_name: str
    module: Module | None
    token: int
    kind: str = ""

    @property
    def own_code(self) -> bool:
        """The program's own: neither the framework's nor made by the runtime."""
        return self.module is not None and not self.kind and not self.module.part_of_framework


@dataclass(frozen=True, slots=True)
class CodeBody:
    """One body of machine code of a method: where it starts, and which compiler made it (JIT, ReadyToRun, …)."""

    start: int
    method: Method
    kind: str
    tier: str = ""


@dataclass(frozen=True, slots=True)
class StackObject:
    """A reference held by a frame. ``slot`` is 0 for a register. ``precise``: said by GC info, else found by scanning."""

    slot: int
    register: str
    object: int
    interior: bool
    pinned: bool
    precise: bool


@dataclass(slots=True)
class StackFrame:
    """One frame. ``label`` is the name of a runtime or native frame; ``il_offset`` -1 where the map has no entry.

    For a managed frame ``sp`` is the stack pointer inside it, for a runtime frame its own address. ``method`` of a
    runtime frame is the method that it calls, where the frame says so. ``scanned``: there was no GC info for the objects.
    """

    kind: FrameKind
    ip: int
    sp: int
    label: str = ""
    code: CodeBody | None = None
    method: Method | None = None
    il_offset: int = -1
    objects: tuple[StackObject, ...] = ()
    scanned: bool = False


@dataclass(slots=True)
class ThreadStack:
    """The frames of one thread, innermost first. ``stopped`` says why the walk ended early, "" for a whole stack.

    ``thread`` is None for a thread the runtime does not manage; ``os_id`` is that of the operating system.
    """

    thread: ManagedThread | None
    os_id: int
    frames: list[StackFrame] = field(default_factory=list)
    stopped: str = ""
