"""The runtime's own Frames: markers that a thread leaves on its stack where managed code was left or entered.

Source: ``vm/frames.h``, ``vm/amd64/gmscpu.h`` (LazyMachState) and docs/design/datacontracts/StackWalk.md in dotnet/runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, MemoryFault
from analysis.limits import LIMITS
from analysis.runtime.unwind import RBP, RSP, Registers

END = 0xFFFF_FFFF_FFFF_FFFF
#: Order of the registers in CalleeSavedRegisters and in LazyMachState, by their numbers.
_SAVED_ORDER = (12, 13, 14, 15, 3, RBP)
_SMALLEST_METHOD_DESC, _DATUM_MARKS = 0x10000, 6
_MAXIMUM_NATIVE_STEPS = 64
_FCALL_BUCKETS, _MAXIMUM_FCALLS = 127, 10_000
_INTERRUPTED = frozenset({"FaultingExceptionFrame", "ResumableFrame", "RedirectedThreadFrame"})
_TRANSITIONS = frozenset(
    {"PInvokeCalliFrame", "PrestubMethodFrame", "CallCountingHelperFrame", "StubDispatchFrame", "ExternalMethodFrame",
     "DynamicHelperFrame"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExplicitFrame:
    """One Frame of a thread's chain. ``name`` is its class, ``Frame`` with its mark where the class is not known."""

    address: int
    name: str
    next: int

    @property
    def interrupted(self) -> bool:
        """The managed code it describes was stopped at any instruction, not at a call."""
        return self.name in _INTERRUPTED

    @property
    def helper(self) -> bool:
        return self.name.startswith("HelperMethodFrame")


