"""Build ELF cores byte by byte, from the specification and without the product's own layouts."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_HEADER_BYTES, _PROGRAM_HEADER_BYTES, _SECTION_HEADER_BYTES = 64, 56, 64


@dataclass
class SyntheticCore:
    """Segments are (address, bytes in the file, size in memory); notes are (type, body)."""

    segments: list[tuple[int, bytes, int]] = field(default_factory=list)
    notes: list[tuple[int, bytes]] = field(default_factory=list)
    kind: int = 4
    machine: int = 62
    word_class: int = 2
    byte_order: int = 1

    def segment(self, address: int, content: bytes, memory_size: int | None = None) -> SyntheticCore:
        self.segments.append((address, content, len(content) if memory_size is None else memory_size))
        return self

    def file_note(self, rows: list[tuple[int, int, int, str]], page: int = 1) -> SyntheticCore:
        """NT_FILE: rows of (start, end, offset in pages, path)."""
        body = struct.pack("<QQ", len(rows), page) + b"".join(struct.pack("<QQQ", *row[:3]) for row in rows)
        self.notes.append((0x46494C45, body + b"".join(row[3].encode() + b"\0" for row in rows)))
        return self

    def thread_note(self, os_id: int, signal: int = 0) -> SyntheticCore:
        """NT_PRSTATUS with zero registers."""
        body = bytearray(336)
        struct.pack_into("<H", body, 12, signal)
        struct.pack_into("<I", body, 32, os_id)
        self.notes.append((1, bytes(body)))
        return self

    def build(self) -> bytes:
        count = len(self.segments) + 1
        extended = count >= 0xFFFF
        table_end = _HEADER_BYTES + count * _PROGRAM_HEADER_BYTES + (_SECTION_HEADER_BYTES if extended else 0)
        notes = b"".join(_note(kind, body) for kind, body in self.notes)
        offset = table_end
        headers = [struct.pack("<IIQQQQQQ", 4, 0, offset, 0, 0, len(notes), 0, 4)]
        bodies = [notes]
        offset += len(notes)
        padding = -offset % 8
        bodies.append(bytes(padding))
        offset += padding
        for address, content, memory_size in self.segments:
            headers.append(struct.pack("<IIQQQQQQ", 1, 6, offset, address, 0, len(content), memory_size, 8))
            bodies.append(content)
            offset += len(content)
        section_at = _HEADER_BYTES + count * _PROGRAM_HEADER_BYTES if extended else 0
        start = b"\x7fELF" + bytes([self.word_class, self.byte_order, 1, 0]) + bytes(8)
        order = ">" if self.byte_order == 2 else "<"
        start += struct.pack(f"{order}HHIQQQI", self.kind, self.machine, 1, 0, _HEADER_BYTES, section_at, 0)
        start += struct.pack(f"{order}HHH", _HEADER_BYTES, _PROGRAM_HEADER_BYTES, 0xFFFF if extended else count)
        start += struct.pack(f"{order}HHH", _SECTION_HEADER_BYTES if extended else 0, 1 if extended else 0, 0)
        section = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0) if extended else b""
        return start + b"".join(headers) + section + b"".join(bodies)


def _note(kind: int, body: bytes) -> bytes:
    return struct.pack("<III", 5, len(body), kind) + b"CORE\0\0\0\0" + body + bytes(-len(body) % 4)
