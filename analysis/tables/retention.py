"""Tables of references, roots, paths and dominators."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from analysis.graph.field_references import count_field_references
from analysis.graph.merged_tree import MergedTree
from analysis.graph.retention import Retention
from analysis.graph.slot_names import fields_of_words, name_slots, word_numbers
from analysis.index.retention import NOT_LIVE, ROOT_KINDS
from analysis.index.store import IndexWriter


def write_retention(writer: IndexWriter, retention: Retention) -> None:
    """All tables of the graph, its roots and groups."""
    objects, count = retention.objects, retention.references.count
    writer.table("reference_offsets", {"first": retention.offsets[: objects + 1]})
    writer.table("references", {"target": retention.targets[:count], "slot": retention.slots})
    writer.table("referrer_offsets", {"first": retention.referrer_offsets})
    writer.table("referrers", {"source": retention.referrers})
    writer.table("retention", {
        "parent": retention.parent[:objects], "dominator": retention.dominator[:objects],
        "retained": retention.retained[:objects], "depth": retention.depth,
        "root": retention.first_root,
    })  # fmt: skip
    offsets, grouped = retention.dominated()
    writer.table("dominated_offsets", {"first": offsets})
    writer.table("dominated", {"node": grouped})
    del offsets, grouped  # eight bytes for each object
    _write_roots(writer, retention)
    _write_merged(writer, retention, "merged_paths", retention.merged_paths)
    _write_merged(writer, retention, "merged_dominators", retention.merged_dominators)
    _write_fields(writer, retention)
    _write_groups(writer, retention)


def build_retention(retention: Retention, strings: dict[str, int]) -> dict[str, Any]:
    """facts/retention.json of a dump with a heap."""
    columns, live = retention.walked.columns, retention.live
    live_objects, live_bytes = int(live.sum()), int(retention.retained[retention.start])
    free = retention.walked.types
    total, total_bytes = len(columns.address), int(free.sizes.sum())
    kinds = np.bincount([root.kind for root in retention.resolved.roots], minlength=len(ROOT_KINDS))
    return {
        "built": True,
        "reason": "",
        "objects": total,
        "live": {"objects": live_objects, "bytes": live_bytes},
        "dead": {
            "objects": total - live_objects - int(free.counts[0].sum()),
            "bytes": total_bytes - live_bytes - int(free.sizes[0].sum()),
        },
        "references": retention.references.found,
        "unresolved_references": retention.references.lost,
        "roots": [{"kind": ROOT_KINDS[kind], "count": int(n)} for kind, n in enumerate(kinds) if n],
        "conservative_roots": sum(root.conservative for root in retention.resolved.roots),
        "problems": retention.problems[:100],
        "groups_exact": retention.exact,
        "strings": strings,
        "seconds": [{"name": name, "seconds": round(seconds, 3)} for name, seconds in retention.seconds.items()],
    }


def no_retention(reason: str) -> dict[str, Any]:
    """facts/retention.json of a dump that has no heap to follow references in."""
    return {"built": False, "reason": reason}


def _write_roots(writer: IndexWriter, retention: Retention) -> None:
    resolved, objects = retention.resolved, retention.objects
    roots, groups = resolved.roots, resolved.groups
    own = retention.retained[objects : objects + len(roots)]
    writer.table("roots", {
        "group": resolved.group, "kind": [root.kind for root in roots], "object": resolved.object,
        "address": [root.address for root in roots], "name": [root.name for root in roots],
        "frame": [root.frame for root in roots], "interior": [root.interior for root in roots],
        "pinned": [root.pinned for root in roots], "conservative": [root.conservative for root in roots], "retained": own,
    })  # fmt: skip
    first = resolved.first
    writer.table("root_groups", {
        "kind": [group.kind for group in groups], "name": [group.name for group in groups],
        "thread": [group.thread for group in groups], "first_root": first[:-1], "roots": np.diff(first),
        "objects": [len(np.unique(resolved.object[a:b])) for a, b in pairwise(first)],
        "retained": retention.retained[objects + len(roots) : retention.start],
    })  # fmt: skip
    handles = retention.roots.handles
    writer.table("handles", {
        "kind": [handle.kind for handle in handles], "address": [handle.address for handle in handles],
        "object": retention.places.find(np.array([handle.object for handle in handles], np.uint64)),
        "secondary": retention.places.find(np.array([handle.secondary for handle in handles], np.uint64)),
    })  # fmt: skip
    rows = retention.places.find(np.array([address for address, _ in retention.roots.finalizer_queue], np.uint64))
    ready = np.array([is_ready for _, is_ready in retention.roots.finalizer_queue], np.bool_)
    writer.table("finalizer_queue", {"object": rows[rows != NOT_LIVE], "ready": ready[rows != NOT_LIVE]})


def _write_merged(writer: IndexWriter, retention: Retention, table: str, tree: MergedTree) -> None:
    objects, roots = retention.objects, len(retention.resolved.roots)
    node = tree.representative.astype(np.int64)
    is_object, is_group = node < objects, (node >= objects + roots) & (node < retention.start)
    is_root = (node >= objects) & (node < objects + roots)
    kinds = retention.walked.columns.type[np.where(is_object, node, 0)].astype(np.int64) if objects else node
    writer.table(table, {
        "parent": tree.parent, "type": np.where(is_object, kinds, -1),
        "root_group": np.where(is_group, node - objects - roots, -1), "root": np.where(is_root, node - objects, -1),
        "objects": tree.objects, "size": tree.size, "total_objects": tree.total_objects, "total_size": tree.total_size,
        "representative": tree.representative,
    })  # fmt: skip


def _write_fields(writer: IndexWriter, retention: Retention) -> None:
    slots = name_slots(retention.dump, retention.walked.types, retention.descriptors)
    writer.table("reference_slots", {
        "type": [slot.type for slot in slots], "offset": [slot.offset for slot in slots],
        "name": [slot.name for slot in slots], "declared_by": [slot.declared_by for slot in slots],
    })  # fmt: skip
    places, elements = word_numbers(retention.walked.types, retention.descriptors)
    key, counts, live = count_field_references(retention, places, elements)
    place, target = (key >> np.uint64(32)).astype(np.int64), (key & np.uint64(0xFFFFFFFF)).astype(np.int64)
    source, offset = fields_of_words(places, elements, place)
    order = np.lexsort((-counts.astype(np.int64), target))
    writer.table("field_references", {
        "target_type": target[order], "source_type": source[order], "offset": offset[order],
        "references": counts[order], "live_references": live[order],
    })  # fmt: skip


def _write_groups(writer: IndexWriter, retention: Retention) -> None:
    kinds = len(retention.walked.types)
    live_count = retention.live_count.sum(axis=1)
    writer.table("retained_types", {
        "live_count": live_count, "live_size": retention.live_size[:kinds],
        "live_count_by_generation": retention.live_count, "retained": retention.type_retained,
    })  # fmt: skip
    rows: list[tuple[str, str, int, int, int]] = []
    for partition, (names, label, retained) in retention.partitions.items():
        count = np.bincount(label, live_count, len(names)).astype(np.int64)
        size = np.bincount(label, retention.live_size[:kinds].astype(np.float64), len(names)).astype(np.int64)
        rows += [
            (partition, name, int(count[row]), int(size[row]), int(retained[row]))
            for row, name in enumerate(names) if count[row]
        ]  # fmt: skip
    writer.table("groups", {
        "partition": [row[0] for row in rows], "name": [row[1] for row in rows], "objects": [row[2] for row in rows],
        "size": [row[3] for row in rows], "retained": [row[4] for row in rows],
    })  # fmt: skip
