"""Images: files mapped into the process. Of managed ones headers, metadata and the tables of precompiled code stay; of native
libraries what the file on disk holds. Everything else in them is memory like any other."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from analysis.dump import Dump
from analysis.errors import AnalysisError, MemoryFault
from analysis.memory.images import MappedImage
from analysis.runtime.loader import Module
from analysis.runtime.ready_to_run import ReadyToRunImage
from analysis.scrub.intervals import Intervals, intervals
from analysis.scrub.metadata import data_in_metadata, place_of_metadata

_PT_LOAD, _WRITABLE = 1, 2
_ELF_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_MAXIMUM_HEADERS = 128
#: Where a portable executable says where its header lies, and the header how long all headers are.
_PE_HEADER_AT, _SIZE_OF_HEADERS = 60, 24 + 60
_FURTHEST_PE_HEADER, _LARGEST_HEADERS = 0x10000, 0x2000


@dataclass(frozen=True, slots=True)
class ManagedImages:
    """Addresses: ``data`` is wiped although it lies within what is kept."""

    data: Intervals
    metadata: Intervals
    headers: Intervals
    code_tables: Intervals


def managed_images(dump: Dump) -> ManagedImages:
    """What is kept of the images of all modules. Raises AnalysisError when metadata cannot be told from data in it."""
    data: list[tuple[int, int]] = []
    metadata: list[tuple[int, int]] = []
    headers: list[tuple[int, int]] = []
    tables: list[tuple[int, int]] = []
    for module in dump.runtime.modules:
        start, size = place_of_metadata(dump, module)
        raw = dump.core.memory.try_read(start, size) if size else None
        if raw:
            inside = data_in_metadata(raw, keep_attributes_of_assembly=module is dump.runtime.modules[0])
            data += [(start + left, start + right) for left, right in inside.tolist()]
            metadata.append((start, start + size))
        if module.pe:
            headers += [(module.image_base + left, module.image_base + right) for left, right in module.pe.structure]
            tables += _code_tables(dump, module)
    return ManagedImages(*map(intervals, (data, metadata, headers, tables)))


def _code_tables(dump: Dump, module: Module) -> list[tuple[int, int]]:
    """Tables that lead from precompiled code to methods, and how to unwind it; nothing for a module without such code."""
    try:
        return ReadyToRunImage(dump.runtime.target, module.address, module.image_base).table_ranges()
    except AnalysisError:
        return []


def headers_of_files(dump: Dump) -> Intervals:
    """Addresses of the headers of all portable executables among the mapped files, loaded as modules or not."""
    found: list[tuple[int, int]] = []
    memory = dump.core.memory
    for image in dump.images:
        try:
            start = memory.u32(image.base + _PE_HEADER_AT) if memory.read(image.base, 2) == b"MZ" else 0
            size = memory.u32(image.base + start + _SIZE_OF_HEADERS) if 0 < start < _FURTHEST_PE_HEADER else 0
        except MemoryFault:
            continue
        found.append((image.base, image.base + min(size, _LARGEST_HEADERS)))
    return intervals(found)


def native_images(dump: Dump) -> Intervals:
    """Addresses of the read-only parts of native libraries, as their own program headers name them."""
    found: list[tuple[int, int]] = []
    for image in dump.images:
        try:
            found += _read_only(dump, image)
        except MemoryFault:
            continue
    return intervals(found)


def _read_only(dump: Dump, image: MappedImage) -> list[tuple[int, int]]:
    memory = dump.core.memory
    head = memory.read(image.base, 64)
    if head[:4] != b"\x7fELF" or head[4] != 2:
        return []
    (table,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    if size != _ELF_PROGRAM_HEADER.size:
        return []
    raw = memory.read(image.base + table, size * min(count, _MAXIMUM_HEADERS))
    loads = [row for row in _ELF_PROGRAM_HEADER.iter_unpack(raw) if row[0] == _PT_LOAD]
    bias = image.base - min((address - offset for _, _, offset, address, *_ in loads), default=0)
    return [
        (bias + address, min(bias + address + length, image.end))
        for _, flags, _, address, _, length, *_ in loads
        if not flags & _WRITABLE
    ]
