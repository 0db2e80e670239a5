"""Synthetic indexes written through ``IndexWriter``: small and complete, without a heap, with hostile names, and huge.

They have the shape of real ones, with a graph where the spec says so, so that pages can be tested on what no dump at hand
holds: names made to break pages, a heap with damage in it, a hundred thousand types, ten million instances of one type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.index.schema import GENERATIONS, TABLES
from analysis.index.store import IndexWriter
from tests.execution_builder import SHOP_PDB, Execution, thread_columns, write_execution
from tests.graph_builder import GraphSpec, write_graph
from tests.secrets_builder import SECRET_VARIABLE, write_no_secrets, write_secrets

HEAP_START = 0x7F00_0000_0000
METHOD_TABLES = 0x7E00_0000_0000

#: Names that have broken pages: markup, attributes, formulas, direction overrides, NULs, line breaks, stacked accents, length.
HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "Evil.<b>Bold</b>.{{ 7*7 }}{% debug %}",
    "Right.To\u202eLeft.\u2066Isolated",
    "Nul\x00and\x1bescape\r\nline",
    "Zero\u200bWidth\ufeff",
    "=cmd|'/c calc'!A1",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "\tTab",
    "Zalgo" + "e" + "\u0301" * 400,
    "Long." + "A" * 1_000_000,
    "Dots" + ".x" * 4000,
    "&lt;b&gt;entity&lt;/b&gt; <br> $\\frac{1}{2}$",
    "lone\udc80surrogate".encode("utf-8", "replace").decode(),
)


@dataclass
class TypeSpec:
    """One type: how many instances of which size in which generation."""

    name: str
    count: int
    size: int
    generation: int = 0
    module: int = 0
    kind: str = "class"


@dataclass
class IndexSpec:
    """What to write. The defaults make a small complete heap dump in which no references were followed."""

    types: list[TypeSpec] = field(
        default_factory=lambda: [
            TypeSpec("System.String", 40, 48, 2, kind="string"),
            TypeSpec("System.Collections.Generic.Dictionary<System.String, Shop.Order>", 7, 80, 1),
            TypeSpec("Shop.Order", 25, 32, 0, module=1),
            TypeSpec("System.Byte[]", 3, 90_000, 3, kind="array"),
            TypeSpec("Free", 5, 24, 2, module=-1, kind="free"),
        ]
    )
    execution: Execution = field(default_factory=Execution)
    graph: GraphSpec | None = None
    gaps: list[str] = field(default_factory=list)
    module_path: str = "/srv/secret-place/Shop.dll"
    command_line: str = "/srv/secret-place/shop --token abc"
    #: Environment variables with a secret; none: the scan found nothing at all.
    variables: Sequence[str] = (SECRET_VARIABLE,)
    secrets_left_out: int = 0


def small_index(directory: Path, spec: IndexSpec | None = None) -> Path:
    """A small complete index, or one made to measure by ``spec``."""
    spec = spec or IndexSpec()
    writer = IndexWriter(directory, "test")
    _write_types(writer, spec.types)
    _write_fields(writer, spec.types)
    objects = _objects(spec.types)
    _write_objects(writer, spec.types, objects)
    _write_segments(writer, objects, spec.gaps)
    _write_modules(writer, spec)
    _write_threads(writer, spec.execution)
    _write_graph(writer, spec, objects)
    _write_secrets(writer, spec, len(objects["address"]))
    total, size = int(sum(t.count for t in spec.types)), int(sum(t.count * t.size for t in spec.types))
    writer.facts("summary", _summary(spec, total, size, len(spec.types)))
    writer.facts("coverage", {"items": [_item("heap", "complete", f"Heap complete, {total} objects"), *_threads_item(spec)]})
    writer.finish()
    return directory


def mini_index(directory: Path) -> Path:
    """The index of a mini dump: threads and modules, no heap, and the reason."""
    spec = IndexSpec(types=[])
    writer = IndexWriter(directory, "test")
    _write_modules(writer, spec)
    _write_threads(writer, spec.execution)
    summary = _summary(spec, 0, 0, 0)
    for absent in ("heap", "generations", "gc"):
        del summary[absent]
    summary["dump"]["kind"] = "mini"
    _write_secrets(writer, spec, 0)
    writer.facts("summary", summary)
    reason = "a mini dump does not hold the managed heap"
    remedy = "Take a heap dump: createdump --withheap PID."
    writer.facts("coverage", {"items": [_item("heap", "none", "No heap", reason, remedy), *_threads_item(spec)]})
    writer.finish()
    return directory


def hostile_index(directory: Path) -> Path:
    """Types, threads, modules, fields, roots, methods, locks and exceptions with every hostile name."""
    types = [TypeSpec(name, 3, 24 + 8 * number, number % 3) for number, name in enumerate(HOSTILE_NAMES)]
    return small_index(
        directory,
        IndexSpec(
            types=types,
            execution=Execution(HOSTILE_NAMES, texts=HOSTILE_NAMES, crash="unhandled exception"),
            graph=GraphSpec(fields=HOSTILE_NAMES, texts=HOSTILE_NAMES, chain=10),
            gaps=[HOSTILE_NAMES[0]],
            module_path=HOSTILE_NAMES[1],
            variables=HOSTILE_NAMES,
        ),
    )


def huge_index(directory: Path, types: int = 100_000, instances: int = 10_000_000, chain: int = 1_000_000) -> Path:
    """``types`` types of which the first has ``instances`` instances, ``chain`` of them in a list; the others have one each."""
    specs = [TypeSpec("Huge.Row", instances, 40, 0)]
    specs += [
        TypeSpec(f"Company{n % 97}.Product{n % 1009}.Feature.Type{n}<System.String, Company{n % 13}.Item>", 1, 24 + n % 4096, 2)
        for n in range(types - 1)
    ]
    graph = GraphSpec([f"Company{n % 97}.Product{n}.s_field" for n in range(20_000)], [f"_field{n}" for n in range(100)], chain)
    execution = Execution([f"thread {n}" for n in range(2003)], folded=37_000)
    return small_index(directory, IndexSpec(types=specs, execution=execution, graph=graph))


def _write_types(writer: IndexWriter, types: list[TypeSpec]) -> None:
    counts, sizes = np.array([t.count for t in types], np.uint64), np.array([t.size for t in types], np.uint64)
    by_generation = np.zeros((len(types), len(GENERATIONS)), np.uint64)
    by_generation[np.arange(len(types)), [t.generation for t in types]] = counts
    writer.table(
        "types",
        {
            "method_table": METHOD_TABLES + np.arange(len(types), dtype=np.uint64) * 0x100,
            "name": [t.name for t in types],
            "module": [t.module for t in types],
            "base_type_name": ["System.Object"] * len(types),
            "token": [0x02000001 + n for n in range(len(types))],
            "base_size": sizes,
            "component_size": [2 if t.kind == "string" else 0 for t in types],
            "kind": [t.kind for t in types],
            "finalizable": [False] * len(types),
            "collectible": [False] * len(types),
            "contains_pointers": [t.kind == "class" for t in types],
            "count": counts,
            "size": counts * sizes,
            "count_by_generation": by_generation,
            "size_by_generation": by_generation * sizes[:, None],
            "largest": sizes,
            "first_instance": np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.uint64),
        },
    )


def _write_fields(writer: IndexWriter, types: list[TypeSpec]) -> None:
    rows = [(n, t, static) for n, t in enumerate(types) for static in (False, True)]
    writer.table(
        "fields",
        {
            "type": [n for n, _, _ in rows],
            "name": [f"{'s' if static else ''}_{t.name[:40]}" for _, t, static in rows],
            "type_name": ["System.String" if static else t.name for _, t, static in rows],
            "element": ["Class"] * len(rows),
            "offset": [0] * len(rows),
            "size": [8] * len(rows),
            "is_static": [static for _, _, static in rows],
            "declared_by": [t.name for _, t, _ in rows],
        },
    )


def _objects(types: list[TypeSpec]) -> dict[str, npt.NDArray[Any]]:
    """Objects type after type, one behind the other in memory; the sizes of one type fall with the address."""
    of_type = np.repeat(np.arange(len(types), dtype=np.uint32), [t.count for t in types])
    size = np.array([t.size for t in types], np.uint32)[of_type]
    generation = np.array([t.generation for t in types], np.uint8)[of_type]
    address = HEAP_START + np.concatenate([[0], np.cumsum(size, dtype=np.uint64)[:-1]]).astype(np.uint64)
    return {"address": address, "type": of_type, "size": size, "generation": generation}


def _write_objects(writer: IndexWriter, types: list[TypeSpec], objects: dict[str, npt.NDArray[Any]]) -> None:
    writer.table("objects", objects)
    ids = np.arange(len(objects["address"]), dtype=np.uint32)
    writer.table("instances", {"by_address": ids, "by_size": ids})


def _write_segments(writer: IndexWriter, objects: dict[str, npt.NDArray[Any]], gaps: list[str]) -> None:
    start = int(objects["address"][0])
    end = int(objects["address"][-1] + objects["size"][-1])
    writer.table(
        "segments",
        {
            "heap": [0, 0],
            "kind": ["Ephemeral", "Large"],
            "start": [start, end + 0x10000],
            "end": [end, end + 0x10000],
            "committed_end": [end + 4096, end + 0x12000],
            "reserved_end": [end + 0x8000, end + 0x20000],
            "generation_bounds": [[start, start + 64, start + 64, start + 64, start + 64, end], [0] * 6],
            "objects": [len(objects["address"]), 0],
            "live_bytes": [(end - start) * 3 // 4, 0],
            "free_bytes": [(end - start) // 4, 0],
            "first_object": [0, 0],
        },
    )
    writer.table("allocation_contexts", {"pointer": [end], "limit": [end + 512]})
    writer.table(
        "gaps",
        {"segment": [0] * len(gaps), "start": [start + 32] * len(gaps), "end": [start + 96] * len(gaps), "cause": gaps},
    )


def _write_modules(writer: IndexWriter, spec: IndexSpec) -> None:
    names = ["System.Private.CoreLib.dll", "Shop.dll"]
    paths = ["/usr/share/dotnet/System.Private.CoreLib.dll", spec.module_path]
    values: dict[str, Any] = {column.name: [0, 0] for column in TABLES["modules"].columns}
    values.update(
        name=names,
        path=paths,
        assembly=["System.Private.CoreLib", "Shop"],
        version=["10.0.0.0", "1.2.3.0"],
        image_base=[0x7D0000000000, 0x7D1000000000],
        size=[15_894_528, 20_480],
        mvid=["11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"],
        pdb_id=["11111111-2222-3333-4444-555555555555,1", SHOP_PDB],
        pdb_path=["", spec.module_path],
        dynamic=[False, True],
    )
    writer.table("modules", values)
    native = {
        "name": ["libcoreclr.so"],
        "path": [spec.module_path],
        "base": [0x7C0000000000],
        "size": [7_000_000],
        "build_id": ["ab" * 20],
        "version": ["10.0.12"],
    }
    writer.table("native_modules", native)


def _write_threads(writer: IndexWriter, execution: Execution) -> None:
    names = list(execution.names)
    total = len(names)
    write_execution(writer, execution)
    writer.table(
        "threads",
        {
            "address": [0x7B0000000000 + 0x1000 * n for n in range(total)],
            "managed_id": list(range(1, total + 1)),
            "os_id": [4000 + n for n in range(total)],
            "name": names,
            "state": [0x1020] * total,
            "state_words": ["waiting" if n == 0 else "in native code, background" for n in range(total)],
            "gc_mode": ["Preemptive"] * total,
            "roles": ["main" if n == 0 else "pool worker, background" for n in range(total)],
            "alive": [n != total - 1 for n in range(total)],
            "finalizer": [False] * total,
            **thread_columns(execution),
        },
    )


def _write_graph(writer: IndexWriter, spec: IndexSpec, objects: dict[str, npt.NDArray[Any]]) -> None:
    if spec.graph is not None:
        names, kinds = [t.name for t in spec.types], [t.kind for t in spec.types]
        write_graph(writer, spec.graph, objects, names, kinds, spec.execution.alive)


def _write_secrets(writer: IndexWriter, spec: IndexSpec, objects: int) -> None:
    if spec.variables:
        write_secrets(writer, spec.variables, objects, len(spec.types), spec.secrets_left_out)
    else:
        write_no_secrets(writer)


def _summary(spec: IndexSpec, objects: int, size: int, types: int) -> dict[str, Any]:
    generations = []
    for number, name in enumerate(GENERATIONS):
        own = [t for t in spec.types if t.generation == number]
        free = [t for t in own if t.kind == "free"]
        generations.append(
            {
                "name": name,
                "count": sum(t.count for t in own),
                "size": sum(t.count * t.size for t in own),
                "free_count": sum(t.count for t in free),
                "free_size": sum(t.count * t.size for t in free),
                "committed_bytes": 65536,
            }
        )
    return {
        "dump": {
            "format": "ELF core",
            "kind": "heap",
            "written_by": "createdump",
            "size_bytes": 95_166_464,
            "architecture": "x64",
            "operating_system": "Linux",
        },
        "process": {"pid": 4000, "name": "shop", "path": spec.module_path, "command_line": spec.command_line, "threads": 9},
        "runtime": {"name": ".NET", "version": "10.0.12", "major": 10, "deployment": "framework-dependent", "build_known": True},
        "gc": {"server": False, "heaps": 1, "regions": False, "structures_valid": True},
        "heap": {
            "objects": objects,
            "bytes": size,
            "free_objects": sum(t.count for t in spec.types if t.kind == "free"),
            "free_bytes": sum(t.count * t.size for t in spec.types if t.kind == "free"),
            "address_sum": "0x1",
            "types": types,
            "committed_bytes": size + 4096,
            "reserved_bytes": size + 65536,
        },
        "generations": generations,
        "threads": {"managed": len(spec.execution.names), "dead": 1, "background": 2, "pool_workers": 2, "with_exception": 1},
        "analysis": {"seconds": 0.5, "stages": [{"name": "open", "seconds": 0.1}], "engine_version": "test"},
    }


def _item(topic: str, state: str, title: str, reason: str = "", remedy: str = "") -> dict[str, str]:
    return {"topic": topic, "state": state, "title": title, "reason": reason, "remedy": remedy}


def _threads_item(spec: IndexSpec) -> list[dict[str, str]]:
    return [_item("threads", "complete", f"All {len(spec.execution.names)} managed threads")]
