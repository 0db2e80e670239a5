"""Managed modules: the list the runtime keeps, their files, their metadata.

Source: docs/design/datacontracts/Loader.md and ``vm/ceeload.h``, ``vm/peimage.h`` in dotnet/runtime. Metadata of every
assembly is in every dump type, so names never need files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from analysis.contracts.target import Target
from analysis.errors import AnalysisError, Corrupt, MemoryFault, OverLimit
from analysis.limits import LIMITS
from analysis.runtime.metadata import Metadata
from analysis.runtime.pe_image import CodeView, PeImage

_MAPPED_LAYOUT = 1
_SHARED_FRAMEWORKS = ("Microsoft.NETCore.App", "Microsoft.AspNetCore.App", "Microsoft.WindowsDesktop.App")
#: Public key tokens of the assemblies of .NET, ASP.NET Core and Microsoft's packages: a self-contained program carries them
#: beside its own.
_FRAMEWORK_KEY_TOKENS = frozenset(
    {"7cec85d7bea7798e", "b03f5f7f11d50a3a", "b77a5c561934e089", "cc7b13ffcd2ddd51", "adb9793829ddae60", "31bf3856ad364e35"}
)
_MAXIMUM_METADATA_BYTES = 256 << 20


@dataclass(slots=True)
class _Image:
    """The PE image behind a module, as far as it could be read."""

    path: str = ""
    path_address: int = 0
    base: int = 0
    size: int = 0
    pe: PeImage | None = None


@dataclass
class Module:
    """A managed module. ``image_base`` is 0 and ``pe`` None for a module made at run time. ``path_address``: where the runtime
    keeps the path, in UTF-16."""

    target: Target
    address: int
    path: str = ""
    path_address: int = 0
    image_base: int = 0
    size: int = 0
    pe: PeImage | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def dynamic(self) -> bool:
        return self.image_base == 0

    @property
    def name(self) -> str:
        """File name, or what the metadata calls a module that has no file."""
        file_name = PurePosixPath(self.path.replace("\\", "/")).name
        return file_name or self._told(lambda: self.metadata.module_name if self.metadata else "")

    @property
    def metadata_address(self) -> int:
        return self.image_base + self.pe.metadata_offset if self.pe and self.pe.metadata_size else 0

    @property
    def metadata_size(self) -> int:
        return self.pe.metadata_size if self.pe else 0

    @cached_property
    def metadata(self) -> Metadata | None:
        """The metadata tables, or None (with a reason in ``problems``) when they cannot be read."""
        try:
            address, size = self.metadata_place
            return Metadata(self.target.memory.read(address, size)) if size else None
        except AnalysisError as error:
            self.problems.append(str(error))
            return None

    @cached_property
    def assembly_name(self) -> str:
        """Simple name of the assembly, "" where the metadata does not tell."""
        return self._told(lambda: self.metadata.assembly_name if self.metadata else "")

    @cached_property
    def assembly_version(self) -> str:
        """Version of the assembly, "" where the metadata does not tell."""
        return self._told(lambda: self.metadata.assembly_version if self.metadata else "")

    @cached_property
    def part_of_framework(self) -> bool:
        """Whether Microsoft made it: it lies in a shared framework, or its assembly is signed with one of their keys."""
        if any(f"/shared/{name}/" in self.path.replace("\\", "/") for name in _SHARED_FRAMEWORKS):
            return True
        return self._told(lambda: self.metadata.public_key_token if self.metadata else "") in _FRAMEWORK_KEY_TOKENS

    @cached_property
    def mvid(self) -> str:
        """Module version id, "" where the metadata does not tell."""
        return self._told(lambda: self.metadata.mvid if self.metadata else "")

    @cached_property
    def code_view(self) -> CodeView | None:
        """Which PDB the image names, None where it names none or cannot be read."""
        try:
            return self.pe.code_view if self.pe else None
        except AnalysisError as error:
            self.problems.append(str(error))
            return None

    def _told(self, ask: Callable[[], str]) -> str:
        """An answer, or "" with the reason in ``problems``: one damaged module must not end the analysis of all."""
        try:
            return ask()
        except AnalysisError as error:
            self.problems.append(str(error))
            return ""

    @property
    def metadata_place(self) -> tuple[int, int]:
        """Address and size in bytes of the metadata wherever it lies, (0, 0) for none. Raises MemoryFault."""
        if not self.dynamic:
            size = self.metadata_size
            return (self.metadata_address, size) if self.metadata_address and size <= _MAXIMUM_METADATA_BYTES else (0, 0)
        # Types made by Reflection.Emit: the runtime saves their metadata in a buffer, {u32 size, bytes}.
        if not self.target.layout.has("Module", "DynamicMetadata"):
            return 0, 0
        saved = self.target.pointer(self.address, "Module", "DynamicMetadata")
        size = self.target.u32(saved, "DynamicMetadata", "Size") if saved else 0
        data = saved + self.target.layout.offset("DynamicMetadata", "Data")
        return (data, size) if 0 < size <= _MAXIMUM_METADATA_BYTES else (0, 0)

    def method_table_of(self, rid: int) -> int:
        """The method table the loader registered for TypeDef ``rid``, 0 for none. Raises MemoryFault or Corrupt."""
        return self._mapped("TypeDefToMethodTableMap", rid)

    def method_table_of_reference(self, rid: int) -> int:
        """The method table that TypeRef ``rid`` was resolved to, 0 when it never was."""
        return self._mapped("TypeRefToMethodTableMap", rid)

    def _mapped(self, name: str, rid: int) -> int:
        layout, memory = self.target.layout, self.target.memory
        node = self.address + layout.offset("Module", name)
        for _ in range(1000):
            count = self.target.u32(node, "ModuleLookupMap", "Count")
            if rid < count:
                mask = memory.u64(node + layout.offset("ModuleLookupMap", "SupportedFlagsMask"))
                return memory.pointer(self.target.pointer(node, "ModuleLookupMap", "TableData") + 8 * rid) & ~mask
            rid -= count
            node = self.target.pointer(node, "ModuleLookupMap", "Next")
            if not node:
                return 0
        raise Corrupt(f"{name} of a module does not end", where=f"Module at {self.address:#x}")


def read_modules(target: Target) -> list[Module]:
    """All managed modules in the runtime's order. Raises Corrupt or MemoryFault when the list itself is unreadable."""
    found: dict[int, Module] = {}
    for entry in domain_assemblies(target):
        assembly = target.pointer(entry, "DomainAssembly", "Assembly")
        address = target.pointer(assembly, "Assembly", "Module") if assembly else 0
        if address and address not in found:
            found[address] = _module(target, address)
    return list(found.values())


