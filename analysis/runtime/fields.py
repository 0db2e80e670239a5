"""Fields of a type: names, declared types, offsets, sizes; instance, static and thread-static ones.

Source: ``vm/field.h`` and ``vm/class.h`` in dotnet/runtime. A FieldDesc is two words behind its method table:
token, static, thread-local and RVA bits in the first, offset (27 bits) and element type (5 bits) in the second.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from analysis.errors import AnalysisError, Corrupt
from analysis.limits import LIMITS
from analysis.runtime.signatures import ELEMENT_NAMES, FieldType, field_type
from analysis.runtime.type_resolver import TypeResolver
from analysis.runtime.types import TypeInfo, TypeSystem

_STATIC, _THREAD_LOCAL = 1 << 24, 1 << 25
_OFFSET_MASK, _TYPE_SHIFT = (1 << 27) - 1, 27
_CLASS = 0x12
_MAXIMUM_STRUCT_DEPTH = 32
_MAXIMUM_BASES = 256

#: What the base size of a type counts besides its fields: the object header and the method table pointer.
BOXED_HEADER_BYTES = 16

#: Bytes of a field by ClrMD's element name; structs are added up, everything else is a pointer.
PRIMITIVE_SIZES = {
    "Boolean": 1, "Int8": 1, "UInt8": 1, "Char": 2, "Int16": 2, "UInt16": 2, "Int32": 4, "UInt32": 4, "Float": 4,
    "Int64": 8, "UInt64": 8, "Double": 8,
}  # fmt: skip
#: Elements of fields that hold no reference, and no struct.
NUMBERS = frozenset({*PRIMITIVE_SIZES, "Pointer", "FunctionPointer", "NativeInt", "NativeUInt", "Unknown"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``offset`` in bytes from the end of the method table pointer, or within its statics block.

    ``size`` counts up to the end of the last field of a struct, as ClrMD does; ``held_size`` is what a value takes in
    memory, with padding to eight bytes and all elements of an inline array; 0 for a struct the runtime never loaded.
    ``value_type`` is the method table of a struct, 0 for all other fields.
    """

    name: str
    type_name: str
    element: str
    offset: int
    size: int
    held_size: int
    is_static: bool
    is_thread_static: bool
    declared_by: str
    method_table: int
    value_type: int = 0


@dataclass(frozen=True, slots=True)
class _FieldDesc:
    rid: int
    flags: int
    offset: int
    element: int


