"""Methods: from a MethodDesc to module, token and the text ``clrstack`` prints for it.

Source: docs/design/datacontracts/RuntimeTypeSystem.md (method descs), ``vm/method.hpp`` in dotnet/runtime; the format of
names follows ``vm/typestring.cpp`` (declaring type, generic arguments in brackets with their assemblies) and
``debug/daccess/sigformat.cpp`` (parameters).
"""

from __future__ import annotations

import struct

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, Corrupt
from analysis.limits import LIMITS
from analysis.runtime.method_names import MethodNames
from analysis.runtime.stack_frames import Method
from analysis.runtime.types import TypeInfo, TypeSystem

_METHOD_TOKEN = 0x06000000
_TOKEN_REMAINDER_BITS, _TOKEN_MASK = 12, 0xFFF
_CHUNK_ALIGNMENT = 8
_ARRAY_METHOD, _INSTANTIATED, _DYNAMIC, _KINDS = 4, 5, 7, 7
_LIGHTWEIGHT, _IL_STUB = 0x4000, 0x8000
_GENERIC_ARRAY_METHODS = ("Get", "Set", "Address", ".ctor")


class MethodReader:
    """Reads and remembers methods. One per dump; every MethodDesc is checked by the way over its chunk to its type."""

    def __init__(self, types: TypeSystem) -> None:
        self._types, self._target = types, types.target
        self._names = MethodNames(types)
        self._methods: dict[int, Method] = {}
        self.unreadable: set[int] = set()

    def of(self, address: int) -> Method:
        """The method of a MethodDesc. One that cannot be read is named by its address; never raises."""
        known = self._methods.get(address)
        if known is None:
            try:
                known = self._read(address)
            except AnalysisError:
                self.unreadable.add(address)
                known = Method(address, f"<unknown method {address:#x}>", "", "", None, 0)
            self._methods[address] = known
        return known

    def _read(self, address: int) -> Method:
        target = self._target
        flags = target.u16(address, "MethodDesc", "Flags")
        chunk = (
            address
            - _CHUNK_ALIGNMENT * target.u8(address, "MethodDesc", "ChunkIndex")
            - target.layout.types["MethodDescChunk"]["!"]
        )
        owner = self._types.info(target.pointer(chunk, "MethodDescChunk", "MethodTable"))
        high = target.u16(chunk, "MethodDescChunk", "FlagsAndTokenRange") & _TOKEN_MASK
        low = target.u16(address, "MethodDesc", "Flags3AndTokenRemainder") & _TOKEN_MASK
        rid = high << _TOKEN_REMAINDER_BITS | low
        kind = flags & _KINDS
        if kind == _DYNAMIC:
            return self._dynamic(address, owner)
        if kind == _ARRAY_METHOD:
            return self._array_method(address, owner, rid)
        arguments = self._arguments(address) if kind == _INSTANTIATED else ()
        metadata = owner.module.metadata if owner.module else None
        if metadata is None:
            raise Corrupt("the metadata of a method's module is not there", where=f"MethodDesc at {address:#x}")
        name = metadata.method_name(rid)
        text = self._names.full(owner, name, arguments, metadata.method_signature(rid))
        return Method(address, text, self._types.name(owner.method_table), name, owner.module, _METHOD_TOKEN | rid)

    def _arguments(self, address: int) -> tuple[int, ...]:
        """Type handles of a generic method's own arguments, none for an open or plain one."""
        target = self._target
        per_instance = target.pointer(address, "InstantiatedMethodDesc", "PerInstInfo")
        count = target.u16(address, "InstantiatedMethodDesc", "NumGenericArgs")
        if not per_instance or count > LIMITS.generic_arguments:
            return ()
        return struct.unpack(f"<{count}Q", target.memory.read(per_instance, 8 * count))

    def _dynamic(self, address: int, owner: TypeInfo) -> Method:
        """A DynamicMethod (it has no type and no token) or a stub that the runtime wrote in IL."""
        target = self._target
        extended = target.u32(address, "StoredSigMethodDesc", "ExtendedFlags")
        name = _text(target, target.pointer(address, "DynamicMethodDesc", "MethodName"))
        signature = self._stored_signature(address)
        stub = bool(extended & _IL_STUB)
        text = self._names.dynamic("ILStubClass" if stub else "DynamicClass", name, signature, owner)
        return Method(
            address, text, "", name, owner.module, _METHOD_TOKEN if stub else 0, "IL stub" if stub else "dynamic method"
        )  # fmt: skip

    def _array_method(self, address: int, owner: TypeInfo, slot: int) -> Method:
        """Get, Set, Address or the constructor of a many-dimensional array: made by the runtime, in no metadata."""
        name = _GENERIC_ARRAY_METHODS[min(slot, len(_GENERIC_ARRAY_METHODS) - 1)]
        text = self._names.dynamic(self._names.native(owner.method_table), name, self._stored_signature(address), owner)
        return Method(address, text, self._types.name(owner.method_table), name, owner.module, 0)

    def _stored_signature(self, address: int) -> bytes:
        target = self._target
        size = target.u32(address, "StoredSigMethodDesc", "cSig")
        if size > LIMITS.signature_bytes:
            raise Corrupt(f"a signature of {size:,} bytes", where=f"MethodDesc at {address:#x}")
        at = target.pointer(address, "StoredSigMethodDesc", "Sig")
        return target.memory.read(at, size) if at else b""


def _text(target: Target, address: int) -> str:
    """A NUL-terminated UTF-8 name of the runtime, "" for none."""
    raw = bytearray()
    while address and len(raw) < LIMITS.name_characters:
        byte = target.memory.u8(address + len(raw))
        if not byte:
            break
        raw.append(byte)
    return raw.decode("utf-8", "replace")
