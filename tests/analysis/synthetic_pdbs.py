"""Portable PDBs made by hand, with every kind of record."""

from __future__ import annotations

import struct
from uuid import UUID

from tests.analysis.synthetic_metadata import MetadataBuilder

_DOCUMENT, _METHOD_DEBUG_INFORMATION = 0x30, 0x31
GUID = UUID("00112233-4455-6677-8899-aabbccddeeff")


def compressed(value: int) -> bytes:
    """An unsigned integer as metadata packs it (ECMA-335 II.23.2)."""
    if value < 0x80:
        return bytes([value])
    return struct.pack(">H", 0x8000 | value) if value < 0x4000 else struct.pack(">I", 0xC0000000 | value)


def signed(value: int) -> bytes:
    """A signed integer: the sign is rotated into the lowest bit; the number of bytes is the smallest that holds it."""
    for bits, mark, size in ((6, 0, 1), (13, 0x8000, 2), (28, 0xC0000000, 4)):
        if -(1 << bits) <= value < 1 << bits:
            rotated = (value & ((1 << bits) - 1)) << 1 | (value < 0)
            return (mark | rotated).to_bytes(size, "big")
    raise ValueError(value)


def small_pdb(*methods: tuple[int, bytes], documents: tuple[str, ...] = ("/src/A.cs", "/src/B.cs"), guid: UUID = GUID) -> bytes:
    """A PDB whose methods have these (document, sequence points) rows."""
    made = MetadataBuilder(pdb_stream=guid.bytes_le + b"\1\2\3\4" + struct.pack("<IQ", 0, 0))
    for name in documents:
        parts = b"".join(compressed(made.blob(part.encode())) for part in name.split("/"))
        made.row(_DOCUMENT, "HHHH", made.blob(b"/" + parts), 0, 0, 0)
    for document, points in methods:
        made.row(_METHOD_DEBUG_INFORMATION, "HH", document, made.blob(points) if points else 0)
    return made.build()


def point(il: int, lines: int, columns: int, line: bytes, column: bytes) -> bytes:
    """One record: step of the offset, lines and columns it covers, then where it starts."""
    return compressed(il) + compressed(lines) + (signed(columns) if lines else compressed(columns)) + line + column


HIDDEN = b"\0\0"
#: Lines 10, hidden, 12 (two lines), then 300 in the other document, then back to 290.
POINTS = (
    b"\0"
    + point(0, 0, 5, compressed(10), compressed(9))
    + compressed(4) + HIDDEN
    + point(6, 2, -3, signed(2), signed(-4))
    + b"\0" + compressed(2)
    + point(200, 0, 7, signed(288), signed(0))
    + point(1, 0, 7, signed(-10), signed(100))
)  # fmt: skip
