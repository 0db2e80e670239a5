"""Names of methods as the runtime's own tools print them.

``Outer+Inner.Method[[Arg, Assembly]](Int32, System.String ByRef)``: the declaring type with back-ticks and generic
arguments in brackets, parameters by ``debug/daccess/sigformat.cpp``: primitives without their namespace, nested types
without the type around them, by-ref as `` ByRef``, type variables replaced by the arguments of the instantiation.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from analysis.errors import AnalysisError, Corrupt
from analysis.limits import LIMITS
from analysis.runtime.loader import Module
from analysis.runtime.metadata_tables import Table, compressed_unsigned
from analysis.runtime.types import TypeInfo, TypeSystem

_GENERIC, _HAS_THIS_AND_KIND = 0x10, 0x0F
_PRIMITIVES = {
    0x01: "Void", 0x02: "Boolean", 0x03: "Char", 0x04: "SByte", 0x05: "Byte", 0x06: "Int16", 0x07: "UInt16", 0x08: "Int32",
    0x09: "UInt32", 0x0A: "Int64", 0x0B: "UInt64", 0x0C: "Single", 0x0D: "Double", 0x0E: "System.String", 0x16: "TypedReference",
    0x18: "IntPtr", 0x19: "UIntPtr", 0x1C: "System.Object",
}  # fmt: skip
#: Types that parameters name without their namespace.
_SHORT = {f"System.{name}": name for name in _PRIMITIVES.values() if "." not in name}
_POINTER, _BY_REF, _STRUCT, _CLASS, _VARIABLE, _ARRAY, _INSTANCE = 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
_FUNCTION_POINTER, _SZ_ARRAY, _METHOD_VARIABLE = 0x1B, 0x1D, 0x1E
_REQUIRED_MODIFIER, _OPTIONAL_MODIFIER, _HANDLE, _HANDLE_MODIFIER, _SENTINEL, _PINNED = 0x1F, 0x20, 0x21, 0x22, 0x41, 0x45
_TYPE_DESC_POINTER, _TYPE_DESC_BY_REF = 0x0F, 0x10


class MethodNames:
    """Formats names of methods of one dump. Raises the family of AnalysisError for damaged signatures."""

    def __init__(self, types: TypeSystem) -> None:
        self.types = types
        self._native: dict[int, str] = {}

    def full(self, owner: TypeInfo, name: str, arguments: Sequence[int], signature: bytes) -> str:
        """Type, method, generic arguments and parameters of a method of ``owner``."""
        own = self._bracketed(arguments)
        parameters = _Signature(self, owner.module, signature, owner.arguments, arguments).parameters()
        return _cut(f"{self.native(owner.method_table)}.{name}{own}({parameters})")

    def dynamic(self, type_name: str, name: str, signature: bytes, owner: TypeInfo) -> str:
        """The same for a method without metadata."""
        parameters = _Signature(self, owner.module, signature, owner.arguments, ()).parameters() if signature else ""
        return _cut(f"{type_name}.{name}({parameters})")

    def native(self, handle: int, depth: int = 0) -> str:
        """Name of a type handle with back-ticks: ``N.Outer`1+Inner[[System.Int32, System.Private.CoreLib]]``."""
        known = self._native.get(handle)
        if known is None:
            if depth > LIMITS.type_nesting:
                return "…"
            known = self._native[handle] = self._read_native(handle, depth)
        return known

    def _read_native(self, handle: int, depth: int) -> str:
        if handle & 2:
            inner = self._inner(handle)
            return self.types.name(handle) if inner is None else self.native(inner[0], depth + 1) + inner[1]
        info = self.types.info(handle)
        if info.rank:
            text = self.types.name(handle)
            suffix = "[]" if text.endswith("[]") else "[*]" if info.rank == 1 else f"[{',' * (info.rank - 1)}]"
            return self.native(info.element, depth + 1) + suffix
        metadata = info.module.metadata if info.module else None
        if metadata is None:
            return self.types.name(handle)
        return metadata.type_name(info.token & 0xFFFFFF) + self._bracketed(info.arguments, depth + 1)

    def _inner(self, handle: int) -> tuple[int, str] | None:
        """What a pointer or by-ref type description stands for, and its suffix."""
        target, address = self.types.target, handle & ~3
        kind = target.u32(address, "TypeDesc", "TypeAndFlags") & 0xFF
        if kind not in (_TYPE_DESC_POINTER, _TYPE_DESC_BY_REF):
            return None
        return target.pointer(address, "ParamTypeDesc", "TypeArg"), "*" if kind == _TYPE_DESC_POINTER else "&"

    def _bracketed(self, arguments: Sequence[int], depth: int = 0) -> str:
        if not arguments:
            return ""
        return "[" + ",".join(f"[{self.native(one, depth)}, {self._assembly(one)}]" for one in arguments) + "]"

    def _assembly(self, handle: int, depth: int = 0) -> str:
        if handle & 2:
            inner = self._inner(handle) if depth < LIMITS.type_nesting else None
            return self._assembly(inner[0], depth + 1) if inner else ""
        info = self.types.info(handle)
        return info.module.assembly_name if info.module else ""

    def of_handle(self, handle: int, depth: int = 0) -> str:
        """A type handle as parameters show it."""
        if depth > LIMITS.type_nesting:
            return "…"
        if handle & 2:
            inner = self._inner(handle)
            if inner is None:
                return self.types.name(handle)
            return self.of_handle(inner[0], depth + 1) + ("*" if inner[1] == "*" else " ByRef")
        info = self.types.info(handle)
        if info.rank:
            return self.of_handle(info.element, depth + 1) + _array(info.rank, self.types.name(handle).endswith("[]"))
        metadata = info.module.metadata if info.module else None
        if metadata is None:
            return self.types.name(handle)
        name = metadata.type_parts(info.token & 0xFFFFFF)[-1]
        arguments = ",".join(self.of_handle(one, depth + 1) for one in info.arguments)
        return _SHORT.get(name, name) + (f"<{arguments}>" if arguments else "")


class _Signature:
    """One method signature (II.23.2.1), with the runtime's own element types for type handles."""

    def __init__(
        self,
        names: MethodNames,
        module: Module | None,
        data: bytes,
        type_arguments: Sequence[int],
        method_arguments: Sequence[int],
    ) -> None:
        self._names, self._data, self._at = names, data, 0
        self._metadata = module.metadata if module else None
        self._arguments = {_VARIABLE: type_arguments, _METHOD_VARIABLE: method_arguments}
        self._depth, self._budget = 0, 10_000

    def parameters(self) -> str:
        return ", ".join(self._signature()[1])

    def _signature(self) -> tuple[str, list[str]]:
        """Return type and parameters."""
        convention = self._byte()
        if convention & _GENERIC:
            self._number()
        count = self._number()
        if count > LIMITS.generic_arguments * 16:
            raise Corrupt(f"a method with {count:,} parameters")
        result, *parameters = [self._type() for _ in range(count + 1)]
        return result, parameters

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise Corrupt("a signature ends inside a type", where=f"{len(self._data):,} bytes")
        self._at += 1
        return self._data[self._at - 1]

    def _number(self) -> int:
        value, self._at = compressed_unsigned(self._data, self._at)
        return value

    def _address(self) -> int:
        raw = self._data[self._at : self._at + 8]
        if len(raw) < 8:
            raise Corrupt("a signature ends inside an address")
        self._at += 8
        return int(struct.unpack("<Q", raw)[0])

    def _type(self) -> str:
        self._depth, self._budget = self._depth + 1, self._budget - 1
        if self._depth > LIMITS.type_nesting or self._budget < 0:
            raise Corrupt("a signature names types without end", where=f"{len(self._data):,} bytes")
        text = self._one(self._element())
        self._depth -= 1
        return text

    def _element(self) -> int:
        while True:
            element = self._byte()
            if element in (_REQUIRED_MODIFIER, _OPTIONAL_MODIFIER):
                self._number()
            elif element == _HANDLE_MODIFIER:
                self._at += 1
                self._address()
            elif element not in (_SENTINEL, _PINNED):
                return element

    def _one(self, element: int) -> str:
        if element in _PRIMITIVES:
            return _PRIMITIVES[element]
        if element in (_STRUCT, _CLASS):
            return self._named()
        if element in self._arguments:
            return self._variable(element)
        if element == _INSTANCE:
            self._byte()
            name, count = self._named(), self._number()
            return f"{name}<{','.join(self._type() for _ in range(min(count, LIMITS.generic_arguments)))}>"
        if element == _SZ_ARRAY:
            return self._type() + "[]"
        if element == _ARRAY:
            return self._many_dimensional()
        if element == _POINTER:
            return self._type() + "*"
        if element == _BY_REF:
            return self._type() + " ByRef"
        if element == _HANDLE:
            return self._names.of_handle(self._address())
        if element == _FUNCTION_POINTER:
            result, parameters = self._signature()
            return f"{result} ({', '.join(parameters)})"
        raise Corrupt("a signature holds an unknown element type", where=f"{element:#04x}")

    def _named(self) -> str:
        coded = self._number()
        table, rid = (Table.TYPE_DEF, Table.TYPE_REF, Table.TYPE_SPEC, None)[coded & 3], coded >> 2
        if self._metadata is None:
            return "?"
        if table == Table.TYPE_DEF:
            name = self._metadata.type_parts(rid)[-1]
        elif table == Table.TYPE_REF:
            name = self._metadata.type_ref_parts(rid)[-1]
        elif table == Table.TYPE_SPEC:
            outer = self._data, self._at
            self._data, self._at = self._metadata.type_spec_signature(rid), 0
            name = self._type()
            self._data, self._at = outer
        else:
            raise Corrupt("a signature names a type in no table", where=f"{coded:#x}")
        return _SHORT.get(name, name)

    def _variable(self, element: int) -> str:
        number, arguments = self._number(), self._arguments[element]
        if number >= len(arguments):
            return ("!" if element == _VARIABLE else "!!") + str(number)
        try:
            return self._names.of_handle(arguments[number])
        except AnalysisError:
            return self._names.types.name(arguments[number])

    def _many_dimensional(self) -> str:
        name, rank = self._type(), self._number()
        for _ in range(2):  # sizes, then lower bounds: they are not part of the name
            for _ in range(min(self._number(), 32)):
                self._number()
        return name + _array(min(rank, 32), single=False)


def _array(rank: int, single: bool) -> str:
    return "[]" if single else f"[{',' * (rank - 1)}]"


def _cut(name: str) -> str:
    return name if len(name) <= LIMITS.name_characters else name[: LIMITS.name_characters - 1] + "…"
