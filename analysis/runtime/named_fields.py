"""Fields of objects by name: numbers, references, and what a type derives from; absent or unreadable ones are None.

Names of fields change between releases, so every question takes several names and the first one that exists answers.
"""

from __future__ import annotations

import struct

from analysis.errors import AnalysisError
from analysis.runtime.fields import Field, FieldReader
from analysis.runtime.types import TypeInfo, TypeSystem

_POINTER_BYTES = 8
_FORMATS = {
    "Boolean": "<?", "Int8": "<b", "UInt8": "<B", "Int16": "<h", "UInt16": "<H", "Char": "<H", "Int32": "<i", "UInt32": "<I",
    "Int64": "<q", "UInt64": "<Q", "NativeInt": "<q", "NativeUInt": "<Q",
}  # fmt: skip
_REFERENCES = ("Class", "Object", "String", "SZArray", "Array")
_MAXIMUM_BASES = 64


class NamedFields:
    """Reads single fields by name; remembers where they lie in each type. One per dump."""

    def __init__(self, types: TypeSystem, fields: FieldReader) -> None:
        self._types, self._fields, self._memory = types, fields, types.target.memory
        self._places: dict[tuple[int, str], dict[str, Field]] = {}
        self._bases: dict[int, tuple[str, ...]] = {}

    def method_table(self, address: int) -> int:
        """Method table of the object at ``address``, 0 where there is none."""
        try:
            return self._types.info(self._memory.pointer(address) & ~7).method_table
        except AnalysisError:
            return 0

    def type_name(self, address: int) -> str:
        """Full name of the object's type, empty when it is no object."""
        method_table = self.method_table(address)
        return self._types.name(method_table) if method_table else ""

    def arguments(self, address: int) -> tuple[int, ...]:
        """Type handles of the generic arguments of the object's type."""
        method_table = self.method_table(address)
        return self._types.info(method_table).arguments if method_table else ()

    def is_a(self, address: int, name: str) -> bool:
        """Whether the object's type, or one it derives from, is ``name``; generic ones are named by their definition."""
        method_table = self.method_table(address)
        return bool(method_table) and name in self.bases(method_table)

    def bases(self, method_table: int) -> tuple[str, ...]:
        """Names of a type and of all it derives from as metadata has them (``System.Threading.Tasks.Task`1``)."""
        known = self._bases.get(method_table)
        if known is None:
            found: list[str] = []
            at = method_table
            try:
                while at and len(found) < _MAXIMUM_BASES:
                    info = self._types.info(at)
                    found.append(self._defined_name(info))
                    at = info.parent
            except AnalysisError:
                pass
            known = self._bases[method_table] = tuple(found)
        return known

    def _defined_name(self, info: TypeInfo) -> str:
        metadata = info.module.metadata if info.module and not info.is_array else None
        return "+".join(metadata.type_parts(info.token & 0xFFFFFF)) if metadata else self._types.name(info.method_table)

    def fields(self, method_table: int, of: str = "") -> dict[str, Field]:
        """Instance fields of a type by name, those that the type named ``of`` declares, or all: a hidden one of a base type gives
        way then. Empty when they cannot be read."""
        known = self._places.get((method_table, of))
        if known is None:
            try:
                found = self._fields.instance_fields(method_table)
                known = {field.name: field for field in found if not of or field.declared_by == of}
            except AnalysisError:
                known = {}
            self._places[method_table, of] = known
        return known

    def find(self, address: int, *names: str, of: str = "") -> Field | None:
        """The first of ``names`` that is a field of the object, declared by the type ``of`` where one is named."""
        fields = self.fields(self.method_table(address), of)
        return next((fields[name] for name in names if name in fields), None)

    def number(self, address: int, *names: str, of: str = "") -> int | None:
        """A whole number or truth value."""
        field = self.find(address, *names, of=of)
        return None if field is None else self.number_at(address + _POINTER_BYTES + field.offset, field.element)

    def number_at(self, at: int, element: str) -> int | None:
        """The whole number of kind ``element`` at an address."""
        code = _FORMATS.get(element)
        raw = self._memory.try_read(at, struct.calcsize(code)) if code else None
        return int(struct.unpack(code, raw)[0]) if code and raw else None

    def reference(self, address: int, *names: str, of: str = "") -> int | None:
        """The object a field refers to, 0 for null."""
        field = self.find(address, *names, of=of)
        if field is None or field.element not in _REFERENCES:
            return None
        return self._memory.try_pointer(address + _POINTER_BYTES + field.offset)

    def words(self, address: int, field: Field) -> tuple[int, ...]:
        """The words of a field that is a struct, as far as the runtime tells its size."""
        raw = self._memory.try_read(address + _POINTER_BYTES + field.offset, max(field.held_size, field.size) & ~7)
        return struct.unpack(f"<{len(raw) // _POINTER_BYTES}Q", raw) if raw else ()

    def array_length(self, address: int) -> int:
        """Elements of an array of one dimension, 0 where it cannot be read."""
        raw = self._memory.try_read(address + self._types.target.layout.offset("Array", "m_NumComponents"), 4)
        return int.from_bytes(raw, "little") if raw else 0

    def element_bytes(self, address: int) -> int:
        """Bytes of one element of an array, 0 where it is none."""
        method_table = self.method_table(address)
        return self._types.info(method_table).component_size if method_table else 0

    def array_references(self, address: int, count: int) -> tuple[int, ...]:
        """The first ``count`` elements of an array of references; none where it cannot be read."""
        raw = self._memory.try_read(address + self._types.target.layout.types["Array"]["!"], _POINTER_BYTES * count)
        return struct.unpack(f"<{count}Q", raw) if raw else ()

    def list_references(self, address: int, limit: int) -> tuple[int, ...]:
        """Elements of a List of references, at most ``limit``."""
        items, size = self.reference(address, "_items"), self.number(address, "_size")
        return self.array_references(items, min(size, self.array_length(items), limit)) if items and size and size > 0 else ()
