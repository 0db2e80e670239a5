"""Method tables: sizes, flags, module, token, generic arguments, and the full name as ClrMD writes it.

Source: docs/design/datacontracts/RuntimeTypeSystem.md and ``vm/methodtable.h``, ``vm/typedesc.h`` in dotnet/runtime.
Contract version 0 stands for .NET 8, which publishes no descriptor: its token, module and tag bits lie elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, Corrupt
from analysis.limits import LIMITS
from analysis.runtime.loader import Module
from analysis.runtime.signatures import format_name

FREE_NAME = "Free"
HAS_COMPONENT_SIZE, CATEGORY = 0x80000000, 0x000F0000
_CATEGORY_SZ_ARRAY, _CATEGORY_ARRAY = 0x000A0000, 0x00080000
#: Of value types only; arrays and strings use the bits otherwise.
CATEGORY_VALUE_TYPES = (0x00040000, 0x00050000, 0x00060000, 0x00070000)
_FINALIZER, COLLECTIBLE, CONTAINS_POINTERS, _GENERICS = 0x00100000, 0x00200000, 0x01000000, 0x30
_TYPE_VARIABLES, _POINTER, _BY_REFERENCE, _FUNCTION_POINTER = (0x13, 0x1E), 0x0F, 0x10, 0x1B
_CONVENTION_MASK, _MANAGED_CONVENTION = 0x0F, 0
_ARRAY_HEADER_BYTES, _BYTES_PER_RANK = 24, 8
#: The smallest base size an object can have: an empty string's.
SMALLEST_BASE_SIZE = 22
LARGEST_BASE_SIZE = 1 << 24


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """What one method table says. Sizes in bytes; ``element`` and ``arguments`` are type handles."""

    method_table: int
    flags: int
    base_size: int
    component_size: int
    canonical: int
    ee_class: int
    parent: int
    token: int
    module: Module | None
    rank: int
    element: int
    arguments: tuple[int, ...]

    @property
    def is_array(self) -> bool:
        return self.rank > 0

    @property
    def is_value_type(self) -> bool:
        return self.flags & CATEGORY in CATEGORY_VALUE_TYPES

    @property
    def finalizable(self) -> bool:
        return bool(self.flags & _FINALIZER)

    @property
    def collectible(self) -> bool:
        return bool(self.flags & COLLECTIBLE)

    @property
    def contains_pointers(self) -> bool:
        return bool(self.flags & CONTAINS_POINTERS)


class TypeSystem:
    """Reads and remembers method tables and names. One per dump; every address is checked before it is believed."""

    def __init__(self, target: Target, modules: Iterable[Module]) -> None:
        self.target = target
        self.modules = {module.address: module for module in modules}
        self.free_method_table = self._global_method_table("FreeObjectMethodTable")
        self.string_method_table = self._global_method_table("StringMethodTable")
        self._infos: dict[int, TypeInfo] = {}
        self._names: dict[int, str] = {}
        self._shortened: dict[int, str] = {}
        self._nesting, self._too_deep = 0, False
        #: Type handles whose names could not be read; ``name`` shows their address instead.
        self.nameless: set[int] = set()
        layout = target.layout
        self._version = layout.contracts["RuntimeTypeSystem"]
        self._at = {name: layout.offset("MethodTable", name) for name in (
            "NumVirtuals", "ParentMethodTable", "EEClassOrCanonMT", "PerInstInfo", "MTFlags2",
            "LoaderModule" if self._version == 0 else "Module")}  # fmt: skip
        self._back = layout.offset("EEClass", "MethodTable")

    def _global_method_table(self, name: str) -> int:
        return self.target.memory.try_pointer(self.target.globals.get(name, 0)) or 0

    def info(self, method_table: int) -> TypeInfo:
        """Read and check a method table. Raises Corrupt or MemoryFault when this is none."""
        if method_table not in self._infos:
            self._infos[method_table] = self._read(method_table)
        return self._infos[method_table]

    def _read(self, address: int) -> TypeInfo:
        if address & 7 or not address:
            raise Corrupt(f"{address:#x} is not the address of a method table")
        raw = self.target.memory.read(address, self.target.layout.types["MethodTable"]["!"])
        flags, base_size = struct.unpack_from("<II", raw)
        (virtuals,) = struct.unpack_from("<H", raw, self._at["NumVirtuals"])
        parent, tagged, instance = (
            struct.unpack_from("<Q", raw, self._at[name])[0] for name in ("ParentMethodTable", "EEClassOrCanonMT", "PerInstInfo")
        )
        component = flags & 0xFFFF if flags & HAS_COMPONENT_SIZE else 0
        canonical = tagged & ~3 if tagged & 3 else address
        ee_class = self.target.pointer(canonical, "MethodTable", "EEClassOrCanonMT") if tagged & 3 else tagged
        # The runtime's own type of free blocks is the one method table without a class.
        if address != self.free_method_table and (ee_class & 3 or self.target.memory.pointer(ee_class + self._back) != canonical):
            raise Corrupt("its class does not point back at it", where=f"method table {address:#x}")
        if base_size > LARGEST_BASE_SIZE:
            raise Corrupt(f"a base size of {base_size:,} bytes", where=f"method table {address:#x}")
        category = flags & CATEGORY if component else 0
        rank = 0
        if category == _CATEGORY_SZ_ARRAY:
            rank = 1
        elif category == _CATEGORY_ARRAY:
            rank = (base_size - _ARRAY_HEADER_BYTES) // _BYTES_PER_RANK
            if not 1 <= rank <= 32:
                raise Corrupt(f"an array of rank {rank}", where=f"method table {address:#x}")
        arguments = self._arguments(instance) if not component and flags & _GENERICS else ()
        return TypeInfo(
            address, flags, base_size, component, canonical, ee_class, parent, self._token(raw, rank),
            self.modules.get(self._module_address(address, raw, canonical, rank, virtuals)),
            rank, instance if rank else 0, arguments,
        )  # fmt: skip

    def _token(self, raw: bytes, rank: int) -> int:
        if rank:
            return 0x02000000
        if self._version == 0:
            return 0x02000000 | int(struct.unpack_from("<H", raw, self.target.layout.offset("MethodTable", "Token"))[0])
        return 0x02000000 | int(struct.unpack_from("<I", raw, self._at["MTFlags2"])[0]) >> 8

    def _module_address(self, address: int, raw: bytes, canonical: int, rank: int, virtuals: int) -> int:
        if self._version:
            return int(struct.unpack_from("<Q", raw, self._at["Module"])[0])
        loader_module = int(struct.unpack_from("<Q", raw, self._at["LoaderModule"])[0])
        flags = struct.unpack_from("<I", raw)[0]
        if not rank and (flags & HAS_COMPONENT_SIZE or not flags & _GENERICS):
            return loader_module
        return self._module_override(address if rank else canonical)

    def _module_override(self, address: int) -> int:
        """The .NET 8 module of an array or generic type: an optional slot behind the virtual methods (methodtable.h)."""
        target = self.target
        flags2 = target.u16(address, "MethodTable", "MTFlags2")
        if not flags2 & 0x10:
            return target.pointer(address, "MethodTable", "LoaderModule")
        before = (flags2 & 0xF).bit_count()
        if before < 2:
            slot = target.layout.offset("MethodTable", "MultipurposeSlots") + 8 * before
        else:
            chunks = -(-target.u16(address, "MethodTable", "NumVirtuals") // 8)
            slot = target.layout.types["MethodTable"]["!"] + 8 * (before - 2) + 8 * chunks
        return target.memory.pointer(address + slot)

    def _arguments(self, per_instance: int) -> tuple[int, ...]:
        """Type handles of the generic arguments: the last dictionary belongs to the type itself."""
        memory, layout = self.target.memory, self.target.layout
        dictionaries = memory.u16(per_instance - 8 + layout.offset("GenericsDictInfo", "NumDicts"))
        count = memory.u16(per_instance - 8 + layout.offset("GenericsDictInfo", "NumTypeArgs"))
        if not dictionaries or count > LIMITS.generic_arguments:
            raise Corrupt(f"{count} generic arguments in {dictionaries} dictionaries", where=f"address {per_instance:#x}")
        own = memory.pointer(per_instance + 8 * (dictionaries - 1))
        return struct.unpack(f"<{count}Q", memory.read(own, 8 * count))

    def name(self, handle: int) -> str:
        """Full name of a type handle. What cannot be read is named by its address; never raises."""
        known = self._names.get(handle) or self._shortened.get(handle)
        if known is not None:
            return known
        if self._nesting > LIMITS.type_nesting:
            self._too_deep = True
            return "…"
        self._nesting += 1
        try:
            text = self._type_desc_name(handle) if handle & 2 else self._method_table_name(handle)
        except AnalysisError:
            text = f"<unknown type {handle:#x}>"
            self.nameless.add(handle)
        self._nesting -= 1
        # An argument that was shortened for standing too deep in this name is remembered for this name only.
        (self._shortened if self._nesting and self._too_deep else self._names)[handle] = text
        if not self._nesting:
            self._shortened, self._too_deep = {}, False
        return text

    def _method_table_name(self, address: int) -> str:
        if address == self.free_method_table:
            return FREE_NAME
        info = self.info(address)
        if info.rank:
            single = info.flags & CATEGORY == _CATEGORY_SZ_ARRAY
            suffix = "[]" if single else "<*>" if info.rank == 1 else f"[{',' * (info.rank - 1)}]"
            return self.name(info.element) + suffix
        metadata = info.module.metadata if info.module else None
        if metadata is None:
            self.nameless.add(address)
            return f"<type {info.token:#010x} of an unreadable module>"
        rid = info.token & 0xFFFFFF
        arguments = [self.name(argument) for argument in info.arguments]
        return format_name(metadata.type_parts(rid), arguments or metadata.generic_parameters(rid))

    def _type_desc_name(self, handle: int) -> str:
        address = handle & ~3
        target = self.target
        kind = target.u32(address, "TypeDesc", "TypeAndFlags") & 0xFF
        if kind in (_POINTER, _BY_REFERENCE):
            return self.name(target.pointer(address, "ParamTypeDesc", "TypeArg")) + ("*" if kind == _POINTER else "&")
        if kind in _TYPE_VARIABLES:
            return self._type_variable(address)
        if kind == _FUNCTION_POINTER:
            return self._function_pointer_name(address)
        return f"<type description of kind {kind:#x}>"

    def _function_pointer_name(self, address: int) -> str:
        """As C# writes it, and as fields of this type are named: ``delegate*<System.Int32, System.Void>``."""
        target = self.target
        count = target.u32(address, "FnPtrTypeDesc", "NumArgs")
        if count > LIMITS.generic_arguments:
            raise Corrupt(f"a function pointer with {count:,} parameters", where=f"type description {address:#x}")
        start = address + target.layout.offset("FnPtrTypeDesc", "RetAndArgTypes")
        result, *parameters = struct.unpack(f"<{count + 1}Q", target.memory.read(start, 8 * (count + 1)))
        names = [self.name(handle) for handle in (*parameters, result)]
        convention = target.u32(address, "FnPtrTypeDesc", "CallConv") & _CONVENTION_MASK
        keyword = "delegate*" if convention == _MANAGED_CONVENTION else "delegate* unmanaged"
        return f"{keyword}<{', '.join(names)}>"

    def _type_variable(self, address: int) -> str:
        module = self.modules.get(self.target.pointer(address, "TypeVarTypeDesc", "Module"))
        token = self.target.u32(address, "TypeVarTypeDesc", "Token")
        if module is None or module.metadata is None:
            return "T"
        return module.metadata.generic_parameter_name(token & 0xFFFFFF)
