"""The runtime's own objects in native memory: its threads, assemblies, images, loader allocators, and what it knows of code.

They are kept as a whole, since other readers look at more of their fields than this one. How long each is, the C library's heap
says: a block begins with its size, and the head of the next one says that it is in use (``malloc/malloc.c`` in glibc).
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts.target import Target
from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.runtime.code import CodeMap
from analysis.runtime.code_versions import versions_of
from analysis.runtime.loader import domain_assemblies
from analysis.scrub.intervals import Intervals, intervals

_HEAD_BYTES, _ALIGNMENT = 16, 16
_PREVIOUS_IN_USE, _FLAGS = 1, 7
_SMALLEST_BLOCK, _LARGEST_BLOCK = 32, 1 << 14


def runtime_objects(dump: Dump) -> Intervals:
    """Addresses of these objects with the heads of their blocks; those whose length cannot be told are left out."""
    return intervals(filter(None, (_block(dump.runtime.target, at) for at in set(_addresses(dump)) - {0})))


def _block(target: Target, address: int) -> tuple[int, int] | None:
    """From the head of the block that begins at ``address`` to the head of the next one."""
    memory = target.memory
    head = memory.try_pointer(address - 8) if address % _ALIGNMENT == 0 else None
    size = (head or 0) & ~_FLAGS
    if size % _ALIGNMENT or not _SMALLEST_BLOCK <= size <= _LARGEST_BLOCK:
        return None
    following = memory.try_pointer(address - 8 + size)
    if not following or not following & _PREVIOUS_IN_USE:
        return None
    return address - 8, address + size


def _addresses(dump: Dump) -> Iterator[int]:
    target = dump.runtime.target
    for name in ("AppDomain", "SystemDomain", "ThreadStore"):
        yield target.memory.try_pointer(target.globals.get(name, 0)) or 0
    for thread in dump.threads.threads:
        yield thread.address
    yield from domain_assemblies(target)
    yield from CodeMap(target).structures()
    yield from _code_versions(dump)
    for module in dump.runtime.modules:
        yield from _of_module(target, module.address)


def _code_versions(dump: Dump) -> Iterator[int]:
    """Versions of the code of the methods that are on stacks."""
    target = dump.runtime.target
    if not target.layout.has("NativeCodeVersionNode", "NativeCode"):
        return
    methods = {frame.code.method.address for stack in dump.stacks for frame in stack.frames if frame.code}
    for method in methods - {0}:
        try:
            yield from versions_of(target, method)
        except AnalysisError:
            continue


def _of_module(target: Target, module: int) -> Iterator[int]:
    """What a Module leads to, as far as it can be followed."""
    try:
        yield module
        yield target.pointer(module, "Module", "LoaderAllocator")
        yield target.pointer(module, "Module", "Assembly")
        assembly = target.pointer(module, "Module", "PEAssembly")
        yield assembly
        image = target.pointer(assembly, "PEAssembly", "PEImage") if assembly else 0
        yield image
        yield target.pointer(image, "PEImage", "LoadedImageLayout") if image else 0
        yield target.pointer(assembly, "PEAssembly", "AssemblyBinder") if assembly else 0
    except AnalysisError:
        return
