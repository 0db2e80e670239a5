"""The graph of a synthetic index: every live object hangs on exactly one other or on a root, so that its shortest path and
its dominators are known without a search.

The first live objects hang on a root each; on the last of them begins a chain, and on the last of the chain hangs every
second of all others, the rest in a tree below those. Free blocks are dead, and so is every seventh object; dead objects that
are no free blocks refer to the first live one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.graph.label_sets import retained_by_labels
from analysis.graph.merged_tree import MergedTree, merge_tree
from analysis.index.retention import (
    COLLECTION_KINDS,
    HANDLE_KINDS,
    NO_CAPACITY,
    NOT_LIVE,
    PARTITIONS,
    READY,
    ROOT_KINDS,
    STACK,
    STATIC,
    STRONG,
    THREAD_STATIC,
)  # fmt: skip
from analysis.index.store import IndexWriter
from analysis.kernels import merge as kernels
from analysis.kernels.graph import measure_paths

_ROOTS_AT, _HANDLES_AT = 0x7D80_0000_0000, 0x7D90_0000_0000
_MOST_STRING_GROUPS, _HOLDERS_EACH = 10_000, 5
_U32 = npt.NDArray[np.uint32]
_Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class GraphSpec:
    """``fields``: names of static fields, each with a type of its own; ``chain``: objects in a linked list; ``texts`` go where
    names of fields in objects, registers and problems stand."""

    fields: Sequence[str] = ("Shop.Cache._orders", "Shop.Program.s_queue")
    texts: Sequence[str] = ("_next",)
    chain: int = 100


@dataclass(frozen=True)
class _Root:
    group: int
    kind: int
    name: str
    frame: int = -1


class SyntheticGraph:
    """The graph over some objects (columns as in the index). ``above`` uint32[nodes]: parent and dominator of each node."""

    def __init__(self, spec: GraphSpec, objects: _Columns, free_types: Sequence[int], threads: int) -> None:
        self.spec, self.objects, self.count = spec, objects, len(objects["address"])
        free = np.isin(objects["type"], list(free_types))
        rows = np.arange(self.count, dtype=np.uint32)
        self.live_rows: _U32 = rows[~free & (rows % 7 != 6)]
        self.dead_rows: _U32 = rows[~free & (rows % 7 == 6)]
        self.groups: list[tuple[int, str, int]] = [(STATIC, name.rpartition(".")[0] or name, -1) for name in spec.fields]
        self.groups += [(STACK, "", 0)] if threads else []
        self.groups += [(STRONG, ROOT_KINDS[STRONG], -1), (READY, ROOT_KINDS[READY], -1)]
        # Not more roots than there are live objects: each has one of its own.
        self.roots = self._roots(threads)[: len(self.live_rows)]
        self.start = self.count + len(self.roots) + len(self.groups)
        self.above = self._hang_up()
        groups, roots = np.arange(self.start - len(self.groups), self.start), np.arange(len(self.roots)) + self.count
        #: Live nodes, each behind the one above it.
        self.order = np.concatenate([[self.start], groups, roots, self.live_rows]).astype(np.uint32)
        self.retained = self._retained()

    def _roots(self, threads: int) -> list[_Root]:
        statics, behind = [_Root(row, STATIC, name) for row, name in enumerate(self.spec.fields)], len(self.spec.fields)
        on_stack = [_Root(behind, STACK, text, frame=3) for text in self.spec.texts[:40]] if threads else []
        of_thread = [_Root(behind, THREAD_STATIC, name) for name in self.spec.fields[:40]] if threads else []
        behind += bool(threads)
        return [*statics, *on_stack, *of_thread, _Root(behind, STRONG, ""), _Root(behind + 1, READY, "")]

    def _hang_up(self) -> _U32:
        live, roots = self.live_rows, len(self.roots)
        chain = min(self.spec.chain, len(live) - roots)
        place = np.arange(len(live))
        before = np.maximum(place - 1, 0)
        last, first = roots + chain - 1, roots + chain
        spread = np.where((place % 2 == 0) | (place == first), last, first + (place - first) // 4)
        hung = live[np.where(place < first, before, spread)]
        above = np.full(self.start + 1, NOT_LIVE, np.uint32)
        above[live] = np.where(place < roots, self.count + place, hung)
        above[self.count : self.count + roots] = [self.count + roots + root.group for root in self.roots]
        above[self.count + roots :] = self.start
        return above

    def _retained(self) -> npt.NDArray[np.uint64]:
        place = np.zeros(self.start + 1, np.uint32)
        place[self.order] = np.arange(len(self.order))
        sizes = np.zeros(self.start + 1, np.uint64)
        sizes[: self.count] = self.objects["size"]
        total = sizes[self.order]
        kernels.add_up_below(place[self.above[self.order]], np.zeros(len(total), np.uint64), total)
        found = np.zeros(self.start + 1, np.uint64)
        found[self.order] = total
        return found

    def below(self) -> tuple[_U32, _U32]:
        """The tree downwards: offsets uint32[nodes + 1] and nodes, each under the one above it."""
        nodes = self.order[1:]
        above = self.above[nodes]
        offsets = np.zeros(self.start + 2, np.uint32)
        np.cumsum(np.bincount(above, minlength=self.start + 1), out=offsets[1:])
        return offsets, nodes[np.argsort(above, kind="stable")]

    def edges(self) -> tuple[_U32, _U32]:
        """Objects that refer to objects, and to which, by source."""
        held = self.live_rows[len(self.roots) :]
        sources = np.concatenate([self.above[held], self.dead_rows])
        targets = np.concatenate([held, np.full(len(self.dead_rows), self.live_rows[0], np.uint32)])
        order = np.argsort(sources, kind="stable")
        return sources[order], targets[order]

    def merged(self) -> MergedTree:
        """The tree merged by type; roots are merged by themselves."""
        labels = np.arange(self.start + 1, dtype=np.uint32) + np.uint32(1 << 24)
        labels[: self.count] = self.objects["type"]
        nothing = np.zeros((0, 2), np.uint64)
        return merge_tree(self.order, self.above, labels, self.objects["size"], nothing)

    def retained_by(self, *labels: npt.NDArray[np.int64]) -> list[npt.NDArray[np.uint64]]:
        """What the objects with each label of their type retain together, for several ways to label types."""
        above = self.above.copy()
        above[self.start] = NOT_LIVE
        offsets = np.zeros(self.start + 2, np.uint32)
        np.cumsum(above != NOT_LIVE, out=offsets[1:])
        begins = np.cumsum([0, *(int(one.max()) + 1 for one in labels)])
        table = np.column_stack([one + begin for one, begin in zip(labels, begins, strict=False)]).astype(np.uint32)
        kinds, sizes, nothing = self.objects["type"], self.objects["size"], np.zeros((0, 2), np.uint64)
        sources, finished = above[above != NOT_LIVE], self.order[::-1].copy()
        found, _ = retained_by_labels(offsets, sources, finished, kinds, table, sizes, nothing, int(begins[-1]))
        return [found[first:last] for first, last in pairwise(begins.tolist())]


def write_graph(writer: IndexWriter, spec: GraphSpec, objects: _Columns, names: Sequence[str], kinds: Sequence[str],
                threads: int) -> None:  # fmt: skip
    """All tables and the facts of a graph over ``objects``, whose types have ``names`` and ``kinds``."""
    graph = SyntheticGraph(spec, objects, [row for row, kind in enumerate(kinds) if kind == "free"], threads)
    _write_rows(writer, graph)
    _write_roots(writer, graph)
    _write_merged(writer, graph)
    _write_fields(writer, graph, names)
    _write_groups(writer, graph, names)
    strings = _write_contents(writer, graph, len(names))
    live, total = int(graph.retained[graph.start]), int(objects["size"].sum(dtype=np.uint64))
    counts = np.bincount([root.kind for root in graph.roots], minlength=len(ROOT_KINDS))
    writer.facts("retention", {
        "built": True, "reason": "", "objects": graph.count, "live": {"objects": len(graph.live_rows), "bytes": live},
        "dead": {"objects": len(graph.dead_rows), "bytes": int(objects["size"][graph.dead_rows].sum(dtype=np.uint64))},
        "references": len(graph.edges()[0]), "unresolved_references": 0,
        "roots": [{"kind": ROOT_KINDS[kind], "count": int(n)} for kind, n in enumerate(counts) if n],
        "conservative_roots": 1, "groups_exact": True, "problems": list(spec.texts[:100]), "strings": strings,
        "seconds": [{"name": "paths", "seconds": 0.1}],
    })  # fmt: skip
    assert live <= total


def _write_rows(writer: IndexWriter, graph: SyntheticGraph) -> None:
    sources, targets = graph.edges()
    offsets = np.zeros(graph.count + 1, np.uint32)
    np.cumsum(np.bincount(sources, minlength=graph.count), out=offsets[1:])
    slots = 1 + np.arange(len(sources), dtype=np.uint32) - offsets[sources]
    writer.table("reference_offsets", {"first": offsets})
    writer.table("references", {"target": targets, "slot": slots})
    offsets = np.zeros(graph.count + 1, np.uint32)
    np.cumsum(np.bincount(targets, minlength=graph.count), out=offsets[1:])
    writer.table("referrer_offsets", {"first": offsets})
    writer.table("referrers", {"source": sources[np.argsort(targets, kind="stable")]})
    above, retained = graph.above[: graph.count], graph.retained[: graph.count]
    depth, root = np.zeros(graph.count, np.uint32), np.full(graph.count, NOT_LIVE, np.uint32)
    measure_paths(graph.order, graph.above, graph.count, depth, root)
    writer.table("retention", {"parent": above, "dominator": above, "retained": retained, "depth": depth, "root": root})
    first, nodes = graph.below()
    writer.table("dominated_offsets", {"first": first})
    writer.table("dominated", {"node": nodes})


def _write_roots(writer: IndexWriter, graph: SyntheticGraph) -> None:
    roots, groups, count = graph.roots, graph.groups, len(graph.roots)
    group_of = np.array([root.group for root in roots], np.int64)
    held = graph.live_rows[:count]
    writer.table("roots", {
        "group": group_of, "kind": [root.kind for root in roots], "object": held,
        "address": [0 if root.kind in (STACK, READY) else _ROOTS_AT + 8 * row for row, root in enumerate(roots)],
        "name": [root.name for root in roots], "frame": [root.frame for root in roots],
        "interior": [root.kind == STACK for root in roots], "pinned": [root.kind == STRONG for root in roots],
        "conservative": [root.kind == STACK for root in roots], "retained": graph.retained[graph.count : graph.count + count],
    })  # fmt: skip
    sizes = np.bincount(group_of, minlength=len(groups))
    writer.table("root_groups", {
        "kind": [kind for kind, _, _ in groups], "name": [name for _, name, _ in groups],
        "thread": [thread for _, _, thread in groups], "first_root": np.cumsum(sizes) - sizes, "roots": sizes, "objects": sizes,
        "retained": graph.retained[graph.count + count : graph.start],
    })  # fmt: skip
    kinds = len(HANDLE_KINDS)
    writer.table("handles", {
        "kind": np.arange(kinds), "address": _HANDLES_AT + 8 * np.arange(kinds),
        "object": np.resize(held, kinds), "secondary": np.full(kinds, NOT_LIVE),
    })  # fmt: skip
    writer.table("finalizer_queue", {"object": held[:2], "ready": [True, False][: len(held)]})


def _write_merged(writer: IndexWriter, graph: SyntheticGraph) -> None:
    tree, first_group = graph.merged(), graph.count + len(graph.roots)
    node = tree.representative.astype(np.int64)
    is_object, is_root = node < graph.count, (node >= graph.count) & (node < first_group)
    columns = {
        "parent": tree.parent, "type": np.where(is_object, graph.objects["type"][np.where(is_object, node, 0)].astype(int), -1),
        "root_group": np.where((node >= first_group) & (node < graph.start), node - first_group, -1),
        "root": np.where(is_root, node - graph.count, -1), "objects": tree.objects, "size": tree.size,
        "total_objects": tree.total_objects, "total_size": tree.total_size, "representative": node,
    }  # fmt: skip
    for table in ("merged_paths", "merged_dominators"):
        writer.table(table, columns)


def _write_fields(writer: IndexWriter, graph: SyntheticGraph, names: Sequence[str]) -> None:
    """The first word of every type has a name; references are counted there whichever word they are in."""
    texts = graph.spec.texts
    writer.table("reference_slots", {
        "type": np.arange(len(names)), "offset": np.full(len(names), 8),
        "name": [texts[row % len(texts)] for row in range(len(names))], "declared_by": names,
    })  # fmt: skip
    sources, targets = graph.edges()
    types = graph.objects["type"].astype(np.uint64)
    keys, which, counts = np.unique((types[targets] << np.uint64(32)) | types[sources], return_inverse=True, return_counts=True)
    live = np.bincount(which, np.isin(sources, graph.dead_rows, invert=True), len(keys))
    writer.table("field_references", {
        "target_type": (keys >> np.uint64(32)).astype(np.int64), "source_type": (keys & np.uint64(0xFFFFFFFF)).astype(np.int64),
        "offset": np.full(len(keys), 8), "references": counts, "live_references": live,
    })  # fmt: skip


def _write_groups(writer: IndexWriter, graph: SyntheticGraph, names: Sequence[str]) -> None:
    objects, kinds, live = graph.objects, len(names), graph.live_rows
    count = np.bincount(objects["type"][live], minlength=kinds)
    size = np.bincount(objects["type"][live], objects["size"][live], kinds).astype(np.int64)
    by_generation = np.bincount(objects["type"][live].astype(np.int64) * 6 + objects["generation"][live], minlength=6 * kinds)
    spaces, label = np.unique(np.array([name.rpartition(".")[0] for name in names], object), return_inverse=True)
    of_types, of_spaces = graph.retained_by(np.arange(kinds), label)
    writer.table("retained_types", {
        "live_count": count, "live_size": size, "live_count_by_generation": by_generation.reshape(kinds, 6),
        "retained": of_types,
    })  # fmt: skip
    # Assemblies and load contexts are called as namespaces are, and hold the same types.
    each = len(PARTITIONS)
    writer.table("groups", {
        "partition": np.repeat(PARTITIONS, len(spaces)), "name": np.tile(spaces, each),
        "objects": np.tile(np.bincount(label, count, len(spaces)), each),
        "size": np.tile(np.bincount(label, size, len(spaces)), each), "retained": np.tile(of_spaces, each),
    })  # fmt: skip


def _write_contents(writer: IndexWriter, graph: SyntheticGraph, types: int) -> dict[str, int]:
    """Tables of strings and collections, which take no notice of what the objects are; the facts about strings."""
    groups = min(_MOST_STRING_GROUPS, len(graph.live_rows))
    number = np.arange(groups)
    copies, size = groups + 1 - number, np.full(groups, 48)
    writer.table("string_groups", {
        "characters": 10 + number, "size": size, "count": copies, "wasted": (copies - 1) * size,
        "object": graph.live_rows[:groups],
    })  # fmt: skip
    holding = np.repeat(number[:1000], _HOLDERS_EACH)
    writer.table("string_holders", {
        "group": holding, "source_type": np.arange(len(holding)) % types, "offset": np.full(len(holding), 8),
        "references": np.full(len(holding), 5),
    })  # fmt: skip
    writer.table("string_lengths", {"lower": [0, 1], "upper": [0, 9], "count": [1, groups], "size": [22, 48 * groups]})
    listed = graph.live_rows[: len(COLLECTION_KINDS)]
    writer.table("collections", {
        "object": listed, "kind": np.arange(len(listed)), "count": np.full(len(listed), 3),
        "capacity": np.where(np.arange(len(listed)) % 2, NO_CAPACITY, 4), "storage": listed[::-1],
    })  # fmt: skip
    total = int(copies.sum())
    return {"count": total, "bytes": 48 * total, "duplicates": total - groups, "wasted": 48 * (total - groups)}
