"""What of a module's metadata is its program's data and not its structure: literals, constants, arguments of attributes."""

from __future__ import annotations

from analysis.dump import Dump
from analysis.errors import MemoryFault
from analysis.runtime.loader import Module
from analysis.runtime.metadata_tables import MetadataTables, Table
from analysis.scrub.intervals import Intervals, intervals

#: Columns of such data: Constant.Value, CustomAttribute.Value, DeclSecurity.PermissionSet.
_VALUES = ((Table.CONSTANT, 2), (Table.CUSTOM_ATTRIBUTE, 2), (Table.DECL_SECURITY, 2))
_ASSEMBLY_AS_PARENT = 1 << 5 | 14


def place_of_metadata(dump: Dump, module: Module) -> tuple[int, int]:
    """Address and size of a module's metadata, (0, 0) for none and for what a dump without its heap does not hold. Raises
    MemoryFault."""
    try:
        return module.metadata_place
    except MemoryFault:
        if dump.heap_share.present:
            raise
        return 0, 0


def data_in_metadata(raw: bytes, *, keep_attributes_of_assembly: bool) -> Intervals:
    """Offsets in ``raw`` of the heap of text literals and of such blobs. Raises Corrupt for metadata that contradicts itself.

    A blob that is a signature too stays. ``keep_attributes_of_assembly``: of the core library, which says its version there."""
    tables = MetadataTables(raw)
    kept = {index for column in tables.blob_columns() if column not in _VALUES for index in tables.values(*column)}
    wiped: set[int] = set()
    for table, column in _VALUES:
        values = tables.values(table, column)
        if table == Table.CUSTOM_ATTRIBUTE and keep_attributes_of_assembly:
            parents = tables.values(table, 0)
            kept.update(value for value, parent in zip(values, parents, strict=True) if parent == _ASSEMBLY_AS_PARENT)
        wiped.update(values)
    return intervals([tables.user_string_heap, *(tables.blob_place(index) for index in wiped - kept - {0})])
