"""What the engine found, in the keys and units of the reference reader's answers, so that anyone can compare the two.

Keys follow ClrMD's names. A dump without a heap gives empty heap facts, as the reference does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.walk import HeapWalk, ObjectColumns
from analysis.index.schema import GENERATIONS
from analysis.reference_locks import exception_facts, lock_facts
from analysis.reference_stacks import thread_facts
from analysis.runtime.fields import Field
from analysis.runtime.gc_heap import Segment

_FIELDS_OF_TYPES = 400
_OBJECT_SAMPLE_STEP, _OBJECT_SAMPLE_ROWS = 97, 3000
_STRING_SAMPLE_STEP, _STRING_SAMPLE_ROWS, _STRING_SAMPLE_CHARACTERS = 41, 1000, 200


def reference_facts(dump: Dump) -> dict[str, Any]:
    """All facts of the reference's schema that the engine knows."""
    runtime, walked = dump.runtime, dump.walk()
    heap = None if isinstance(dump.gc_heap, AnalysisError) else dump.gc_heap
    facts: dict[str, Any] = {
        "clr": {
            "version": runtime.version, "flavor": "Core", "module": runtime.target.runtime.image.name,
            "module_base": hex(runtime.target.runtime.image.base), "server": bool(heap and heap.server),
            "heaps": heap.heaps if heap else 0, "arch": "X64", "os": "LINUX", "pid": dump.core.process.pid,
        },
        "native_modules": [{"name": i.name, "image_base": hex(i.base), "size": i.size} for i in dump.images],
        "segments": [_segment(s) for s in heap.segments] if heap else [],
        "allocation_contexts": [[hex(a), hex(b)] for a, b in heap.allocation_contexts] if heap else [],
        "threads": thread_facts(dump, walked),
        "modules": [
            {
                "name": m.name or None, "image_base": hex(m.image_base), "Size": m.size, "dynamic": m.dynamic,
                "pe": not m.dynamic,
                "address": hex(m.address), "metadata": hex(m.metadata_address), "metadata_length": m.metadata_size,
            }
            for m in runtime.modules
        ],
    }  # fmt: skip
    facts.update(_heap_facts(dump, walked))
    facts.update(lock_facts(dump, walked))
    facts["exceptions"] = exception_facts(dump, walked)
    return facts


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": hex(segment.start), "end": hex(segment.end), "kind": segment.kind, "heap": segment.heap,
        "committed": hex(segment.committed_end), "reserved": hex(segment.reserved_end),
        **{f"gen{number}": [hex(edge) for edge in pair] for number, pair in enumerate(segment.generations)},
    }  # fmt: skip


def _heap_facts(dump: Dump, walked: HeapWalk | None) -> dict[str, Any]:
    if walked is None:
        nothing = {"objects": 0, "bytes": 0, "address_sum": "0x0", "free_objects": 0, "free_bytes": 0}
        return {"heap": nothing, "generations": {}, "types": [], "fields": {}, "objects_sample": [], "strings_sample": [],
                "string_count": 0}  # fmt: skip
    count, objects = len(walked.types), walked.columns
    totals, sizes = walked.types.counts[:count].sum(axis=1), walked.types.sizes[:count].sum(axis=1)
    # The reference breaks ties by the address of a type's first object.
    kinds, first_seen = np.unique(objects.type, return_index=True)
    order = kinds[np.lexsort((first_seen, -sizes[kinds]))].tolist()
    return {
        "heap": {
            "objects": walked.object_count, "bytes": int(sizes.sum()), "address_sum": hex(objects.address_sum),
            "free_objects": int(totals[0]), "free_bytes": int(sizes[0]),
        },
        "generations": {
            name: {"count": int(walked.types.counts[:count, g].sum()), "size": int(walked.types.sizes[:count, g].sum())}
            for g, name in enumerate(GENERATIONS) if walked.types.counts[:count, g].any()
        },
        "types": [_type(dump, walked, kind, int(totals[kind]), int(sizes[kind])) for kind in order],
        "fields": _fields(dump, walked, order),
        "objects_sample": _objects(dump, walked, objects),
        **_strings(dump, walked, objects),
    }  # fmt: skip


def _type(dump: Dump, walked: HeapWalk, kind: int, count: int, size: int) -> dict[str, Any]:
    types, address = dump.runtime.types, walked.types.method_tables[kind]
    info = types.info(address)
    core = dump.runtime.modules[0].name
    free = kind == 0
    return {
        "method_table": hex(address), "name": types.name(address), "count": count, "size": size,
        "module": core if free else info.module.name if info.module else None,
        "base_type": types.name(info.parent) if info.parent else None,
        "static_size": info.base_size, "component_size": info.component_size,
        "finalizable": info.finalizable, "collectible": info.collectible, "token": 0 if free else info.token,
    }  # fmt: skip


def _fields(dump: Dump, walked: HeapWalk, order: list[int]) -> dict[str, Any]:
    types = dump.runtime.types
    plain = [kind for kind in order if kind and not types.info(walked.types.method_tables[kind]).is_array]
    found = {}
    for kind in plain[:_FIELDS_OF_TYPES]:
        address = walked.types.method_tables[kind]
        found[hex(address)] = {
            "name": types.name(address),
            "instance": [_field(field) for field in dump.fields.instance_fields(address)],
            "statics": [field.name for field in dump.fields.static_fields(address) if not field.is_thread_static],
        }
    return found


def _field(field: Field) -> dict[str, Any]:
    return {"Name": field.name, "Offset": field.offset, "type": field.type_name, "element": field.element, "Size": field.size}


def _objects(dump: Dump, walked: HeapWalk, objects: ObjectColumns) -> list[dict[str, Any]]:
    rows = range(0, len(objects.address), _OBJECT_SAMPLE_STEP)[:_OBJECT_SAMPLE_ROWS]
    names, oversize = dump.runtime.types, dict(objects.oversize.tolist())
    return [
        {
            "address": hex(int(objects.address[row])), "type": names.name(walked.types.method_tables[int(objects.type[row])]),
            "size": oversize.get(row, int(objects.size[row])),
        }
        for row in rows
    ]  # fmt: skip


def _strings(dump: Dump, walked: HeapWalk, objects: ObjectColumns) -> dict[str, Any]:
    tables = walked.types.method_tables
    kind = tables.index(dump.runtime.types.string_method_table) if dump.runtime.types.string_method_table in tables else -1
    rows = np.flatnonzero(objects.type == kind).tolist() if kind >= 0 else []
    sample = rows[_STRING_SAMPLE_STEP - 1 :: _STRING_SAMPLE_STEP][:_STRING_SAMPLE_ROWS]
    found = []
    for row in sample:
        address = int(objects.address[row])
        text = dump.objects.string(address)
        length = dump.runtime.target.u32(address, "String", "m_StringLength")
        found.append({"address": hex(address), "value": text[:_STRING_SAMPLE_CHARACTERS], "length": length})
    return {"strings_sample": found, "string_count": len(rows)}
