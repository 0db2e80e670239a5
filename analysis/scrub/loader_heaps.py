"""Memory in which the runtime keeps types, methods and dictionaries: the heaps of its loader allocators.

Source: ``inc/loaderheap.h`` in dotnet/runtime. A loader allocator holds its heaps as parts of itself; each begins with a list of
blocks: {next block, address, size in bytes, whether to release}. Where those lists lie differs between versions, so they are
looked for: a list counts when every block of it is whole pages of memory that the dump holds something of.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from analysis.contracts.target import Target
from analysis.errors import AnalysisError
from analysis.scrub.intervals import Intervals, intervals

_PAGE = 0x1000
_BLOCK = struct.Struct("<4Q")
#: How much of a loader allocator is searched; those of .NET 8 to 10 are smaller.
_SEARCHED_BYTES = 2048
_MAXIMUM_BLOCKS = 1_000_000
_LARGEST_BLOCK = 1 << 30


@dataclass(frozen=True, slots=True)
class LoaderHeaps:
    """Addresses of the blocks, and of the lists that name them."""

    blocks: Intervals
    lists: Intervals


def loader_heaps(target: Target, modules: list[int]) -> LoaderHeaps:
    """The heaps of the loader allocators of ``modules`` (addresses of Module structures)."""
    found: dict[int, tuple[int, int]] = {}
    for allocator in {_allocator(target, module) for module in modules} - {0}:
        for place in range(allocator, allocator + _SEARCHED_BYTES, 8):
            first = target.memory.try_pointer(place)
            if first:
                found |= _blocks(target, first)
    return LoaderHeaps(intervals(found.values()), intervals((at, at + _BLOCK.size) for at in found))


def _allocator(target: Target, module: int) -> int:
    try:
        return target.pointer(module, "Module", "LoaderAllocator")
    except AnalysisError:
        return 0


def _blocks(target: Target, first: int) -> dict[int, tuple[int, int]]:
    """Place in the list -> block, for the list that begins at ``first``; none when it is no such list."""
    found: dict[int, tuple[int, int]] = {}
    at = first
    while at and at not in found and len(found) < _MAXIMUM_BLOCKS:
        raw = target.memory.try_read(at, _BLOCK.size) if at & 7 == 0 else None
        if raw is None:
            return {}
        following, start, size, _ = _BLOCK.unpack(raw)
        whole_pages = start and start % _PAGE == 0 and size and size % _PAGE == 0
        if not whole_pages or size > _LARGEST_BLOCK or not target.memory.segments.between(start, start + size):
            return {}
        found[at] = start, start + size
        at = following
    return found
