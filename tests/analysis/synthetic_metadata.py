"""Build small metadata blocks by hand, from ECMA-335 alone, to test odd shapes no compiler writes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field


@dataclass
class MetadataBuilder:
    """Tables are lists of already packed rows; ``text`` and ``blob`` return heap indexes to put into them."""

    tables: dict[int, list[bytes]] = field(default_factory=dict)
    strings: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    blobs: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    guids: bytearray = field(default_factory=bytearray)
    table_stream: str = "#~"
    heap_sizes: int = 0
    extra_data: bool = False
    extra_streams: tuple[str, ...] = ()
    pdb_stream: bytes = b""

    def text(self, value: str) -> int:
        self.strings += value.encode() + b"\0"
        return len(self.strings) - len(value.encode()) - 1

    def blob(self, value: bytes) -> int:
        at = len(self.blobs)
        assert len(value) < 0x80
        self.blobs += bytes([len(value)]) + value
        return at

    def row(self, table: int, layout: str, *values: int) -> int:
        """Append a row and return its rid. Layout letters are those of ``struct``."""
        self.tables.setdefault(table, []).append(struct.pack("<" + layout, *values))
        return len(self.tables[table])

    def build(self) -> bytes:
        valid = sum(1 << number for number in self.tables)
        stream = struct.pack("<IBBBBQQ", 0, 2, 0, self.heap_sizes | (0x40 if self.extra_data else 0), 1, valid, 0)
        stream += b"".join(struct.pack("<I", len(self.tables[number])) for number in sorted(self.tables))
        stream += b"\xee" * 4 if self.extra_data else b""
        stream += b"".join(b"".join(self.tables[number]) for number in sorted(self.tables))
        streams = [(self.table_stream, stream), ("#Strings", bytes(self.strings)), ("#GUID", bytes(self.guids))]
        streams += [("#Pdb", self.pdb_stream)] if self.pdb_stream else []
        streams += [("#Blob", bytes(self.blobs)), *((name, b"") for name in self.extra_streams)]
        version = b"v4.0.30319\0\0"
        head = struct.pack("<IHHII", 0x424A5342, 1, 1, 0, len(version)) + version + struct.pack("<HH", 0, len(streams))
        names = [name.encode().ljust((len(name) + 4) & ~3, b"\0") for name, _ in streams]
        at = len(head) + sum(8 + len(name) for name in names)
        headers = body = b""
        for (_, data), name in zip(streams, names, strict=True):
            data += b"\0" * (-len(data) % 4)
            headers += struct.pack("<II", at + len(body), len(data)) + name
            body += data
        return head + headers + body


def small_module(**options: object) -> MetadataBuilder:
    """A module with ``N.Outer`1``, nested ``Inner``, one field each, one method, an assembly: two-byte indexes throughout."""
    made = MetadataBuilder(**options)  # type: ignore[arg-type]
    made.guids += bytes(range(16))
    made.row(0x00, "HHHHH", 0, made.text("tiny.dll"), 1, 0, 0)
    made.row(0x01, "HHH", 0, made.text("Object"), made.text("System"))
    made.row(0x01, "HHH", 1 << 2 | 3, made.text("Nested"), 0)
    made.row(0x02, "IHHHHH", 0, made.text("<Module>"), 0, 0, 1, 1)
    made.row(0x02, "IHHHHH", 1, made.text("Outer`1"), made.text("N"), 1 << 2 | 1, 1, 1)
    made.row(0x02, "IHHHHH", 2, made.text("Inner"), 0, 1 << 2 | 1, 2, 2)
    made.row(0x04, "HHH", 0, made.text("count"), made.blob(b"\x06\x08"))
    made.row(0x04, "HHH", 0x10, made.text("items"), made.blob(b"\x06\x1d\x13\x00"))
    made.row(0x06, "IHHHHH", 0, 0, 0, made.text("Run"), made.blob(b"\x20\x00\x01"), 1)
    made.row(0x1D, "IH", 0x2000, 2)
    made.row(0x20, "IHHHHIHHH", 0, 3, 1, 4, 1, 0, 0, made.text("tiny"), 0)
    made.row(0x29, "HH", 3, 2)
    made.row(0x2A, "HHHH", 0, 0, 2 << 1, made.text("T"))
    return made
