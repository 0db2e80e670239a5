"""The kernels of the graph against slow twins on random graphs: irreducible ones, self loops, parts that nothing reaches."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest

from analysis.graph.label_sets import retained_by_labels
from analysis.graph.merged_tree import merge_tree
from analysis.graph.references import ObjectPlaces
from analysis.kernels import graph as kernels
from analysis.kernels.graph import NOWHERE

_NOTHING = np.zeros((0, 2), np.uint64)


@dataclass
class Graph:
    """A graph whose START is node 0, in rows and reversed."""

    nodes: int
    edges: list[tuple[int, int]]

    def __post_init__(self) -> None:
        sources = np.array([source for source, _ in self.edges], np.int64)
        targets = np.array([target for _, target in self.edges], np.int64)
        order = np.argsort(sources, kind="stable")
        self.offsets = np.zeros(self.nodes + 1, np.uint32)
        np.cumsum(np.bincount(sources, minlength=self.nodes), out=self.offsets[1:])
        self.targets = targets[order].astype(np.uint32)
        firsts = np.zeros(self.nodes + 2, np.uint32)
        self.incoming = np.empty(len(self.targets), np.uint32)
        kernels.begin_groups(self.targets, firsts)
        kernels.reverse_edges(self.offsets, self.targets, self.nodes, firsts, self.incoming)
        self.incoming_offsets = firsts[:-1]

    def reached(self, without: frozenset[int] = frozenset()) -> dict[int, int]:
        """Distance of each node from START on ways around some nodes."""
        distance = {0: 0}
        queue = deque([0])
        while queue:
            node = queue.popleft()
            for target in self.targets[self.offsets[node] : self.offsets[node + 1]].tolist():
                if target not in distance and target not in without:
                    distance[target] = distance[node] + 1
                    queue.append(target)
        return distance

    def dominators(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Immediate dominator of each node, retained sizes where node n has n + 1 bytes, nodes in postorder."""
        numbers, nodes, parents, finished, semi = (np.full(self.nodes, NOWHERE, np.uint32) for _ in range(5))
        count = kernels.number_depth_first(self.offsets, self.targets, 0, numbers, nodes, parents, finished)
        linked = np.empty(self.nodes, np.uint64)
        kernels.find_semidominators(self.incoming_offsets, self.incoming, numbers, nodes, parents, count, semi, linked)
        dominators, named = numbers, np.full(self.nodes, NOWHERE, np.uint32)
        kernels.find_dominators(parents, semi, count, dominators, *linked.view(np.uint32).reshape(2, -1))
        kernels.name_dominators(dominators, nodes, count, named)
        retained = np.zeros(self.nodes, np.uint64)
        kernels.add_up_retained(dominators, nodes, count, self.sizes, retained)
        return named, retained, finished[:count]

    @property
    def sizes(self) -> np.ndarray:
        return np.arange(1, self.nodes + 1, dtype=np.uint32)


def random_graph(seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(2, 40))
    edges = rng.integers(0, nodes, (int(rng.integers(1, 3 * nodes)), 2))
    return Graph(nodes, [(int(source), int(target)) for source, target in edges])


@pytest.mark.parametrize("seed", range(60))
def test_paths_are_shortest_and_made_of_edges(seed: int) -> None:
    graph = random_graph(seed)
    parents, order = np.full(graph.nodes, NOWHERE, np.uint32), np.zeros(graph.nodes, np.uint32)
    count = kernels.search_breadth_first(graph.offsets, graph.targets, 0, parents, order)
    distance = graph.reached()
    assert set(order[:count].tolist()) == set(distance)
    for node in distance:
        if node:
            assert (int(parents[node]), node) in graph.edges
            assert distance[int(parents[node])] + 1 == distance[node]