class FrameReader:
    """Reads Frames. ``managed`` says whether an address lies in managed code."""

    def __init__(self, target: Target, managed: Callable[[int], bool]) -> None:
        self._target, self._managed = target, managed
        mark = "vtable of "
        self._names = {address: name[len(mark) :] for name, address in target.globals.items() if name.startswith(mark)}
        self._names |= dict(enumerate(target.layout.dac_table.frame_identifiers))

    def first(self, thread: int) -> int:
        """Address of the innermost Frame of a thread, END for none."""
        return self._target.pointer(thread, "Thread", "Frame") or END

    def read(self, address: int) -> ExplicitFrame:
        """One Frame. Raises MemoryFault."""
        mark = self._target.pointer(address, "Frame", "Identifier")
        following = self._target.pointer(address, "Frame", "Next") or END
        return ExplicitFrame(address, self._names.get(mark) or f"Frame {mark:#x}", following)

    def method_desc(self, frame: ExplicitFrame) -> int:
        """The method that a Frame calls, 0 where it does not say."""
        if frame.helper:
            return self._fcall(self._target.pointer(frame.address, "HelperMethodFrame", "FCallEntry"))
        if frame.name != "InlinedCallFrame":
            return 0
        datum = self._target.pointer(frame.address, "InlinedCallFrame", "Datum")
        # The lowest bit says that it is no method; the next two mark calls of exception handling (InlinedCallFrameMarker).
        return datum & ~_DATUM_MARKS if datum > _SMALLEST_METHOD_DESC and not datum & 1 else 0

    def _fcall(self, entry: int) -> int:
        """The method that the runtime implements by the native function at ``entry`` (``vm/ecall.cpp``, gFCallMethods)."""
        target = self._target
        if "FCallMethods" not in target.globals:
            return 0
        node = target.memory.pointer(target.variable("FCallMethods") + 8 * (entry % _FCALL_BUCKETS))
        for _ in range(_MAXIMUM_FCALLS):
            if not node:
                break
            if target.pointer(node, "ECHash", "Implementation") == entry:
                return target.pointer(node, "ECHash", "MethodDesc")
            node = target.pointer(node, "ECHash", "Next")
        return 0

    def protected_slots(self, frame: ExplicitFrame) -> list[int]:
        """Addresses of object references that a HelperMethodFrame keeps alive for native code."""
        if not frame.helper:
            return []
        memory = self._target.memory
        slots = frame.address + self._target.layout.offset("HelperMethodFrameObjects", "Slots")
        kind = frame.name.removeprefix("HelperMethodFrame")
        if kind == "_PROTECTOBJ":
            count = self._target.u32(frame.address, "HelperMethodFrameObjects", "Count")
            array = memory.pointer(slots)
            return [array + 8 * place for place in range(min(count, LIMITS.gc_slots))]
        count = int(kind[1]) if kind[:1] == "_" and kind[1:2].isdigit() else 0
        return [memory.pointer(slots + 8 * place) for place in range(count)]

    def caller(self, frame: ExplicitFrame, registers: Registers) -> Registers | None:
        """Registers of the managed code this Frame leads back to; None for a Frame that says nothing about it."""
        if frame.name == "InlinedCallFrame":
            return self._inlined_call(frame.address, registers)
        if frame.name in ("SoftwareExceptionFrame", "FaultingExceptionFrame"):
            return self._context(frame.address + self._target.layout.offset(frame.name, "TargetContext"))
        if frame.name in ("ResumableFrame", "RedirectedThreadFrame"):
            return self._context(self._target.pointer(frame.address, "ResumableFrame", "TargetContextPtr"))
        if frame.name in _TRANSITIONS:
            return self._transition(self._target.pointer(frame.address, "FramedMethodFrame", "TransitionBlockPtr"), registers)
        if frame.name == "HijackFrame":
            return self._hijacked(frame.address, registers)
        if frame.helper:
            return self._helper(frame.address + self._target.layout.offset("HelperMethodFrame", "MachState"), registers)
        return None

    def _inlined_call(self, address: int, registers: Registers) -> Registers | None:
        target = self._target
        back = target.pointer(address, "InlinedCallFrame", "CallerReturnAddress")
        if not back:
            return None
        result = registers.copy()
        result.rip = back
        result.values[RSP] = target.pointer(address, "InlinedCallFrame", "CallSiteSP")
        result.values[RBP] = target.pointer(address, "InlinedCallFrame", "CalleeSavedFP")
        result.saved_at[RBP] = address + target.layout.offset("InlinedCallFrame", "CalleeSavedFP")
        return result

    def _context(self, address: int) -> Registers:
        layout, memory = self._target.layout, self._target.memory
        first = address + layout.offset("Context", "IntegerRegisters")
        return Registers(
            memory.u64(address + layout.offset("Context", "Rip")),
            [memory.u64(first + 8 * number) for number in range(16)],
            [first + 8 * number for number in range(16)],
        )

    def _callee_saved(self, result: Registers, address: int) -> None:
        for place, number in enumerate(_SAVED_ORDER):
            result.saved_at[number] = address + 8 * place
            result.values[number] = self._target.memory.u64(address + 8 * place)

    def _transition(self, block: int, registers: Registers) -> Registers:
        layout, result = self._target.layout, registers.copy()
        self._callee_saved(result, block + layout.offset("TransitionBlock", "CalleeSavedRegisters"))
        result.rip = self._target.pointer(block, "TransitionBlock", "ReturnAddress")
        result.values[RSP] = block + layout.types["TransitionBlock"]["!"]
        return result

    def _hijacked(self, address: int, registers: Registers) -> Registers:
        target, result = self._target, registers.copy()
        arguments = target.pointer(address, "HijackFrame", "HijackArgsPtr")
        self._callee_saved(result, arguments + target.layout.offset("HijackArgs", "CalleeSavedRegisters"))
        result.rip = target.pointer(address, "HijackFrame", "ReturnAddress")
        result.values[RSP] = arguments + target.layout.types["HijackArgs"]["!"]
        return result

    def _helper(self, state: int, registers: Registers) -> Registers | None:
        """The state a native helper captured when it was called; unwound by the runtime already, or not yet."""
        target, layout, memory = self._target, self._target.layout, self._target.memory
        result = registers.copy()
        if memory.try_pointer(target.pointer(state, "LazyMachState", "ReturnAddressPointer")):
            pointers = state + layout.offset("LazyMachState", "RegisterPointers")
            unwound = state + layout.offset("LazyMachState", "UnwoundRegisters")
            for place, number in enumerate(_SAVED_ORDER):
                slot = memory.pointer(pointers + 8 * place) or unwound + 8 * place
                result.saved_at[number], result.values[number] = slot, memory.u64(slot)
            result.rip = target.pointer(state, "LazyMachState", "Rip")
            result.values[RSP] = target.pointer(state, "LazyMachState", "Rsp")
            return result
        self._callee_saved(result, state + layout.offset("LazyMachState", "CapturedRegisters"))
        result.values[RSP] = target.pointer(state, "LazyMachState", "CapturedRsp")
        return self._leave_native(result)

    def _leave_native(self, result: Registers) -> Registers | None:
        """Follow the frame pointers that libcoreclr keeps until the return address lies in managed code."""
        memory, frame, captured = self._target.memory, result.rbp, result.rsp
        for _ in range(_MAXIMUM_NATIVE_STEPS):
            try:
                following, back = memory.u64(frame), memory.u64(frame + 8)
            except MemoryFault:
                return None
            if self._managed(back):
                result.rip = back
                result.values[RSP] = frame + 16
                result.values[RBP], result.saved_at[RBP] = following, frame
                result.native = captured, frame
                return result
            if following <= frame:
                return None
            frame = following
        return None


def chain(reader: FrameReader, thread: int) -> tuple[list[ExplicitFrame], str]:
    """All Frames of a thread, innermost first, and why the chain ended early ("" when it did not).

    They lie on the stack, so their addresses must rise; a chain that turns back is cut there.
    """
    found: list[ExplicitFrame] = []
    address = 0
    try:
        address = reader.first(thread)
        while address != END:
            if found and address <= found[-1].address:
                return found, f"the chain of Frames turns back at {address:#x}"
            if len(found) >= LIMITS.explicit_frames:
                return found, f"more than {LIMITS.explicit_frames:,} Frames"
            found.append(reader.read(address))
            address = found[-1].next
    except AnalysisError as error:
        return found, f"the chain of Frames is broken at {address:#x}: {error}"
    return found, ""
