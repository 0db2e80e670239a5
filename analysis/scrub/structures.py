"""What the runtime's own structures need outside the heap: everything that this reader reads of them, and text they hold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analysis.dump import Dump
from analysis.graph.gc_descriptors import read_descriptors
from analysis.graph.roots import collect_roots
from analysis.heap.walk import HeapWalk
from analysis.insight.execution import Execution
from analysis.memory.reader import Memory
from analysis.runtime.code import CodeMap
from analysis.runtime.type_columns import read_method_tables
from analysis.scrub.intervals import Intervals, contains, intervals
from analysis.scrub.metadata import place_of_metadata
from analysis.scrub.paths import kept_from

_UTF16_BYTES, _WORD_BYTES = 2, 8
_LARGEST_VARIABLE_BYTES, _LARGEST_ZEROED_BYTES = 128, 1 << 20


def read_structures(dump: Dump, walked: HeapWalk | None) -> None:
    """Read once everything that an analysis reads outside the heap, so that a memory which remembers can tell."""
    execution = Execution(dump, walked)
    _ = execution.graph, execution.exceptions, execution.crash, execution.doing
    _ = CodeMap(dump.runtime.target).maps()
    _ = [(module.name, module.assembly_name, place_of_metadata(dump, module)) for module in dump.runtime.modules]
    references = (one for stack in dump.stacks for frame in stack.frames for one in frame.objects)
    # An interior one points into an object or anywhere else: nothing there says what it is.
    referred = {one.object for one in references if not one.interior}
    for address in referred:
        dump.named_fields.type_name(address)
    if walked is not None:
        collect_roots(dump, walked)
        for method_table in walked.types.method_tables[1:]:
            dump.runtime.types.name(method_table)
    else:
        tables = sorted({dump.named_fields.method_table(address) for address in referred} - {0})
        read_descriptors(dump.core.memory, dump.runtime.types, read_method_tables(dump.runtime.target, tables))


def named_variables(dump: Dump) -> Intervals:
    """Addresses of the runtime's global variables that its table for debuggers names, each up to the next one. How long one is
    no table tells: other readers look at more of them than this one."""
    target = dump.runtime.target
    image, table = target.runtime.image, target.runtime.dac_table
    slots = np.frombuffer(target.memory.try_read(table.address, table.size & -_WORD_BYTES) or b"", np.int64)
    # A variable lies in the runtime's own image or behind it, where what is not in the file is kept.
    starts = np.unique(slots[(slots >= image.base) & (slots < image.end + _LARGEST_ZEROED_BYTES)])
    ends = np.minimum(starts + _LARGEST_VARIABLE_BYTES, np.append(starts[1:], np.iinfo(np.int64).max))
    return intervals(np.column_stack([starts, ends]))


def with_whole_pointers(memory: Memory, addresses: Intervals, known: Intervals) -> Intervals:
    """The same, with all of each word of which it holds a part when that word points into ``known``: who reads one byte of a
    pointer must not tear it."""
    words = np.unique(np.concatenate([addresses[:, 0], addresses[:, 1] - 1]) & -_WORD_BYTES)
    values, there = memory.gather(words.view(np.uint64), np.uint64)
    points = there & contains(known, values)
    return intervals(np.concatenate([addresses, np.column_stack([words, words + _WORD_BYTES])[points]]))


@dataclass(slots=True)
class ModulePaths:
    """Addresses of the names that are kept of modules' paths, and what takes the place of their directories."""

    names: Intervals
    fills: list[tuple[int, bytes]] = field(default_factory=list)


def module_paths(dump: Dump) -> ModulePaths:
    """Paths that the runtime keeps of managed modules."""
    names: list[tuple[int, int]] = []
    fills: list[tuple[int, bytes]] = []
    for module in dump.runtime.modules:
        if module.path_address and module.path:
            keep = kept_from(module.path)
            size = len(module.path.encode("utf-16-le", "surrogatepass"))
            start = module.path_address + len(module.path[:keep].encode("utf-16-le", "surrogatepass"))
            names.append((start, module.path_address + size))
            fills.append((module.path_address, "/".encode("utf-16-le") * ((start - module.path_address) // _UTF16_BYTES)))
    return ModulePaths(intervals(names), fills)
