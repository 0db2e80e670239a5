"""Tables of types and their fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.instances import Instances
from analysis.heap.walk import HeapWalk, ObjectColumns
from analysis.index.store import IndexWriter
from analysis.runtime.types import FREE_NAME, TypeInfo, TypeSystem

_UNKNOWN_MODULE = -1
_DELEGATES = ("System.MulticastDelegate", "System.Delegate")


@dataclass(frozen=True, slots=True)
class ModuleUse:
    """Per module row: types with objects on the heap, and the bytes of those objects."""

    types: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]


def type_kind(types: TypeSystem, info: TypeInfo) -> str:
    """class, struct, array, string, enum, delegate or free."""
    if info.method_table == types.free_method_table:
        return "free"
    if info.method_table == types.string_method_table:
        return "string"
    if info.is_array:
        return "array"
    base = types.name(info.parent) if info.parent else ""
    if base == "System.Enum":
        return "enum"
    if base in _DELEGATES:
        return "delegate"
    return "struct" if info.is_value_type else "class"


def write_types(writer: IndexWriter, dump: Dump, walked: HeapWalk, objects: ObjectColumns, instances: Instances) -> ModuleUse:
    """The table types, in type id order."""
    types, count = dump.runtime.types, len(walked.types)
    rows = {module.address: row for row, module in enumerate(dump.runtime.modules)}
    infos = [_info(types, address) for address in walked.types.method_tables]
    counts, sizes = walked.types.counts[:count], walked.types.sizes[:count]
    module = np.array(
        [rows.get(i.module.address, _UNKNOWN_MODULE) if i and i.module else _UNKNOWN_MODULE for i in infos], np.int32
    )
    if rows:
        module[0] = 0  # free blocks belong to the core library, as ClrMD says
    columns: dict[str, Any] = {
        "method_table": walked.types.method_tables,
        "name": [types.name(address) if i else FREE_NAME for address, i in zip(walked.types.method_tables, infos, strict=True)],
        "module": module,
        "base_type_name": [types.name(i.parent) if i and i.parent else "" for i in infos],
        "token": [0 if row == 0 or i is None else i.token for row, i in enumerate(infos)],
        "base_size": walked.types.base_size[:count],
        "component_size": walked.types.component_size[:count],
        "kind": [type_kind(types, i) if i else "free" for i in infos],
        "finalizable": [bool(i and i.finalizable) for i in infos],
        "collectible": [bool(i and i.collectible) for i in infos],
        "contains_pointers": [bool(i and i.contains_pointers) for i in infos],
        "count": counts.sum(axis=1),
        "size": sizes.sum(axis=1),
        "count_by_generation": counts,
        "size_by_generation": sizes,
        "largest": _largest(objects, instances, counts.sum(axis=1)),
        "first_instance": instances.first,
    }
    writer.table("types", columns)
    known = module >= 0
    room = max(len(rows), 1)
    return ModuleUse(
        np.bincount(module[known], minlength=room), np.bincount(module[known], sizes.sum(axis=1)[known], room).astype(np.int64)
    )


def _largest(objects: ObjectColumns, instances: Instances, totals: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Size in bytes of the biggest instance of each type, 0 for a type without any."""
    largest = np.zeros(len(totals), np.int64)
    present = totals > 0
    rows = instances.by_size[instances.first[present]]
    largest[present] = objects.size[rows]
    for row, size in objects.oversize.tolist():
        largest[objects.type[row]] = max(largest[objects.type[row]], size)
    return largest


def _info(types: TypeSystem, address: int) -> TypeInfo | None:
    """The type, or None for the stand-in of free blocks when the runtime's own could not be read."""
    try:
        return types.info(address)
    except AnalysisError:
        return None


def write_fields(writer: IndexWriter, dump: Dump, walked: HeapWalk, progress: Callable[[float], None]) -> int:
    """The table fields; the number of types whose fields could not be read."""
    columns: dict[str, list[Any]] = {name: [] for name in (
        "type", "name", "type_name", "element", "offset", "size", "is_static", "declared_by")}  # fmt: skip
    lost = 0
    for kind, address in enumerate(walked.types.method_tables):
        if kind == 0 or (walked.types.component_size[kind] and address != dump.runtime.types.string_method_table):
            continue
        try:
            found = (*dump.fields.instance_fields(address), *dump.fields.static_fields(address))
        except AnalysisError:
            lost += 1
            continue
        for field in found:
            columns["type"].append(kind)
            columns["name"].append(field.name)
            columns["type_name"].append(field.type_name)
            columns["element"].append(field.element)
            columns["offset"].append(field.offset)
            columns["size"].append(field.size)
            columns["is_static"].append(field.is_static)
            columns["declared_by"].append(field.declared_by)
        if kind % 1000 == 0:
            progress(kind / len(walked.types))
    writer.table("fields", columns)
    return lost
