"""Tables and facts about what keeps memory alive: references, roots, paths, dominators, strings, collections.

A *node* of the graph is an object, a root or a group of roots, numbered one after the other::

    0 … objects-1                      rows of objects
    objects … +roots-1                 rows of roots, each the slot that refers to an object
    then … +root_groups-1              rows of root_groups: a thread, the statics of a type, the handles of a kind
    START                              the one node behind all groups

Every live object has a parent (on a shortest path from START) and a dominator; both are nodes.
"""

from __future__ import annotations

from analysis.index.columns import D1, D2, DataClass, Table, column

#: ``objects.parent`` and ``objects.dominator`` of an object that nothing keeps alive.
NOT_LIVE = 0xFFFFFFFF

#: Values of ``roots.kind`` and ``root_groups.kind``. Handle kinds carry the runtime's own names.
ROOT_KINDS = (
    "stack", "static", "thread static", "strong handle", "pinned handle", "async pinned handle", "ref-counted handle",
    "sized ref handle", "ready for finalization", "runtime",
)  # fmt: skip
STACK, STATIC, THREAD_STATIC, STRONG, PINNED, ASYNC_PINNED, REF_COUNTED, SIZED_REF, READY, RUNTIME_ROOT = range(len(ROOT_KINDS))

#: Values of ``handles.kind``: HandleType in ``gc/gcinterface.h``.
HANDLE_KINDS = (
    "WeakShort", "WeakLong", "Strong", "Pinned", "Variable", "RefCounted", "Dependent", "AsyncPinned", "SizedRef",
    "WeakWinRT", "WeakInterior", "CrossReference",
)  # fmt: skip

#: ``references.slot`` of references that lie in no field: of a dependent handle's primary to its secondary object, and
#: of an object of a collectible type to its loader allocator.
DEPENDENT, LOADER_ALLOCATOR = 0xFFFFFFFF, 0xFFFFFFFE

#: Values of ``groups.partition``. Load contexts are there when some can be unloaded; "" is what no such context holds.
PARTITIONS = ("namespace", "assembly", "load context")

#: Values of ``collections.kind``.
COLLECTION_KINDS = (
    "List", "Dictionary", "HashSet", "Queue", "Stack", "LinkedList", "SortedDictionary", "SortedList", "SortedSet",
    "PriorityQueue", "ConcurrentDictionary", "ConcurrentQueue", "ConcurrentStack", "ConcurrentBag", "Channel", "MemoryCache",
    "StringBuilder", "ImmutableArray", "ConditionalWeakTable", "ArrayList", "Hashtable",
)  # fmt: skip
#: ``collections.capacity`` where the kind has none.
NO_CAPACITY = 0xFFFFFFFF

_GRAPH = (
    Table(
        "reference_offsets",
        "Where the references of each object begin; one row more than objects. Empty when no graph was built.",
        (column("first", "u4", "first row of references of this object; it ends where the next one's begin"),),
    ),
    Table(
        "references",
        "What every object refers to, dead ones too, in the order of its slots; empty slots are left out.",
        (
            column("target", "u4", "row of objects"),
            column(
                "slot", "u4", "eight-byte word of the object that holds it (0 is the method table), DEPENDENT or LOADER_ALLOCATOR"
            ),
        ),
    ),
    Table(
        "referrer_offsets",
        "Where the referrers of each object begin; one row more than objects.",
        (column("first", "u4", "first row of referrers"),),
    ),
    Table("referrers", "Which objects refer to each object.", (column("source", "u4", "row of objects"),)),
    Table(
        "retention",
        "One row per object, along objects.",
        (
            column("parent", "u4", "node before it on a shortest path from START, or NOT_LIVE"),
            column("dominator", "u4", "node without which it would be unreachable, or NOT_LIVE"),
            column("retained", "u8", "shallow sizes of all it dominates and its own; 0 when not live", "bytes"),
            column("depth", "u4", "hops from the root on that path, 1 for what a root refers to itself; 0 when not live", "hops"),
            column("root", "u4", "row of roots at which the path begins, or NOT_LIVE"),
        ),
    ),
    Table(
        "dominated_offsets",
        "Where the nodes that each node dominates begin; a row for each node, START, and one more.",
        (column("first", "u4", "first row of dominated"),),
    ),
    Table(
        "dominated", "Nodes directly dominated by each node.", (column("node", "u4", "an object, a root or a group of roots"),)
    ),
    Table(
        "reference_slots",
        "Names of the places in which objects of a type hold references, sorted by type and offset.",
        (
            column("type", "i4", "row of types"),
            column("offset", "u4", "from the method table pointer; of an array from the start of its element", "bytes"),
            column("name", "text", "field, with those it lies in: _entries, _state._task; empty for an array of references"),
            column("declared_by", "text", "name of the type that declares the field"),
        ),
    ),
    Table(
        "field_references",
        "References added up by the types at both ends and the field, sorted by target type, most first.",
        (
            column("target_type", "i4", "row of types"),
            column("source_type", "i4", "row of types"),
            column("offset", "i8", "as in reference_slots; DEPENDENT or LOADER_ALLOCATOR where it is no field"),
            column("references", "u8", "references of this kind", "references"),
            column("live_references", "u8", "those from live objects", "references"),
        ),
    ),
)

