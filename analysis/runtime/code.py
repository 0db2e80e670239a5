"""From an instruction pointer to the code it lies in: the range map, JIT code heaps, ReadyToRun images.

Source: docs/design/datacontracts/ExecutionManager.md and ``vm/codeman.h``, ``vm/nibblemapmacros.h`` in dotnet/runtime.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, Corrupt, MemoryFault
from analysis.limits import LIMITS
from analysis.runtime.ready_to_run import ReadyToRunImage

_LEVEL_SHIFTS, _PLACES_PER_LEVEL = (49, 41, 33, 25, 17), 256
_IS_CODE_HEAP, _IS_STUB_LIST = 2, 4
_LARGEST_STUB_KIND = 15
_BYTES_PER_BUCKET, _NIBBLES_PER_WORD, _BYTES_PER_STEP = 32, 8, 4
#: From this contract version on a word of the nibble map may hold a pointer instead of nibbles.
_POINTERS_IN_NIBBLE_MAP = 10
_LARGEST_CODE_HEAP = 1 << 32
_MAXIMUM_WORDS_BACK = 1 << 20
_CODE_HEAP_FIELDS = ("StartAddress", "EndAddress", "MapBase", "HeaderMap")


@dataclass(frozen=True, slots=True)
class UnwindEntry:
    """A RUNTIME_FUNCTION: [begin, end) and unwind data, as offsets from ``base``."""

    base: int
    begin: int
    end: int
    unwind: int

    @property
    def address(self) -> int:
        return self.base + self.begin


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """The code around an instruction pointer. ``start`` is that of the method, funclets belong to it.

    ``method_desc`` is 0 where the dump does not tell; ``entries`` are candidates for unwinding, none where their
    table is not in the dump; ``gc_info`` and ``debug_info`` are addresses, 0 for none.
    """

    start: int
    method_desc: int
    ready_to_run: bool
    entries: tuple[UnwindEntry, ...]
    gc_info: int
    debug_info: int
    module: int = 0

    def entry(self, ip: int) -> UnwindEntry | None:
        """The entry that covers ``ip``."""
        for candidate in self.entries:
            if candidate.address <= ip < candidate.base + candidate.end:
                return candidate
        return self.entries[0] if self.entries else None


@dataclass(frozen=True, slots=True)
class _Section:
    begin: int
    end: int
    flags: int
    module: int
    heap_list: int


@dataclass(slots=True)
class _CodeHeap:
    start: int
    end: int
    map_base: int
    header_map: int


@dataclass
class CodeMap:
    """Looks code up by address; remembers what it found. Nothing here raises for damage: unknown code is None."""

    target: Target
    problems: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._sections: dict[int, _Section | None] = {}
        self._blocks: dict[int, CodeBlock | None] = {}
        self._by_start: dict[int, CodeBlock] = {}
        self._heaps: dict[int, list[_CodeHeap]] = {}
        self._images: dict[int, ReadyToRunImage] = {}

    def find(self, ip: int) -> CodeBlock | None:
        """The managed code around ``ip``; None for native code, stubs, and where the dump does not tell."""
        if ip not in self._blocks:
            try:
                self._blocks[ip] = self._find(ip)
            except AnalysisError as error:
                self.problems.add(str(error))
                self._blocks[ip] = None
        return self._blocks[ip]

    def is_stub(self, ip: int) -> bool:
        """Whether ``ip`` lies in code the runtime made that belongs to no method."""
        return self._section(ip) is not None and self.find(ip) is None

    def _find(self, ip: int) -> CodeBlock | None:
        section = self._section(ip)
        if section is None:
            return None
        if section.flags & _IS_CODE_HEAP:
            return self._jitted(ip, section)
        if section.flags & _IS_STUB_LIST or not section.module:
            return None
        return self._precompiled(ip, section)

    def _section(self, ip: int) -> _Section | None:
        page = ip >> _LEVEL_SHIFTS[-1]
        known = self._sections.get(page)
        if known is not None and known.begin <= ip < known.end:
            return known
        try:
            found = self._look_up(ip)
        except MemoryFault as fault:
            self.problems.add(f"the map from addresses to code: {fault}")
            return None
        self._sections[page] = found
        return found

    def _look_up(self, ip: int) -> _Section | None:
        target, node = self.target, self.target.variable("CodeRangeMap")
        for shift in _LEVEL_SHIFTS:
            node = target.memory.pointer((node & ~1) + 8 * (ip >> shift & 0xFF))
            if not node & ~1:
                return None
        fragment = node & ~1
        for _ in range(LIMITS.code_ranges):
            if (
                target.pointer(fragment, "RangeSectionFragment", "RangeBegin")
                <= ip
                < target.pointer(fragment, "RangeSectionFragment", "RangeEndOpen")
            ):
                return self._read_section(target.pointer(fragment, "RangeSectionFragment", "RangeSection"))
            fragment = target.pointer(fragment, "RangeSectionFragment", "Next") & ~1
            if not fragment:
                return None
        raise Corrupt("a list of code ranges does not end", where=f"address {ip:#x}")

    def maps(self) -> list[tuple[int, int]]:
        """Addresses (first, one behind the last) of the nibble maps of all heaps of code, as far as they can be read and lie
        where a map can: code is reached by offsets of 32 bits, and one map is one allocation."""
        found: list[tuple[int, int]] = []
        for address in self._all_sections():
            with self._as_far_as_readable():
                section = self._read_section(address)
                for heap in self._code_heaps(section.heap_list) if section.flags & _IS_CODE_HEAP else ():
                    words = -(-max(heap.end - heap.map_base, 0) // (_BYTES_PER_BUCKET * _NIBBLES_PER_WORD))
                    end, captured = heap.header_map + 4 * words, self.target.memory.segments.find(heap.header_map)
                    if heap.end - heap.map_base < _LARGEST_CODE_HEAP and captured and end <= captured[1]:
                        found.append((heap.header_map, end))
        return found

    def _all_sections(self) -> list[int]:
        """Addresses of all RangeSections: the map of ranges is a tree with a table of 256 places on each level, of which a small
        dump holds what the runtime's own stack walk touched."""
        tables, found = [self.target.variable("CodeRangeMap")], dict[int, None]()
        for _ in _LEVEL_SHIFTS[:-1]:
            tables = [place for table in tables for place in self._places(table)]
        for fragment in (place for table in tables for place in self._places(table)):
            with self._as_far_as_readable():
                for _ in range(LIMITS.code_ranges):
                    found[self.target.pointer(fragment, "RangeSectionFragment", "RangeSection")] = None
                    fragment = self.target.pointer(fragment, "RangeSectionFragment", "Next") & ~1
                    if not fragment:
                        break
        return list(found)

    @contextmanager
    def _as_far_as_readable(self) -> Iterator[None]:
        try:
            yield
        except AnalysisError as error:
            self.problems.add(str(error))

    def _places(self, table: int) -> list[int]:
        raw = self.target.memory.try_read(table, 8 * _PLACES_PER_LEVEL) or b""
        return [place & ~1 for (place,) in struct.iter_unpack("<Q", raw) if place & ~1]

    def _read_section(self, address: int) -> _Section:
        target = self.target
        return _Section(
            begin=target.pointer(address, "RangeSection", "RangeBegin"),
            end=target.pointer(address, "RangeSection", "RangeEndOpen"),
            flags=target.u32(address, "RangeSection", "Flags"),
            module=target.pointer(address, "RangeSection", "R2RModule"),
            heap_list=target.pointer(address, "RangeSection", "HeapList"),
        )

    # JIT code

    def _jitted(self, ip: int, section: _Section) -> CodeBlock | None:
        heap = next((heap for heap in self._code_heaps(section.heap_list) if heap.start <= ip < heap.end), None)
        start = self._method_start(ip, heap) if heap else 0
        if not start:
            return None
        known = self._by_start.get(start)
        if known is None:
            known = self._read_header(start, section)
            if known:
                self._by_start[start] = known
        return known

    def _code_heaps(self, first: int) -> list[_CodeHeap]:
        if first not in self._heaps:
            found: list[_CodeHeap] = []
            node, target = first, self.target
            while node and len(found) < LIMITS.code_ranges:
                found.append(_CodeHeap(*(target.pointer(node, "CodeHeapListNode", name) for name in _CODE_HEAP_FIELDS)))
                node = target.pointer(node, "CodeHeapListNode", "Next")
            self._heaps[first] = found
        return self._heaps[first]

    def _method_start(self, ip: int, heap: _CodeHeap) -> int:
        """Start of the method around ``ip`` by the nibble map: one nibble for every 32 bytes of code, 0 where no method
        begins, else 1 + the place of the start in units of four bytes. Nibbles count from the most significant."""
        distance = ip - heap.map_base
        if distance < 0:
            return 0
        word, bucket = divmod(distance // _BYTES_PER_BUCKET, _NIBBLES_PER_WORD)
        place = distance % _BYTES_PER_BUCKET // _BYTES_PER_STEP
        pointers = self.target.layout.major >= _POINTERS_IN_NIBBLE_MAP
        for turn in range(_MAXIMUM_WORDS_BACK):
            value = self.target.memory.u32(heap.header_map + 4 * word)
            if pointers and value & 15 > 8:
                return heap.map_base + (value & ~15) + 4 * ((value & 15) - 9)
            while bucket >= 0:
                nibble = value >> (28 - 4 * bucket) & 15
                if nibble and nibble - 1 <= place:
                    return heap.map_base + (8 * word + bucket) * _BYTES_PER_BUCKET + _BYTES_PER_STEP * (nibble - 1)
                bucket, place = bucket - 1, 15
            word, bucket = word - 1, _NIBBLES_PER_WORD - 1
            if word < 0 or (pointers and turn == 1):
                return 0
        return 0

    def _read_header(self, start: int, section: _Section) -> CodeBlock | None:
        target = self.target
        header = target.memory.pointer(start - 8)
        if header <= _LARGEST_STUB_KIND:
            return None
        count = target.u32(header, "RealCodeHeader", "NumUnwindInfos")
        if not 0 < count <= LIMITS.funclets:
            raise Corrupt(f"a method with {count:,} parts", where=f"code header {header:#x}")
        first = header + target.layout.offset("RealCodeHeader", "UnwindInfos")
        size = target.layout.types["RuntimeFunction"]["!"]
        return CodeBlock(
            start=start,
            method_desc=target.pointer(header, "RealCodeHeader", "MethodDesc"),
            ready_to_run=False,
            entries=tuple(self._entry(section.begin, first + size * row) for row in range(count)),
            gc_info=target.pointer(header, "RealCodeHeader", "GCInfo"),
            debug_info=target.pointer(header, "RealCodeHeader", "DebugInfo"),
        )

    def _entry(self, base: int, address: int) -> UnwindEntry:
        target = self.target
        return UnwindEntry(
            base,
            target.u32(address, "RuntimeFunction", "BeginAddress"),
            target.u32(address, "RuntimeFunction", "EndAddress"),
            target.u32(address, "RuntimeFunction", "UnwindData"),
        )

    # ReadyToRun code

    def image(self, module: int, base: int) -> ReadyToRunImage:
        """The precompiled code of the module whose Module structure lies at ``module``."""
        if module not in self._images:
            self._images[module] = ReadyToRunImage(self.target, module, base)
        return self._images[module]

    def _precompiled(self, ip: int, section: _Section) -> CodeBlock | None:
        image = self.image(section.module, section.begin)
        found = image.find(ip)
        if found is None:
            return None
        entry = None
        if found.row is not None and found.next_begin is not None:
            entry = UnwindEntry(section.begin, image.begin_of(found.row), found.next_begin, image.unwind_of(found.row))
        return CodeBlock(
            start=found.start,
            method_desc=found.method_desc,
            ready_to_run=True,
            entries=(entry,) if entry else (),
            gc_info=image.gc_info_of(found.method_row) if found.method_row is not None else 0,
            debug_info=image.debug_info_of(found.method_row) if found.method_row is not None else 0,
            module=section.module,
        )
