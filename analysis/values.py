"""What one object or thread holds, as text for a person: fields, elements of an array, the text of a string, registers.

Everything here is values (data class D3). It is asked for one at a time, after a permission and with a row in the
audit (``explorer.services.reveals``), and read from the dump itself: the index keeps no values.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.limits import LIMITS
from analysis.memory.elf_core import ElfCore
from analysis.runtime.fields import Field
from analysis.runtime.objects import PRIMITIVE_FORMATS, FieldValue
from analysis.runtime.types import TypeInfo
from analysis.runtime.unwind import REGISTERS

_POINTER = 8
_EPOCH = datetime(1, 1, 1)
_TICKS = (1 << 62) - 1
_REFERENCES = ("Class", "Object", "String", "Array", "SZArray")
_HEX_BYTES = 64
#: Low bits of a type handle that stands for no method table.
_TAG = 7
#: Structs inside structs are opened so far.
_DEEPEST = 4
#: Element types of arrays that are numbers: how each is unpacked.
_NUMBERS = {
    "System.Boolean": "?", "System.SByte": "b", "System.Byte": "B", "System.Int16": "h", "System.UInt16": "H",
    "System.Int32": "i", "System.UInt32": "I", "System.Int64": "q", "System.UInt64": "Q", "System.Single": "f",
    "System.Double": "d", "System.IntPtr": "q", "System.UIntPtr": "Q",
}  # fmt: skip
_CHAR = "System.Char"


@dataclass(frozen=True, slots=True)
class Value:
    """A field or element: its declared type, its content as text, and the object it refers to (0 for none).

    ``missing`` says why there is no content."""

    name: str
    type_name: str
    text: str = ""
    object: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Values:
    """What an object holds; ``more`` says that it is only the beginning."""

    rows: tuple[Value, ...]
    more: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def object_values(dump: Dump, address: int) -> Values:
    """The values of the object at ``address``. Raises Corrupt or MemoryFault where none can be read."""
    info = dump.objects.type_of(address)
    if info.method_table == dump.runtime.types.string_method_table:
        text = dump.objects.string(address, LIMITS.value_characters + 1)
        return Values((Value("", "System.String", text[: LIMITS.value_characters]),), len(text) > LIMITS.value_characters)
    if info.is_array:
        return _elements(dump, address, info)
    rows = [row for one in dump.objects.read_field_values(address) for row in _field(dump, one)]
    return Values(tuple(rows[: LIMITS.values]), len(rows) > LIMITS.values)


def thread_registers(core: ElfCore, os_id: int) -> dict[str, int]:
    """General registers of a thread when the dump was taken; none where the dump holds none of it."""
    state = next((state for state in core.threads if state.os_id == os_id), None)
    return {name: state.registers[name] for name in ("rip", *REGISTERS)} if state else {}


def _field(dump: Dump, value: FieldValue) -> list[Value]:
    field = value.field
    if value.value is None:
        return [Value(field.name, field.type_name, missing=value.missing)]
    if field.element in _REFERENCES and isinstance(value.value, int):
        return [_reference(dump, field.name, field.type_name, value.value)]
    if isinstance(value.value, bytes):
        return _struct(dump, field.name, field.type_name, field.value_type, value.value, 0)
    return [Value(field.name, field.type_name, str(value.value))]


def _struct(dump: Dump, name: str, type_name: str, method_table: int, raw: bytes, depth: int) -> list[Value]:
    """A struct of the framework as it is written, any other by its fields, and by its bytes where nobody knows them."""
    text = _written(type_name, raw)
    fields = [] if text or depth == _DEEPEST else _fields_of(dump, method_table)
    if not fields:
        return [Value(name, type_name, text or _bytes(raw))]
    rows: list[Value] = []
    for field in fields:
        inside, part = f"{name}.{field.name}", raw[field.offset : field.offset + max(field.held_size, field.size)]
        if field.element == "Struct":
            rows += _struct(dump, inside, field.type_name, field.value_type, part, depth + 1)
        elif field.element in _REFERENCES:
            rows.append(_reference(dump, inside, field.type_name, _word(part)))
        else:
            rows.append(Value(inside, field.type_name, _number(field.element, part)))
    return rows


def _fields_of(dump: Dump, method_table: int) -> list[Field]:
    try:
        return list(dump.fields.instance_fields(method_table)) if method_table else []
    except AnalysisError:
        return []


def _number(element: str, raw: bytes) -> str:
    code = PRIMITIVE_FORMATS.get(element)
    if element == "Char":
        return raw[:2].decode("utf-16-le", "replace")
    return str(struct.unpack_from(code, raw)[0]) if code and len(raw) >= struct.calcsize(code) else _bytes(raw)


def _reference(dump: Dump, name: str, type_name: str, address: int) -> Value:
    """A string by its text, any other object by its address."""
    if not address:
        return Value(name, type_name, "null")
    try:
        if dump.objects.type_of(address).method_table == dump.runtime.types.string_method_table:
            text = dump.objects.string(address, LIMITS.value_preview + 1)
            cut = "…" if len(text) > LIMITS.value_preview else ""
            return Value(name, type_name, text[: LIMITS.value_preview] + cut, address)
    except AnalysisError as error:
        return Value(name, type_name, object=address, missing=error.what)
    return Value(name, type_name, object=address)


def _elements(dump: Dump, address: int, info: TypeInfo) -> Values:
    length = dump.named_fields.array_length(address)
    count = min(length, LIMITS.values)
    # Bounds of an array of several dimensions lie before its elements; the base size counts the object header too.
    start = address + info.base_size - _POINTER
    name = dump.runtime.types.name(info.element)
    raw = dump.core.memory.read(start, count * info.component_size)
    parts = [raw[place : place + info.component_size] for place in range(0, len(raw), info.component_size or 1)]
    if name == _CHAR:
        return Values((Value("", name + "[]", raw.decode("utf-16-le", "replace")),), length > count)
    if code := _NUMBERS.get(name):
        rows = [Value(f"[{place}]", name, str(struct.unpack(f"<{code}", part)[0])) for place, part in enumerate(parts)]
    elif info.element & _TAG:
        # A pointer or a pointer to a function: the collector does not follow it.
        rows = [Value(f"[{place}]", name, f"{_word(part):#x}") for place, part in enumerate(parts)]
    elif dump.runtime.types.info(info.element).is_value_type:
        found = (_struct(dump, f"[{place}]", name, info.element, part, 0) for place, part in enumerate(parts))
        rows = [row for one in found for row in one]
    else:
        rows = [_reference(dump, f"[{place}]", name, _word(part)) for place, part in enumerate(parts)]
    return Values(tuple(rows[: LIMITS.values]), length > count or len(rows) > LIMITS.values)


def _written(type_name: str, raw: bytes) -> str:
    """How a well-known struct is written; empty for any other."""
    try:
        if type_name == "System.DateTime":
            return (_EPOCH + timedelta(microseconds=(_word(raw) & _TICKS) // 10)).isoformat(" ")
        if type_name == "System.TimeSpan":
            return str(timedelta(microseconds=struct.unpack("<q", raw[:8])[0] // 10))
        if type_name == "System.DateOnly":
            return date.fromordinal(1 + struct.unpack("<i", raw[:4])[0]).isoformat()
        if type_name == "System.Guid":
            return str(UUID(bytes_le=raw[:16]))
        if type_name == "System.Decimal":
            return _decimal(raw)
    except (struct.error, ValueError, OverflowError):
        pass  # contents that no such struct can have are shown as they are
    return ""


def _bytes(raw: bytes) -> str:
    shown = raw[:_HEX_BYTES].hex(" ")
    return f"{shown} …" if len(raw) > _HEX_BYTES else shown


def _word(raw: bytes) -> int:
    return int.from_bytes(raw[:8], "little")


def _decimal(raw: bytes) -> str:
    """Flags (sign and scale), high, low: the layout of System.Decimal."""
    flags, high, low = struct.unpack("<IIQ", raw[:16])
    digits = str(high << 64 | low)
    scale = flags >> 16 & 0xFF
    if scale:
        digits = digits.rjust(scale + 1, "0")
        digits = f"{digits[:-scale]}.{digits[-scale:]}"
    return f"-{digits}" if flags >> 31 else digits
