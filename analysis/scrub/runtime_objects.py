"""Numbers in the runtime's own objects in native memory that other readers look at and this one does not: how far an assembly is
loaded, how long the name of an image is, which version of a method's code is which, how many ids threads were given.

Nothing else is kept of these objects but what this reader reads and what points into memory: the C library clears no block that
it hands out, so a field that the runtime does not use holds what lay there before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from analysis.contracts.target import Target
from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.runtime.code_versions import versions_of
from analysis.runtime.loader import domain_assemblies
from analysis.scrub.intervals import Intervals, intervals

_NUMBER_BYTES = 4


def numbers_for_other_readers(dump: Dump) -> Intervals:
    """Addresses of these numbers, where the layout has them: how far assemblies are loaded up to .NET 9 their entry in the domain
    says, then the assembly itself."""
    target = dump.runtime.target
    dispenser = target.memory.try_pointer(target.globals.get("ThinlockThreadIdDispenser", 0))
    found = list(_fields(target, "IdDispenser", [dispenser or 0], ("HighestId",)))
    found += _fields(target, "DomainAssembly", domain_assemblies(target), ("Level",))
    found += _fields(target, "NativeCodeVersionNode", _code_versions(dump), ("Flags",))
    for module in dump.runtime.modules:
        found += _of_module(target, module.address)
    return intervals(found)


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


def _of_module(target: Target, module: int) -> Iterator[tuple[int, int]]:
    """What a Module leads to, as far as it can be followed."""
    try:
        yield from _fields(target, "Assembly", [target.pointer(module, "Module", "Assembly")], ("Level",))
        assembly = target.pointer(module, "Module", "PEAssembly")
        image = target.pointer(assembly, "PEAssembly", "PEImage") if assembly else 0
        yield from _fields(target, "PEImage", [image], ("FileNameSize", "FileNameFlags"))
    except AnalysisError:
        return


def _fields(target: Target, type_name: str, addresses: Iterable[int], names: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """The fields of these names in objects of a type, as far as the layout has them."""
    places = [target.layout.offset(type_name, name) for name in names if target.layout.has(type_name, name)]
    for address in addresses:
        if address:
            yield from ((address + place, address + place + _NUMBER_BYTES) for place in places)
