"""The graph of an index, read row by row: references, referrers, paths and the dominator tree, with nodes told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.index.retention import NOT_LIVE
from analysis.index.store import Index


@dataclass(frozen=True, slots=True)
class Node:
    """A node by what it is: ``table`` is objects, roots, root_groups or start, ``row`` the row in it."""

    table: str
    row: int


class Graph:
    """Reads the graph tables of an index. ``built`` is false when the index holds none (a dump without a heap)."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.objects, self.roots, self.groups = index.rows["objects"], index.rows["roots"], index.rows["root_groups"]
        self.built = index.rows["reference_offsets"] > 0

    @property
    def start(self) -> int:
        """Number of the START node."""
        return self.objects + self.roots + self.groups

    def node(self, number: int) -> Node:
        """What the node ``number`` is."""
        if number < self.objects:
            return Node("objects", number)
        if number < self.objects + self.roots:
            return Node("roots", number - self.objects)
        return Node("root_groups", number - self.objects - self.roots) if number < self.start else Node("start", 0)

    def references(self, row: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Targets (rows of objects) and slots of an object's references, in slot order."""
        part = self._part("reference_offsets", row)
        return self.index.column("references", "target")[part], self.index.column("references", "slot")[part]

    def referrers(self, row: int) -> npt.NDArray[np.uint32]:
        """Rows of the objects that refer to an object; one that does so twice is there twice."""
        found: npt.NDArray[np.uint32] = self.index.column("referrers", "source")[self._part("referrer_offsets", row)]
        return found

    def dominated(self, node: int) -> npt.NDArray[np.uint32]:
        """Numbers of the nodes directly dominated by a node, in no order."""
        found: npt.NDArray[np.uint32] = self.index.column("dominated", "node")[self._part("dominated_offsets", node)]
        return found

    def parent(self, node: int) -> int | None:
        """The node before a node on a shortest path from START; None at START and for what is not live."""
        return self._above(node, "parent")

    def dominator(self, node: int) -> int | None:
        """The immediate dominator of a node; None at START and for what is not live."""
        return self._above(node, "dominator")

    def root_path(self, row: int, most: int) -> tuple[list[int], int]:
        """Nodes of a shortest path to an object, from its group of roots down to the object, and how many objects in its
        middle are left out: of a path of more than ``most`` objects the first one and the last ones are there."""
        depth = int(self.index.column("retention", "depth")[row])
        if not depth:
            return [], 0
        root = int(self.index.column("retention", "root")[row])
        parents, path = self.index.column("retention", "parent"), [row]
        for _ in range(min(depth, most) - 1):
            path.append(int(parents[path[-1]]))
        if depth > most:
            path[-1] = int(self.index.column("roots", "object")[root])
        group = self.objects + self.roots + int(self.index.column("roots", "group")[root])
        return [group, self.objects + root, *path[::-1]], max(0, depth - most)

    def nearest_root(self, row: int) -> int | None:
        """Row of roots at which a shortest path to an object begins; None when it is not live."""
        root = int(self.index.column("retention", "root")[row])
        return None if root == NOT_LIVE else root

    def dominators(self, row: int, most: int) -> list[int]:
        """The ``most`` innermost dominators of an object (without START), down to the object; empty when it is not live."""
        chain: list[int] = []
        node: int | None = row if self._above(row, "dominator") is not None else None
        while node is not None and node != self.start and len(chain) < most:
            chain.append(node)
            node = self._above(node, "dominator")
        return chain[::-1]

    def retained(self, node: int) -> int:
        """Bytes that would be free without the node; of START all live bytes."""
        found = self.node(node)
        if found.table == "start":
            return int(self.index.facts("retention")["live"]["bytes"])
        table = "retention" if found.table == "objects" else found.table
        return int(self.index.column(table, "retained")[found.row])

    def _part(self, table: str, row: int) -> slice:
        offsets = self.index.column(table, "first")
        return slice(int(offsets[row]), int(offsets[row + 1]))

    def _above(self, node: int, column: str) -> int | None:
        if node < self.objects:
            above = int(self.index.column("retention", column)[node])
            return None if above == NOT_LIVE else above
        if node < self.objects + self.roots:
            return self.objects + self.roots + int(self.index.column("roots", "group")[node - self.objects])
        return self.start if node < self.start else None
