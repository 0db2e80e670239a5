"""Single objects: their type, strings, and field values.

``read_field_values`` is the one function through which values of objects (data class D3) leave the engine.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass

from analysis.errors import AnalysisError, Corrupt
from analysis.runtime.fields import BOXED_HEADER_BYTES, Field, FieldReader
from analysis.runtime.types import TypeInfo, TypeSystem

_POINTER_BYTES = 8
#: How primitive fields are unpacked, by ClrMD's element name.
PRIMITIVE_FORMATS = {
    "Boolean": "<?", "Int8": "<b", "UInt8": "<B", "Int16": "<h", "UInt16": "<H", "Char": "<H", "Int32": "<i", "UInt32": "<I",
    "Int64": "<q", "UInt64": "<Q", "Float": "<f", "Double": "<d", "NativeInt": "<q", "NativeUInt": "<Q",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FieldValue:
    """The value of one field: a number, text of a Char, the address of an object, the raw bytes of a struct,
    or None with the reason in ``missing``. Data class D3."""

    field: Field
    value: int | float | bool | str | bytes | None
    missing: str = ""


class ObjectReader:
    """Reads objects by address. One per dump."""

    def __init__(self, types: TypeSystem, fields: FieldReader) -> None:
        self._types, self._fields, self._target = types, fields, types.target

    def type_of(self, address: int) -> TypeInfo:
        """The type of the object at ``address``; low bits the collector sets are masked. Raises Corrupt or MemoryFault."""
        return self._types.info(self._target.memory.pointer(address) & ~7)

    def string(self, address: int, limit: int = 1 << 20) -> str:
        """Text of a System.String, cut at ``limit`` characters. Raises Corrupt when the object is no string."""
        if self._target.memory.pointer(address) & ~7 != self._types.string_method_table:
            raise Corrupt("the object is not a string", where=f"object {address:#x}")
        length = self._target.u32(address, "String", "m_StringLength")
        start = address + self._target.layout.offset("String", "m_FirstChar")
        with self._target.memory.forgetting():
            raw = self._target.memory.read(start, 2 * min(length, limit))
        return raw.decode("utf-16-le", "replace")

    def read_field_values(self, address: int) -> tuple[FieldValue, ...]:
        """Values of all instance fields of the object at ``address``. Raises Corrupt or MemoryFault when it is no object."""
        info = self.type_of(address)
        fields = self._fields.instance_fields(info.method_table)
        # A struct's value ends where the next field begins, however far its own type is padded.
        edges = sorted({*(field.offset for field in fields), info.base_size - BOXED_HEADER_BYTES})
        return tuple(self._value(field, address, _next(edges, field.offset) - field.offset) for field in fields)

    def reference(self, address: int, name: str) -> int:
        """The object that the field ``name`` of the object at ``address`` refers to. Raises Corrupt when it has no such field."""
        info = self.type_of(address)
        for field in self._fields.instance_fields(info.method_table):
            if field.name == name:
                return self._target.memory.pointer(address + _POINTER_BYTES + field.offset)
        raise Corrupt(f"{self._types.name(info.method_table)} has no field {name}", where=f"object {address:#x}")

    def _value(self, field: Field, address: int, room: int) -> FieldValue:
        at = address + _POINTER_BYTES + field.offset
        length = max(field.size, min(field.held_size, room))
        if not length:
            return FieldValue(field, None, "the runtime has not loaded the field's type, so its size is not known")
        try:
            raw = self._target.memory.read(at, length)
        except AnalysisError as error:
            return FieldValue(field, None, error.what)
        if field.element == "Char":
            return FieldValue(field, raw[:2].decode("utf-16-le", "replace"))
        if field.element == "Struct":
            return FieldValue(field, raw)
        code = PRIMITIVE_FORMATS.get(field.element, "<Q")
        return FieldValue(field, struct.unpack_from(code, raw)[0])


def _next(edges: list[int], offset: int) -> int:
    """The first of the sorted ``edges`` behind ``offset``, itself where there is none."""
    row = bisect_right(edges, offset)
    return edges[row] if row < len(edges) else offset
