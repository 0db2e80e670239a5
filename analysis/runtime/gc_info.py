"""GC info: which registers and stack slots of a method hold object references at an instruction.

Source: ``vm/gcinfodecoder.cpp``, ``inc/gcinfotypes.h`` and ``inc/gcinfoencoder.h`` in dotnet/runtime, for AMD64: version 3
of the encoding up to .NET 9, version 4 from .NET 10 on (no return kinds, no PSPSym).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from analysis.errors import Corrupt
from analysis.limits import LIMITS
from analysis.memory.reader import Memory
from analysis.runtime.unwind import RBP

_VERSION_3, _VERSION_4 = 3, 4
_FIRST_WITH_VERSION_4 = 10
_FLAG_BITS = 10
_GS_COOKIE, _PSP_SYM, _GENERICS, _BASE_REGISTER, _EDIT_AND_CONTINUE, _REVERSE_PINVOKE = 0x4, 0x8, 0x30, 0x40, 0x100, 0x200
_CHUNK_BITS = 6
_SKIP, _RUN = 4, 2
INTERIOR, PINNED = 1, 2


class SlotBase(IntEnum):
    """What a stack slot's offset counts from."""

    CALLER_SP = 0
    SP = 1
    FRAME_REGISTER = 2


@dataclass(frozen=True, slots=True)
class Slot:
    """A register (``register`` >= 0) or a stack slot (``base`` and ``offset`` in bytes); flags INTERIOR and PINNED."""

    register: int
    base: SlotBase
    offset: int
    flags: int


@dataclass(frozen=True, slots=True)
class GCInfo:
    """Decoded header and slot table of one method. ``frame_register`` is -1 without one; ``outgoing`` bytes of arguments."""

    code_length: int
    frame_register: int
    outgoing: int
    safe_points: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    tracked: tuple[Slot, ...]
    untracked: tuple[Slot, ...]
    states_at: int


class GCInfoReader:
    """Reads GC info by its address and remembers it. Raises MemoryFault where it is not in the dump, Corrupt when damaged."""

    def __init__(self, memory: Memory, major: int) -> None:
        self._memory = memory
        self._version = _VERSION_4 if major >= _FIRST_WITH_VERSION_4 else _VERSION_3
        self._known: dict[int, GCInfo] = {}
        self._live_at: dict[tuple[int, int, bool], tuple[Slot, ...]] = {}

    def info(self, address: int) -> GCInfo:
        if address not in self._known:
            self._known[address] = self._read(_Bits(self._memory, address))
        return self._known[address]

    def live_slots(self, address: int, offset: int, *, leaf: bool) -> tuple[Slot, ...]:
        """Slots that hold a reference at ``offset``, counted from the method's start: that of the interrupted instruction
        for a leaf, of the byte before the return address otherwise."""
        key = (address, offset, leaf)
        if key not in self._live_at:
            info = self.info(address)
            bits = _Bits(self._memory, address, info.states_at)
            self._live_at[key] = (*self._live(info, bits, offset, leaf), *info.untracked)
        return self._live_at[key]

    # The header

    def _read(self, bits: _Bits) -> GCInfo:
        fat, flags = bool(bits.read(1)), 0
        if fat:
            flags = bits.read(_FLAG_BITS)
        elif bits.read(1):
            flags = _BASE_REGISTER
        if self._version == _VERSION_3:
            bits.skip(4 if fat else 2)
        length = bits.unsigned(8)
        self._skip_special_slots(bits, flags)
        frame_register = -1
        if flags & _BASE_REGISTER:
            frame_register = bits.unsigned(3) ^ RBP if fat else RBP
        if flags & _EDIT_AND_CONTINUE:
            bits.unsigned(4)
        if flags & _REVERSE_PINVOKE:
            bits.unsigned(6)
        outgoing = bits.unsigned(3) * 8 if fat else 0
        points, ranges = bits.unsigned(2), bits.unsigned(1) if fat else 0
        if max(points, ranges) > LIMITS.gc_slots or frame_register > 15:
            raise Corrupt(f"GC info with {points:,} safe points and {ranges:,} ranges")
        width = (length - 1).bit_length() if length > 1 else 0
        safe_points = tuple(bits.read(width) for _ in range(points))
        spans = _ranges(bits, ranges)
        tracked, untracked = _slots(bits)
        return GCInfo(length, frame_register, outgoing, safe_points, spans, tracked, untracked, bits.position)

    def _skip_special_slots(self, bits: _Bits, flags: int) -> None:
        if flags & _GS_COOKIE:
            bits.unsigned(5), bits.unsigned(3)
        elif flags & _GENERICS:
            bits.unsigned(5)
        for present in (flags & _GS_COOKIE, self._version == _VERSION_3 and flags & _PSP_SYM, flags & _GENERICS):
            if present:
                bits.unsigned(6)

    # Which slots are live

    def _live(self, info: GCInfo, bits: _Bits, offset: int, leaf: bool) -> list[Slot]:
        count = len(info.tracked)
        if not count:
            return []
        point = self._safe_point(info, offset, leaf)
        if point is not None:
            live = _at_safe_point(bits, point, len(info.safe_points), count)
        else:
            if info.safe_points:
                _skip_safe_points(bits, len(info.safe_points), count)
            # Since version 4 the state right behind a call is exact, so that arguments which die in it are not reported.
            live = _in_ranges(bits, info, offset + 1 if self._version == _VERSION_4 and not leaf else offset)
        return [info.tracked[place] for place in live]

    def _safe_point(self, info: GCInfo, offset: int, leaf: bool) -> int | None:
        if leaf:
            return info.safe_points.index(offset) if offset in info.safe_points else None
        for candidate in (offset, offset + 1) if self._version == _VERSION_4 else (offset,):
            if candidate in info.safe_points:
                return info.safe_points.index(candidate)
        return None