class FieldReader:
    """Reads and remembers the fields of types. One per dump."""

    def __init__(self, types: TypeSystem) -> None:
        self._types, self._target, self._resolver = types, types.target, TypeResolver(types)
        layout = types.target.layout
        self._packed = layout.contracts["RuntimeTypeSystem"] == 0
        self._list_at = layout.offset("EEClass", "FieldDescList")
        self._own: dict[int, tuple[Field, ...]] = {}
        self._instance: dict[int, tuple[Field, ...]] = {}
        self._described: dict[tuple[int, int], list[_FieldDesc]] = {}
        self._sizes: dict[int, int] = {}
        self._depth = 0

    def instance_fields(self, method_table: int) -> tuple[Field, ...]:
        """Instance fields, the base type's first. Raises Corrupt or MemoryFault when they cannot be read."""
        chain: list[int] = []
        while method_table and method_table not in self._instance and len(chain) < _MAXIMUM_BASES:
            chain.append(method_table)
            method_table = self._types.info(method_table).parent
        found = self._instance.get(method_table, ())
        for derived in reversed(chain):
            found = self._instance[derived] = (*found, *(field for field in self.own_fields(derived) if not field.is_static))
        return found

    def static_fields(self, method_table: int) -> tuple[Field, ...]:
        """Static fields the type itself declares, thread statics included."""
        if method_table not in self._own:
            # Most types have none: their other fields need not be read to know that.
            info = self._types.info(method_table)
            if info.is_array or not self._counts(info.ee_class)[1]:
                return ()
        return tuple(field for field in self.own_fields(method_table) if field.is_static)

    def number_statics(self, method_table: int) -> list[tuple[int, int]]:
        """Offset and size of the static fields with numbers in them that the type itself declares and all threads share. The
        runtime's own descriptors say it: types made at run time have no metadata. Raises AnalysisError for damage."""
        info = self._types.info(method_table)
        if info.is_array or not self._counts(info.ee_class)[1]:
            return []
        shared = (desc for desc in self._descriptions(info) if desc.flags & _STATIC and not desc.flags & _THREAD_LOCAL)
        named = ((desc.offset, ELEMENT_NAMES.get(desc.element, "Unknown")) for desc in shared)
        return [(offset, PRIMITIVE_SIZES.get(element, 8)) for offset, element in named if element in NUMBERS]

    def own_fields(self, method_table: int) -> tuple[Field, ...]:
        """Fields declared by the type itself, in the runtime's order: instance fields first."""
        if method_table not in self._own:
            info = self._types.info(method_table)
            self._own[method_table] = () if info.is_array else self._read(info)
        return self._own[method_table]

    def _read(self, info: TypeInfo) -> tuple[Field, ...]:
        metadata = info.module.metadata if info.module else None
        if metadata is None:
            return ()
        arguments = [self._types.name(handle) for handle in info.arguments]
        owner = self._types.name(info.method_table)
        found: list[Field] = []
        for desc in self._descriptions(info):
            if desc.flags & _STATIC and info.is_value_type:
                # A struct may hold statics of its own type (Guid.Empty), so its size must be known before they are read.
                ends = (field.offset + field.size for field in found if not field.is_static)
                self._sizes[info.method_table] = max(ends, default=0)
            try:
                signature = metadata.field_signature(desc.rid)
                declared = field_type(signature, metadata, arguments)
                name = metadata.field_name(desc.rid)
            except AnalysisError as error:
                signature, declared, name = b"", FieldType("Unknown", "?"), f"<field {desc.rid:#x}: {error.what}>"
            element = self._element(desc, declared)
            value_type = self._resolver.resolve_field(signature, info.module, info.arguments) if element == "Struct" else 0
            sizes = self._struct_sizes(value_type) if element == "Struct" else (PRIMITIVE_SIZES.get(element, 8),) * 2
            found.append(Field(
                name, declared.name, element, desc.offset, *sizes, bool(desc.flags & _STATIC),
                bool(desc.flags & _THREAD_LOCAL), owner, info.method_table, value_type,
            ))  # fmt: skip
        return tuple(found)

    def _descriptions(self, info: TypeInfo) -> list[_FieldDesc]:
        """Instantiations over classes share one EEClass, and what it says of fields."""
        key = info.ee_class, self._types.info(info.parent).ee_class if info.parent else 0
        if key not in self._described:
            self._described[key] = self._read_descriptions(info, *key)
        return self._described[key]

    def _read_descriptions(self, info: TypeInfo, ee_class: int, above: int) -> list[_FieldDesc]:
        instance, static = self._counts(ee_class)
        inherited = self._counts(above)[0] if above else 0
        count = instance - inherited + static
        if not 0 <= count <= LIMITS.fields_per_type:
            raise Corrupt(f"{count:,} fields", where=f"method table {info.method_table:#x}")
        if not count:
            return []
        size = self._target.layout.types["FieldDesc"]["!"]
        start = self._target.memory.pointer(ee_class + self._list_at)
        raw = self._target.memory.read(start, size * count)
        found = []
        for row in range(count):
            first, second = struct.unpack_from("<II", raw, row * size + self._target.layout.offset("FieldDesc", "DWord1"))
            found.append(_FieldDesc(first & 0xFFFFFF, first, second & _OFFSET_MASK, second >> _TYPE_SHIFT))
        return found

    def _counts(self, ee_class: int) -> tuple[int, int]:
        """(instance fields including inherited ones, static fields) of a class."""
        target = self._target
        if not self._packed:
            return target.u16(ee_class, "EEClass", "NumInstanceFields"), target.u16(ee_class, "EEClass", "NumStaticFields")
        if target.u8(ee_class, "EEClass", "FieldsArePacked"):
            raise Corrupt("its field counts are bit-packed, which only precompiled classes were", where=f"EEClass {ee_class:#x}")
        block = ee_class + target.u8(ee_class, "EEClass", "FixedSize")
        return target.u32(block, "PackedFields", "NumInstanceFields"), target.u32(block, "PackedFields", "NumStaticFields")

    @staticmethod
    def _element(desc: _FieldDesc, declared: FieldType) -> str:
        """The descriptor knows every reference as a class; the signature says which of them are strings or arrays."""
        if desc.element == _CLASS:
            return declared.element if declared.element in ("String", "Object", "SZArray", "Array") else "Class"
        return ELEMENT_NAMES.get(desc.element, "Unknown")

    def _struct_sizes(self, value_type: int) -> tuple[int, int]:
        """``size`` and ``held_size`` of a field; (0, 0) when its type was not found."""
        if not value_type:
            return 0, 0
        return self.value_size(value_type), self._types.info(value_type).base_size - BOXED_HEADER_BYTES

    def value_size(self, method_table: int) -> int:
        """Bytes a value of this type takes up to the end of its last field (as ClrMD counts, padding left out).

        0 for an empty struct and where structs nest without end.
        """
        if method_table not in self._sizes:
            self._sizes[method_table] = 0  # a type that contains itself ends here
            self._depth += 1
            if self._depth <= _MAXIMUM_STRUCT_DEPTH:
                end = max((field.offset + field.size for field in self.instance_fields(method_table)), default=0)
                self._sizes[method_table] = end
            self._depth -= 1
        return self._sizes[method_table]