@pytest.mark.parametrize("seed", range(200))
def test_a_dominator_cuts_off_and_no_nearer_one_does(seed: int) -> None:
    graph = random_graph(seed)
    named, retained, _ = graph.dominators()
    reached = graph.reached()
    cut_off = {node: set(reached) - set(graph.reached(frozenset({node}))) for node in reached if node}
    for node in reached:
        if not node:
            continue
        above = {other for other in cut_off if other != node and node in cut_off[other]}
        # The immediate dominator is the one that all others dominate.
        nearest = max(above, key=lambda other: sum(other in cut_off[far] for far in above), default=0)
        assert int(named[node]) == nearest
        assert int(retained[node]) == sum(other + 1 for other in cut_off[node])
    assert all(named[node] == NOWHERE for node in set(range(graph.nodes)) - set(reached))


@pytest.mark.parametrize("seed", range(200))
def test_what_a_group_retains_is_what_becomes_unreachable_without_all_of_it(seed: int) -> None:
    graph = random_graph(seed)
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 6))
    kinds = rng.integers(0, groups, graph.nodes).astype(np.uint32)
    kinds[0] = groups
    # Two partitions at once: each kind by itself, and kinds in pairs. START has no label.
    labels = np.array([[kind, groups + kind // 2] for kind in range(groups)] + [[NOWHERE, NOWHERE]], np.uint32)
    _, _, finished = graph.dominators()
    retained, exact = retained_by_labels(
        graph.incoming_offsets, graph.incoming, finished, kinds, labels, graph.sizes, _NOTHING, groups + (groups + 1) // 2
    )
    reached = graph.reached()
    for label, found in enumerate(retained.tolist()):
        left = graph.reached(frozenset(np.flatnonzero((labels[kinds] == label).any(axis=1)).tolist()))
        assert found == sum(node + 1 for node in set(reached) - set(left))
    assert exact


@pytest.mark.parametrize("nodes", [2, 200_000])
def test_a_long_list_needs_no_recursion_and_retains_its_tail(nodes: int) -> None:
    graph = Graph(nodes, [(node, node + 1) for node in range(nodes - 1)] + [(node + 1, node) for node in range(nodes - 1)])
    named, retained, _ = graph.dominators()
    assert (named[1:] == np.arange(nodes - 1)).all()
    assert int(retained[1]) == sum(range(2, nodes + 1))


def test_a_list_with_a_shortcut_to_each_node_stays_linear() -> None:
    nodes = 200_000
    graph = Graph(nodes, [(node, node + 1) for node in range(nodes - 1)] + [(node // 2, node) for node in range(2, nodes)])
    named, _, _ = graph.dominators()
    assert named[2] == 1
    assert (named[1:] < np.arange(1, nodes)).all()


def test_a_merged_tree_folds_recursion_and_keeps_the_sums() -> None:
    graph = Graph(1001, [(node, node + 1) for node in range(1000)])
    parents, order = np.full(1001, NOWHERE, np.uint32), np.zeros(1001, np.uint32)
    count = kernels.search_breadth_first(graph.offsets, graph.targets, 0, parents, order)
    labels = np.where(np.arange(1001) % 2, 5, 6).astype(np.uint32)
    labels[0] = 9
    tree = merge_tree(order[:count], parents, labels, graph.sizes, _NOTHING)
    assert tree.parent.tolist() == [-1, 0, 1]
    assert tree.objects.tolist() == [1, 500, 500]
    assert int(tree.total_size[0]) == sum(range(1, 1002))
    assert int(tree.total_objects[1]) == 1000


def test_ids_by_address_only_where_an_object_begins() -> None:
    rng = np.random.default_rng(7)
    addresses = np.unique(rng.integers(1 << 20, 1 << 27, 5000, dtype=np.uint64) & np.uint64(0xFFFFFFFFFFFFFFF8))
    addresses = np.append(addresses, np.uint64(0x7F00_0000_0018))
    places = ObjectPlaces(addresses)
    asked = np.concatenate([addresses, addresses + np.uint64(8), addresses + np.uint64(1), np.array([0, 2**63], np.uint64)])
    known = {address: row for row, address in enumerate(addresses.tolist())}
    assert places.find(asked).tolist() == [known.get(address, NOWHERE) for address in asked.tolist()]
