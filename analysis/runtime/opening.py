"""Open the runtime of a dump: choose a layout, believe it only where its checks hold, say what was chosen and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from analysis.contracts.dac_table import read_globals
from analysis.contracts.descriptor import Descriptor, read_descriptor
from analysis.contracts.layout import MAJORS, OWN_DESCRIPTOR, Layout, bundled_layout
from analysis.contracts.locate import RuntimeModule, find_runtime
from analysis.contracts.target import Target
from analysis.errors import AnalysisError, Corrupt, MemoryFault, Unsupported
from analysis.memory.elf_core import ElfCore
from analysis.memory.images import MappedImage
from analysis.runtime.loader import Module, read_modules
from analysis.runtime.threads import thread_addresses
from analysis.runtime.types import TypeSystem

_FIRST_WITH_DESCRIPTOR = 9
_CORE_LIBRARY = "System.Private.CoreLib"
_FILE_VERSION = re.compile(r"^(\d+)\.(\d+)\.(\d+)\.\d+")
_PACKAGE_VERSION = re.compile(r"^(\d+\.\d+\.\d+(?:-[\w.]+)?)")


@dataclass(slots=True)
class Runtime:
    """An opened runtime. ``failed_checks`` names, in words, what of the layout did not hold on this dump; ``unmade_checks``
    what could not be checked because the memory it needs is not there (in a mini dump, a good layout has some too)."""

    target: Target
    version: str
    build_known: bool
    modules: list[Module]
    types: TypeSystem
    layout_source: str
    failed_checks: list[str] = field(default_factory=list)
    unmade_checks: list[str] = field(default_factory=list)

    @property
    def doubts(self) -> list[str]:
        """Everything that did not hold or could not be checked."""
        return [*self.failed_checks, *self.unmade_checks]


def open_runtime(core: ElfCore, images: list[MappedImage]) -> Runtime:
    """The runtime of ``core``. Raises Unsupported when there is none that can be read, Corrupt when none of the
    layouts fits what is in the dump."""
    module = find_runtime(core, images)
    descriptor, disbelief = _own_descriptor(core, module)
    attempts, opened = list[str](), list[Runtime]()
    for own in (descriptor, None) if descriptor else (None,):
        for major in _candidates(module):
            if own is not None and major < _FIRST_WITH_DESCRIPTOR:
                continue
            try:
                opened.append(_open(core, module, _layout(major, own)))
                break
            except AnalysisError as error:
                attempts.append(f".NET {major} with {'its own descriptor' if own else 'the bundled layout'}: {error}")
        if opened and not opened[0].doubts:
            break
        if own:
            disbelief = "; ".join(opened[0].doubts if opened else attempts)
    if not opened:
        raise Corrupt(
            "the runtime's structures do not lie where any known layout expects them",
            where="; ".join([disbelief, *attempts] if disbelief and not descriptor else attempts)[:1000],
            remedy="If this is a preview or private build of .NET, its layout is not known here.",
        )
    best = min(opened, key=lambda runtime: len(runtime.doubts))
    if disbelief and best.layout_source != OWN_DESCRIPTOR:
        best.failed_checks.insert(0, f"the descriptor in this dump is not believed: {disbelief}")
    return best


def _layout(major: int, own: Descriptor | None) -> Layout:
    layout = bundled_layout(major)
    return layout.with_descriptor(own) if own else layout


def _candidates(module: RuntimeModule) -> tuple[int, ...]:
    """Major versions to try: what the path or the build id says, else all."""
    if module.path_version:
        major = int(module.path_version.split(".")[0])
        if major not in MAJORS:
            raise Unsupported(
                f"a dump of a .NET {module.path_version} process: recognised, but only .NET 8, 9 and 10 can be read so far"
            )
        return (major,)
    known = tuple(major for major in MAJORS if module.build_id in bundled_layout(major).verified_builds)
    return known or MAJORS


def _own_descriptor(core: ElfCore, module: RuntimeModule) -> tuple[Descriptor | None, str]:
    """The descriptor in the dump, or None; with what speaks against it where it is there and not believed."""
    try:
        own = read_descriptor(core.memory, module.descriptor.address) if module.descriptor else None
    except Corrupt as damage:
        return None, str(damage)
    against = _contradiction(own, module) if own else ""
    return (None, against) if against else (own, "")


def _contradiction(own: Descriptor, module: RuntimeModule) -> str:
    """Where a descriptor gives a field another place than a build that was looked at before is known to have."""
    for major in MAJORS:
        layout = bundled_layout(major)
        if major < _FIRST_WITH_DESCRIPTOR or module.build_id not in layout.verified_builds:
            continue
        for name, fields in own.types.items():
            for field_name, offset in fields.items():
                if layout.types.get(name, {}).get(field_name, offset) != offset:
                    return f"it has {name}.{field_name} at {offset}, which is elsewhere in this build"
    return ""


def _open(core: ElfCore, module: RuntimeModule, layout: Layout) -> Runtime:
    """Try one layout. Raises when its anchors or CoreLib do not fit; lesser failures are listed in the result."""
    found = read_globals(core.memory, module.dac_table.address, module.dac_table.size, layout)
    target = Target(core.memory, layout, found, module)
    modules = read_modules(target)
    version = _check_core_library(modules, layout.major)
    types = TypeSystem(target, modules)
    known = layout.verified_builds.get(module.build_id)
    runtime = Runtime(target, module.path_version or known or version, known is not None, modules, types, layout.source)
    for subject, check in _CHECKS.items():
        try:
            problem = check(runtime)
        except MemoryFault as fault:
            runtime.unmade_checks.append(f"{subject}: {fault}")
        except AnalysisError as error:
            runtime.failed_checks.append(f"{subject}: {error}")
        else:
            runtime.failed_checks += [problem] if problem else []
    return runtime


def _check_core_library(modules: list[Module], major: int) -> str:
    """The version CoreLib's metadata names. Raises Corrupt when the first modules do not contain a fitting CoreLib."""
    for module in modules[:4]:
        metadata = module.metadata
        if metadata is None or module.assembly_name != _CORE_LIBRARY:
            continue
        if metadata.assembly_version.split(".")[0] != str(major):
            raise Corrupt(f"{_CORE_LIBRARY} has version {metadata.assembly_version}", where=f"layout of .NET {major}")
        return version_of(metadata.custom_version_attributes(), metadata.assembly_version)
    raise Corrupt(f"{_CORE_LIBRARY} is not the first of {len(modules)} modules", where=f"layout of .NET {major}")


