"""A shared library or executable as it lies in memory: exported symbols and build id.

Source: System V ABI, chapters "Dynamic Section", "Symbol Table" and "Hash Table"; the GNU hash table as described in
binutils. A dump keeps the first pages of libcoreclr.so, which hold all of this, in every dump type.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from analysis.errors import MemoryFault
from analysis.memory.reader import Memory

_PT_LOAD, _PT_DYNAMIC, _PT_NOTE = 1, 2, 4
_DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_GNU_HASH = 4, 5, 6, 10, 0x6FFFFEF5
_STT_FUNC = 2
_MAXIMUM_SYMBOL_BYTES = 64 << 20
_NT_GNU_BUILD_ID = 3


@dataclass(frozen=True, slots=True)
class Symbol:
    """An exported symbol: absolute address and size in bytes."""

    address: int
    size: int


@dataclass(frozen=True, slots=True)
class NamedSymbol:
    """A function of the dynamic symbol table: absolute address, size in bytes, name."""

    address: int
    size: int
    name: str


class ElfImage:
    """The in-memory ELF image at ``base``. Raises MemoryFault when its header is not in the dump."""

    def __init__(self, memory: Memory, base: int) -> None:
        self._memory, self.base = memory, base
        header = memory.read(base, 64)
        self.valid = header[:4] == b"\x7fELF" and header[4] == 2
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        self._headers: list[tuple[int, int, int, int]] = []
        if not self.valid or size != 56:
            return
        for i in range(min(count, 128)):
            kind, _flags, _offset, address, _, _file, length, _ = struct.unpack(
                "<IIQQQQQQ", memory.read(base + table + i * 56, 56)
            )
            self._headers.append((kind, address, length, _offset))
        first = next((address - offset for kind, address, _, offset in self._headers if kind == _PT_LOAD), 0)
        self._bias = base - first

    def build_id(self) -> str:
        """The GNU build id in hexadecimal, or an empty string where it cannot be read."""
        for kind, address, length, _ in self._headers:
            raw = self._memory.try_read(self._bias + address, min(length, 4096)) if kind == _PT_NOTE else None
            at = 0
            while raw and at + 12 <= len(raw):
                name_size, body_size, note = struct.unpack_from("<III", raw, at)
                body = at + 12 + (name_size + 3 & ~3)
                if note == _NT_GNU_BUILD_ID and raw[at + 12 : at + 15] == b"GNU":
                    return raw[body : body + body_size].hex()
                at = body + (body_size + 3 & ~3)
        return ""

    def symbol(self, name: str) -> Symbol | None:
        """An exported symbol by name, or None when it is not exported or its tables are not in the dump."""
        try:
            tables = self._dynamic()
            if _DT_SYMTAB not in tables or _DT_STRTAB not in tables:
                return None
            if _DT_GNU_HASH in tables:
                return self._by_gnu_hash(name.encode(), tables)
            return self._by_hash(name.encode(), tables) if _DT_HASH in tables else None
        except MemoryFault:
            return None

    def functions(self) -> list[NamedSymbol]:
        """Functions the image exports, by address; empty when its symbol table is not in the dump."""
        tables = self._dynamic()
        symbols, strings, size = (tables.get(tag, 0) for tag in (_DT_SYMTAB, _DT_STRTAB, _DT_STRSZ))
        # The table of symbols has no length of its own; linkers put the strings right behind it.
        length = min(strings - symbols, _MAXIMUM_SYMBOL_BYTES) // 24 * 24
        if not symbols or length <= 0:
            return []
        size -= self._bias if size >= self.base else 0
        raw, names = self._memory.try_read(symbols, length), self._memory.try_read(strings, min(size, _MAXIMUM_SYMBOL_BYTES))
        if raw is None or names is None:
            return []
        found = []
        for text, info, _other, section, value, extent in struct.iter_unpack("<IBBHQQ", raw):
            if info & 15 == _STT_FUNC and section and extent:
                name = names[text : names.find(b"\0", text)].decode("utf-8", "replace")
                found.append(NamedSymbol(self._bias + value, extent, name))
        return sorted(found, key=lambda symbol: symbol.address)

    def _dynamic(self) -> dict[int, int]:
        tables: dict[int, int] = {}
        for kind, address, length, _ in self._headers:
            if kind != _PT_DYNAMIC:
                continue
            raw = self._memory.read(self._bias + address, min(length, 65536))
            for tag, value in struct.iter_unpack("<QQ", raw[: len(raw) & ~15]):
                if tag == 0:
                    break
                # glibc replaces these values by absolute addresses when it loads the library, musl does not.
                tables[tag] = value if value >= self.base else value + self._bias
        return tables

    def _by_gnu_hash(self, name: bytes, tables: dict[int, int]) -> Symbol | None:
        memory, at = self._memory, tables[_DT_GNU_HASH]
        buckets, first, bloom, _shift = struct.unpack("<IIII", memory.read(at, 16))
        if not buckets:
            return None
        code = 5381
        for byte in name:
            code = (code * 33 + byte) & 0xFFFFFFFF
        bucket_table = at + 16 + bloom * 8
        row = memory.u32(bucket_table + 4 * (code % buckets))
        chain = bucket_table + 4 * buckets
        for _ in range(100_000):
            if row < first:
                return None
            stored = memory.u32(chain + 4 * (row - first))
            if (stored | 1) == (code | 1):
                found = self._named(row, name, tables)
                if found:
                    return found
            if stored & 1:
                return None
            row += 1
        return None

    def _by_hash(self, name: bytes, tables: dict[int, int]) -> Symbol | None:
        at = tables[_DT_HASH]
        _, count = struct.unpack("<II", self._memory.read(at, 8))
        for row in range(min(count, 1_000_000)):
            found = self._named(row, name, tables)
            if found:
                return found
        return None

    def _named(self, row: int, name: bytes, tables: dict[int, int]) -> Symbol | None:
        raw = self._memory.read(tables[_DT_SYMTAB] + 24 * row, 24)
        text, _info, _other, section, value, size = struct.unpack("<IBBHQQ", raw)
        if section and self._memory.try_read(tables[_DT_STRTAB] + text, len(name) + 1) == name + b"\0":
            return Symbol(self._bias + value, size)
        return None
