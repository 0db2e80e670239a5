"""Read the memory of a dump by address.

Two families with one contract each: ``read…`` raises ``MemoryFault``, ``try_read…`` returns None. A byte that the
dump does not hold is never a zero.
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_right
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.errors import MemoryFault
from analysis.limits import LIMITS
from analysis.memory.segments import SegmentTable

_U8, _U16, _U32, _U64 = (struct.Struct(code) for code in ("<B", "<H", "<I", "<Q"))
_NOTHING_TO_FORGET = nullcontext()


class Memory:
    """The address space of a dump over its memory-mapped file."""

    def __init__(self, view: mmap.mmap, size_bytes: int, segments: SegmentTable) -> None:
        self._view, self.size_bytes, self.segments = view, size_bytes, segments
        self._low = self._high = self._shift = 0
        self._mapped: list[tuple[int, int]] = []
        self._mapped_starts: list[int] = []

    def set_mappings(self, mapped: list[tuple[int, int]]) -> None:
        """Name the ranges that files were mapped to, so that an absent byte in them is called not captured."""
        self._mapped = sorted(mapped)
        self._mapped_starts = [start for start, _ in self._mapped]

    def _locate(self, address: int, length: int) -> int:
        """File offset of [address, address + length) when one captured range holds it all, else -1."""
        if self._low <= address and address + length <= self._high:
            return address + self._shift
        found = self.segments.find(address)
        if found is None:
            return -1
        self._low, self._high, self._shift = found[0], found[1], found[2] - found[0]
        return address + self._shift if address + length <= self._high else -1

    def forgetting(self) -> AbstractContextManager[object]:
        """For text: that it is read tells nothing of what an analysis needs. Here nothing is remembered anyhow."""
        return _NOTHING_TO_FORGET

    def probe(self, is_it: Callable[[], bool]) -> bool:
        """``is_it()``, for searches: what is read in it is needed only where it says yes."""
        return is_it()

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes at ``address``; raises MemoryFault naming the first byte that is not there."""
        if length > LIMITS.read_bytes:
            raise MemoryFault(address, length, "over_limit")
        at = self._locate(address, length)
        if at >= 0:
            return self._view[at : at + length]
        parts, position = [], address
        while position < address + length:
            found = self.segments.find(position)
            if found is None:
                raise MemoryFault(position, address + length - position, self.absence(position))
            start, end, offset = found
            stop = min(end, address + length)
            parts.append(self._view[offset + position - start : offset + stop - start])
            position = stop
        return b"".join(parts)

    def absence(self, address: int) -> str:
        """Why ``address`` cannot be read: ``file_truncated``, ``not_captured`` or ``unmapped``."""
        if any(start <= address < end for start, end in self.segments.truncated):
            return "file_truncated"
        if any(start <= address < end for start, end in self.segments.absent):
            return "not_captured"
        row = bisect_right(self._mapped_starts, address) - 1
        return "not_captured" if row >= 0 and address < self._mapped[row][1] else "unmapped"

    def try_read(self, address: int, length: int) -> bytes | None:
        try:
            return self.read(address, length)
        except MemoryFault:
            return None

    def u8(self, address: int) -> int:
        return self._number(_U8, address, 1)

    def u16(self, address: int) -> int:
        return self._number(_U16, address, 2)

    def u32(self, address: int) -> int:
        return self._number(_U32, address, 4)

    def u64(self, address: int) -> int:
        return self._number(_U64, address, 8)

    pointer = u64

    def _number(self, kind: struct.Struct, address: int, length: int) -> int:
        at = self._locate(address, length)
        value: int = kind.unpack_from(self._view, at)[0] if at >= 0 else kind.unpack(self.read(address, length))[0]
        return value

    def try_pointer(self, address: int) -> int | None:
        try:
            return self.u64(address)
        except MemoryFault:
            return None

    def utf16_string(self, address: int, limit: int = 4096) -> str:
        """UTF-16 text up to the first NUL character or ``limit`` bytes."""
        raw = bytearray()
        while len(raw) < limit:
            piece = self._some(address + len(raw), min(256, limit - len(raw)))
            for i in range(0, len(piece) - 1, 2):
                if piece[i] == 0 and piece[i + 1] == 0:
                    return bytes(raw + piece[:i]).decode("utf-16-le", "replace")
            raw += piece
            if len(piece) < 256:
                break
        return bytes(raw[: len(raw) & ~1]).decode("utf-16-le", "replace")

    def captured(self, address: int, length: int) -> bytes:
        """At most ``length`` bytes from ``address`` on, up to the first that is not there. Raises MemoryFault when none is."""
        if length > LIMITS.read_bytes:
            raise MemoryFault(address, length, "over_limit")
        raw = bytearray(self._some(address, length))
        while len(raw) < length and self.segments.find(address + len(raw)) is not None:
            raw += self._some(address + len(raw), length - len(raw))
        return bytes(raw)

    def _some(self, address: int, length: int) -> bytes:
        """At least one and at most ``length`` bytes at ``address``, as many as the captured range holds."""
        found = self.segments.find(address)
        if found is None:
            raise MemoryFault(address, length, self.absence(address))
        start, end, offset = found
        return self._view[offset + address - start : offset + min(end, address + length) - start]

    def gather(self, addresses: npt.NDArray[np.uint64], kind: npt.DTypeLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """One number of ``kind`` at each address, and whether the dump holds all of it there (else the number is 0)."""
        wanted = np.dtype(kind).newbyteorder("<")
        table = self.segments
        values, there = np.zeros(len(addresses), wanted), np.zeros(len(addresses), np.bool_)
        if len(table):
            row = np.maximum(np.searchsorted(table.starts.view(np.uint64), addresses, side="right") - 1, 0)
            start, end = table.starts[row].view(np.uint64), table.ends[row].view(np.uint64)
            # Compared by subtraction, which cannot wrap around where the address lies in the range.
            there = (addresses >= start) & (addresses < end) & (end - np.minimum(addresses, end) >= wanted.itemsize)
            at = table.offsets[row[there]] + (addresses[there] - start[there]).view(np.int64)
            raw = np.frombuffer(self._view, np.uint8)[at[:, None] + np.arange(wanted.itemsize)]
            values[there] = raw.reshape(-1).view(wanted)
        return values, there

    def raw(self, offset: int, length: int) -> bytes:
        """Bytes of the file itself, fewer where it ends."""
        return self._view[offset : offset + length]

    @property
    def octets(self) -> npt.NDArray[np.uint8]:
        """The whole file as read-only bytes."""
        return np.frombuffer(self._view, np.uint8)

    def words(self) -> npt.NDArray[np.uint64]:
        """The whole file as read-only 64-bit words, for kernels; bytes after the last full word are left out."""
        return np.frombuffer(self._view, np.uint64, self.size_bytes // 8)
