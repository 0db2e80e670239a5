"""From a signature to the method table it means, where the runtime has loaded one.

Source: ECMA-335 II.23.2.12; ``vm/clsload.cpp`` and ``vm/eehash``-style tables of instantiated types in dotnet/runtime.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from analysis.runtime.loader import Module
from analysis.runtime.type_columns import read_method_tables
from analysis.runtime.types import TypeSystem

_FIELD, _CUSTOM_REQUIRED, _CUSTOM_OPTIONAL = 0x06, 0x1F, 0x20
_POINTER, _VALUE_TYPE, _CLASS, _VARIABLE, _ARRAY, _GENERIC_INSTANCE = 0x0F, 0x11, 0x12, 0x13, 0x14, 0x15
_FUNCTION_POINTER, _SZ_ARRAY, _METHOD_VARIABLE = 0x1B, 0x1D, 0x1E
_PRIMITIVES = {
    0x02: "Boolean", 0x03: "Char", 0x04: "SByte", 0x05: "Byte", 0x06: "Int16", 0x07: "UInt16", 0x08: "Int32", 0x09: "UInt32",
    0x0A: "Int64", 0x0B: "UInt64", 0x0C: "Single", 0x0D: "Double", 0x0E: "String", 0x18: "IntPtr", 0x19: "UIntPtr",
    0x1C: "Object",
}  # fmt: skip
_CORE_LIBRARY = "System.Private.CoreLib"
_MAXIMUM_DEPTH = 32
_MAXIMUM_TABLE_ROWS = 1_000_000
_MAXIMUM_LINKS = 10_000

#: Stands for any reference type among generic arguments: the runtime lays all of them out alike (shared generics).
_REFERENCE = 1
_REFERENCE_KINDS = (0x0E, 0x12, 0x14, 0x1C, 0x1D)  # String, Class, Array, Object, SZArray

#: (module address, TypeDef rid, generic arguments as ``TypeResolver._shape`` gives them)
_Instantiation = tuple[int, int, tuple[int, ...]]


class _Cursor:
    """A position in a signature blob."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def peek(self) -> int:
        return self._data[self._at]

    def skip_type(self, depth: int) -> None:
        """Step over one type (ECMA-335 II.23.2.12) of a reference kind."""
        kind = self.byte()
        if depth > _MAXIMUM_DEPTH:
            raise IndexError(kind)
        if kind in (_VALUE_TYPE, _CLASS, _VARIABLE, _METHOD_VARIABLE):
            self.number()
        elif kind in (_POINTER, _SZ_ARRAY):
            self.skip_type(depth + 1)
        elif kind == _ARRAY:
            self.skip_type(depth + 1)
            self.number()
            for _ in range(2):
                for _ in range(self.number()):
                    self.number()
        elif kind == _GENERIC_INSTANCE:
            self.skip_type(depth + 1)
            for _ in range(self.number()):
                self.skip_type(depth + 1)
        elif kind == _FUNCTION_POINTER:
            raise IndexError(kind)

    def number(self) -> int:
        first = self.byte()
        if first & 0x80 == 0:
            return first
        if first & 0xC0 == 0x80:
            return (first & 0x3F) << 8 | self.byte()
        return (first & 0x1F) << 24 | self.byte() << 16 | self.byte() << 8 | self.byte()


