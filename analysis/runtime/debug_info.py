"""The map from machine code to IL that the compilers leave behind.

Source: ``vm/debuginfostore.cpp`` and ``inc/nibblestream.h`` in dotnet/runtime. Up to .NET 9 the map is a stream of
nibbles; from .NET 10 on its entries are packed bits.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, Corrupt
from analysis.limits import LIMITS

NO_MAPPING, PROLOG, EPILOG = -1, -2, -3
_IL_BIAS = 3
_PATCHPOINTS, _RICH = 1, 2
_PACKED_BITS_SINCE = 10
_SOURCE_BITS = 2
_MAXIMUM_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class ILMap:
    """Rising native offsets and the IL offset of each; negative IL offsets mean no mapping, prolog or epilog."""

    native: tuple[int, ...]
    il: tuple[int, ...]

    def at(self, native_offset: int) -> int:
        """IL offset of the instruction at ``native_offset``: of the last entry at or before it, else of the first."""
        return self.il[max(bisect_right(self.native, native_offset) - 1, 0)] if self.il else NO_MAPPING


_EMPTY = ILMap((), ())


class DebugInfoReader:
    """Reads maps by the address of their debug info and keeps them; one that is not in the dump is empty."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._maps: dict[int, ILMap] = {}

    def il_map(self, address: int, *, ready_to_run: bool) -> ILMap:
        """The map of one body of code; never raises."""
        if not address:
            return _EMPTY
        if address not in self._maps:
            try:
                self._maps[address] = self._read(address, ready_to_run)
            except AnalysisError:
                self._maps[address] = _EMPTY
        return self._maps[address]

    def has_patchpoints(self, address: int) -> bool:
        """Whether jitted code can be replaced while it runs: only unoptimised (tier 0) code with loops can."""
        raw = self._target.memory.try_read(address, 1) if address else None
        return bool(raw and raw[0] & _PATCHPOINTS)

    def _read(self, address: int, ready_to_run: bool) -> ILMap:
        target, memory = self._target, self._target.memory
        if not ready_to_run:
            flags = memory.u8(address)
            address += 1
            if flags & _PATCHPOINTS:
                locals_count = target.u32(address, "PatchpointInfo", "LocalCount")
                address += target.layout.types["PatchpointInfo"]["!"] + 4 * min(locals_count, LIMITS.gc_slots)
            if flags & _RICH:
                address += 4 + memory.u32(address)
        head = _Nibbles(self._target, address)
        size = head.number()
        head.number()
        if not 0 < size <= _MAXIMUM_BYTES:
            return _EMPTY
        bounds = _Nibbles(target, head.next_byte())
        if target.layout.major >= _PACKED_BITS_SINCE:
            return self._packed(bounds, size)
        return self._nibbles(bounds, size)

    @staticmethod
    def _nibbles(bounds: _Nibbles, size: int) -> ILMap:
        count = bounds.number()
        if count > 2 * size:
            raise Corrupt(f"a map of {count:,} entries in {size:,} bytes")
        native, il, offset = [], [], 0
        for _ in range(count):
            offset += bounds.number()
            native.append(offset)
            il.append(bounds.number() - _IL_BIAS)
            bounds.number()
        return ILMap(tuple(native), tuple(il))

    def _packed(self, bounds: _Nibbles, size: int) -> ILMap:
        count, native_bits, il_bits = bounds.number(), bounds.number() + 1, bounds.number() + 1
        width = _SOURCE_BITS + native_bits + il_bits
        if native_bits > 32 or il_bits > 32 or count * width > 8 * size:
            raise Corrupt(f"a map of {count:,} entries in {size:,} bytes")
        raw = int.from_bytes(self._target.memory.read(bounds.next_byte(), (count * width + 7) // 8), "little")
        native, il, offset = [], [], 0
        for row in range(count):
            entry = raw >> row * width + _SOURCE_BITS
            offset += entry & (1 << native_bits) - 1
            native.append(offset)
            il.append((entry >> native_bits & (1 << il_bits) - 1) - _IL_BIAS)
        return ILMap(tuple(native), tuple(il))


class _Nibbles:
    """Numbers in nibbles, low nibble first: three bits of value each, the highest group first, bit 3 says that more follow."""

    def __init__(self, target: Target, address: int) -> None:
        self._memory, self._address, self._place = target.memory, address, 0

    def number(self) -> int:
        value = 0
        for _ in range(12):
            byte = self._memory.u8(self._address + self._place // 2)
            nibble = byte >> 4 if self._place & 1 else byte & 15
            self._place += 1
            value = value << 3 | nibble & 7
            if not nibble & 8:
                return value & 0xFFFF_FFFF
        raise Corrupt("a number without end in debug info", where=f"{self._address:#x}")

    def next_byte(self) -> int:
        """Address of the next whole byte."""
        return self._address + (self._place + 1) // 2