_ROOTS = (
    Table(
        "root_groups",
        "Roots that belong together: those of a thread, the static fields of a type, the handles of a kind …",
        (
            column("kind", "u1", "index into ROOT_KINDS; a thread's stack and thread statics are one group of kind stack"),
            column("name", "text", "declaring type, kind of handle …; empty for a thread"),
            column("thread", "i4", "row of threads, -1 for none"),
            column("first_root", "u4", "first row of roots; its roots follow each other"),
            column("roots", "u4", "rows of roots", "roots"),
            column("objects", "u4", "different objects they refer to", "objects"),
            column("retained", "u8", "what would be free without all of them", "bytes"),
        ),
    ),
    Table(
        "roots",
        "Places outside the heap that keep objects alive, sorted by group.",
        (
            column("group", "u4", "row of root_groups"),
            column("kind", "u1", "index into ROOT_KINDS"),
            column("object", "u4", "row of objects it refers to"),
            column("address", "u8", "of the slot; 0 for a register"),
            column("name", "text", "Type.field of a static; register or place on the stack; empty for a handle"),
            column("frame", "i8", "row of frames, -1 for none"),
            column("interior", "?", "points into the object, not at it"),
            column("pinned", "?", "the object may not move"),
            column("conservative", "?", "only looks like a reference: the dump lacks what would tell for sure"),
            column("retained", "u8", "what would be free without this one", "bytes"),
        ),
    ),
    Table(
        "handles",
        "All handles of the runtime's handle table, weak ones too.",
        (
            column("kind", "u1", "index into HANDLE_KINDS"),
            column("address", "u8", "of the handle"),
            column("object", "u4", "row of objects, NOT_LIVE where it refers to none"),
            column("secondary", "u4", "second object of a dependent handle, NOT_LIVE for none"),
        ),
    ),
    Table(
        "finalizer_queue",
        "Objects whose finalizer has yet to run.",
        (
            column("object", "u4", "row of objects"),
            column("ready", "?", "found dead by the collector: it waits for the finalizer thread"),
        ),
    ),
)

_MERGED = tuple(
    Table(
        name,
        about,
        (
            column("parent", "i4", "row of this table, always above this one; -1 for the first row, which stands for START"),
            column("type", "i4", "row of types; -1 where root_group or root says what it is"),
            column("root_group", "i4", "row of root_groups, -1 for none"),
            column("root", "i4", "row of roots (the first one of its name in its group), -1 for none"),
            column("objects", "u8", "objects that are merged in this row", "objects"),
            column("size", "u8", "their shallow sizes", "bytes"),
            column("total_objects", "u8", "with all rows below", "objects"),
            column("total_size", "u8", "with all rows below", "bytes"),
            column("representative", "u4", "one of the nodes in this row"),
        ),
    )
    for name, about in (
        ("merged_paths", "Shortest root paths of all live objects, merged by the types along them; recursion is folded."),
        ("merged_dominators", "The dominator tree, merged by type from the roots down; recursion is folded."),
    )
)

