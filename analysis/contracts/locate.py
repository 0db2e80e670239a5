"""Find the runtime among the files mapped into the process."""

from __future__ import annotations

import re
from dataclasses import dataclass

from analysis.errors import Corrupt, MemoryFault, Unsupported
from analysis.memory.elf_core import ElfCore
from analysis.memory.elf_image import ElfImage, Symbol
from analysis.memory.images import MappedImage

_SHARED_FRAMEWORK = re.compile(r"/Microsoft\.NETCore\.App/(\d+)\.(\d+)\.(\d+)[^/]*/")


@dataclass(frozen=True, slots=True)
class RuntimeModule:
    """The module that holds CoreCLR.

    ``path_version`` is the version its path names (framework-dependent programs) or an empty string.
    ``deployment`` is framework-dependent, self-contained or single-file.
    """

    image: MappedImage
    build_id: str
    dac_table: Symbol
    descriptor: Symbol | None
    path_version: str
    deployment: str


def find_runtime(core: ElfCore, images: list[MappedImage]) -> RuntimeModule:
    """The runtime of ``core``. Raises Unsupported, saying why there is none that can be read, or Corrupt for half a file."""
    libraries = [image for image in images if image.name == "libcoreclr.so"]
    for image in [*libraries, *(i for i in images if i not in libraries and not i.name.endswith((".dll", ".so")))]:
        found = _try_runtime(core, image, single_file=image not in libraries)
        if found:
            return found
    lost = sum(end - start for start, end in core.memory.segments.truncated)
    if lost and (libraries or not core.mappings):
        raise Corrupt(
            f"the file ends early: {lost:,} bytes of the process are missing, and those of the .NET runtime are among them",
            where=f"{core.size_bytes:,} bytes of file",
            remedy="It was cut off while it was written or copied. Copy or take it again, and check free disk space.",
        )
    raise Unsupported(_explain(core, images, libraries))


def _try_runtime(core: ElfCore, image: MappedImage, *, single_file: bool) -> RuntimeModule | None:
    try:
        elf = ElfImage(core.memory, image.base)
        table = elf.symbol("g_dacTable") if elf.valid else None
    except MemoryFault:
        return None
    if table is None:
        return None
    match = _SHARED_FRAMEWORK.search(image.path)
    version = ".".join(match.groups()) if match else ""
    deployment = "single-file" if single_file else "framework-dependent" if match else "self-contained"
    descriptor = elf.symbol("DotNetRuntimeContractDescriptor")
    return RuntimeModule(image, elf.build_id(), table, descriptor, version, deployment)


def _explain(core: ElfCore, images: list[MappedImage], libraries: list[MappedImage]) -> str:
    """Why no runtime could be read: the sentence for the person."""
    if libraries:
        match = _SHARED_FRAMEWORK.search(libraries[0].path)
        if match and int(match.group(1)) < 8:
            name = (
                f".NET {match.group(1)}.{match.group(2)}"
                if int(match.group(1)) >= 5
                else f".NET Core {match.group(1)}.{match.group(2)}"
            )
            return (
                f"a dump of a {name} process ({'.'.join(match.groups())}): "
                "recognised, but only .NET 8, 9 and 10 can be read so far"
            )
        return (
            "the process ran .NET, but the pages of libcoreclr.so that say where its data lies are not in the dump. "
            "Take the dump with createdump, dotnet-dump or dotnet-monitor; a core written by the kernel or gcore leaves them out"
        )
    if any(image.name in ("libclrjit.so", "libmscordaccore.so", "System.Private.CoreLib.dll") for image in images):
        return "the process ran .NET, but libcoreclr.so is not among its mapped files"
    if not core.mappings:
        return (
            "the core holds no list of mapped files, so a .NET runtime cannot be found in it. "
            "Take the dump with createdump, dotnet-dump or dotnet-monitor"
        )
    return f"no .NET runtime in this process ({len(images)} mapped files): it is not a dump of a .NET program"
