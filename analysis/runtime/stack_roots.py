"""Object references held by a frame: by GC info where it is in the dump, else by looking at every word of the frame.

A register that native code may have saved before its content was captured is looked for in every word of that code's frames.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from analysis.contracts.target import Target
from analysis.errors import AnalysisError
from analysis.runtime.code import CodeBlock
from analysis.runtime.gc_info import INTERIOR, PINNED, GCInfoReader, Slot, SlotBase
from analysis.runtime.stack_frames import StackObject
from analysis.runtime.unwind import CALLEE_SAVED, REGISTERS, RSP, Registers

_MAXIMUM_SCAN_BYTES = 1 << 16
_LARGEST_STACK = 8 << 20


class StackRoots:
    """Finds the references of frames. ``in_heap`` says whether an address lies in a segment of the managed heap,
    ``is_object`` whether an object begins there; both decide alone when GC info is missing."""

    def __init__(self, target: Target, in_heap: Callable[[int], bool], is_object: Callable[[int], bool]) -> None:
        self._memory = target.memory
        self._gc_info = GCInfoReader(target.memory, target.layout.major)
        self._in_heap, self._is_object = in_heap, is_object

    def of_frame(
        self, registers: Registers, block: CodeBlock, caller_sp: int, *, leaf: bool
    ) -> tuple[tuple[StackObject, ...], bool]:
        """References of one managed frame, each slot once, and whether they had to be found by scanning."""
        try:
            if not block.gc_info:
                raise LookupError
            found = self._by_gc_info(registers, block, caller_sp, leaf)
        except (AnalysisError, LookupError):
            return (*self._registers(registers), *self._scan(registers.rsp, caller_sp)), True
        return found, False

    def of_slots(self, addresses: Iterable[int]) -> tuple[StackObject, ...]:
        """References in stack slots that a Frame keeps alive."""
        found = []
        for address in addresses:
            value = self._memory.try_pointer(address)
            if value and self._in_heap(value):
                found.append(StackObject(address, "", value, interior=False, pinned=False, precise=True))
        return tuple(found)

    def _by_gc_info(self, registers: Registers, block: CodeBlock, caller_sp: int, leaf: bool) -> tuple[StackObject, ...]:
        info = self._gc_info.info(block.gc_info)
        offset = registers.rip - block.start - (0 if leaf else 1)
        found: dict[tuple[int, str], StackObject] = {}
        certain = True
        for slot in self._gc_info.live_slots(block.gc_info, offset, leaf=leaf):
            place = self._place(slot, registers, info.frame_register, caller_sp, leaf, info.outgoing)
            if place is None:
                continue
            address, register, value = place
            sure = not register or registers.is_certain(slot.register)
            certain = certain and sure
            if slot.flags & INTERIOR and abs(value - registers.rsp) < _LARGEST_STACK:
                continue  # a reference to a local variable
            if value and self._in_heap(value):
                found[address, register] = StackObject(
                    address, register, value, bool(slot.flags & INTERIOR), bool(slot.flags & PINNED), precise=sure
                )
        return (*found.values(), *(() if certain else self._scan(*registers.native)))

    def _place(
        self, slot: Slot, registers: Registers, frame_register: int, caller_sp: int, leaf: bool, outgoing: int
    ) -> tuple[int, str, int] | None:
        """Slot address (0 for a register), register name and content; None where it does not count in this frame."""
        if slot.register >= 0:
            value = registers.values[slot.register]
            if value is None or (not leaf and slot.register not in CALLEE_SAVED):
                return None
            return 0, REGISTERS[slot.register], value
        if slot.base == SlotBase.SP:
            # Outgoing arguments belong to the callee once it runs.
            if not leaf and 0 <= slot.offset < outgoing:
                return None
            base: int | None = registers.values[RSP]
        elif slot.base == SlotBase.CALLER_SP:
            base = caller_sp
        else:
            base = registers.values[frame_register] if frame_register >= 0 else None
        if base is None:
            return None
        return base + slot.offset, "", self._memory.u64(base + slot.offset)

    def _registers(self, registers: Registers) -> list[StackObject]:
        """Registers that survive calls and hold the address of an object."""
        return [
            StackObject(0, REGISTERS[number], value, interior=False, pinned=False, precise=False)
            for number in sorted(CALLEE_SAVED)
            if (value := registers.values[number]) and not value & 7 and self._in_heap(value) and self._is_object(value)
        ]

    def _scan(self, low: int, high: int) -> tuple[StackObject, ...]:
        """Every word of the frame that is the address of an object: likely, not certain."""
        size = min(high - low, _MAXIMUM_SCAN_BYTES) & ~7
        raw = self._memory.try_read(low, size) if size > 0 else None
        if raw is None:
            return ()
        return tuple(
            StackObject(low + 8 * place, "", value, interior=False, pinned=False, precise=False)
            for place, value in enumerate(struct.unpack(f"<{size // 8}Q", raw))
            if value and not value & 7 and self._in_heap(value) and self._is_object(value)
        )