class TypeResolver:
    """Finds method tables of value types that fields are declared with."""

    def __init__(self, types: TypeSystem) -> None:
        self._types, self._target = types, types.target
        self._core = next((m for m in types.modules.values() if m.assembly_name == _CORE_LIBRARY), None)
        self._instantiations: dict[_Instantiation, int] | None = None

    def resolve_field(self, signature: bytes, module: Module | None, arguments: tuple[int, ...]) -> int:
        """Method table of the declared type of a field, 0 when the runtime never loaded it or the bytes are odd."""
        try:
            cursor = _Cursor(signature)
            return self._resolve(cursor, module, arguments, 0) if cursor.byte() & 0x0F == _FIELD else 0
        except (IndexError, AnalysisError):
            return 0

    def _resolve(self, cursor: _Cursor, module: Module | None, arguments: tuple[int, ...], depth: int) -> int:
        kind = cursor.byte()
        while kind in (_CUSTOM_REQUIRED, _CUSTOM_OPTIONAL):
            cursor.number()
            kind = cursor.byte()
        if module is None or depth > _MAXIMUM_DEPTH:
            return 0
        if kind in _PRIMITIVES:
            return self._core_type(f"System.{_PRIMITIVES[kind]}")
        if kind in (_VALUE_TYPE, _CLASS):
            return self._token(cursor.number(), module)
        if kind == _VARIABLE:
            number = cursor.number()
            return arguments[number] if number < len(arguments) else 0
        if kind != _GENERIC_INSTANCE:
            return 0
        is_value_type = cursor.byte() == _VALUE_TYPE
        definition = self._definition(cursor.number(), module)
        actual = tuple(self._argument(cursor, module, arguments, depth + 1) for _ in range(cursor.number()))
        if not is_value_type:
            return _REFERENCE
        return self._known_instantiations().get((*definition, actual), 0) if definition and 0 not in actual else 0

    def _argument(self, cursor: _Cursor, module: Module, arguments: tuple[int, ...], depth: int) -> int:
        """One generic argument of a signature as a shape; 0 when it cannot be resolved."""
        kind = cursor.peek()
        if kind in _REFERENCE_KINDS:
            cursor.skip_type(depth)
            return _REFERENCE
        return self._shape(self._resolve(cursor, module, arguments, depth))

    def _shape(self, handle: int) -> int:
        """The canonical method table of a value type (generic code is shared inside it too), or the stand-in for references."""
        if handle in (0, _REFERENCE):
            return handle
        if handle & 2:
            return 0
        info = self._types.info(handle)
        return info.canonical if info.is_value_type else _REFERENCE

    def _core_type(self, name: str) -> int:
        rid = self._core.metadata.find_type(name) if self._core and self._core.metadata else None
        return self._core.method_table_of(rid) if self._core and rid else 0

    def _token(self, coded: int, module: Module) -> int:
        table, rid = coded & 3, coded >> 2
        if table == 0:
            return module.method_table_of(rid)
        return module.method_table_of_reference(rid) if table == 1 else 0

    def _definition(self, coded: int, module: Module) -> tuple[int, int] | None:
        """(module address, TypeDef rid) of a generic type's definition."""
        if coded & 3 == 0:
            return module.address, coded >> 2
        found = self._token(coded, module)
        if not found:
            return None
        info = self._types.info(found)
        return (info.module.address, info.token & 0xFFFFFF) if info.module else None

    def _known_instantiations(self) -> dict[_Instantiation, int]:
        if self._instantiations is None:
            self._instantiations = {}
            for module in self._types.modules.values():
                handles = self.instantiated_by(module)
                tables = read_method_tables(self._target, handles[handles & 2 == 0])
                for handle in tables.address[tables.readable & tables.is_value_type].tolist():
                    self._remember(handle)
        return self._instantiations

    def _remember(self, handle: int) -> None:
        try:
            info = self._types.info(handle)
        except AnalysisError:
            return
        if info.is_value_type and info.module and info.arguments and self._instantiations is not None:
            shape = tuple(self._shape(argument) for argument in info.arguments)
            self._instantiations[info.module.address, info.token & 0xFFFFFF, shape] = handle

    def instantiated_by(self, module: Module) -> npt.NDArray[np.uint64]:
        """Type handles in the module's table of instantiated types, uint64[n]; empty where the layout does not name it."""
        layout, memory = self._target.layout, self._target.memory
        found: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
        if not layout.has("Module", "AvailableTypeParams") or not layout.has("EETypeHashTable", "Buckets"):
            return found[0]
        try:
            table = self._target.pointer(module.address, "Module", "AvailableTypeParams")
            buckets = self._target.pointer(table, "EETypeHashTable", "Buckets") if table else 0
            # Slot 0 of the bucket array holds its length, slots 1 and 2 are spare (vm/dacenumerablehash.h).
            count = memory.u64(buckets) if buckets else 0
            if count > _MAXIMUM_TABLE_ROWS:
                return found[0]
            entries = np.frombuffer(memory.read(buckets + 24, 8 * count), "<u8")
        except AnalysisError:
            return found[0]
        value, following = (
            np.uint64(layout.offset("EETypeHashTable", f"VolatileEntry{name}")) for name in ("Value", "NextEntry")
        )
        links = total = 0
        # All chains are followed at once, a link at a time; an odd number ends one.
        while (
            len(entries := entries[(entries != 0) & (entries & 1 == 0)])
            and links < _MAXIMUM_LINKS
            and total < _MAXIMUM_TABLE_ROWS
        ):
            handles, there = memory.gather(entries + value, np.uint64)
            found.append(handles[there])
            entries, _ = memory.gather(entries + following, np.uint64)
            links, total = links + 1, total + len(entries)
        return np.concatenate(found)
