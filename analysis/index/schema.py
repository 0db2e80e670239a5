"""What an index holds: every table, column and fact, with its type, unit and data class.

An index is a directory::

    manifest.json                       schema version, engine version, tables with row counts, files with sizes
    columns/<table>.<column>.npy        one array per column, all columns of a table equally long
    columns/<table>.<column>.text       text columns: UTF-8 bytes, with <table>.<column>.offsets.npy (rows + 1, uint64)
    facts/<name>.json                   small documents: ``summary``, ``coverage``, ``crash``, ``findings``, ``retention`` …
    symbols/<pdb id>.lines.npz          lines of PDBs that lie inside the modules themselves (analysis.index.lines)

Tables of threads, stacks and locks are described in ``analysis.index.execution``, those of references, roots and
dominators in ``analysis.index.retention``, those of what looks like a secret in ``analysis.index.secrets``.

Data classes (who may see a field) follow docs/security.md: D0 that a dump exists, D1 structure, D2 context,
D3 values, D4 raw bytes. An index holds nothing above D2: values are read from the dump when somebody asks. A field that is not
listed here counts as D4 and may not leave the server.
"""

from __future__ import annotations

from analysis.index.columns import D1, D2, Column, DataClass, Table, column
from analysis.index.execution import EXECUTION_FACTS, EXECUTION_TABLES
from analysis.index.retention import RETENTION_FACTS, RETENTION_TABLES
from analysis.index.secrets import SECRET_FACTS, SECRET_TABLES

__all__ = ["FACTS", "GENERATIONS", "SCHEMA_VERSION", "TABLES", "Column", "DataClass", "Table"]

SCHEMA_VERSION = 7

#: The order of the second axis of ``count_by_generation`` and ``size_by_generation``, and the value of ``objects.generation``.
GENERATIONS = ("Generation0", "Generation1", "Generation2", "Large", "Pinned", "Frozen")


