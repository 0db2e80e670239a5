"""Static fields that hold numbers: they lie among the runtime's own structures, and their values are wiped there.

Types are found where the loader registered them, and by what they look like in its heaps: a method table whose class points
back at it, or at the one that its class belongs to.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError, Unsupported
from analysis.memory.reader import Memory
from analysis.runtime.statics import StaticFields
from analysis.scrub.intervals import Intervals, intervals

_WORD_BYTES = 8
_TAGS = np.uint64(3)


def number_statics(dump: Dump, walked_types: list[int], loader_heaps: Intervals) -> Intervals:
    """Addresses of all static fields with numbers in them. Raises Unsupported where the loader's heaps are there to be copied and
    hold a type whose fields cannot be told."""
    found: list[tuple[int, int]] = []
    statics = StaticFields(dump.runtime.types, dump.fields)
    others = np.unique(np.concatenate([np.array(walked_types, np.uint64), _types_in(dump, loader_heaps)]))
    registered = set(statics.loaded_types(walked_types).tolist())
    for method_table in statics.types_with_statics(others):
        try:
            base = statics.base_of_numbers(method_table)
            fields = dump.fields.number_statics(method_table) if base else []
        except AnalysisError as error:
            if len(loader_heaps) and (method_table in registered or _is_of_a_module(dump, method_table)):
                raise Unsupported(
                    "static fields of a type cannot be told from what is round them, so no scrubbed copy can be made",
                    where=f"method table {method_table:#x}: {error.what}",
                ) from error
            continue
        found += [(base + offset, base + offset + size) for offset, size in fields]
    return intervals(found)


def _is_of_a_module(dump: Dump, method_table: int) -> bool:
    """Other structures that point at themselves look like method tables; no module has them."""
    try:
        return dump.runtime.types.info(method_table).module is not None
    except AnalysisError:
        return False


def _types_in(dump: Dump, blocks: Intervals) -> npt.NDArray[np.uint64]:
    """Addresses in these blocks at which a method table lies."""
    layout, memory = dump.runtime.target.layout, dump.core.memory
    link, back = (np.uint64(layout.offset(*place)) for place in (("MethodTable", "EEClassOrCanonMT"), ("EEClass", "MethodTable")))
    low, high = (np.uint64(edge) for edge in (blocks[0, 0], blocks[-1, 1])) if len(blocks) else (np.uint64(0), np.uint64(0))
    found = [np.zeros(0, np.uint64)]
    for start, end in blocks.tolist():
        for left, right, _ in memory.segments.between(start, end):
            words = np.frombuffer(memory.read(left, (right - left) & ~7), np.uint64)
            place = np.uint64(left) + np.arange(len(words), dtype=np.uint64) * np.uint64(_WORD_BYTES)
            likely = (words >= low) & (words < high)
            found.append(_method_tables(memory, place[likely] - link, words[likely], link, back))
    return np.concatenate(found)


def _method_tables(
    memory: Memory, address: npt.NDArray[np.uint64], tagged: npt.NDArray[np.uint64], link: np.uint64, back: np.uint64
) -> npt.NDArray[np.uint64]:
    """Those of ``address`` whose class, named by the word ``tagged``, belongs to them or to the one they share it with."""
    shared = tagged & _TAGS != 0
    canonical = np.where(shared, tagged & ~_TAGS, address)
    ee_class, there = memory.gather(canonical + link, np.uint64)
    owner, there_too = memory.gather(ee_class + back, np.uint64)
    found: npt.NDArray[np.uint64] = address[there & there_too & (ee_class & _TAGS == 0) & (owner == canonical)]
    return found
