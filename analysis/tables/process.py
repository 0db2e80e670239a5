"""Tables of the process: managed and native modules, threads."""

from __future__ import annotations

import re

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.index.store import IndexWriter
from analysis.memory.elf_image import ElfImage
from analysis.memory.images import MappedImage
from analysis.runtime.loader import Module
from analysis.tables.types import ModuleUse

_VERSION_IN_NAME = re.compile(r"\.so\.(\d+(?:\.\d+)*)$|-(\d+(?:\.\d+)+)\.so$")
#: Mappings that are not files: shared anonymous memory, such as the runtime's doubly mapped code heaps, and devices.
_NO_FILES = ("/memfd:", "/dev/", "/SYSV")
_VERSION_IN_PATH = re.compile(r"/(\d+\.\d+\.\d+[^/]*)/[^/]+$")


def write_modules(writer: IndexWriter, dump: Dump, use: ModuleUse | None) -> None:
    """modules: everything the runtime has loaded, in its own order."""
    modules = dump.runtime.modules
    views = [module.code_view for module in modules]
    writer.table("modules", {
        "address": [m.address for m in modules],
        "name": [m.name for m in modules],
        "path": [m.path for m in modules],
        "assembly": [m.assembly_name for m in modules],
        "version": [m.assembly_version for m in modules],
        "image_base": [m.image_base for m in modules],
        "size": [m.size for m in modules],
        "metadata": [m.metadata_address for m in modules],
        "metadata_size": [m.metadata_size for m in modules],
        "mvid": [m.mvid for m in modules],
        "pdb_id": [view.pdb_id if view else "" for view in views],
        "pdb_path": [view.path if view else "" for view in views],
        "dynamic": [m.dynamic for m in modules],
        "types": [int(use.types[row]) if use else 0 for row in range(len(modules))],
        "heap_size": [int(use.bytes[row]) if use else 0 for row in range(len(modules))],
    })  # fmt: skip


def write_native_modules(writer: IndexWriter, dump: Dump) -> None:
    """native_modules: mapped files that are not managed assemblies."""
    native = native_images(dump.images, dump.runtime.modules)
    writer.table("native_modules", {
        "name": [image.name for image in native],
        "path": [image.path for image in native],
        "base": [image.base for image in native],
        "size": [image.size for image in native],
        "build_id": [_build_id(dump, image) for image in native],
        "version": [_version(image) for image in native],
    })  # fmt: skip


def native_images(images: list[MappedImage], modules: list[Module]) -> list[MappedImage]:
    """Mapped files without the managed assemblies (which may be mapped more than once) and without data files."""
    managed = {module.path for module in modules}
    return [
        image for image in images
        if image.path not in managed and not image.name.endswith(".dll") and not image.path.startswith(_NO_FILES)
    ]  # fmt: skip


def _build_id(dump: Dump, image: MappedImage) -> str:
    try:
        elf = ElfImage(dump.core.memory, image.base)
        return elf.build_id() if elf.valid else ""
    except AnalysisError:
        return ""


def _version(image: MappedImage) -> str:
    match = _VERSION_IN_NAME.search(image.name) or _VERSION_IN_PATH.search(image.path)
    return next((group for group in match.groups() if group), "") if match else ""