def _ranges(bits: _Bits, count: int) -> tuple[tuple[int, int], ...]:
    """Interruptible ranges [start, stop) in bytes of code."""
    found, last = [], 0
    for _ in range(count):
        start = last + bits.unsigned(6)
        last = start + bits.unsigned(6) + 1
        found.append((start, last))
    return tuple(found)


def _slots(bits: _Bits) -> tuple[tuple[Slot, ...], tuple[Slot, ...]]:
    """Tracked slots (registers, then stack) and untracked ones."""
    registers = bits.unsigned(2) if bits.read(1) else 0
    stack = untracked = 0
    if bits.read(1):
        stack, untracked = bits.unsigned(2), bits.unsigned(1)
    if registers + stack + untracked > LIMITS.gc_slots:
        raise Corrupt(f"GC info with {registers + stack + untracked:,} slots")
    tracked = _register_slots(bits, registers) + _stack_slots(bits, stack)
    return tuple(tracked), tuple(_stack_slots(bits, untracked))


def _register_slots(bits: _Bits, count: int) -> list[Slot]:
    slots: list[Slot] = []
    number = flags = 0
    for place in range(count):
        if place == 0 or flags:
            number, flags = bits.unsigned(3), bits.read(2)
        else:
            number += bits.unsigned(2) + 1
        if number > 15:
            raise Corrupt(f"GC info names register {number}")
        slots.append(Slot(number, SlotBase.SP, 0, flags))
    return slots


def _stack_slots(bits: _Bits, count: int) -> list[Slot]:
    slots: list[Slot] = []
    offset = flags = 0
    for place in range(count):
        base = bits.read(2)
        if base > SlotBase.FRAME_REGISTER:
            raise Corrupt(f"GC info with a slot of base {base}")
        if place == 0 or flags:
            offset, flags = bits.signed(6), bits.read(2)
        else:
            offset += bits.unsigned(4)
        slots.append(Slot(-1, SlotBase(base), offset * 8, flags))
    return slots


def _at_safe_point(bits: _Bits, point: int, points: int, count: int) -> list[int]:
    """Live slots at one of the recorded call sites."""
    if not bits.read(1):
        bits.skip(point * count)
        return [place for place in range(count) if bits.read(1)]
    width = bits.unsigned(3) + 1
    table = bits.position
    bits.skip(point * width)
    state = bits.read(width)
    bits.position = (table + points * width + 7 & ~7) + state
    return _slot_set(bits, count)


