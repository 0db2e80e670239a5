"""Walk the stack of a thread: managed frames by unwind codes, the runtime's Frames in between, native frames below.

The order of the walk is that of ``vm/stackwalk.cpp`` in dotnet/runtime (docs/design/datacontracts/StackWalk.md), so that
frames come out as ``clrstack`` shows them. Nothing here raises for damage: a walk that cannot go on says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.errors import AnalysisError
from analysis.limits import LIMITS
from analysis.memory.elf_core import NativeThread
from analysis.runtime.code import CodeBlock, CodeMap
from analysis.runtime.code_versions import optimisation_tier
from analysis.runtime.debug_info import DebugInfoReader
from analysis.runtime.frames import ExplicitFrame, FrameReader, chain
from analysis.runtime.methods import MethodReader
from analysis.runtime.native_frames import NativeCode
from analysis.runtime.stack_frames import CodeBody, FrameKind, Method, StackFrame, ThreadStack
from analysis.runtime.stack_roots import StackRoots
from analysis.runtime.threads import ManagedThread
from analysis.runtime.types import TypeSystem
from analysis.runtime.unwind import REGISTERS, Registers, Unwinder

_JIT, _READY_TO_RUN = "JIT", "ReadyToRun"
#: Only unoptimised code can be replaced while it runs, so only that has patchpoints.
_TIER_0 = "tier 0"


class StackWalker:
    """Walks the stacks of one dump; code, unwind data and names are read once for all threads."""

    def __init__(self, types: TypeSystem, native: NativeCode, roots: StackRoots | None = None) -> None:
        target = types.target
        self.code, self.methods = CodeMap(target), MethodReader(types)
        self._types, self._native, self._roots = types, native, roots
        self._frames = FrameReader(target, lambda ip: self.code.find(ip) is not None)
        self._unwinder, self._debug_info = Unwinder(target.memory), DebugInfoReader(target)
        self._bodies: dict[int, CodeBody] = {}

    def walk(self, thread: ManagedThread | None, state: NativeThread | None) -> ThreadStack:
        """The stack of one thread, from its registers or, without them, from its first Frame on."""
        stack = ThreadStack(thread, state.os_id if state else thread.os_id if thread else 0)
        frames, stack.stopped = chain(self._frames, thread.address) if thread else ([], "")
        _Walk(self, stack, frames, Registers.of(state.registers) if state else None).run()
        return stack

    def body(self, block: CodeBlock) -> CodeBody:
        """The code of a block with its method."""
        known = self._bodies.get(block.start)
        if known is None:
            method = self.methods.of(block.method_desc) if block.method_desc else self._unnamed(block)
            known = self._bodies[block.start] = CodeBody(
                block.start, method, method.kind or (_READY_TO_RUN if block.ready_to_run else _JIT), self._tier(block)
            )
        return known

    def _unnamed(self, block: CodeBlock) -> Method:
        """Precompiled code whose method the dump does not tell: named by module and offset."""
        module = self._types.modules.get(block.module)
        name = f"{module.name if module else 'unknown module'}+{block.start - (module.image_base if module else 0):#x}"
        return Method(0, name, "", name, module, 0)

    def _tier(self, block: CodeBlock) -> str:
        if block.ready_to_run:
            return ""
        told = optimisation_tier(self._types.target, block.method_desc, block.start)
        return told or (_TIER_0 if self._debug_info.has_patchpoints(block.debug_info) else "")

    def il_offset(self, ip: int, block: CodeBlock) -> int:
        """IL offset of the instruction before ``ip``: the call that a return address follows."""
        il_map = self._debug_info.il_map(block.debug_info, ready_to_run=block.ready_to_run)
        return il_map.at(ip - block.start - 1)

    @property
    def frames(self) -> FrameReader:
        return self._frames

    @property
    def native(self) -> NativeCode:
        return self._native

    @property
    def roots(self) -> StackRoots | None:
        return self._roots

    @property
    def unwinder(self) -> Unwinder:
        return self._unwinder


class _Walk:
    """One walk of one thread."""

    def __init__(
        self, walker: StackWalker, stack: ThreadStack, explicit: Sequence[ExplicitFrame], registers: Registers | None
    ) -> None:
        self._walker, self._stack = walker, stack
        self._explicit, self._next = explicit, 0
        self._leaf = True
        self._go(registers)

    def _go(self, registers: Registers | None) -> None:
        """Continue at these registers; native frames from here on are found when they are asked for."""
        self._registers = registers
        self._below: Iterator[tuple[int, int]] = iter(())
        if registers and registers.rip and not self._walker.code.find(registers.rip):
            find = self._walker.code.find
            self._below = self._walker.native.frames(registers, lambda address: find(address) is not None)
        self._waiting = next(self._below, None)

    def run(self) -> None:
        while len(self._stack.frames) < LIMITS.frames_per_thread:
            registers = self._registers
            block = self._walker.code.find(registers.rip) if registers else None
            if registers and block:
                if not self._managed(registers, block):
                    return
            elif self._next < len(self._explicit):
                self._native(self._explicit[self._next].address)
                self._runtime_frame(registers)
            else:
                self._native(None)
                return
        self._stop(f"more than {LIMITS.frames_per_thread:,} frames")

    def _stop(self, reason: str) -> None:
        self._stack.stopped = f"{self._stack.stopped}; {reason}" if self._stack.stopped else reason

    def _managed(self, registers: Registers, block: CodeBlock) -> bool:
        """Record a managed frame and go to its caller, or else to the next Frame. False when neither is there."""
        walker = self._walker
        body = walker.body(block)
        frame = StackFrame(
            FrameKind.MANAGED, registers.rip, registers.rsp, "", body, body.method, walker.il_offset(registers.rip, block)
        )
        self._stack.frames.append(frame)
        try:
            caller = self._caller(registers, block)
        except AnalysisError as error:
            return self._broken(registers, f"the caller of {body.method.name} could not be found: {error}")
        if walker.roots:
            frame.objects, frame.scanned = walker.roots.of_frame(registers, block, caller.rsp, leaf=self._leaf)
        if caller.rsp <= registers.rsp:
            return self._broken(registers, f"the stack does not rise above {registers.rsp:#x} in {body.method.name}")
        while self._next < len(self._explicit) and self._explicit[self._next].address < caller.rsp:
            self._protected(self._explicit[self._next], frame)
            self._next += 1
        self._leaf = False
        self._go(caller)
        return True

    def _caller(self, registers: Registers, block: CodeBlock) -> Registers:
        unwinder = self._walker.unwinder
        entry = block.entry(registers.rip if self._leaf else registers.rip - 1)
        if entry is None:
            return unwinder.by_frame_pointer(registers)
        try:
            return unwinder.caller(registers, entry, leaf=self._leaf)
        except AnalysisError:
            return unwinder.by_frame_pointer(registers)

    def _broken(self, registers: Registers, reason: str) -> bool:
        """Go on at the next Frame above this place; what lies between is lost and said."""
        while self._next < len(self._explicit) and self._explicit[self._next].address <= registers.rsp:
            self._next += 1
        self._stop(reason)
        if self._next >= len(self._explicit):
            return False
        self._leaf = False
        self._go(None)
        return True

    def _runtime_frame(self, registers: Registers | None) -> None:
        walker, explicit = self._walker, self._explicit[self._next]
        self._next += 1
        stack_frame = StackFrame(FrameKind.RUNTIME, registers.rip if registers else 0, explicit.address, explicit.name)
        self._stack.frames.append(stack_frame)
        self._protected(explicit, stack_frame)
        try:
            caller = walker.frames.caller(explicit, registers or _nothing())
        except AnalysisError as error:
            self._stop(f"{explicit.name} at {explicit.address:#x} does not tell who called: {error}")
            self._go(None)
            return
        stack_frame.method = self._called(explicit)
        if caller:
            self._leaf = explicit.interrupted
            self._go(caller)

    def _called(self, explicit: ExplicitFrame) -> Method | None:
        """The method a Frame calls, where it says so and the method can be read."""
        methods = self._walker.methods
        try:
            called = self._walker.frames.method_desc(explicit)
        except AnalysisError:
            return None
        method = methods.of(called) if called else None
        return None if called in methods.unreadable else method

    def _protected(self, explicit: ExplicitFrame, frame: StackFrame) -> None:
        if self._walker.roots and explicit.helper:
            try:
                slots = self._walker.frames.protected_slots(explicit)
            except AnalysisError:
                return
            frame.objects = (*frame.objects, *self._walker.roots.of_slots(slots))

    def _native(self, limit: int | None) -> None:
        """Record native frames up to the Frame at ``limit``, as far as frame pointers lead."""
        while self._waiting and (limit is None or self._waiting[1] < limit):
            ip, sp = self._waiting
            label = self._walker.native.label(ip) or ("stub" if self._walker.code.is_stub(ip) else f"{ip:#x}")
            self._stack.frames.append(StackFrame(FrameKind.NATIVE, ip, sp, label))
            self._waiting = next(self._below, None)


def _nothing() -> Registers:
    return Registers(0, [None] * len(REGISTERS), [0] * len(REGISTERS))
