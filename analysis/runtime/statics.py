"""Static fields that hold references: which loaded types have some, and where they lie.

Source: ``vm/methodtable.h`` (DynamicStaticsInfo) and, for .NET 8, ``vm/appdomain.hpp`` (DomainLocalModule) in dotnet/runtime.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from analysis.limits import LIMITS
from analysis.runtime.fields import NUMBERS, Field, FieldReader
from analysis.runtime.loader import Module
from analysis.runtime.type_columns import may_have_statics, read_method_tables
from analysis.runtime.type_resolver import TypeResolver
from analysis.runtime.types import TypeInfo, TypeSystem

_HAS_STATICS, _INITIALISED = 2, 1
_MAXIMUM_MAP_NODES = 1000
_OPTIONAL_SLOTS, _SLOTS_IN_FRONT, _VIRTUALS_PER_CHUNK = 0x1F, 2, 8


@dataclass(frozen=True, slots=True)
class StaticField:
    """A static field that holds a reference (to a boxed value where its type is a struct), and where."""

    method_table: int
    field: Field
    address: int


class StaticFields:
    """Finds statics. One per dump."""

    def __init__(self, types: TypeSystem, fields: FieldReader) -> None:
        self._types, self._fields, self._target = types, fields, types.target
        self._resolver = TypeResolver(types)
        self._has_info = self._target.layout.has("DynamicStaticsInfo", "GCStatics")

    def loaded_types(self, others: npt.ArrayLike = ()) -> npt.NDArray[np.uint64]:
        """Method tables of all types with fields of their own, uint64[n]: the modules' definitions and instantiations, and
        ``others``; in the order in which they were found."""
        found: list[npt.NDArray[np.uint64]] = [np.asarray(others, np.uint64)]
        for module in self._types.modules.values():
            found[-1:-1] = _definitions(self._types, module), self._resolver.instantiated_by(module)
        handles = np.concatenate(found)
        handles = handles[(handles != 0) & (handles & 2 == 0)]
        distinct: npt.NDArray[np.uint64] = handles[np.sort(np.unique(handles, return_index=True)[1])]
        return distinct

    def types_with_statics(self, others: npt.ArrayLike = ()) -> list[int]:
        """Those of ``loaded_types`` that may have static fields: of tens of thousands, a few."""
        tables = read_method_tables(self._target, self.loaded_types(others))
        chosen: list[int] = tables.address[may_have_statics(self._target, tables)].tolist()
        return chosen

    def of(self, method_table: int) -> list[StaticField]:
        """Reference statics of an initialised type that are shared by all threads. Raises AnalysisError for damage."""
        info = self._types.info(method_table)
        if info.is_array or info.collectible:
            return []
        found = [f for f in self._fields.static_fields(method_table) if not f.is_thread_static and f.element not in NUMBERS]
        base = self._base(info) if found else 0
        return [StaticField(method_table, field, base + field.offset) for field in found] if base else []

    def base_of_numbers(self, method_table: int) -> int:
        """Where offsets of a type's static fields that hold numbers count from, initialised or not; 0 where it has none. Raises
        AnalysisError for damage."""
        info = self._types.info(method_table)
        target = self._target
        if info.is_array or info.collectible:
            return 0
        if not self._has_info:
            if info.arguments:
                return self._entry_of_generic(info)[0]
            return target.pointer(info.module.address, "Module", "DomainLocalModule") if info.module else 0
        if not target.u32(method_table, "MethodTable", "MTFlags2") & _HAS_STATICS:
            return 0
        statics = target.pointer(method_table, "MethodTable", "AuxiliaryData") - target.layout.types["DynamicStaticsInfo"]["!"]
        return target.pointer(statics, "DynamicStaticsInfo", "NonGCStatics") & ~1

    def thread_statics(self, method_table: int) -> list[Field]:
        """Reference fields of a type of which every thread has its own."""
        info = self._types.info(method_table)
        if info.is_array or info.collectible:
            return []
        return [f for f in self._fields.static_fields(method_table) if f.is_thread_static and f.element not in NUMBERS]

    def _base(self, info: TypeInfo) -> int:
        """Where offsets of reference statics count from; 0 for a type whose statics were never made."""
        if not self._has_info:
            return self._base_in_module(info)
        target = self._target
        if not target.u32(info.method_table, "MethodTable", "MTFlags2") & _HAS_STATICS:
            return 0
        auxiliary = target.pointer(info.method_table, "MethodTable", "AuxiliaryData")
        if not target.u32(auxiliary, "MethodTableAuxiliaryData", "Flags") & _INITIALISED:
            return 0
        statics = auxiliary - target.layout.types["DynamicStaticsInfo"]["!"]
        return target.pointer(statics, "DynamicStaticsInfo", "GCStatics") & ~1

    def _base_in_module(self, info: TypeInfo) -> int:
        """.NET 8: in a table of the type's module by its token, or of generic types by a number behind the method table."""
        target = self._target
        if info.arguments:
            return self._base_of_generic(info)
        if info.module is None:
            return 0
        block = target.pointer(info.module.address, "Module", "DomainLocalModule")
        flags = block + target.layout.offset("DomainLocalModule", "Flags")
        if not block or not target.memory.u8(flags + (info.token & 0xFFFFFF) - 1) & _INITIALISED:
            return 0
        return target.pointer(block, "DomainLocalModule", "GCStatics")

    def _base_of_generic(self, info: TypeInfo) -> int:
        values, flags = self._entry_of_generic(info)
        return self._target.memory.pointer(values) if values and flags & _INITIALISED else 0

    def _entry_of_generic(self, info: TypeInfo) -> tuple[int, int]:
        """.NET 8: where a generic type keeps its statics, 0 for nowhere, and flags."""
        target, memory = self._target, self._target.memory
        flags = target.u16(info.method_table, "MethodTable", "MTFlags2")
        chunks = -(-target.u16(info.method_table, "MethodTable", "NumVirtuals") // _VIRTUALS_PER_CHUNK)
        optional = max(0, (flags & _OPTIONAL_SLOTS).bit_count() - _SLOTS_IN_FRONT)
        at = info.method_table + target.layout.types["MethodTable"]["!"] + 8 * (chunks + optional)
        descriptor, number = struct.unpack("<QI", memory.read(at, 12))
        if memory.try_pointer(descriptor) != info.method_table:
            return 0, 0
        module = target.pointer(info.method_table, "MethodTable", "LoaderModule")
        block = target.pointer(module, "Module", "DomainLocalModule")
        if not block or number >= target.pointer(block, "DomainLocalModule", "DynamicTableSize"):
            return 0, 0
        entry = target.pointer(block, "DomainLocalModule", "DynamicTable") + number * target.layout.types["DynamicClassInfo"]["!"]
        return target.pointer(entry, "DynamicClassInfo", "Entry"), target.u32(entry, "DynamicClassInfo", "Flags")


def _definitions(types: TypeSystem, module: Module) -> npt.NDArray[np.uint64]:
    """Method tables that the loader registered for a module's own types."""
    target = types.target
    node = module.address + target.layout.offset("Module", "TypeDefToMethodTableMap")
    found = [np.zeros(0, np.uint64)]
    for _ in range(_MAXIMUM_MAP_NODES):
        try:
            count = target.u32(node, "ModuleLookupMap", "Count")
            if count > LIMITS.types:
                break
            mask = target.memory.u64(node + target.layout.offset("ModuleLookupMap", "SupportedFlagsMask"))
            raw = target.memory.read(target.pointer(node, "ModuleLookupMap", "TableData"), 8 * count) if count else b""
            node = target.pointer(node, "ModuleLookupMap", "Next")
        except AnalysisError:
            break
        found.append(np.frombuffer(raw, "<u8") & ~np.uint64(mask))
        if not node:
            break
    return np.concatenate(found)
