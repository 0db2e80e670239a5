"""Portable executable images as they lie in the memory of a dump: sections, CLI header, debug directory.

Source: the PE/COFF specification, ECMA-335 II.25, and docs/design/specs/PE-COFF.md in dotnet/runtime for the debug
directory. An image is either mapped (an RVA is an offset from its base) or flat (the file's bytes; an RVA goes through
the section table).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from analysis.errors import AnalysisError, Corrupt
from analysis.limits import LIMITS

_MACHINES = {0x014C: "x86", 0x8664: "x64", 0xAA64: "arm64", 0x01C4: "arm"}
# ReadyToRun images for other systems carry their machine number exclusive-ored with one of these.
_SYSTEMS = (0, 0x7B79, 0x4644, 0xADC4, 0x1993, 0x1992)
_PE32, _PE32_PLUS = 0x10B, 0x20B
_DEBUG_DIRECTORY, _CLI_DIRECTORY = 6, 14
_DEBUG_ENTRY = struct.Struct("<IIHHIIII")
_CODE_VIEW, _EMBEDDED_PDB = 2, 17
_PORTABLE_PDB = 0x504D
_MAXIMUM_SECTIONS = 96
_MAXIMUM_DEBUG_ENTRIES = 64
#: What a CodeView entry says before the path: signature, GUID, age.
_CODE_VIEW_ID_BYTES = 24


@dataclass(frozen=True, slots=True)
class Section:
    """One row of the section table."""

    name: str
    virtual_size: int
    virtual_address: int
    raw_size: int
    raw_offset: int


@dataclass(frozen=True, slots=True)
class CodeView:
    """Which PDB belongs to an image: its GUID (lower case), age and the path the compiler wrote."""

    guid: str
    age: int
    path: str

    @property
    def pdb_id(self) -> str:
        return f"{self.guid},{self.age}"


class PeImage:
    """An image behind ``read(offset, length)``, whose offsets count from the first byte of the image.

    Construction reads the headers and the CLI header; it raises Corrupt where they contradict themselves and passes
    on what ``read`` raises. ``metadata_offset`` is an offset for ``read``; it and ``metadata_size`` are 0 for an image
    without a CLI header.
    """

    def __init__(self, read: Callable[[int, int], bytes], *, mapped: bool) -> None:
        self._read, self.mapped = read, mapped
        self.sections: tuple[Section, ...] = ()
        self._directories: list[tuple[int, int]] = []
        try:
            self._read_headers()
            self.metadata_offset, self.metadata_size = self._find_metadata()
        except struct.error as error:
            raise Corrupt("a PE image ends inside its headers") from error

    def _read_headers(self) -> None:
        dos = self._read(0, 64)
        if dos[:2] != b"MZ":
            raise Corrupt("a module's image does not begin with MZ", where=f"found {dos[:2].hex()}")
        (start,) = struct.unpack_from("<I", dos, 60)
        if not 0 < start < 0x10000:
            raise Corrupt("a PE image points to a header outside its first pages", where=f"offset {start:#x}")
        magic, machine, sections, self.timestamp, _, _, optional_size, _ = struct.unpack("<4sHHIIIHH", self._read(start, 24))
        if magic != b"PE\0\0":
            raise Corrupt("a module's image has no PE signature", where=f"image offset {start:#x}")
        if sections > _MAXIMUM_SECTIONS:
            raise Corrupt("a PE image has an impossible number of sections", where=f"{sections:,} sections")
        self.machine = next((_MACHINES[machine ^ key] for key in _SYSTEMS if machine ^ key in _MACHINES), f"{machine:#06x}")
        self._read_optional_header(self._read(start + 24, optional_size))
        rows = self._read(start + 24 + optional_size, 40 * sections)
        self.sections = tuple(
            Section(name.rstrip(b"\0").decode("ascii", "replace"), virtual_size, address, raw_size, raw_offset)
            for name, virtual_size, address, raw_size, raw_offset in struct.iter_unpack("<8sIIII16x", rows)
        )

    def _read_optional_header(self, header: bytes) -> None:
        (magic,) = struct.unpack_from("<H", header)
        if magic not in (_PE32, _PE32_PLUS):
            raise Corrupt("a PE image has an unknown optional header", where=f"magic {magic:#06x}")
        self.size_of_image, self.size_of_headers = struct.unpack_from("<II", header, 56)
        count_at = 108 if magic == _PE32_PLUS else 92
        (count,) = struct.unpack_from("<I", header, count_at)
        present = min(count, 16, (len(header) - count_at - 4) // 8)
        self._directories = [struct.unpack_from("<II", header, count_at + 4 + 8 * row) for row in range(present)]

    def _directory(self, number: int) -> tuple[int, int]:
        return self._directories[number] if number < len(self._directories) else (0, 0)

    def offset_of(self, rva: int, length: int) -> int:
        """Offset for ``read`` of ``length`` bytes at ``rva``. Raises Corrupt for an RVA outside image or file."""
        if self.mapped or rva + length <= self.size_of_headers:
            if self.mapped and rva + length > self.size_of_image:
                raise Corrupt("an address of a PE image lies outside it", where=f"RVA {rva:#x}, {length:,} bytes")
            return rva
        for section in self.sections:
            into = rva - section.virtual_address
            if into >= 0 and into + length <= section.raw_size:
                return section.raw_offset + into
        raise Corrupt("an address of a PE image lies in none of its sections", where=f"RVA {rva:#x}, {length:,} bytes")

    def read_rva(self, rva: int, length: int) -> bytes:
        """``length`` bytes at ``rva``. Raises Corrupt, or what ``read`` raises."""
        return self._read(self.offset_of(rva, length), length)

    def _find_metadata(self) -> tuple[int, int]:
        rva, size = self._directory(_CLI_DIRECTORY)
        if not rva or size < 16:
            return 0, 0
        metadata, length = struct.unpack_from("<II", self.read_rva(rva, 16), 8)
        return (self.offset_of(metadata, length), length) if metadata and length else (0, 0)

    @property
    def structure(self) -> list[tuple[int, int]]:
        """(first, one behind the last) offset for ``read`` of headers, CLI header, debug directory and ids of PDBs, without their
        paths. What cannot be found is left out."""
        found = [(0, self.size_of_headers)]
        for number in (_CLI_DIRECTORY, _DEBUG_DIRECTORY):
            rva, size = self._directory(number)
            try:
                found += [(self.offset_of(rva, size), self.offset_of(rva, size) + size)] if rva else []
            except Corrupt:
                continue
        try:
            entries = self._debug_entries
        except AnalysisError:
            return found
        places = [address if self.mapped else raw for kind, _, _, address, raw in entries if kind == _CODE_VIEW]
        return found + [(place, place + _CODE_VIEW_ID_BYTES) for place in places]

    @cached_property
    def _debug_entries(self) -> list[tuple[int, int, int, int, int]]:
        """Debug directory: kind, minor version, size, RVA and file offset of the data. Raises as ``read_rva`` does."""
        rva, size = self._directory(_DEBUG_DIRECTORY)
        count = min(size // _DEBUG_ENTRY.size, _MAXIMUM_DEBUG_ENTRIES) if rva else 0
        rows = _DEBUG_ENTRY.iter_unpack(self.read_rva(rva, count * _DEBUG_ENTRY.size)) if count else ()
        return [(kind, minor, length, address, raw) for _, _, _, minor, kind, length, address, raw in rows]

    def _debug_data(self, address: int, raw_offset: int, length: int) -> bytes:
        return self._read(address if self.mapped else raw_offset, length)

    @cached_property
    def code_view(self) -> CodeView | None:
        """The PDB this image names, a portable one first; None when it names none. Raises as ``read_rva`` does."""
        named = [entry for entry in self._debug_entries if entry[0] == _CODE_VIEW and entry[2] >= 24]
        named.sort(key=lambda entry: entry[1] != _PORTABLE_PDB)
        for _, _, length, address, raw_offset in named:
            data = self._debug_data(address, raw_offset, min(length, 24 + LIMITS.name_characters))
            if data[:4] == b"RSDS":
                path = data[24:].split(b"\0", 1)[0].decode("utf-8", "replace")
                return CodeView(str(UUID(bytes_le=data[4:20])), int.from_bytes(data[20:24], "little"), path)
        return None

    @property
    def embedded_pdb(self) -> bytes | None:
        """The portable PDB inside the image as it is packed, MPDB and all; None when there is none. Raises as ``read_rva``."""
        for kind, _, length, address, raw_offset in self._debug_entries:
            if kind == _EMBEDDED_PDB and 8 < length <= LIMITS.pdb_bytes:
                return self._debug_data(address, raw_offset, length)
        return None