_CONTENTS = (
    Table(
        "groups",
        "Namespaces, assemblies and load contexts; the same figures for types stand in retained_types.",
        (
            column("partition", "text", "entry of PARTITIONS"),
            column(
                "name",
                "text",
                "name of the namespace or assembly; of a context its assemblies and the end of its loader allocator's address",
            ),
            column("objects", "u8", "live objects", "objects"),
            column("size", "u8", "their shallow sizes", "bytes"),
            column("retained", "u8", "what would be free without all of them", "bytes"),
        ),
    ),
    Table(
        "retained_types",
        "One row per type, along types.",
        (
            column("live_count", "u8", "live objects of exactly this type", "objects"),
            column("live_size", "u8", "their shallow sizes", "bytes"),
            column("live_count_by_generation", "u8", "live_count, one per entry of GENERATIONS", "objects", width=6),
            column("retained", "u8", "what would be free without all of them", "bytes"),
        ),
    ),
    Table(
        "string_groups",
        "Strings that occur more than once, those that waste most first (at most 10,000 rows). That values are equal is "
        "told to those who see their marks too.",
        (
            column("characters", "u4", "length of one", "characters", data_class=D2),
            column("size", "u4", "shallow size of one", "bytes", data_class=D2),
            column("count", "u8", "strings with this text", "objects", data_class=D2),
            column("wasted", "u8", "sizes of all but one", "bytes", data_class=D2),
            column("object", "u4", "row of objects: the first of them", data_class=D2),
        ),
    ),
    Table(
        "string_holders",
        "Fields that refer to the strings of string_groups (the first 1,000 groups), most references first within a group.",
        (
            column("group", "u4", "row of string_groups", data_class=D2),
            column("source_type", "i4", "row of types", data_class=D2),
            column("offset", "i8", "as in reference_slots", data_class=D2),
            column("references", "u8", "references to strings of the group", "references", data_class=D2),
        ),
    ),
    Table(
        "string_lengths",
        "Strings by length.",
        (
            column("lower", "u4", "shortest length counted here", "characters"),
            column("upper", "u4", "longest length counted here", "characters"),
            column("count", "u8", "strings", "objects"),
            column("size", "u8", "their shallow sizes", "bytes"),
        ),
    ),
    Table(
        "collections",
        "Objects that are collections of the framework, in address order.",
        (
            column("object", "u4", "row of objects"),
            column("kind", "u1", "index into COLLECTION_KINDS"),
            column("count", "u4", "items in it; characters of a StringBuilder", "items"),
            column("capacity", "u4", "items that fit before it grows, or NO_CAPACITY", "items"),
            column("storage", "u4", "row of objects: the array that holds the items, NOT_LIVE for none"),
        ),
    ),
)

RETENTION_TABLES = (*_GRAPH, *_ROOTS, *_MERGED, *_CONTENTS)

#: facts/retention.json; ``built`` is false, with the reason, for a dump without a heap.
_RETENTION: dict[str, DataClass] = {
    "built": D1,
    "reason": D1,
    "objects": D1,
    "live.objects": D1,
    "live.bytes": D1,
    "dead.objects": D1,  # free blocks left out
    "dead.bytes": D1,
    "references": D1,  # slots that are not empty
    "unresolved_references": D1,  # of them, those that lead to no object
    "roots.kind": D1,  # entry of ROOT_KINDS
    "roots.count": D1,
    "conservative_roots": D1,
    "groups_exact": D1,  # false: what types, namespaces and assemblies retain are lower bounds
    "problems": D1,  # what could not be read, in words
    "strings.count": D1,
    "strings.bytes": D1,
    "strings.duplicates": D2,  # strings that are copies of another
    "strings.wasted": D2,  # bytes in them
    "seconds.name": D1,
    "seconds.seconds": D1,
}

RETENTION_FACTS: dict[str, dict[str, DataClass]] = {"retention": _RETENTION}
