"""Portable PDBs: which source line an IL offset came from.

Source: docs/design/specs/PortablePdb-Metadata.md (tables Document and MethodDebugInformation, sequence points blob) and
PE-COFF.md (PDBs inside an image) in dotnet/runtime.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from analysis.errors import Corrupt, NotADump, OverLimit, Unsupported
from analysis.index.lines import Lines
from analysis.limits import LIMITS
from analysis.runtime.metadata_tables import MetadataTables, Table, compressed_unsigned
from analysis.runtime.pe_image import PeImage

_PORTABLE, _EMBEDDED, _IMAGE, _WINDOWS = b"BSJB", b"MPDB", b"MZ", b"Microsoft C/C++ MSF"
_ID_BYTES = 20
#: A portable PDB is always the first of its id.
_AGE = 1
_METHOD_DEF = 0x06000000
_HIGHEST_LINE = 0x1FFFFFFF
_REMEDY = "Build it with <DebugType>portable</DebugType> or embedded."


@dataclass(frozen=True, slots=True)
class PortablePdb:
    """``pdb_id`` is GUID and age as ``CodeView.pdb_id`` writes them. ``problems`` names what was left out."""

    pdb_id: str
    lines: Lines
    problems: tuple[str, ...] = ()


def read_portable_pdb(data: bytes) -> PortablePdb:
    """Read a portable PDB, one packed as in an image, or the image with one inside.

    Raises Corrupt, OverLimit, Unsupported (a Windows PDB, an image without a PDB) or NotADump (anything else).
    """
    if len(data) > LIMITS.pdb_bytes:
        raise OverLimit(f"a PDB of {len(data):,} bytes", remedy=f"At most {LIMITS.pdb_bytes:,} bytes are read.")
    if data.startswith(_WINDOWS):
        raise Unsupported("this is a Windows PDB, not a portable one", remedy=_REMEDY)
    if data.startswith(_IMAGE):
        data = _from_image(data)
    if data.startswith(_EMBEDDED):
        data = _unpack(data)
    if not data.startswith(_PORTABLE):
        raise NotADump("this is no portable PDB", where=f"it begins with {data[:4].hex()}", remedy="Give a .pdb file, or a .dll.")
    return _read(MetadataTables(data))


def _from_image(data: bytes) -> bytes:
    def read(offset: int, length: int) -> bytes:
        if offset + length > len(data):
            raise Corrupt("an image ends before the bytes it promises", where=f"offset {offset:#x}, {length:,} bytes")
        return data[offset : offset + length]

    packed = PeImage(read, mapped=False).embedded_pdb
    if packed is None:
        raise Unsupported("this image has no PDB inside", remedy="Give the .pdb file that was built with it.")
    return packed


def _unpack(data: bytes) -> bytes:
    """Undo the packing of a PDB inside an image: MPDB, size, deflate."""
    size = int.from_bytes(data[4:8], "little")
    if size > LIMITS.pdb_bytes:
        raise OverLimit(f"a PDB of {size:,} bytes", remedy=f"At most {LIMITS.pdb_bytes:,} bytes are read.")
    try:
        found = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[8:], size + 1)
    except zlib.error as error:
        raise Corrupt("the PDB inside an image cannot be unpacked", where=str(error)) from error
    if len(found) != size:
        raise Corrupt("the PDB inside an image has another size than it says", where=f"{size:,} bytes promised")
    return found


def _read(tables: MetadataTables) -> PortablePdb:
    if len(tables.pdb_stream) < _ID_BYTES:
        raise Corrupt("this is metadata of a module, not a PDB: it has no #Pdb stream", remedy="Give the .pdb file.")
    if tables.count(Table.DOCUMENT) > LIMITS.documents:
        raise OverLimit(f"{tables.count(Table.DOCUMENT):,} documents in a PDB")
    reader = _Reader(tables)
    lines = reader.lines(tuple(reader.document(blob) for blob in tables.values(Table.DOCUMENT, 0)))
    if reader.problems and not len(lines.methods):
        raise Corrupt("nothing in this PDB can be read", where=reader.problems[0])
    return PortablePdb(f"{UUID(bytes_le=tables.pdb_stream[:16])},{_AGE}", lines, tuple(reader.problems))


class _Reader:
    """Reads blobs within a budget: a forged PDB may refer to one large blob as often as it likes."""

    def __init__(self, tables: MetadataTables) -> None:
        self._tables, self._left = tables, LIMITS.pdb_blob_bytes
        self.problems: list[str] = []

    def _blob(self, index: int) -> bytes:
        found = self._tables.blob(index)
        self._left -= len(found)
        if self._left < 0:
            raise OverLimit(f"a PDB that refers to more than {LIMITS.pdb_blob_bytes:,} bytes of names and lines")
        return found

    def _left_out(self, what: str, error: Corrupt) -> None:
        if len(self.problems) < LIMITS.pdb_problems:
            self.problems.append(f"{what}: {error}")

    def document(self, blob: int) -> str:
        """Name of a document: a separator, then blobs to be joined by it. One that cannot be read is empty."""
        try:
            return self._joined(self._blob(blob)).replace("\0", "")
        except Corrupt as error:
            self._left_out("a document", error)
            return ""

    def _joined(self, name: bytes) -> str:
        if not name:
            return ""
        # The separator is one character of UTF-8; zero stands for none.
        width = 1 if name[0] < 0x80 else 2 if name[0] < 0xE0 else 3 if name[0] < 0xF0 else 4
        separator, at, parts, length = name[:width].decode("utf-8", "replace").strip("\0"), width, list[str](), 0
        while at < len(name) and length <= LIMITS.name_characters:
            part, at = compressed_unsigned(name, at)
            parts.append(self._blob(part).decode("utf-8", "replace"))
            length += len(parts[-1]) + 1
        return separator.join(parts)[: LIMITS.name_characters]

    def lines(self, documents: tuple[str, ...]) -> Lines:
        """Lines of all methods that have any; a method whose points are malformed is left out and named."""
        tables = self._tables
        blobs = tables.column(Table.METHOD_DEBUG_INFORMATION, 1)
        first_documents = tables.column(Table.METHOD_DEBUG_INFORMATION, 0)
        methods, first, points = array("I"), array("I", (0,)), array("I")
        for row in np.flatnonzero(blobs).tolist():
            start = len(points)
            try:
                for point in _sequence_points(self._blob(int(blobs[row])), int(first_documents[row]), len(documents)):
                    points.extend(point)
            except Corrupt as error:
                self._left_out(f"lines of method {_METHOD_DEF | row + 1:#010x}", error)
                del points[start:]
            if len(points) > start:
                methods.append(row + 1)
                first.append(len(points) // 3)
            if len(points) > 3 * LIMITS.sequence_points:
                raise OverLimit(f"more than {LIMITS.sequence_points:,} sequence points in a PDB")
        table = np.array(points, np.uint32).reshape(-1, 3)
        return Lines(documents, np.array(methods, np.uint32), np.array(first, np.uint32), table)


def _sequence_points(blob: bytes, document: int, documents: int) -> Iterator[tuple[int, int, int]]:
    """(IL offset, row of documents, line) of the points that are not hidden. Raises Corrupt for a malformed blob."""
    _, at = compressed_unsigned(blob, 0)
    if not document:
        document, at = compressed_unsigned(blob, at)
    offset, line, first, seen_line = 0, 0, True, False
    while at < len(blob):
        step, at = compressed_unsigned(blob, at)
        if not step and not first:
            document, at = compressed_unsigned(blob, at)
            continue
        offset, first = offset + step, False
        lines, at = compressed_unsigned(blob, at)
        columns, at = compressed_unsigned(blob, at) if not lines else _signed(blob, at)
        if not lines and not columns:
            continue
        if seen_line:
            moved, at = _signed(blob, at)
            _, at = _signed(blob, at)
        else:
            moved, at = compressed_unsigned(blob, at)
            _, at = compressed_unsigned(blob, at)
        line, seen_line = line + moved, True
        if not 0 < document <= documents or not 0 <= line <= _HIGHEST_LINE or offset > _HIGHEST_LINE:
            raise Corrupt("a sequence point lies in no document or line", where=f"document {document:,}, line {line:,}")
        yield offset, document - 1, line


def _signed(blob: bytes, at: int) -> tuple[int, int]:
    """(value, next offset) of a compressed signed integer (II.23.2): the sign is the lowest bit, rotated."""
    value, end = compressed_unsigned(blob, at)
    bits = {1: 6, 2: 13, 4: 28}[end - at]
    return (value >> 1) - ((value & 1) << bits), end
