"""From a frame to its caller: Windows x64 unwind codes, which CoreCLR uses on every operating system.

Source: "x64 exception handling" (Microsoft's ABI documentation) for the codes, ``pal/inc/pal.h`` and
``unwinder/amd64/unwinder.cpp`` in dotnet/runtime for UWOP_SET_FPREG_LARGE, which only exists on Unix.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from analysis.errors import Corrupt, MemoryFault
from analysis.limits import LIMITS
from analysis.memory.reader import Memory
from analysis.runtime.code import UnwindEntry

#: Integer registers by their number in instructions, unwind codes and GC info.
REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
RSP, RBP = 4, 5
#: Registers whose content survives a call (System V x64).
CALLEE_SAVED = frozenset({3, RBP, 12, 13, 14, 15})

_CHAINED = 4
_PUSH, _ALLOC_LARGE, _ALLOC_SMALL, _SET_FRAME, _SAVE, _SAVE_FAR = range(6)
_SAVE_XMM, _SAVE_XMM_FAR, _SET_FRAME_LARGE = 8, 9, 11
_LONGEST_EPILOGUE = 64
_RET, _RET_AND_FREE, _REPEAT, _WIDE_REGISTER = 0xC3, 0xC2, 0xF3, 0x41
#: How an epilog frees the frame: whether counted from rbp, and the kind of number that follows.
_FREES = {
    b"\x48\x83\xc4": (False, "<b"), b"\x48\x81\xc4": (False, "<i"), b"\x48\x8d\x65": (True, "<b"), b"\x48\x8d\xa5": (True, "<i"),
}  # fmt: skip
_MAXIMUM_CHAIN = 32
_UNWIND_DATA_OF_FUNCTION = 8


@dataclass(slots=True)
class Registers:
    """Registers of one frame: ``values`` by register number, None where a callee overwrote what was not saved.

    ``saved_at`` says in which stack slot a register's content was kept by the frames below, 0 where it is in the register.
    ``native`` is the part of the stack (from, to) of native code that was unwound without codes: it may have saved a register
    before the content that ``values`` has of it was captured, so what is ``saved_at`` a slot in there is not certain.
    """

    rip: int
    values: list[int | None]
    saved_at: list[int]
    native: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, registers: dict[str, int]) -> Registers:
        """From an NT_PRSTATUS note."""
        return cls(registers["rip"], [registers[name] for name in REGISTERS], [0] * len(REGISTERS))

    @property
    def rsp(self) -> int:
        return self.values[RSP] or 0

    @property
    def rbp(self) -> int:
        return self.values[RBP] or 0

    def copy(self) -> Registers:
        return Registers(self.rip, self.values.copy(), self.saved_at.copy(), self.native)

    def is_certain(self, number: int) -> bool:
        """Whether the content of a register is the one that this frame left in it."""
        return not self.native[0] <= self.saved_at[number] < self.native[1]


@dataclass(frozen=True, slots=True)
class _Code:
    """One unwind code: where in the prolog it happened, what, which register, how many bytes."""

    offset: int
    operation: int
    register: int
    amount: int


@dataclass(frozen=True, slots=True)
class _UnwindInfo:
    prolog: int
    frame_register: int
    codes: tuple[_Code, ...]


class Unwinder:
    """Unwinds frames of managed code. Raises MemoryFault or Corrupt when the codes or the stack are not there."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._infos: dict[int, _UnwindInfo] = {}

    def caller(self, registers: Registers, entry: UnwindEntry, *, leaf: bool) -> Registers:
        """Registers of the caller. ``leaf``: the frame was interrupted, perhaps in its prolog or epilog."""
        if leaf:
            epilogue = self._epilogue(registers)
            if epilogue:
                return epilogue
        result = registers.copy()
        info = self._info(entry)
        inside = registers.rip - entry.address if leaf else info.prolog + 1
        for code in info.codes:
            if inside <= info.prolog and code.offset > inside:
                continue
            self._undo(result, code, info)
        return self._returned(result)

    def by_frame_pointer(self, registers: Registers) -> Registers:
        """The caller by the chain of saved rbp: right for most code, wrong for code without a frame."""
        result, frame = registers.copy(), registers.rbp
        if frame < registers.rsp or frame & 7:
            raise Corrupt(
                "the frame pointer does not point into the stack above", where=f"rbp {frame:#x}, rsp {registers.rsp:#x}"
            )
        result.values[RBP], result.saved_at[RBP] = self._memory.u64(frame), frame
        result.values[RSP] = frame + 8
        return self._returned(result)

    def _returned(self, result: Registers) -> Registers:
        stack = result.rsp
        result.rip = self._memory.u64(stack)
        result.values[RSP] = stack + 8
        for number in range(len(REGISTERS)):
            if number not in CALLEE_SAVED and number != RSP:
                result.values[number] = None
        return result

    def _undo(self, result: Registers, code: _Code, info: _UnwindInfo) -> None:
        stack = result.rsp
        if code.operation == _PUSH:
            result.values[code.register], result.saved_at[code.register] = self._memory.u64(stack), stack
            result.values[RSP] = stack + 8
        elif code.operation == _ALLOC_LARGE:
            result.values[RSP] = stack + code.amount
        elif code.operation == _SET_FRAME:
            frame = result.values[info.frame_register]
            if frame is None:
                raise Corrupt("a frame register was overwritten", where=REGISTERS[info.frame_register])
            result.values[RSP] = frame - code.amount
        elif code.operation == _SAVE:
            slot = stack + code.amount
            result.values[code.register], result.saved_at[code.register] = self._memory.u64(slot), slot

    def _info(self, entry: UnwindEntry) -> _UnwindInfo:
        address = entry.base + (entry.unwind & ~1)
        known = self._infos.get(address)
        if known is None:
            known = self._infos[address] = self._read(entry.base, address)
        return known

    def _read(self, base: int, address: int) -> _UnwindInfo:
        """Unwind data and the data it is chained to: a part of a method that was split off continues its parent's codes."""
        codes: list[_Code] = []
        first: tuple[int, int] | None = None
        for _ in range(_MAXIMUM_CHAIN):
            version, prolog, count, frame = self._memory.read(address, 4)
            if version & 7 not in (1, 2):
                raise Corrupt(f"unwind data of version {version & 7}", where=f"{address:#x}")
            register, offset = frame & 15, (frame >> 4) * 16
            first = first or (prolog, register)
            codes += _decode(self._memory.read(address + 4, 2 * count), offset)
            if len(codes) > LIMITS.unwind_codes:
                raise Corrupt("unwind data without end", where=f"{address:#x}")
            if not version >> 3 & _CHAINED:
                return _UnwindInfo(*first, tuple(codes))
            parent = address + 4 + 2 * (count + 1 & ~1)
            address = base + (self._memory.u32(parent + _UNWIND_DATA_OF_FUNCTION) & ~1)
        raise Corrupt("a chain of unwind data does not end", where=f"{address:#x}")

    def _epilogue(self, registers: Registers) -> Registers | None:
        """The caller when the code from rip on only frees the frame and returns, else None."""
        return _Epilogue(self._memory, registers.copy()).run()


