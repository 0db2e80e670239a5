"""What keeps every object alive: the graph of objects and roots, shortest paths, dominators, retained sizes.

Nodes are numbered as ``analysis.index.retention`` says: objects, roots, groups of roots, START.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.graph.gc_descriptors import DescriptorTable, read_descriptors
from analysis.graph.label_sets import retained_by_labels
from analysis.graph.merged_tree import MergedTree, merge_tree
from analysis.graph.references import ObjectPlaces, OutsideFields, References, find_references
from analysis.graph.roots import Root, RootGroup, Roots, collect_roots
from analysis.heap.walk import HeapWalk
from analysis.index.retention import NOT_LIVE
from analysis.kernels import graph as kernels
from analysis.runtime.handles import DEPENDENT_KIND
from analysis.runtime.type_columns import read_method_tables

#: Told how much of the work is done (0 to 1), and what comes next.
Progress = Callable[[float, str], None]
_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]


@dataclass(slots=True)
class ResolvedRoots:
    """Roots that lead to an object, in the order of their groups. ``object`` and ``group`` uint32[roots] are rows.

    ``first`` int64[groups + 1]: where each group's begin. Groups without any are left out.
    """

    roots: list[Root]
    groups: list[RootGroup]
    object: _U32
    group: _U32
    first: npt.NDArray[np.int64]


class Retention:
    """The graph of one dump and what follows from it. Construction does all the work; it takes a walked heap.

    ``parent``, ``dominator`` uint32[nodes] (NOT_LIVE: not reached) and ``retained`` uint64[nodes] in bytes run along all
    nodes; ``live`` bool[objects], ``depth`` uint32[objects] (hops from a root; 0: not live) and ``first_root`` uint32[objects]
    (that root, a row of ``resolved.roots``) along objects. ``referrer_offsets`` and ``referrers`` are the graph reversed,
    objects only; ``forget_written`` frees them. ``type_retained`` uint64[types]; ``exact`` is
    false when sets of groups had to be cut. ``seconds``: stage -> time.
    """

    def __init__(self, dump: Dump, walked: HeapWalk, progress: Progress = lambda fraction, text: None) -> None:
        self.dump, self.walked = dump, walked
        self.seconds: dict[str, float] = {}
        columns = walked.columns
        self.objects = len(columns.address)
        with self._stage("roots", progress, 0.0):
            self.roots: Roots = collect_roots(dump, walked)
        with self._stage("references", progress, 0.2):
            self.places = ObjectPlaces(columns.address)
            self.resolved = self._resolve()
            self.descriptors: DescriptorTable = read_descriptors(
                dump.core.memory, dump.runtime.types, read_method_tables(dump.runtime.target, walked.types.method_tables[1:])
            )
            roots, groups = len(self.resolved.roots), len(self.resolved.groups)
            self.references: References = find_references(
                walked, self.descriptors, self.places, self._outside(), roots + groups + 1, 2 * roots + groups
            )
            self.problems = [*self.roots.problems, *self.references.problems]
            self._append_roots()
        with self._stage("referrers", progress, 0.4):
            self._reverse()
        with self._stage("paths", progress, 0.5), self._named_slots_cut():
            # Dominators first: they need the most memory, and none of what the paths leave behind.
            with self._stage("dominators", progress, 0.6):
                finished = self._find_dominators()
            self._find_paths()
            with self._stage("groups", progress, 0.8):
                self._add_up(finished)
        with self._stage("merged", progress, 0.9):
            self._merge()

    @contextmanager
    def _stage(self, name: str, progress: Progress, fraction: float) -> Iterator[None]:
        progress(fraction, name)
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began

    @property
    def start(self) -> int:
        """The node behind all groups of roots."""
        return self.objects + len(self.resolved.roots) + len(self.resolved.groups)

    @property
    def live(self) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = self.parent[: self.objects] != NOT_LIVE
        return found

    def reachable_from(self, seeds: _U32) -> npt.NDArray[np.bool_]:
        """Objects (bool[objects]) that the objects in these rows keep alive, arrays of statics taken as they are."""
        end = self.offsets[self.objects]
        offsets = np.append(self.offsets[: self.objects + 1], end + len(seeds)).astype(self.offsets.dtype)
        targets = np.append(self.targets[:end], seeds).astype(np.uint32)
        parents, order = np.full(self.objects + 1, NOT_LIVE, np.uint32), np.zeros(self.objects + 1, np.uint32)
        kernels.search_breadth_first(offsets, targets, self.objects, parents, order)
        found: npt.NDArray[np.bool_] = parents[: self.objects] != NOT_LIVE
        return found

    def _nodes(self, fill: int) -> _U32:
        return np.full(self.start + 1, fill, np.uint32)

    def _resolve(self) -> ResolvedRoots:
        """Object ids of all roots. A pointer into an object counts for the object; what leads to none is no root."""
        flat = [(number, root) for number, group in enumerate(self.roots.groups) for root in group.roots]
        addresses = np.array([root.object for _, root in flat], np.uint64)
        rows = self.places.find(addresses)
        astray = rows == NOT_LIVE
        rows[astray] = self.places.find(self.walked.columns.containing(addresses[astray]))
        kept = np.flatnonzero(rows != NOT_LIVE)
        number_of = np.array([number for number, _ in flat], np.int64)[kept]
        used, group = np.unique(number_of, return_inverse=True)
        first = np.searchsorted(group, np.arange(len(used) + 1))
        return ResolvedRoots(
            [flat[row][1] for row in kept.tolist()], [self.roots.groups[number] for number in used.tolist()],
            rows[kept], group.astype(np.uint32), first.astype(np.int64),
        )  # fmt: skip

    def _outside(self) -> OutsideFields:
        pairs = [(h.object, h.secondary) for h in self.roots.handles if h.kind == DEPENDENT_KIND and h.object and h.secondary]
        primary = self.places.find(np.array([one for one, _ in pairs], np.uint64))
        secondary = np.array([two for _, two in pairs], np.uint64)
        order = np.argsort(primary, kind="stable")
        order = order[primary[order] != NOT_LIVE]
        allocators = [self.roots.loader_allocators.get(address, 0) for address in self.walked.types.method_tables]
        return OutsideFields(primary[order], secondary[order], np.array(allocators, np.uint64))

    def _append_roots(self) -> None:
        """Rows of roots, groups and START behind those of objects: each root has its object, each group its roots."""
        found, resolved = self.references, self.resolved
        roots, groups, count = len(resolved.roots), len(resolved.groups), found.count
        end = count + 2 * roots + groups
        self.offsets: _U32 = found.offsets
        self.targets: _U32 = found.targets[:end]
        self.slots: _U32 = found.slots
        self.targets[count : count + roots] = resolved.object
        self.targets[count + roots : count + 2 * roots] = np.arange(roots) + self.objects
        self.targets[count + 2 * roots :] = np.arange(groups) + self.objects + roots
        self.offsets[self.objects : self.objects + roots] = count + np.arange(roots)
        self.offsets[self.objects + roots : self.start] = count + roots + resolved.first[:-1]
        self.offsets[self.start :] = count + 2 * roots, end

    def _reverse(self) -> None:
        nodes = self.start + 1
        firsts = np.zeros(nodes + 2, np.uint32)
        self._incoming: _U32 = np.empty(len(self.targets), np.uint32)
        kernels.begin_groups(self.targets, firsts)
        kernels.reverse_edges(self.offsets, self.targets, nodes, firsts, self._incoming)
        self._incoming_offsets: _U32 = firsts[:-1]

    @contextmanager
    def _named_slots_cut(self) -> Iterator[None]:
        """While paths are searched, a static field that lies in an array on the heap belongs to its name, not to the array:
        the array's reference is turned on the array itself."""
        edges = self._edges_of_named_slots()
        sources = np.searchsorted(self.offsets, edges, "right").astype(np.uint32) - np.uint32(1)
        targets = self.targets[edges].copy()
        self.targets[edges] = sources
        places = []
        for target, source in zip(targets.tolist(), sources.tolist(), strict=True):
            # Two fields may hold one object: each takes the next place that still names the array.
            places.append(self._place_of_source(target, source))
            self._incoming[places[-1]] = target
        yield
        self.targets[edges] = targets
        self._incoming[places] = sources
        self._keep_referrers()

    def _keep_referrers(self) -> None:
        """What is left of the reversed graph: objects that refer to objects, in the same memory."""
        left = kernels.keep_object_sources(self._incoming_offsets, self._incoming, self.objects)
        self.referrer_offsets: _U32 = self._incoming_offsets[: self.objects + 1]
        self.referrers: _U32 = self._incoming[:left]
        del self._incoming, self._incoming_offsets

    def root_above(self, row: int) -> tuple[int, int]:
        """The row in ``resolved.roots`` at which a shortest path to a live object begins, and the hops from there to it."""
        node, hops = kernels.climb(self.parent, row, self.objects)
        return int(node) - self.objects, int(hops)

    def forget_written(self) -> None:
        """Free the reversed graph and the places of paths: once they are written down nobody needs them, and they take a
        seventh of all memory."""
        del self.referrers, self.depth, self.first_root

    def _place_of_source(self, target: int, source: int) -> int:
        begin, end = self._incoming_offsets[target], self._incoming_offsets[target + 1]
        return int(begin) + int(np.flatnonzero(self._incoming[begin:end] == source)[0])

    def _edges_of_named_slots(self) -> npt.NDArray[np.int64]:
        addresses = np.unique(self.roots.named_slots)
        holders = self.walked.columns.containing(addresses)
        rows = self.places.find(holders)
        edges = []
        for address, holder, row in zip(addresses.tolist(), holders.tolist(), rows.tolist(), strict=True):
            if holder == address or row == NOT_LIVE:
                continue
            part = self.references.of(row)
            place = np.flatnonzero(self.slots[part] == (address - holder) // 8)
            edges += [part.start + int(place[0])] if len(place) else []
        return np.array(edges, np.int64)

    def _find_paths(self) -> None:
        self.parent: _U32 = self._nodes(NOT_LIVE)
        self._order: _U32 = self._nodes(0)
        reached = kernels.search_breadth_first(self.offsets, self.targets, self.start, self.parent, self._order)
        self.parent[self.start] = self.start
        self._order = self._order[:reached]

    def _find_dominators(self) -> _U32:
        """Fills ``dominator`` and ``retained``; nodes in the order a depth-first search left them.

        Touching fresh memory takes longer than the work done in it, and here the most of it is needed at once: every
        array that has done its duty becomes another one.
        """
        numbers, nodes, parents, finished = self._nodes(NOT_LIVE), *(np.empty(self.start + 1, np.uint32) for _ in range(3))
        count = kernels.number_depth_first(self.offsets, self.targets, self.start, numbers, nodes, parents, finished)
        semi, linked = np.empty(self.start + 1, np.uint32), np.empty(self.start + 1, np.uint64)
        kernels.find_semidominators(self._incoming_offsets, self._incoming, numbers, nodes, parents, count, semi, linked)
        dominators, jumps, depths = numbers, *linked.view(np.uint32).reshape(2, -1)
        kernels.find_dominators(parents, semi, count, dominators, jumps, depths)
        self.dominator: _U32 = semi
        self.dominator.fill(NOT_LIVE)
        kernels.name_dominators(dominators, nodes, count, self.dominator)
        self.retained: _U64 = linked
        self.retained.fill(0)
        beyond = self.oversize[self.dominator[self.oversize[:, 0].astype(np.int64)] != NOT_LIVE]
        self.retained[beyond[:, 0].astype(np.int64)] = beyond[:, 1]
        kernels.add_up_retained(dominators, nodes, count, self.walked.columns.size, self.retained)
        return finished[:count]

    @property
    def oversize(self) -> _U64:
        """uint64[n, 2]: object id, and bytes that its entry in the column of sizes lacks."""
        found = self.walked.columns.oversize.astype(np.uint64)
        if len(found):
            found[:, 1] -= self.walked.columns.size[found[:, 0].astype(np.int64)]
        return found

    def _add_up(self, finished: _U32) -> None:
        """Live counts by type, and what types, namespaces and assemblies retain as sets."""
        columns, kinds = self.walked.columns, len(self.walked.types)
        names = self._partition_names()
        unique = {partition: sorted(set(found)) for partition, found in names.items()}
        label_of = {"type": np.arange(kinds)}
        for partition, found in names.items():
            place = {name: row for row, name in enumerate(unique[partition])}
            label_of[partition] = np.array([place[name] for name in found], np.int64)
        # Labels of all partitions are numbered one behind the other, so that one set can hold some of each.
        ends = np.cumsum([0, kinds, *map(len, unique.values())])
        labels = np.stack([label + end for label, end in zip(label_of.values(), ends, strict=False)], axis=1).astype(np.uint32)
        retained, self.exact = retained_by_labels(
            self._incoming_offsets, self._incoming, finished, columns.type, labels, columns.size, self.oversize, int(ends[-1])
        )
        self.type_retained, *others = np.split(retained, ends[1:-1])
        self.partitions: dict[str, tuple[list[str], npt.NDArray[np.int64], _U64]] = {
            partition: (unique[partition], label_of[partition], bytes_of)
            for (partition, bytes_of) in zip(names, others, strict=True)
        }
        self.live_count, self.live_size = np.zeros((kinds, 6), np.int64), np.zeros(kinds, np.uint64)
        kernels.count_live(self.parent, columns.type, columns.generation, columns.size, self.live_count, self.live_size)
        for row, more in self.oversize.tolist():
            if self.parent[row] != NOT_LIVE:
                self.live_size[columns.type[row]] += np.uint64(more)

    def _partition_names(self) -> dict[str, list[str]]:
        """Namespace and assembly of each type, and its load context where some can be unloaded."""
        types, allocators = self.dump.runtime.types, self.roots.loader_allocators
        namespaces, assemblies = ["Free"], ["Free"]
        for method_table in self.walked.types.method_tables[1:]:
            name = types.name(method_table).split("<")[0].split("[")[0].split("+")[0]
            namespaces.append(name.rpartition(".")[0])
            module = types.info(method_table).module
            assemblies.append(module.assembly_name if module else "")
        names = {"namespace": namespaces, "assembly": assemblies}
        if allocators:
            of_types = [allocators.get(table, 0) for table in self.walked.types.method_tables]
            inside = {
                one: sorted({name for name, at in zip(assemblies, of_types, strict=True) if at == one}) for one in {*of_types}
            }
            names["load context"] = [f"{_listed(inside[one])} …{one & 0xFFFF:04x}" if one else "" for one in of_types]
        return names

    def _merge(self) -> None:
        """Both trees from START down: whatever dominates a node lies on its shortest path and so before it in the order.
        Of each object how deep it lies, and below which root."""
        labels, size, beyond = self._labels(), self.walked.columns.size, self.oversize
        self.merged_paths: MergedTree = merge_tree(self._order, self.parent, labels, size, beyond)
        self.merged_dominators: MergedTree = merge_tree(self._order, self.dominator, labels, size, beyond)
        del labels
        self.depth, self.first_root = np.zeros(self.objects, np.uint32), np.full(self.objects, NOT_LIVE, np.uint32)
        kernels.measure_paths(self._order, self.parent, self.objects, self.depth, self.first_root)
        del self._order

    def _labels(self) -> _U32:
        """What a node is merged by: an object by type, a root by name within its group, a group by itself."""
        kinds = len(self.walked.types)
        labels = self._nodes(0)
        labels[: self.objects] = self.walked.columns.type
        known: dict[tuple[int, str, int], int] = {}
        for row, (root, group) in enumerate(zip(self.resolved.roots, self.resolved.group.tolist(), strict=True)):
            key = (group, "" if root.frame >= 0 else root.name, root.frame)
            labels[self.objects + row] = known.setdefault(key, kinds + len(known))
        groups = len(self.resolved.groups)
        labels[self.start - groups : self.start] = kinds + len(known) + np.arange(groups)
        return labels

    def dominated(self) -> tuple[_U32, _U32]:
        """The dominator tree downwards: offsets uint32[nodes + 1] and nodes, each under its dominator."""
        firsts = np.zeros(self.start + 3, np.uint32)
        # START is its own dominator, but not below itself.
        above = self.dominator[: self.start]
        kernels.begin_groups(above, firsts)
        grouped = np.empty(firsts[-1], np.uint32)
        kernels.group_rows(above, firsts, grouped)
        return firsts[:-1], grouped


def _listed(assemblies: list[str]) -> str:
    """``Plugin and 2 more``: a context has no name of its own in the heap, its assemblies do."""
    return assemblies[0] if len(assemblies) == 1 else f"{assemblies[0]} and {len(assemblies) - 1} more"
