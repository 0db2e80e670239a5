"""Field signatures of ECMA-335 (II.23.2.4) into element types and type names.

Names follow ClrMD: ``System.Collections.Generic.Dictionary<System.String, System.Object>``, nested types after ``+``,
``[]`` and ``[,]`` for arrays, ``<*>`` for an array of rank one that is no vector, ``T*`` for pointers. A function pointer is
written as C# does, ``delegate*<A, R>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.errors import Corrupt
from analysis.limits import LIMITS
from analysis.runtime.metadata import Metadata
from analysis.runtime.metadata_tables import Table, compressed_unsigned

_FIELD = 0x06
_MAXIMUM_SIGNATURE_BYTES = 0x10000
_MAXIMUM_TYPES = 4_096

_POINTER, _BY_REF, _STRUCT, _CLASS, _VAR, _ARRAY, _GENERIC = 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
_FUNCTION_POINTER, _SZ_ARRAY, _METHOD_VAR = 0x1B, 0x1D, 0x1E
_REQUIRED_MODIFIER, _OPTIONAL_MODIFIER, _SENTINEL, _PINNED = 0x1F, 0x20, 0x41, 0x45
_GENERIC_METHOD, _UNMANAGED_CONVENTIONS = 0x10, range(1, 5)

#: Element types that stand for a whole type: number -> (name of the element type, name of the type).
_SIMPLE = {
    0x01: ("Void", "System.Void"),
    0x02: ("Boolean", "System.Boolean"),
    0x03: ("Char", "System.Char"),
    0x04: ("Int8", "System.SByte"),
    0x05: ("UInt8", "System.Byte"),
    0x06: ("Int16", "System.Int16"),
    0x07: ("UInt16", "System.UInt16"),
    0x08: ("Int32", "System.Int32"),
    0x09: ("UInt32", "System.UInt32"),
    0x0A: ("Int64", "System.Int64"),
    0x0B: ("UInt64", "System.UInt64"),
    0x0C: ("Float", "System.Single"),
    0x0D: ("Double", "System.Double"),
    0x0E: ("String", "System.String"),
    0x16: ("Struct", "System.TypedReference"),
    0x18: ("NativeInt", "System.IntPtr"),
    0x19: ("NativeUInt", "System.UIntPtr"),
    0x1C: ("Object", "System.Object"),
}
_ELEMENT_OF_NAME = {name: element for element, name in _SIMPLE.values()}


#: CorElementType number -> name as ClrMD's ClrElementType has it.
ELEMENT_NAMES = {number: element for number, (element, _) in _SIMPLE.items()} | {
    _POINTER: "Pointer",
    _STRUCT: "Struct",
    _CLASS: "Class",
    _VAR: "Var",
    _ARRAY: "Array",
    _FUNCTION_POINTER: "FunctionPointer",
    _SZ_ARRAY: "SZArray",
    _METHOD_VAR: "MVar",
}


@dataclass(frozen=True, slots=True)
class FieldType:
    """The declared type of a field. ``element`` is a ClrElementType name, ``name`` the full type name."""

    element: str
    name: str


def format_name(parts: Sequence[str], arguments: Sequence[str] = ()) -> str:
    """Join the parts of a type name and hand each "X`n" the next n of ``arguments``; one short of them keeps its back-tick."""
    written, used = [], 0
    for part in parts:
        name, tick, digits = part.rpartition("`")
        count = int(digits) if tick and digits.isascii() and digits.isdigit() and len(digits) < 4 else 0
        if 0 < count <= len(arguments) - used:
            part = f"{name}<{', '.join(arguments[used : used + count])}>"
            used += count
        written.append(part)
    return _cut("+".join(written))


def field_type(
    signature: bytes, metadata: Metadata, type_arguments: Sequence[str], method_arguments: Sequence[str] = ()
) -> FieldType:
    """Type of a field from its signature and the names of the generic arguments of its declaring type.

    A type variable whose argument is a class or a struct says ``Var``: its name alone does not tell which. Raises
    Corrupt for a signature that is none.
    """
    if signature[:1] != bytes([_FIELD]):
        raise Corrupt("a field's signature does not begin like one", where=f"found {signature[:1].hex() or 'nothing'}")
    return _Decoder(metadata, type_arguments, method_arguments).read(signature, 1)


def type_spec_type(
    signature: bytes, metadata: Metadata, type_arguments: Sequence[str], method_arguments: Sequence[str] = ()
) -> FieldType:
    """The type a TypeSpec signature (II.23.2.14) describes. Raises Corrupt as ``field_type`` does."""
    return _Decoder(metadata, type_arguments, method_arguments).read(signature, 0)


def _cut(name: str) -> str:
    return name if len(name) <= LIMITS.name_characters else name[: LIMITS.name_characters - 1] + "…"


class _Decoder:
    """One signature with the TypeSpecs it leads to, bounded in depth and in the number of types."""

    def __init__(self, metadata: Metadata, type_arguments: Sequence[str], method_arguments: Sequence[str]) -> None:
        self._metadata = metadata
        self._arguments = {_VAR: type_arguments, _METHOD_VAR: method_arguments}
        self._budget, self._depth = _MAXIMUM_TYPES, 0
        self._data, self._at = b"", 0

    def read(self, signature: bytes, at: int) -> FieldType:
        if len(signature) > _MAXIMUM_SIGNATURE_BYTES:
            raise Corrupt("a signature is impossibly long", where=f"{len(signature):,} bytes")
        self._data, self._at = signature, at
        return self._type()

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise Corrupt("a signature ends inside a type", where=f"{len(self._data):,} bytes")
        self._at += 1
        return self._data[self._at - 1]

    def _number(self) -> int:
        value, self._at = compressed_unsigned(self._data, self._at)
        return value

    def _type(self) -> FieldType:
        self._budget -= 1
        self._depth += 1
        if self._budget < 0 or self._depth > LIMITS.type_nesting:
            raise Corrupt("a signature names types without end", where=f"{len(self._data):,} bytes")
        found = self._one(self._element())
        self._depth -= 1
        return found

    def _element(self) -> int:
        """The next element type behind custom modifiers, sentinels and pins."""
        while True:
            element = self._byte()
            if element in (_REQUIRED_MODIFIER, _OPTIONAL_MODIFIER):
                self._number()
            elif element not in (_SENTINEL, _PINNED):
                return element

    def _one(self, element: int) -> FieldType:
        if element in _SIMPLE:
            return FieldType(*_SIMPLE[element])
        if element in (_STRUCT, _CLASS):
            parts = self._named()
            return FieldType("Struct" if element == _STRUCT else "Class", parts if isinstance(parts, str) else format_name(parts))
        if element in (_VAR, _METHOD_VAR):
            return self._variable(element)
        if element == _GENERIC:
            return self._generic()
        if element == _SZ_ARRAY:
            return FieldType("SZArray", _cut(self._type().name + "[]"))
        if element == _ARRAY:
            return self._array()
        if element == _POINTER:
            return FieldType("Pointer", _cut(self._type().name + "*"))
        if element == _BY_REF:
            return FieldType("Pointer", _cut(self._type().name + "&"))
        if element == _FUNCTION_POINTER:
            return self._function_pointer()
        raise Corrupt("a signature holds an unknown element type", where=f"{element:#04x}")

    def _named(self) -> tuple[str, ...] | str:
        """Parts of the name of a TypeDef or TypeRef; a TypeSpec gives its finished name."""
        coded = self._number()
        table, rid = (Table.TYPE_DEF, Table.TYPE_REF, Table.TYPE_SPEC, None)[coded & 3], coded >> 2
        if table == Table.TYPE_DEF:
            return self._metadata.type_parts(rid)
        if table == Table.TYPE_REF:
            return self._metadata.type_ref_parts(rid)
        if table is None:
            raise Corrupt("a signature names a type in no table", where=f"{coded:#x}")
        outer = self._data, self._at
        self._data, self._at = self._metadata.type_spec_signature(rid), 0
        name = self._type().name
        self._data, self._at = outer
        return name

    def _variable(self, element: int) -> FieldType:
        number = self._number()
        arguments, unknown = self._arguments[element], ELEMENT_NAMES[element]
        if number >= len(arguments):
            return FieldType(unknown, ("!" if element == _VAR else "!!") + str(number))
        name = arguments[number]
        if name.endswith(("]", "<*>")):
            return FieldType("SZArray" if name.endswith("[]") else "Array", name)
        return FieldType(_ELEMENT_OF_NAME.get(name, unknown), name)

    def _generic(self) -> FieldType:
        element, parts, count = self._byte(), self._named(), self._number()
        if element not in (_STRUCT, _CLASS) or not 0 < count <= LIMITS.generic_arguments:
            raise Corrupt("a signature holds an impossible generic type", where=f"{count:,} arguments")
        arguments = [self._type().name for _ in range(count)]
        name = parts if isinstance(parts, str) else format_name(parts, arguments)
        return FieldType("Struct" if element == _STRUCT else "Class", name)

    def _array(self) -> FieldType:
        name, rank = self._type().name, self._number()
        if not 0 < rank <= 32:
            raise Corrupt("a signature holds an array of impossible rank", where=f"rank {rank:,}")
        for _ in range(2):  # sizes, then lower bounds: they are not part of the name
            for _ in range(min(self._number(), 32)):
                self._number()
        return FieldType("Array", _cut(name + (f"[{',' * (rank - 1)}]" if rank > 1 else "<*>")))

    def _function_pointer(self) -> FieldType:
        convention = self._byte()
        if convention & _GENERIC_METHOD:
            self._number()
        count = self._number()
        if count > LIMITS.generic_arguments:
            raise Corrupt("a signature holds an impossible function pointer", where=f"{count:,} parameters")
        result, *parameters = [self._type().name for _ in range(count + 1)]
        keyword = "delegate* unmanaged" if convention & 0x0F in (*_UNMANAGED_CONVENTIONS, 9) else "delegate*"
        return FieldType("FunctionPointer", _cut(f"{keyword}<{', '.join([*parameters, result])}>"))