def _skip_safe_points(bits: _Bits, points: int, count: int) -> None:
    """Step over the states of the safe points: only tables of direct states can be followed by chunks."""
    if bits.read(1):
        width = bits.unsigned(3) + 1
        bits.skip(points * width)
        return
    bits.skip(points * count)


def _slot_set(bits: _Bits, count: int) -> list[int]:
    """A set of slot numbers: one bit each, or run lengths that skip and name in turn."""
    if not bits.read(1):
        return [place for place in range(count) if bits.read(1)]
    skip, report = bits.read(1) == 0, True
    found: list[int] = []
    place = bits.unsigned(_SKIP if skip else _RUN)
    skip = not skip
    while place < count:
        length = bits.unsigned(_SKIP if skip else _RUN) + 1
        if report:
            found += range(place, min(place + length, count))
        place, skip, report = place + length, not skip, not report
    return found


def _in_ranges(bits: _Bits, info: GCInfo, offset: int) -> list[int]:
    """Live slots inside an interruptible range, where states are kept in chunks of 64 code offsets."""
    before = 0
    for start, stop in info.ranges:
        if start <= offset < stop:
            break
        before += stop - start
    else:
        return []
    place = before + offset - start
    total = sum(stop - start for start, stop in info.ranges)
    chunks, wanted = total + 63 >> _CHUNK_BITS, place >> _CHUNK_BITS
    width = bits.unsigned(3)
    if not width:
        return []
    table = bits.position
    for chunk in range(wanted, -1, -1):
        bits.position = table + chunk * width
        pointer = bits.read(width)
        if pointer:
            break
    else:
        return []
    bits.position = (table + chunks * width + 7 & ~7) + pointer - 1
    possible = _slot_set(bits, len(info.tracked))
    live = [bool(bits.read(1)) for _ in possible]
    if chunk == wanted:
        for row in range(len(possible)):
            while bits.read(1):
                if bits.read(_CHUNK_BITS) > place & 63:
                    live[row] = not live[row]
    return [slot for slot, alive in zip(possible, live, strict=True) if alive]


class _Bits:
    """A stream of bits, low bit of each byte first. It reads no byte before it is needed: the next page may be absent."""

    def __init__(self, memory: Memory, address: int, position: int = 0) -> None:
        self._memory, self._address, self.position = memory, address, position
        self._from, self._data = 0, b""

    def skip(self, count: int) -> None:
        self.position += count

    def read(self, count: int) -> int:
        if not count:
            return 0
        first, last = self.position >> 3, self.position + count - 1 >> 3
        if not (self._from <= first and last < self._from + len(self._data)):
            self._load(first, last)
        raw = int.from_bytes(self._data[first - self._from : last - self._from + 1], "little")
        value = raw >> (self.position & 7) & (1 << count) - 1
        self.position += count
        return value

    def _load(self, first: int, last: int) -> None:
        wanted = max(64, last - first + 1)
        self._data = self._memory.try_read(self._address + first, wanted) or self._memory.read(
            self._address + first, last - first + 1
        )
        self._from = first

    def unsigned(self, group: int) -> int:
        """A number in groups of ``group`` bits, low group first, each followed by a bit that says whether more come."""
        value = shift = 0
        while True:
            part = self.read(group + 1)
            value |= (part & (1 << group) - 1) << shift
            if not part >> group:
                return value
            shift += group
            if shift > 64:
                raise Corrupt("a number without end in GC info", where=f"{self._address:#x}")

    def signed(self, group: int) -> int:
        """The same, sign-extended from the last group."""
        value = shift = 0
        while True:
            part = self.read(group + 1)
            value |= (part & (1 << group) - 1) << shift
            shift += group
            if not part >> group:
                return value - (1 << shift) if value >> shift - 1 & 1 else value
            if shift > 64:
                raise Corrupt("a number without end in GC info", where=f"{self._address:#x}")