_TABLES = (
    Table(
        "types",
        "One row per method table that has objects on the heap; the row number is the type id.",
        (
            column("method_table", "u8", "address of the MethodTable"),
            column("name", "text", "full name as ClrMD writes it; Free for freed blocks"),
            column("module", "i4", "row of modules, -1 where unknown"),
            column("base_type_name", "text", "full name of the base type, empty where there is none"),
            column("token", "u4", "metadata token 0x02xxxxxx; 0x02000000 for arrays, 0 for Free"),
            column("base_size", "u4", "fixed part of an instance", "bytes"),
            column("component_size", "u4", "bytes per element, 0 where instances are not arrays or strings", "bytes"),
            column("kind", "text", "class, struct, array, string, enum, delegate, free or unknown"),
            column("finalizable", "?", "instances have a finalizer"),
            column("collectible", "?", "lives in a collectible load context"),
            column("contains_pointers", "?", "instances hold object references"),
            column("count", "u8", "objects of exactly this type", "objects"),
            column("size", "u8", "their shallow sizes added up", "bytes"),
            column("count_by_generation", "u8", "count, one per entry of GENERATIONS", "objects", width=len(GENERATIONS)),
            column("size_by_generation", "u8", "size, one per entry of GENERATIONS", "bytes", width=len(GENERATIONS)),
            column("largest", "u8", "the biggest instance", "bytes"),
            column("first_instance", "u8", "first row of this type in instances; it has count rows"),
        ),
    ),
    Table(
        "fields",
        "Fields of every type of types, sorted by type, instance fields first, inherited ones included.",
        (
            column("type", "i4", "row of types"),
            column("name", "text", "name from metadata"),
            column("type_name", "text", "declared type, generic parameters filled in where known"),
            column("element", "text", "element type as metadata names it: Int32, Class, String, SZArray, Struct …"),
            column("offset", "i4", "from the end of the method table pointer (instance fields)", "bytes"),
            column("size", "u4", "bytes the field takes in the object", "bytes"),
            column("is_static", "?", "a static field; offset is then within its statics block"),
            column("declared_by", "text", "name of the type that declares it"),
        ),
    ),
    Table(
        "objects",
        "Every object of the managed heap in address order; the row number is the object id.",
        (
            column("address", "u8", "address of the object (its method table pointer)"),
            column("type", "u4", "row of types"),
            column("size", "u4", "shallow size; 0xFFFFFFFF: look in oversize_objects", "bytes"),
            column("generation", "u1", "index into GENERATIONS"),
        ),
    ),
    Table(
        "oversize_objects",
        "Objects of 4 GiB and more (almost always empty).",
        (column("object", "u8", "row of objects"), column("size", "u8", "shallow size", "bytes")),
    ),
    Table(
        "instances",
        "Object ids grouped by type: rows types.first_instance … + types.count belong to one type.",
        (
            column("by_address", "u4", "row of objects, ascending address within the type"),
            column("by_size", "u4", "row of objects, descending size within the type, then ascending address"),
        ),
    ),
    Table(
        "segments",
        "Regions or segments of the managed heap, in walk order.",
        (
            column("heap", "i4", "number of the GC heap (0 for workstation GC)"),
            column("kind", "text", "Generation0, Generation1, Generation2, Ephemeral, Large, Pinned or Frozen"),
            column("start", "u8", "first object"),
            column("end", "u8", "end of the allocated part"),
            column("committed_end", "u8", "end of the committed part"),
            column("reserved_end", "u8", "end of the reserved part"),
            column("generation_bounds", "u8", "start and end of generation 0, 1, 2 in it", width=6),
            column("objects", "u8", "objects in it, free blocks included", "objects"),
            column("live_bytes", "u8", "bytes in objects that are not free blocks", "bytes"),
            column("free_bytes", "u8", "bytes in free blocks", "bytes"),
            column("first_object", "u8", "row of objects of its first object"),
        ),
    ),
    Table(
        "allocation_contexts",
        "Unused tails of the heap that a thread or heap keeps to allocate from; they hold no objects.",
        (column("pointer", "u8", "next allocation"), column("limit", "u8", "end of the usable part")),
    ),
    Table(
        "gaps",
        "Parts of segments that could not be walked.",
        (
            column("segment", "i4", "row of segments"),
            column("start", "u8", "first address not understood"),
            column("end", "u8", "where the walk went on, or the end of the segment"),
            column("cause", "text", "what was found there, in words"),
        ),
    ),
    Table(
        "modules",
        "Managed modules in the order the runtime lists them.",
        (
            column("address", "u8", "address of the Module structure"),
            column("name", "text", "file name, or the assembly name of a dynamic module"),
            column("path", "text", "full path", data_class=D2),
            column("assembly", "text", "simple name of the assembly"),
            column("version", "text", "assembly version"),
            column("image_base", "u8", "start of the image, 0 for a dynamic module"),
            column("size", "u8", "size of the image", "bytes"),
            column("metadata", "u8", "address of the metadata, 0 where there is none"),
            column("metadata_size", "u8", "size of the metadata", "bytes"),
            column("mvid", "text", "module version id (GUID)"),
            column("pdb_id", "text", "GUID and age of the matching PDB, empty where none is named"),
            column("pdb_path", "text", "path of the PDB as the compiler wrote it", data_class=D2),
            column("dynamic", "?", "made at run time (Reflection.Emit)"),
            column("types", "u4", "types with objects on the heap", "types"),
            column("heap_size", "u8", "bytes of heap objects of its types", "bytes"),
        ),
    ),
    Table(
        "native_modules",
        "Files mapped into the process that are not managed assemblies.",
        (
            column("name", "text", "file name"),
            column("path", "text", "full path", data_class=D2),
            column("base", "u8", "load address"),
            column("size", "u8", "bytes of address space", "bytes"),
            column("build_id", "text", "GNU build id, empty where unreadable"),
            column("version", "text", "version where the path or file names one"),
        ),
    ),
    Table(
        "threads",
        "Managed threads in the order the runtime lists them.",
        (
            column("address", "u8", "address of the Thread structure"),
            column("managed_id", "u4", "managed thread id"),
            column("os_id", "u4", "operating system thread id, 0 for a dead or unstarted thread"),
            column("name", "text", "Thread.Name, empty where none was given", data_class=D2),
            column("state", "u4", "raw state bits"),
            column("state_words", "text", "state in words, separated by commas"),
            column("gc_mode", "text", "Cooperative or Preemptive"),
            column("roles", "text", "main, finalizer, pool worker, background … separated by commas"),
            column("alive", "?", "neither dead nor unstarted"),
            column("finalizer", "?", "the finalizer thread"),
            column("exception_type", "text", "type of the current exception, empty where there is none"),
            column("exception_address", "u8", "address of the current exception object, 0 where there is none"),
            column("first_frame", "u8", "first row of its frames, the innermost one"),
            column("frames", "u4", "rows of frames that belong to it"),
            column("stopped", "text", "why the walk of its stack ended early, empty when it is whole"),
            column("stack_group", "i4", "group of threads with the same methods on their stacks, -1 without frames"),
            column("merged_leaf", "i4", "row of merged_stacks where its stack ends, -1 without managed frames"),
            column("top_own_frame", "i8", "row of frames: the innermost one in the program's own code, -1 for none"),
            column("doing", "text", "what it does, one sentence; threads by managed id, locks by type and address"),
        ),
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in (*_TABLES, *EXECUTION_TABLES, *RETENTION_TABLES, *SECRET_TABLES)}

#: Fields of facts/summary.json as dotted paths, and their data class. Lists are described by the fields of their items.
_SUMMARY: dict[str, DataClass] = {
    "dump.format": DataClass.D0_INDEX,  # "ELF core"
    "dump.kind": DataClass.D0_INDEX,  # full, heap, mini, triage or unknown
    "dump.written_by": D1,  # "createdump", "kernel or gcore"
    "dump.size_bytes": DataClass.D0_INDEX,
    "dump.architecture": D1,  # x64
    "dump.operating_system": D1,  # Linux
    "process.pid": D1,
    "process.name": D1,
    "process.path": D2,
    "process.command_line": D2,
    "process.signal": D1,  # "SIGABRT (6)" or null
    "process.threads": D1,  # operating system threads
    "runtime.name": D1,  # ".NET"
    "runtime.version": D1,  # "10.0.12", or "10.0" where only the major is known
    "runtime.major": D1,
    "runtime.deployment": D1,  # framework-dependent, self-contained, single-file
    "runtime.module": D1,  # libcoreclr.so
    "runtime.build_id": D1,
    "runtime.layout_source": D1,  # where the structure offsets came from, in words
    "runtime.build_known": D1,  # true when this exact build was verified before
    "gc.server": D1,
    "gc.heaps": D1,
    "gc.regions": D1,
    "gc.structures_valid": D1,
    "heap.objects": D1,  # free blocks included, as ClrMD counts
    "heap.bytes": D1,
    "heap.free_objects": D1,
    "heap.free_bytes": D1,
    "heap.address_sum": D1,  # sum of all object addresses mod 2**64, as 0x…
    "heap.types": D1,
    "heap.committed_bytes": D1,
    "heap.reserved_bytes": D1,
    "generations.name": D1,  # entry of GENERATIONS, present ones only
    "generations.count": D1,
    "generations.size": D1,
    "generations.free_count": D1,
    "generations.free_size": D1,
    "generations.committed_bytes": D1,
    "threads.managed": D1,
    "threads.dead": D1,
    "threads.background": D1,
    "threads.pool_workers": D1,
    "threads.with_exception": D1,
    "analysis.seconds": D1,
    "analysis.stages.name": D1,
    "analysis.stages.seconds": D1,
    "analysis.engine_version": D1,
}

#: Fields of facts/coverage.json: what this dump can and cannot answer.
_COVERAGE: dict[str, DataClass] = {
    "items.topic": D1,  # heap, types, threads, stacks, modules, layout, memory
    "items.state": D1,  # complete, partial or none
    "items.title": D1,  # a short sentence for the strip: "Heap complete, 6,301 objects"
    "items.reason": D1,  # why, empty when complete
    "items.remedy": D1,  # what to do to get more, may be empty
}

FACTS: dict[str, dict[str, DataClass]] = {
    "summary": _SUMMARY, "coverage": _COVERAGE, **EXECUTION_FACTS, **RETENTION_FACTS, **SECRET_FACTS,
}  # fmt: skip
