"""Tables of the heap: objects, instances by type, segments, allocation contexts, gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.heap.instances import Instances
from analysis.heap.walk import Gap, ObjectColumns
from analysis.index.store import IndexWriter
from analysis.runtime.gc_heap import GcHeap


def write_objects(writer: IndexWriter, objects: ObjectColumns, instances: Instances, gaps: list[Gap]) -> None:
    """objects, oversize_objects, instances and gaps."""
    writer.table("objects", {
        "address": objects.address, "type": objects.type, "size": objects.size, "generation": objects.generation,
    })  # fmt: skip
    writer.table("oversize_objects", {"object": objects.oversize[:, 0], "size": objects.oversize[:, 1]})
    writer.table("instances", {"by_address": instances.by_address, "by_size": instances.by_size})
    writer.table("gaps", {
        "segment": [gap.segment for gap in gaps], "start": [gap.start for gap in gaps],
        "end": [gap.end for gap in gaps], "cause": [gap.cause for gap in gaps],
    })  # fmt: skip


def write_segments(writer: IndexWriter, heap: GcHeap, objects: ObjectColumns | None) -> None:
    """segments and allocation_contexts; without a walk the object columns of segments are zero."""
    segments = heap.segments
    tally: npt.NDArray[np.int64] = objects.tally if objects else np.zeros((len(segments), 3), np.int64)
    columns: dict[str, Any] = {
        "heap": [s.heap for s in segments],
        "kind": [s.kind for s in segments],
        "start": [s.start for s in segments],
        "end": [s.end for s in segments],
        "committed_end": [s.committed_end for s in segments],
        "reserved_end": [s.reserved_end for s in segments],
        "generation_bounds": [[edge for pair in s.generations for edge in pair] for s in segments],
        "objects": tally[:, 0],
        "live_bytes": tally[:, 1] - tally[:, 2],
        "free_bytes": tally[:, 2],
        "first_object": objects.first if objects else np.zeros(len(segments), np.int64),
    }
    writer.table("segments", columns)
    writer.table("allocation_contexts", {
        "pointer": [pointer for pointer, _ in heap.allocation_contexts],
        "limit": [limit for _, limit in heap.allocation_contexts],
    })  # fmt: skip