def domain_assemblies(target: Target) -> list[int]:
    """Addresses of the DomainAssembly entries in the list of the one AppDomain."""
    layout = target.layout
    listed = target.global_pointer("AppDomain") + layout.offset("AppDomain", "DomainAssemblyList")
    count = target.u32(listed, "ArrayListBase", "Count")
    if count > LIMITS.modules:
        raise OverLimit(f"{count:,} assemblies", where="AppDomain.DomainAssemblyList")
    block = listed + layout.offset("ArrayListBase", "FirstBlock")
    found: list[int] = []
    while block and len(found) < count:
        size = min(target.u32(block, "ArrayListBlock", "Size"), count - len(found))
        if not size:
            break
        start = block + layout.offset("ArrayListBlock", "ArrayStart")
        found += [target.memory.pointer(start + 8 * row) for row in range(size)]
        block = target.pointer(block, "ArrayListBlock", "Next")
    return [entry for entry in found if entry]


def _module(target: Target, address: int) -> Module:
    module = Module(target, address)
    try:
        image = _image(target, address)
    except AnalysisError as error:
        module.problems.append(str(error))
        return module
    module.path, module.path_address = image.path, image.path_address
    module.image_base, module.size, module.pe = image.base, image.size, image.pe
    return module


def _image(target: Target, module: int) -> _Image:
    memory, found = target.memory, _Image()
    assembly = target.pointer(module, "Module", "PEAssembly")
    pe_image = target.pointer(assembly, "PEAssembly", "PEImage") if assembly else 0
    if not pe_image:
        return found
    path = target.pointer(pe_image, "PEImage", "Path")
    try:
        found.path, found.path_address = memory.utf16_string(path) if path else "", path
    except MemoryFault:
        found.path = ""
    layout = target.pointer(pe_image, "PEImage", "LoadedImageLayout")
    if not layout:
        return found
    base, size = target.pointer(layout, "PEImageLayout", "Base"), target.u32(layout, "PEImageLayout", "Size")
    mapped = bool(target.u32(layout, "PEImageLayout", "Flags") & _MAPPED_LAYOUT)
    found.base, found.size = base, size
    found.pe = PeImage(lambda offset, length: memory.read(base + offset, length), mapped=mapped)
    return found
