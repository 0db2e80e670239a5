"""What the metadata of a module says: names of types, fields and methods, their signatures, who owns what.

Built over ``metadata_tables``. A rid is a row number from 1. Every public method raises ``Corrupt``, and only that,
when the metadata contradicts itself.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from uuid import UUID

import numpy as np

from analysis.errors import Corrupt
from analysis.limits import LIMITS
from analysis.runtime.metadata_tables import MetadataTables, Table, compressed_unsigned

_ASSEMBLY_AS_PARENT = 1 << 5 | 14
_VERSION_ATTRIBUTES = ("AssemblyFileVersion", "AssemblyInformationalVersion")


class Metadata:
    """Metadata of one module, decoded as it is asked for."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._tables = MetadataTables(data)
        self._type_parts: dict[int, tuple[str, ...]] = {}
        self._type_ref_parts: dict[int, tuple[str, ...]] = {}

    # The module and its assembly

    @cached_property
    def module_name(self) -> str:
        return self._tables.string(self._tables.row(Table.MODULE, 1)[1]) if self._tables.count(Table.MODULE) else ""

    @cached_property
    def mvid(self) -> str:
        """Module version id as lower-case GUID text, "" when there is none."""
        raw = self._tables.guid(self._tables.row(Table.MODULE, 1)[2]) if self._tables.count(Table.MODULE) else b""
        return str(UUID(bytes_le=raw)) if raw else ""

    @cached_property
    def assembly_name(self) -> str:
        return self._tables.string(self._tables.row(Table.ASSEMBLY, 1)[7]) if self._tables.count(Table.ASSEMBLY) else ""

    @cached_property
    def assembly_version(self) -> str:
        """Four numbers joined by dots, "" for a module without an Assembly row."""
        if not self._tables.count(Table.ASSEMBLY):
            return ""
        return ".".join(str(number) for number in self._tables.row(Table.ASSEMBLY, 1)[1:5])

    @cached_property
    def public_key_token(self) -> str:
        """Last eight bytes of the SHA-1 of the assembly's public key, reversed, in hexadecimal; "" without a key."""
        key = self._tables.blob(self._tables.row(Table.ASSEMBLY, 1)[6]) if self._tables.count(Table.ASSEMBLY) else b""
        return hashlib.sha1(key, usedforsecurity=False).digest()[:-9:-1].hex() if key else ""

    @property
    def file_version(self) -> str:
        """The AssemblyFileVersion attribute, "" when absent."""
        return self.custom_version_attributes().get("AssemblyFileVersion", "")

    def custom_version_attributes(self) -> dict[str, str]:
        """AssemblyFileVersion and AssemblyInformationalVersion of the assembly, those that are there."""
        found: dict[str, str] = {}
        parents = self._tables.column(Table.CUSTOM_ATTRIBUTE, 0)
        for row in np.flatnonzero(parents == _ASSEMBLY_AS_PARENT).tolist():
            _, constructor, value = self._tables.row(Table.CUSTOM_ATTRIBUTE, row + 1)
            name = self._attribute_name(constructor)
            if name in _VERSION_ATTRIBUTES:
                found.setdefault(name, self._attribute_text(self._tables.blob(value)))
        return found

    def _attribute_name(self, constructor: int) -> str:
        """Simple name, without the suffix Attribute, of the class whose constructor this is; "" for an odd one."""
        table, rid = self._tables.coded("CustomAttributeType", constructor)
        if table == Table.METHOD_DEF:
            name = self._tables.string(self._tables.row(Table.TYPE_DEF, self.method_owner(rid))[1])
        else:
            table, rid = self._tables.coded("MemberRefParent", self._tables.row(Table.MEMBER_REF, rid)[0])
            if table not in (Table.TYPE_DEF, Table.TYPE_REF):
                return ""
            name = self._tables.string(self._tables.row(Table(table), rid)[1])
        return name.removesuffix("Attribute")

    @staticmethod
    def _attribute_text(blob: bytes) -> str:
        """The first constructor argument, a string (II.23.3)."""
        if blob[:2] != b"\x01\x00" or blob[2:3] in (b"", b"\xff"):
            return ""
        length, at = compressed_unsigned(blob, 2)
        return blob[at : at + min(length, LIMITS.name_characters)].decode("utf-8", "replace")

    # Types

    @property
    def type_row_count(self) -> int:
        return self._tables.count(Table.TYPE_DEF)

    def type_name(self, rid: int) -> str:
        """Full name with ``+`` before nested types and back-ticks kept, e.g. ``N.Dictionary`2+Entry``."""
        return "+".join(self.type_parts(rid))[: LIMITS.name_characters]

    def type_parts(self, rid: int) -> tuple[str, ...]:
        """Names from the outermost type, which carries the namespace, to the type itself."""
        known = self._type_parts.get(rid)
        if known is None:
            known = self._type_parts[rid] = self._parts(Table.TYPE_DEF, rid, self._enclosing.get)
        return known

    def type_ref_name(self, rid: int) -> str:
        """Full name of TypeRef ``rid``, as ``type_name`` writes it."""
        return "+".join(self.type_ref_parts(rid))[: LIMITS.name_characters]

    def type_ref_parts(self, rid: int) -> tuple[str, ...]:
        """Names from the outermost type of TypeRef ``rid`` to itself, as ``type_parts`` gives them."""
        known = self._type_ref_parts.get(rid)
        if known is None:
            known = self._type_ref_parts[rid] = self._parts(Table.TYPE_REF, rid, self._enclosing_ref)
        return known

    def _parts(self, table: Table, rid: int, enclosing: Callable[[int], int | None]) -> tuple[str, ...]:
        parts: list[str] = []
        for _ in range(LIMITS.type_nesting):
            row = self._tables.row(table, rid)
            name, outer = self._tables.string(row[1]), enclosing(rid)
            namespace = "" if outer else self._tables.string(row[2])
            parts.append(f"{namespace}.{name}" if namespace else name)
            if not outer:
                return tuple(reversed(parts))
            rid = outer
        raise Corrupt("types of metadata are nested without end", where=f"{table.name} row {rid:,}")

    def _enclosing_ref(self, rid: int) -> int:
        table, outer = self._tables.coded("ResolutionScope", self._tables.row(Table.TYPE_REF, rid)[0])
        return outer if table == Table.TYPE_REF else 0

    @cached_property
    def _enclosing(self) -> dict[int, int]:
        """TypeDef rid of a nested type -> of the type around it."""
        columns = (self._tables.values(Table.NESTED_CLASS, index) for index in (0, 1))
        return dict(zip(*columns, strict=True))

    def extends(self, rid: int) -> int:
        """Token (table << 24 | rid) of the base type of TypeDef ``rid``, 0 for none."""
        table, base = self._tables.coded("TypeDefOrRef", self._tables.row(Table.TYPE_DEF, rid)[3])
        return table << 24 | base if base else 0

    def type_flags(self, rid: int) -> int:
        """TypeAttributes of TypeDef ``rid``."""
        return self._tables.row(Table.TYPE_DEF, rid)[0]

    def find_type(self, full_name: str) -> int | None:
        """Rid of the TypeDef that ``type_name`` calls ``full_name``. The first call builds a dictionary of all."""
        return self._types_by_name.get(full_name)

    @cached_property
    def _types_by_name(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for rid in range(1, self.type_row_count + 1):
            try:
                found.setdefault(self.type_name(rid), rid)
            except Corrupt:
                continue
        return found

    def type_spec_signature(self, rid: int) -> bytes:
        return self._tables.blob(self._tables.row(Table.TYPE_SPEC, rid)[0])

    # Generic parameters

    def generic_parameters(self, rid: int) -> tuple[str, ...]:
        """Names of the generic parameters of TypeDef ``rid`` in order of their number."""
        return self._generic_names(rid << 1)

    def method_generic_parameters(self, rid: int) -> tuple[str, ...]:
        """Names of the generic parameters of MethodDef ``rid`` in order of their number."""
        return self._generic_names(rid << 1 | 1)

    def _generic_names(self, owner: int) -> tuple[str, ...]:
        rows = [self._tables.row(Table.GENERIC_PARAM, rid) for rid in self._generic_rows.get(owner, ())]
        return tuple(self._tables.string(row[3]) for row in sorted(rows)[: LIMITS.generic_arguments])

    @cached_property
    def _generic_rows(self) -> dict[int, list[int]]:
        """Coded owner -> rids of its GenericParam rows."""
        found: dict[int, list[int]] = {}
        for rid, owner in enumerate(self._tables.values(Table.GENERIC_PARAM, 2), 1):
            found.setdefault(owner, []).append(rid)
        return found

    def generic_parameter_name(self, rid: int) -> str:
        """Name of GenericParam row ``rid`` itself (the token a type variable of the runtime carries)."""
        return self._tables.string(self._tables.row(Table.GENERIC_PARAM, rid)[3])

    # Fields

    def fields_of(self, type_rid: int) -> Sequence[int]:
        """Field rids of a type; a range unless the tables were edited."""
        return self._members(type_rid, 4, Table.FIELD, Table.FIELD_POINTER)

    def field_name(self, rid: int) -> str:
        return self._tables.string(self._tables.row(Table.FIELD, rid)[1])

    def field_flags(self, rid: int) -> int:
        """FieldAttributes."""
        return self._tables.row(Table.FIELD, rid)[0]

    def field_signature(self, rid: int) -> bytes:
        return self._tables.blob(self._tables.row(Table.FIELD, rid)[2])

    def field_owner(self, rid: int) -> int:
        """TypeDef rid that declares the field."""
        self._tables.row(Table.FIELD, rid)
        return self._owner(rid, self._field_lists, self._field_places)

    def field_rva(self, rid: int) -> int | None:
        """Where in the image the initial data of a static field lies, None for a field without."""
        return self._field_rvas.get(rid)

    @cached_property
    def _field_rvas(self) -> dict[int, int]:
        fields, addresses = (self._tables.values(Table.FIELD_RVA, index) for index in (1, 0))
        return dict(zip(fields, addresses, strict=True))

    # Methods

    def methods_of(self, type_rid: int) -> Sequence[int]:
        """MethodDef rids of a type; a range unless the tables were edited."""
        return self._members(type_rid, 5, Table.METHOD_DEF, Table.METHOD_POINTER)

    def method_name(self, rid: int) -> str:
        return self._tables.string(self._tables.row(Table.METHOD_DEF, rid)[3])

    def method_signature(self, rid: int) -> bytes:
        return self._tables.blob(self._tables.row(Table.METHOD_DEF, rid)[4])

    def method_owner(self, rid: int) -> int:
        """TypeDef rid that declares the method."""
        self._tables.row(Table.METHOD_DEF, rid)
        return self._owner(rid, self._method_lists, self._method_places)

    # Member lists: a type names the first of its members; they end where those of the next type begin

    def _members(self, type_rid: int, column: int, table: Table, pointers: Table) -> Sequence[int]:
        total = self._tables.count(pointers) or self._tables.count(table)
        first = self._tables.row(Table.TYPE_DEF, type_rid)[column]
        last = self._tables.row(Table.TYPE_DEF, type_rid + 1)[column] if type_rid < self.type_row_count else total + 1
        listed = range(max(1, first), min(last, total + 1))
        if not self._tables.count(pointers):
            return listed
        return tuple(self._tables.row(pointers, place)[0] for place in listed)

    @staticmethod
    def _owner(rid: int, lists: list[int], places: dict[int, int]) -> int:
        owner = bisect_right(lists, places.get(rid, rid))
        if not owner:
            raise Corrupt("a member of metadata belongs to no type", where=f"row {rid:,}")
        return owner

    @cached_property
    def _field_lists(self) -> list[int]:
        return self._tables.values(Table.TYPE_DEF, 4)

    @cached_property
    def _method_lists(self) -> list[int]:
        return self._tables.values(Table.TYPE_DEF, 5)

    @cached_property
    def _field_places(self) -> dict[int, int]:
        return {rid: place for place, rid in enumerate(self._tables.values(Table.FIELD_POINTER, 0), 1)}

    @cached_property
    def _method_places(self) -> dict[int, int]:
        return {rid: place for place, rid in enumerate(self._tables.values(Table.METHOD_POINTER, 0), 1)}
