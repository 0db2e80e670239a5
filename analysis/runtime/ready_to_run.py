"""Precompiled (ReadyToRun) code of one image: its table of functions, and from code back to methods.

Source: docs/design/coreclr/botr/readytorun-format.md, docs/design/datacontracts/ExecutionManager.md and
``vm/readytoruninfo.cpp`` in dotnet/runtime. Of these tables a dump holds only the pages that the runtime's own stack
walk touched, so a lookup must probe in the runtime's order.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, Corrupt, MemoryFault
from analysis.limits import LIMITS

_LINEAR_SEARCH = 10
_SENTINEL = 0xFFFFFFFF
_KEYS_PER_BUCKET = 4
_VALUE_MASK = 0x7FFF_FFFF_FFFF_FFFF
_EMPTY, _DELETED = 0, 1
_SECTION_DEBUG_INFO = 105
#: Functions, entry points of methods, exception clauses, debug info, types, entry points of instances, names of assemblies, hot
#: and cold parts, and what of methods and types is generic or lies in another one.
_SECTIONS_OF_TABLES = frozenset({102, 103, 104, _SECTION_DEBUG_INFO, 108, 109, 112, 120, 121, 122, 123})
_MAXIMUM_SECTIONS = 256
_SIGNATURE = b"RTR\0"
_ENTRIES_PER_BLOCK = 16
_UNWIND_HANDLERS = 3


@dataclass(frozen=True, slots=True)
class FoundCode:
    """``row`` of the function (a method's main part or a funclet), ``method_row`` of its method's first part."""

    row: int | None
    method_row: int | None
    start: int
    method_desc: int
    next_begin: int | None


class ReadyToRunImage:
    """The tables of one precompiled image, read as they are asked for. Raises MemoryFault or Corrupt."""

    def __init__(self, target: Target, module: int, base: int) -> None:
        self.target, self.base = target, base
        self.own = target.pointer(module, "Module", "ReadyToRunInfo")
        if not self.own:
            raise Corrupt("a module has code but no ReadyToRun information", where=f"Module at {module:#x}")
        self.info = target.pointer(self.own, "ReadyToRunInfo", "CompositeInfo") or self.own
        self._functions = target.pointer(self.info, "ReadyToRunInfo", "RuntimeFunctions")
        self._count = target.u32(self.info, "ReadyToRunInfo", "NumRuntimeFunctions")
        self._size = target.layout.types["RuntimeFunction"]["!"]
        if self._count > LIMITS.runtime_functions:
            raise Corrupt(f"{self._count:,} precompiled functions", where=f"Module at {module:#x}")

    def begin_of(self, row: int) -> int:
        """Offset of function ``row`` from the image base; the sentinel lies behind the last one."""
        return self.target.u32(self._functions + self._size * row, "RuntimeFunction", "BeginAddress")

    def unwind_of(self, row: int) -> int:
        return self.target.u32(self._functions + self._size * row, "RuntimeFunction", "UnwindData")

    def find(self, ip: int) -> FoundCode | None:
        """What lies at ``ip``, by the table of functions, or where its pages are missing by the nearest entry point."""
        try:
            return self._by_table(ip)
        except MemoryFault:
            return self._by_entry_point(ip)

    def _by_table(self, ip: int) -> FoundCode | None:
        offset, low, high = ip - self.base, 0, self._count - 1
        while high - low > _LINEAR_SEARCH:
            middle = low + (high - low) // 2
            if offset < self.begin_of(middle):
                high = middle - 1
            else:
                low = middle
        for row in range(low, high + 1):
            behind = self.begin_of(row + 1) if row + 1 < self._count else _SENTINEL
            if offset < behind:
                return self._method_of(row, behind) if offset >= self.begin_of(row) else None
        return None

    def _method_of(self, row: int, behind: int) -> FoundCode:
        """Funclets follow their method: step back to a function that is an entry point."""
        for first in range(row, max(row - LIMITS.funclets, -1), -1):
            try:
                start = self.base + self.begin_of(first)
            except MemoryFault:
                break
            if start in self._methods:
                return FoundCode(row, first, start, self._methods[start], behind)
        nearest = self._by_entry_point(self.base + self.begin_of(row))
        return FoundCode(
            row, None, nearest.start if nearest else self.base + self.begin_of(row), nearest.method_desc if nearest else 0, behind
        )

    def _by_entry_point(self, ip: int) -> FoundCode | None:
        place = bisect_right(self._starts, ip) - 1
        if place < 0 or self._starts[place] < self.base:
            return None
        return FoundCode(None, None, self._starts[place], self._methods[self._starts[place]], None)

    @cached_property
    def _starts(self) -> list[int]:
        return sorted(self._methods)

    @cached_property
    def _methods(self) -> dict[int, int]:
        """Entry point -> MethodDesc: every readable bucket of the runtime's hash map of methods that were entered."""
        layout = self.target.layout
        keys_at, values_at = layout.offset("Bucket", "Keys"), layout.offset("Bucket", "Values")
        found: dict[int, int] = {}
        for bucket in self._buckets[1:]:
            raw = self.target.memory.try_read(bucket, self._buckets.step)
            if raw is None:
                continue
            keys = struct.unpack_from(f"<{_KEYS_PER_BUCKET}Q", raw, keys_at)
            values = struct.unpack_from(f"<{_KEYS_PER_BUCKET}Q", raw, values_at)
            for key, value in zip(keys, values, strict=True):
                if key not in (_EMPTY, _DELETED):
                    found[key] = (value & _VALUE_MASK) << 1
        return found

    @cached_property
    def _buckets(self) -> range:
        """Addresses of the buckets of that map; the first one says how many follow."""
        target, layout = self.target, self.target.layout
        table = self.info + layout.offset("ReadyToRunInfo", "EntryPointToMethodDescMap")
        first, size = target.pointer(table, "HashMap", "Buckets"), layout.types["Bucket"]["!"]
        count = 1 + min(target.memory.u32(first), LIMITS.hash_buckets) if first else 0
        return range(first, first + size * count, size)

    # What belongs to a function

    def gc_info_of(self, row: int) -> int:
        """Address of the GC info of the method that begins with function ``row``: it lies behind the unwind codes."""
        address = self.base + (self.unwind_of(row) & ~1)
        head = self.target.memory.try_read(address, 4)
        if head is None:
            return 0
        codes = head[2] + 1 & ~1
        return address + 4 + 2 * codes + (4 if head[0] >> 3 & _UNWIND_HANDLERS else 0)

    def debug_info_of(self, row: int) -> int:
        """Address of the debug info of the method that begins with function ``row``, 0 for none or where unreadable."""
        try:
            return self._debug_info(row)
        except AnalysisError:
            return 0

    def _debug_info(self, row: int) -> int:
        entry = self._array_entry(self._debug_section, row) if self._debug_section else 0
        if not entry:
            return 0
        # Methods with equal maps share one: the number says how far back it lies, 0 that it follows.
        back, behind = self._variable(entry)
        return entry - back if back else behind

    @cached_property
    def _debug_section(self) -> int:
        return self._sections.get(_SECTION_DEBUG_INFO, (0, 0))[0]

    @cached_property
    def _sections(self) -> dict[int, tuple[int, int]]:
        """Kind -> (address, one behind the last byte) of each section."""
        target = self.target
        header = target.pointer(self.info, "ReadyToRunInfo", "ReadyToRunHeader")
        if target.memory.read(header, 4) != _SIGNATURE:
            raise Corrupt("a ReadyToRun header does not begin like one", where=f"{header:#x}")
        # READYTORUN_HEADER: signature, two u16 versions, u32 flags, u32 sections, then the sections.
        count = min(target.memory.u32(header + 12), _MAXIMUM_SECTIONS)
        size = target.layout.types["ReadyToRunSection"]["!"]
        found: dict[int, tuple[int, int]] = {}
        for at in range(header + 16, header + 16 + size * count, size):
            start = self.base + target.u32(at, "ReadyToRunSection", "VirtualAddress")
            kind = target.u32(at, "ReadyToRunSection", "Type")
            found.setdefault(kind, (start, start + target.u32(at, "ReadyToRunSection", "Size")))
        return found

    def table_ranges(self) -> list[tuple[int, int]]:
        """Addresses (first, one behind the last) of what leads from code to methods and says how to unwind it: no code, and
        nothing that code works with. Raises MemoryFault or Corrupt."""
        header = self.target.pointer(self.info, "ReadyToRunInfo", "ReadyToRunHeader")
        count = min(self.target.memory.u32(header + 12), _MAXIMUM_SECTIONS)
        size = 16 + self.target.layout.types["ReadyToRunSection"]["!"] * count
        found = [(header, header + size), (self._functions, self._functions + self._size * self._count)]
        found += [(self._buckets.start, self._buckets.stop)]
        return found + [place for kind, place in self._sections.items() if kind in _SECTIONS_OF_TABLES]

    def _array_entry(self, base: int, index: int) -> int:
        """Address of element ``index`` of a NativeArray (``vm/nativeformatreader.h``), 0 where it has none."""
        memory = self.target.memory
        head, blocks = self._variable(base)
        if index >= head >> 2:
            return 0
        width = head & 3
        block = index // _ENTRIES_PER_BLOCK
        read = (memory.u8, memory.u16, memory.u32)[min(width, 2)]
        at = blocks + read(blocks + (block << min(width, 2)))
        bit = _ENTRIES_PER_BLOCK >> 1
        while bit:
            node, behind = self._variable(at)
            if index & bit:
                if node & 2:
                    at, bit = at + (node >> 2), bit >> 1
                    continue
            elif node & 1:
                at, bit = behind, bit >> 1
                continue
            if node & 3 == 0 and node >> 2 == index & (_ENTRIES_PER_BLOCK - 1):
                return behind
            return 0
        return at

    def _variable(self, at: int) -> tuple[int, int]:
        """A variable-length unsigned number (NativeReader::DecodeUnsigned) and the address behind it."""
        memory, first = self.target.memory, self.target.memory.u8(at)
        for length, tag in ((1, 0), (2, 1), (3, 3), (4, 7)):
            if first & (1 << length) - 1 == tag:
                raw = int.from_bytes(memory.read(at, length), "little")
                return raw >> length, at + length
        if first & 0x1F != 0x0F:
            raise Corrupt("an impossible number in ReadyToRun data", where=f"{at:#x}")
        return memory.u32(at + 1), at + 5