def version_of(attributes: dict[str, str], assembly_version: str) -> str:
    """``8.0.33`` from ``8.0.33+<commit>``, or ``10.0.12`` from the file version ``10.0.1226.42308``, whose third part is
    patch * 100 + year."""
    package = _PACKAGE_VERSION.match(attributes.get("AssemblyInformationalVersion", ""))
    if package and package.group(1).count(".") == 2 and int(package.group(1).split(".")[2].split("-")[0]) < 100:
        return package.group(1)
    file = _FILE_VERSION.match(attributes.get("AssemblyFileVersion", ""))
    if file:
        return f"{file.group(1)}.{file.group(2)}.{int(file.group(3)) // 100}"
    return ".".join(assembly_version.split(".")[:2])


def _check_type_round_trip(runtime: Runtime) -> str:
    """System.String's method table names its module and token, and the module's map leads back to it."""
    types = runtime.types
    info = types.info(types.string_method_table)
    if info.module and info.module.method_table_of(info.token & 0xFFFFFF) == types.string_method_table:
        return ""
    return "the map of types of the core library does not lead back to System.String"


def _check_threads(runtime: Runtime) -> str:
    """The thread list has as many entries as the runtime counts, and the finalizer thread is one of them."""
    target = runtime.target
    addresses, problem = thread_addresses(target)
    if not problem and target.global_pointer("FinalizerThread") not in addresses:
        problem = "the finalizer thread is not in the list of threads"
    return problem


def _check_free_type(runtime: Runtime) -> str:
    """The type of free blocks has one-byte components and a base size of 24 bytes."""
    info = runtime.types.info(runtime.types.free_method_table)
    return "" if (info.base_size, info.component_size) == (24, 1) else "the type of free heap blocks has an unexpected size"


#: What is checked on every dump: subject, and the check, which returns what is wrong or an empty string.
_CHECKS = {
    "System.String": _check_type_round_trip,
    "the list of threads": _check_threads,
    "the type of free heap blocks": _check_free_type,
}
