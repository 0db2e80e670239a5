"""The contract descriptor that .NET 9 and later publish about their own structures.

Source: docs/design/datacontracts/contract-descriptor.md and data_descriptor.md in dotnet/runtime.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from analysis.errors import Corrupt, MemoryFault
from analysis.memory.reader import Memory

_MAGIC = b"DNCCDAC\0"
_MAXIMUM_JSON_BYTES = 1 << 20
_MAXIMUM_POINTERS = 4096


@dataclass(slots=True)
class Descriptor:
    """Parsed descriptor.

    ``types``: type name -> field name -> offset in bytes ("!" is the size of the type).
    ``pointers``: global name -> address of the variable. ``contracts``: contract name -> version.
    """

    types: dict[str, dict[str, int]] = field(default_factory=dict)
    pointers: dict[str, int] = field(default_factory=dict)
    contracts: dict[str, int] = field(default_factory=dict)


def read_descriptor(memory: Memory, address: int) -> Descriptor | None:
    """The descriptor at ``address``, or None when the dump does not hold all of it.

    Raises Corrupt when the bytes are there but make no sense.
    """
    try:
        magic, flags, size, json_at, count, _, pointers_at = struct.unpack("<8sIIQIIQ", memory.read(address, 40))
        if magic != _MAGIC or not flags & 1 or flags & 2 or size > _MAXIMUM_JSON_BYTES or count > _MAXIMUM_POINTERS:
            raise Corrupt("the runtime's contract descriptor has an unknown header", where=f"address {address:#x}")
        text = memory.read(json_at, size)
        pointers = struct.unpack(f"<{count}Q", memory.read(pointers_at, 8 * count))
    except MemoryFault:
        return None
    try:
        return parse_descriptor(json.loads(text), pointers)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise Corrupt("the runtime's contract descriptor is not readable JSON", where=f"address {json_at:#x}") from error


def parse_descriptor(document: dict[str, Any], pointers: tuple[int, ...] = ()) -> Descriptor:
    """From the compact JSON and the pointer data it refers to; unknown keys are left out."""
    result = Descriptor()
    for name, fields in document["types"].items():
        result.types[name] = {key: int(value[0] if isinstance(value, list) else value) for key, value in fields.items()}
    for name, value in document.get("globals", {}).items():
        index = _pointer_index(value)
        if index is not None and index < len(pointers) and pointers[index]:
            result.pointers[name] = pointers[index]
    for name, version in document.get("contracts", {}).items():
        result.contracts[name] = int(str(version).lstrip("c"))
    return result


def _pointer_index(value: Any) -> int | None:
    """Index into the pointer data when ``value`` is indirect: ``[3]`` or ``[[3], "pointer"]``."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], int) else None
