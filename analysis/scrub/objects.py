"""What is kept of objects on the heap: header, method table, length, references, and the fields of the reviewed list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError, Corrupt, Unsupported
from analysis.graph.gc_descriptors import read_descriptors
from analysis.graph.references import ObjectPlaces
from analysis.heap.walk import HeapWalk
from analysis.kernels import scrub as kernels
from analysis.kernels.scrub import KEPT_COLUMNS, PLAN_COLUMNS
from analysis.runtime.type_columns import read_method_tables
from analysis.runtime.types import TypeInfo
from analysis.scrub.intervals import Intervals, intervals
from analysis.scrub.ledger import Claim, Ledger
from analysis.scrub.structural_arrays import copy_structural_arrays
from analysis.scrub.structural_fields import is_structural

OBJECT_RULES = (
    "headers and method tables of objects",
    "lengths of strings, arrays and free blocks",
    "references of objects",
    "structural fields of objects",
)
_WORD = 8
_STRING_LENGTH_BYTES, _ARRAY_LENGTH_BYTES, _FREE_LENGTH_BYTES, _BOUND_BYTES = 4, 4, 8, 8
_ARRAY_HEADER_BYTES = 24
_MAXIMUM_DEPTH = 8
_U8 = npt.NDArray[np.uint8]


@dataclass(slots=True)
class _Plans:
    """``plans`` int64[types, 6] and ``fields`` int64[n, 2], as the kernel wants them."""

    plans: npt.NDArray[np.int64]
    fields: npt.NDArray[np.int64]


def heap_spans(dump: Dump) -> Intervals:
    """Bytes of the file that hold the heap: from the header of each segment's first object to the end of what is committed."""
    spans: list[tuple[int, int]] = []
    heap = dump.gc_heap
    for segment in () if isinstance(heap, AnalysisError) else heap.segments:
        parts = dump.core.memory.segments.between(segment.start - _WORD, max(segment.committed_end, segment.end))
        spans += [(offset, offset + end - start) for start, end, offset in parts]
    return intervals(spans)


def refuse_what_cannot_be_copied(dump: Dump, walked: HeapWalk) -> None:
    """Raises Corrupt or Unsupported for a heap of which not every object is understood."""
    heap = dump.gc_heap
    if isinstance(heap, AnalysisError):
        raise heap
    if heap.problems or not heap.structures_valid:
        found = heap.problems[0] if heap.problems else "the dump was taken in the middle of a garbage collection"
        raise Corrupt("the heap cannot be read as a whole, so no scrubbed copy can be made", where=found[:500])
    if walked.gaps:
        gap = walked.gaps[0]
        raise Corrupt(
            f"{len(walked.gaps):,} stretches of the heap hold no understood objects, so no scrubbed copy can be made",
            where=f"{gap.start:#x} to {gap.end:#x}: {gap.cause}",
        )
    words = dump.core.memory.words()
    if walked.captured.words.ctypes.data != words.ctypes.data:
        raise Unsupported("the heap lies torn apart in the file, so no scrubbed copy can be made")
    for segment in heap.segments:
        if segment.start < segment.end and not dump.core.memory.try_read(segment.start - _WORD, 2 * _WORD):
            raise Corrupt("the first header of a heap segment is not in the dump", where=f"segment at {segment.start:#x}")


def copy_objects(dump: Dump, walked: HeapWalk, claim: Claim, copied: _U8, ledger: Ledger) -> None:
    """Write the objects of a walked heap into ``copied`` and what was kept into the ledger."""
    columns, types = walked.columns, walked.types
    count = len(types)
    tables = read_method_tables(dump.runtime.target, types.method_tables[1:])
    descriptors = read_descriptors(dump.core.memory, dump.runtime.types, tables)
    if descriptors.problems:
        raise Corrupt("where objects hold references cannot be told", where=descriptors.problems[0][:500])
    plans = _plans(dump, walked)
    places = ObjectPlaces(columns.address)
    words = dump.core.memory.words()
    kept = np.zeros(KEPT_COLUMNS, np.int64)
    kernels.copy_objects(
        words, copied[: 8 * len(words)].view(np.uint64), words.view(np.uint8), copied, walked.jobs, 0, len(walked.jobs),
        columns.type, columns.address, descriptors.programs, descriptors.runs, types.base_size[:count],
        types.component_size[:count], plans.plans, plans.fields, places.low, places.chunks, kept,
    )  # fmt: skip
    kept[kernels.FIELDS] += copy_structural_arrays(dump, walked, copied)
    claimed = int((claim.spans[:, 1] - claim.spans[:, 0]).sum())
    for rule, size in zip(OBJECT_RULES, kept.tolist(), strict=True):
        ledger.enter(rule, size, 0)
    ledger.enter(claim.rule, 0, claimed - int(kept.sum()))


def _plans(dump: Dump, walked: HeapWalk) -> _Plans:
    plans = np.zeros((len(walked.types), PLAN_COLUMNS), np.int64)
    plans[0, kernels.LENGTH_BYTES] = _FREE_LENGTH_BYTES
    rows: list[tuple[int, int]] = []
    types = dump.runtime.types
    for kind, method_table in enumerate(walked.types.method_tables[1:], 1):
        info = types.info(method_table)
        if method_table == types.string_method_table:
            plans[kind, kernels.LENGTH_BYTES] = _STRING_LENGTH_BYTES
        elif info.is_array:
            bounds = info.base_size - _ARRAY_HEADER_BYTES if info.base_size > _ARRAY_HEADER_BYTES else 0
            plans[kind, kernels.LENGTH_BYTES] = _BOUND_BYTES + bounds if bounds else _ARRAY_LENGTH_BYTES
            found = _of_elements(dump, info)
            plans[kind, kernels.ELEMENTS_AT] = info.base_size - _WORD
            plans[kind, kernels.ELEMENT_FROM], plans[kind, kernels.ELEMENT_TO] = len(rows), len(rows) + len(found)
            rows += found
        else:
            found = _structural(dump, method_table, _WORD, 0)
            plans[kind, kernels.FIELDS_FROM], plans[kind, kernels.FIELDS_TO] = len(rows), len(rows) + len(found)
            rows += found
    return _Plans(plans, np.array(rows, np.int64).reshape(-1, 2))


def _of_elements(dump: Dump, info: TypeInfo) -> list[tuple[int, int]]:
    """Structural fields of an element, for an array of structs."""
    if info.element & 3 or not dump.runtime.types.info(info.element).is_value_type:
        return []
    return _structural(dump, info.element, 0, 1)


def _structural(dump: Dump, method_table: int, at: int, depth: int) -> list[tuple[int, int]]:
    """(first byte, bytes) of the structural fields of a type, those of structs within it too."""
    found: list[tuple[int, int]] = []
    for field in dump.fields.instance_fields(method_table):
        place = at + field.offset
        if is_structural(field.declared_by, field.name) and field.element != "Struct":
            found.append((place, field.size))
        elif field.element == "Struct" and field.value_type and depth < _MAXIMUM_DEPTH:
            found += _structural(dump, field.value_type, place, depth + 1)
    return found
