"""The physical layer of ECMA-335 metadata: root, streams, heaps and table rows, read lazily from bytes.

Source: ECMA-335 partition II, 24.2 (physical layout) and II.22 (tables), plus the pointer tables and the ``#-`` and
``#JTD`` streams of edit and continue as CoreCLR writes them, and the two tables of PortablePdb-Metadata.md that lead to
source lines. Everything a file promises is checked before it is used:
a promise that does not hold raises ``Corrupt``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analysis.errors import Corrupt
from analysis.limits import LIMITS

_SIGNATURE = 0x424A5342
_MAXIMUM_STREAMS = 64
_MAXIMUM_STREAM_NAME = 32
_MAXIMUM_ROWS = 0xFFFFFF
_EXTRA_DATA = 0x40


class Table(IntEnum):
    """Numbers of the metadata tables (II.22)."""

    MODULE = 0x00
    TYPE_REF = 0x01
    TYPE_DEF = 0x02
    FIELD_POINTER = 0x03
    FIELD = 0x04
    METHOD_POINTER = 0x05
    METHOD_DEF = 0x06
    PARAM_POINTER = 0x07
    PARAM = 0x08
    INTERFACE_IMPL = 0x09
    MEMBER_REF = 0x0A
    CONSTANT = 0x0B
    CUSTOM_ATTRIBUTE = 0x0C
    FIELD_MARSHAL = 0x0D
    DECL_SECURITY = 0x0E
    CLASS_LAYOUT = 0x0F
    FIELD_LAYOUT = 0x10
    STAND_ALONE_SIG = 0x11
    EVENT_MAP = 0x12
    EVENT_POINTER = 0x13
    EVENT = 0x14
    PROPERTY_MAP = 0x15
    PROPERTY_POINTER = 0x16
    PROPERTY = 0x17
    METHOD_SEMANTICS = 0x18
    METHOD_IMPL = 0x19
    MODULE_REF = 0x1A
    TYPE_SPEC = 0x1B
    IMPL_MAP = 0x1C
    FIELD_RVA = 0x1D
    ENC_LOG = 0x1E
    ENC_MAP = 0x1F
    ASSEMBLY = 0x20
    ASSEMBLY_PROCESSOR = 0x21
    ASSEMBLY_OS = 0x22
    ASSEMBLY_REF = 0x23
    ASSEMBLY_REF_PROCESSOR = 0x24
    ASSEMBLY_REF_OS = 0x25
    FILE = 0x26
    EXPORTED_TYPE = 0x27
    MANIFEST_RESOURCE = 0x28
    NESTED_CLASS = 0x29
    GENERIC_PARAM = 0x2A
    METHOD_SPEC = 0x2B
    GENERIC_PARAM_CONSTRAINT = 0x2C
    DOCUMENT = 0x30
    METHOD_DEBUG_INFORMATION = 0x31


# A column is "2" or "4" (bytes), "S", "G", "B" (index into the string, GUID or blob heap), a table number (a plain
# index into that table) or the name of a coded index.
_CODED: dict[str, tuple[int, ...]] = {
    "TypeDefOrRef": (0x02, 0x01, 0x1B),
    "HasConstant": (0x04, 0x08, 0x17),
    "HasCustomAttribute": (
        *(0x06, 0x04, 0x01, 0x02, 0x08, 0x09, 0x0A, 0x00, 0x0E, 0x17, 0x14),
        *(0x11, 0x1A, 0x1B, 0x20, 0x23, 0x26, 0x27, 0x28, 0x2A, 0x2C, 0x2B),
    ),
    "HasFieldMarshal": (0x04, 0x08),
    "HasDeclSecurity": (0x02, 0x06, 0x20),
    "MemberRefParent": (0x02, 0x01, 0x1A, 0x06, 0x1B),
    "HasSemantics": (0x14, 0x17),
    "MethodDefOrRef": (0x06, 0x0A),
    "MemberForwarded": (0x04, 0x06),
    "Implementation": (0x26, 0x23, 0x27),
    "CustomAttributeType": (-1, -1, 0x06, 0x0A, -1),
    "ResolutionScope": (0x00, 0x1A, 0x23, 0x01),
    "TypeOrMethodDef": (0x02, 0x06),
}
_COLUMNS: tuple[tuple[str | int, ...], ...] = (
    ("2", "S", "G", "G", "G"),  # Module
    ("ResolutionScope", "S", "S"),
    ("4", "S", "S", "TypeDefOrRef", Table.FIELD, Table.METHOD_DEF),  # TypeDef
    (Table.FIELD,),
    ("2", "S", "B"),  # Field
    (Table.METHOD_DEF,),
    ("4", "2", "2", "S", "B", Table.PARAM),  # MethodDef
    (Table.PARAM,),
    ("2", "2", "S"),  # Param
    (Table.TYPE_DEF, "TypeDefOrRef"),
    ("MemberRefParent", "S", "B"),
    ("2", "HasConstant", "B"),
    ("HasCustomAttribute", "CustomAttributeType", "B"),
    ("HasFieldMarshal", "B"),
    ("2", "HasDeclSecurity", "B"),
    ("2", "4", Table.TYPE_DEF),
    ("4", Table.FIELD),
    ("B",),  # StandAloneSig
    (Table.TYPE_DEF, Table.EVENT),
    (Table.EVENT,),
    ("2", "S", "TypeDefOrRef"),
    (Table.TYPE_DEF, Table.PROPERTY),
    (Table.PROPERTY,),
    ("2", "S", "B"),
    ("2", Table.METHOD_DEF, "HasSemantics"),
    (Table.TYPE_DEF, "MethodDefOrRef", "MethodDefOrRef"),
    ("S",),
    ("B",),  # TypeSpec
    ("2", "MemberForwarded", "S", Table.MODULE_REF),
    ("4", Table.FIELD),  # FieldRVA
    ("4", "4"),
    ("4",),
    ("4", "2", "2", "2", "2", "4", "B", "S", "S"),  # Assembly
    ("4",),
    ("4", "4", "4"),
    ("2", "2", "2", "2", "4", "B", "S", "S", "B"),  # AssemblyRef
    ("4", Table.ASSEMBLY_REF),
    ("4", "4", "4", Table.ASSEMBLY_REF),
    ("4", "S", "B"),
    ("4", "4", "S", "S", "Implementation"),
    ("4", "4", "S", "Implementation"),
    (Table.TYPE_DEF, Table.TYPE_DEF),  # NestedClass
    ("2", "2", "TypeOrMethodDef", "S"),  # GenericParam
    ("MethodDefOrRef", "B"),
    (Table.GENERIC_PARAM, "TypeDefOrRef"),
    *((), (), ()),  # numbers that stand for no table
    ("B", "G", "B", "G"),  # Document
    (Table.DOCUMENT, "B"),
)
_LIST_POINTERS = {Table.FIELD: 0x03, Table.METHOD_DEF: 0x05, Table.PARAM: 0x07, Table.EVENT: 0x13, Table.PROPERTY: 0x16}


@lru_cache(maxsize=512)
def _row_format(sizes: str) -> tuple[struct.Struct, np.dtype[np.void]]:
    """Reader of one row and numpy type of all rows, for columns whose sizes are the digits of ``sizes``."""
    reader = struct.Struct("<" + "".join("H" if size == "2" else "I" for size in sizes))
    return reader, np.dtype([(f"c{i}", f"<u{size}") for i, size in enumerate(sizes)])


def compressed_unsigned(data: bytes, at: int) -> tuple[int, int]:
    """(value, next offset) of a compressed integer (II.23.2); raises Corrupt where the bytes end or make no integer."""
    try:
        first = data[at]
        if first < 0x80:
            return first, at + 1
        if first < 0xC0:
            return (first & 0x3F) << 8 | data[at + 1], at + 2
        if first < 0xE0:
            return (first & 0x1F) << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3], at + 4
    except IndexError:
        pass
    raise Corrupt("a compressed integer in metadata is cut off or malformed", where=f"metadata offset {at:#x}")


@dataclass(frozen=True, slots=True)
class Rows:
    """One table: where its rows are and how one is read."""

    offset: int
    count: int
    reader: struct.Struct
    dtype: np.dtype[np.void]


_NO_ROWS = Rows(0, 0, *_row_format("2"))


@dataclass(slots=True)
class _Streams:
    """(offset, end) of each stream; an absent heap is empty."""

    tables: tuple[int, int] = (0, 0)
    strings: tuple[int, int] = (0, 0)
    blobs: tuple[int, int] = (0, 0)
    guids: tuple[int, int] = (0, 0)
    user_strings: tuple[int, int] = (0, 0)
    pdb: tuple[int, int] = (0, 0)
    wide: bool = False
    found: set[str] = field(default_factory=set)


class MetadataTables:
    """Rows and heap entries of one metadata block. Construction reads headers only; rows are decoded when asked for."""

    def __init__(self, data: bytes | memoryview) -> None:
        """Raises Corrupt when root, streams or table header contradict themselves or the length of ``data``."""
        self._data = data if isinstance(data, bytes) else bytes(data)
        try:
            self._streams = self._read_root()
            self._rows = self._read_tables()
        except struct.error as error:
            raise Corrupt("metadata ends inside its headers", where=f"{len(self._data):,} bytes of metadata") from error

    def _read_root(self) -> _Streams:
        data = self._data
        magic, _, _, _, version_bytes = struct.unpack_from("<IHHII", data)
        if magic != _SIGNATURE:
            raise Corrupt("metadata does not begin with its signature BSJB", where=f"found {magic:#010x}")
        if version_bytes > 1024:
            raise Corrupt("the version text of metadata is impossibly long", where=f"{version_bytes:,} bytes")
        at = 16 + version_bytes
        _, count = struct.unpack_from("<HH", data, at)
        if not 0 < count <= _MAXIMUM_STREAMS:
            raise Corrupt("metadata has an impossible number of streams", where=f"{count:,} streams")
        streams, at = _Streams(), at + 4
        for _ in range(count):
            start, size = struct.unpack_from("<II", data, at)
            end = data.find(b"\0", at + 8, at + 8 + _MAXIMUM_STREAM_NAME)
            if end < 0:
                raise Corrupt("a stream of metadata has no readable name", where=f"metadata offset {at:#x}")
            name = data[at + 8 : end].decode("ascii", "replace")
            self._place(streams, name, min(start, len(data)), min(start + size, len(data)))
            at = at + 8 + ((end - at - 8 + 4) & ~3)
        if streams.tables[1] <= streams.tables[0]:
            raise Corrupt("metadata has no table stream", where=", ".join(sorted(streams.found)))
        return streams

    @staticmethod
    def _place(streams: _Streams, name: str, start: int, end: int) -> None:
        """Note one stream; the first of a name counts, as for the runtime."""
        if name in streams.found:
            return
        streams.found.add(name)
        if name in ("#~", "#-"):
            streams.tables = (start, end)
        elif name == "#Strings":
            streams.strings = (start, end)
        elif name == "#Blob":
            streams.blobs = (start, end)
        elif name == "#GUID":
            streams.guids = (start, end)
        elif name == "#US":
            streams.user_strings = (start, end)
        elif name == "#Pdb":
            streams.pdb = (start, end)
        elif name == "#JTD":
            streams.wide = True

    def _read_tables(self) -> list[Rows]:
        start, end = self._streams.tables
        _, _, _, heap_sizes, _, valid, _ = struct.unpack_from("<IBBBBQQ", self._data, start)
        at, counts = start + 24, [0] * 64
        for table in range(64):
            if valid >> table & 1:
                (counts[table],) = struct.unpack_from("<I", self._data, at)
                at += 4
        if heap_sizes & _EXTRA_DATA:
            at += 4
        self.counts = counts
        rows = []
        for table, columns in enumerate(_COLUMNS):
            if not counts[table]:
                rows.append(_NO_ROWS)
                continue
            if counts[table] > _MAXIMUM_ROWS:
                raise Corrupt("a metadata table has more rows than a token can name", where=f"table {table:#04x}")
            reader, dtype = _row_format("".join(self._column_size(column, heap_sizes) for column in columns))
            rows.append(Rows(at, counts[table], reader, dtype))
            at += counts[table] * reader.size
            if at > end:
                raise Corrupt("a metadata table ends behind its stream", where=f"table {table:#04x}, {counts[table]:,} rows")
        return rows

    def _column_size(self, column: str | int, heap_sizes: int) -> str:
        """ "2" or "4": the bytes of a column."""
        if column in ("2", "4"):
            return str(column)
        if self._streams.wide:
            return "4"
        if isinstance(column, int):
            pointers = _LIST_POINTERS.get(Table(column), column)
            return "4" if max(self.counts[column], self.counts[pointers]) > 0xFFFF else "2"
        if column in ("S", "G", "B"):
            return "4" if heap_sizes & {"S": 1, "G": 2, "B": 4}[column] else "2"
        tables = _CODED[column]
        most = 0xFFFF >> (len(tables) - 1).bit_length()
        return "4" if any(table >= 0 and self.counts[table] > most for table in tables) else "2"

    @property
    def pdb_stream(self) -> bytes:
        """What a portable PDB says of the module it belongs to; empty for a module's own metadata."""
        start, end = self._streams.pdb
        return self._data[start:end]

    @property
    def user_string_heap(self) -> tuple[int, int]:
        """(offset, end) of the heap of text literals, empty where there is none."""
        return self._streams.user_strings

    def blob_place(self, index: int) -> tuple[int, int]:
        """(offset, end) of the bytes of blob ``index``. Raises Corrupt as ``blob`` does."""
        length = len(self.blob(index))
        _, at = compressed_unsigned(self._data, self._streams.blobs[0] + index) if index else (0, 0)
        return at, at + length

    def blob_columns(self) -> list[tuple[Table, int]]:
        """Every column that holds indexes into the blob heap: table and place of the column."""
        return [
            (table, place)
            for table in Table
            if self._rows[table].count
            for place, column in enumerate(_COLUMNS[table])
            if column == "B"
        ]

    def count(self, table: Table) -> int:
        return self._rows[table].count

    def row(self, table: Table, rid: int) -> tuple[int, ...]:
        """The columns of row ``rid`` (from 1). Raises Corrupt when the table has no such row."""
        rows = self._rows[table]
        if not 0 < rid <= rows.count:
            raise Corrupt(f"metadata has no row {rid:,} in table {table.name}", where=f"{rows.count:,} rows")
        return rows.reader.unpack_from(self._data, rows.offset + (rid - 1) * rows.reader.size)

    def column(self, table: Table, index: int) -> npt.NDArray[np.uint32]:
        """All values of one column, row order."""
        rows = self._rows[table]
        if not rows.count:
            return np.zeros(0, np.uint32)
        return np.frombuffer(self._data, rows.dtype, rows.count, rows.offset)[f"c{index}"].astype(np.uint32)

    def values(self, table: Table, index: int) -> list[int]:
        """``column`` as Python integers."""
        values: list[int] = self.column(table, index).tolist()
        return values

    def coded(self, kind: str, value: int) -> tuple[int, int]:
        """(table, rid) of a coded index. Raises Corrupt for a tag that names no table."""
        tables = _CODED[kind]
        bits = (len(tables) - 1).bit_length()
        tag = value & ((1 << bits) - 1)
        if tag >= len(tables) or tables[tag] < 0:
            raise Corrupt(f"a {kind} index of metadata names no table", where=f"{value:#x}")
        return tables[tag], value >> bits

    def string(self, index: int) -> str:
        """Text of the string heap, cut at the cap on names."""
        start, end = self._streams.strings
        at = start + index
        if at >= end:
            if index == 0:
                return ""
            raise Corrupt("a name of metadata lies behind its heap", where=f"#Strings offset {index:#x}")
        limit = min(end, at + LIMITS.name_characters)
        stop = self._data.find(b"\0", at, limit)
        return self._data[at : limit if stop < 0 else stop].decode("utf-8", "replace")

    def blob(self, index: int) -> bytes:
        start, end = self._streams.blobs
        if index == 0:
            return b""
        if start + index >= end:
            raise Corrupt("a blob of metadata lies behind its heap", where=f"#Blob offset {index:#x}")
        length, at = compressed_unsigned(self._data, start + index)
        if at + length > end:
            raise Corrupt("a blob of metadata ends behind its heap", where=f"#Blob offset {index:#x}, {length:,} bytes")
        return self._data[at : at + length]

    def guid(self, index: int) -> bytes:
        """The 16 bytes of GUID ``index`` (from 1); empty for index 0 or one that is not there."""
        start, end = self._streams.guids
        at = start + (index - 1) * 16
        return self._data[at : at + 16] if index > 0 and at + 16 <= end else b""