class _Epilogue:
    """Decodes ``add rsp, n`` or ``lea rsp, [rbp+d]``, pops and ``ret``, as JIT and crossgen write epilogs. Reads no more code
    than that: what follows may be a constant of the program."""

    def __init__(self, memory: Memory, registers: Registers) -> None:
        self._memory, self._registers, self._at = memory, registers, registers.rip

    def run(self) -> Registers | None:
        end = self._at + _LONGEST_EPILOGUE
        try:
            self._free()
            while self._at < end and self._pop():
                pass
            code = self._memory.u8(self._at)
            if code not in (_RET, _RET_AND_FREE) and (code != _REPEAT or self._memory.u8(self._at + 1) != _RET):
                return None
            stack = self._registers.rsp
            self._registers.rip = self._memory.u64(stack)
            self._registers.values[RSP] = stack + 8
        except MemoryFault:
            return None
        return self._registers

    def _free(self) -> None:
        registers = self._registers
        found = _FREES.get(self._memory.read(self._at, 3))
        if found:
            from_frame, kind = found
            size = struct.calcsize(kind)
            (amount,) = struct.unpack(kind, self._memory.read(self._at + 3, size))
            registers.values[RSP] = (registers.rbp if from_frame else registers.rsp) + amount
            self._at += 3 + size

    def _pop(self) -> bool:
        first = self._memory.u8(self._at)
        second = self._memory.u8(self._at + 1) if first == _WIDE_REGISTER else 0
        if 0x58 <= first <= 0x5F:
            register, length = first - 0x58, 1
        elif 0x58 <= second <= 0x5F:
            register, length = second - 0x58 + 8, 2
        else:
            return False
        stack = self._registers.rsp
        self._registers.values[register], self._registers.saved_at[register] = self._memory.u64(stack), stack
        self._registers.values[RSP] = stack + 8
        self._at += length
        return True


def _decode(raw: bytes, frame_offset: int) -> list[_Code]:
    """Unwind codes in their order, which is that of undoing; xmm registers are left out."""
    codes, at, count = [], 0, len(raw) // 2

    def word(row: int) -> int:
        return raw[2 * row] | raw[2 * row + 1] << 8 if row < count else 0

    while at < count:
        offset, packed = raw[2 * at], raw[2 * at + 1]
        operation, info = packed & 15, packed >> 4
        if operation == _PUSH:
            codes.append(_Code(offset, _PUSH, info, 8))
            at += 1
        elif operation == _ALLOC_LARGE:
            amount = word(at + 1) * 8 if info == 0 else word(at + 1) | word(at + 2) << 16
            codes.append(_Code(offset, _ALLOC_LARGE, 0, amount))
            at += 2 if info == 0 else 3
        elif operation == _ALLOC_SMALL:
            codes.append(_Code(offset, _ALLOC_LARGE, 0, info * 8 + 8))
            at += 1
        elif operation == _SET_FRAME:
            codes.append(_Code(offset, _SET_FRAME, 0, frame_offset))
            at += 1
        elif operation == _SET_FRAME_LARGE:
            codes.append(_Code(offset, _SET_FRAME, 0, (word(at + 1) | word(at + 2) << 16) * 16))
            at += 3
        elif operation == _SAVE:
            codes.append(_Code(offset, _SAVE, info, word(at + 1) * 8))
            at += 2
        elif operation == _SAVE_FAR:
            codes.append(_Code(offset, _SAVE, info, word(at + 1) | word(at + 2) << 16))
            at += 3
        elif operation in (_SAVE_XMM, _SAVE_XMM_FAR):
            at += 2 if operation == _SAVE_XMM else 3
        else:
            raise Corrupt(f"an unknown unwind code {operation}")
    return codes
