"""Types added up by namespace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.index.store import Index
from explorer.pages.opened import kept_structure

Ids = npt.NDArray[np.int64]

_DEEPEST_LEVEL = 15


class NamespaceTree:
    """Types added up by namespace, each namespace holding those below it."""

    def __init__(self, namespaces: Sequence[str], every: tuple[Ids, Ids], live: tuple[Ids, Ids]) -> None:
        """``every`` and ``live`` are counts and sizes by type."""
        self._sizes = every[1]
        self.members: dict[str, list[int]] = {}
        for type_id, namespace in enumerate(namespaces):
            self.members.setdefault(namespace, []).append(type_id)
        place = {path: row for row, path in enumerate(self.members)}
        labels = np.array([place[namespace] for namespace in namespaces], np.int64)
        self.count, self.size, self.live_count, self.live_size = (
            dict(zip(place, np.rint(np.bincount(labels, column, len(place))).astype(np.int64).tolist(), strict=True))
            for column in (*every, *live)
        )
        self.type_count = {path: len(ids) for path, ids in self.members.items()}
        self.children: dict[str, set[str]] = {}
        self._add_up()

    def _add_up(self) -> None:
        """Add every namespace to the one above it, deepest first, so that each is visited once."""
        by_depth: dict[int, set[str]] = {}
        for path in self.members:
            if path:
                by_depth.setdefault(path.count("."), set()).add(path)
        for depth in range(max(by_depth, default=-1), -1, -1):
            for path in by_depth.get(depth, ()):
                above = _above(path, depth)
                self.children.setdefault(above, set()).add(path)
                for sums in (self.count, self.size, self.live_count, self.live_size, self.type_count):
                    sums[above] = sums.get(above, 0) + sums[path]
                if above:
                    by_depth.setdefault(above.count("."), set()).add(above)

    def below(self, namespace: str) -> list[str]:
        """The namespaces directly below, biggest first."""
        return sorted(self.children.get(namespace, ()), key=lambda path: (-self.size[path], path))

    def types_in(self, namespace: str, limit: int) -> tuple[list[int], int]:
        """The biggest types directly in a namespace, and how many more there are."""
        ids = self.members.get(namespace, [])
        biggest = sorted(ids, key=lambda type_id: -int(self._sizes[type_id]))
        return biggest[:limit], max(0, len(biggest) - limit)

    def all_types_in(self, namespace: str) -> list[int]:
        """Types in a namespace and in those below it."""
        found, left = list[int](), [namespace]
        while left:
            path = left.pop()
            found += self.members.get(path, [])
            left += self.children.get(path, ())
        return found

    def retained(self, index: Index, namespace: str) -> int | None:
        """What all objects of a namespace retain together, None where that is unknown.

        The index knows it of each namespace without those below it. Retained sizes overlap and cannot be added up,
        so that it holds for a branch only where all its live objects are those of the namespace itself.
        """
        objects, retained = group_sums(index, "namespace").get(namespace, (0, 0))
        return retained if objects == self.live_count[namespace] else None


@kept_structure(24)
def group_sums(index: Index, partition: str) -> dict[str, tuple[int, int]]:
    """Live objects of each namespace or assembly, and what they retain together."""
    texts = (index.text("groups", name).all for name in ("partition", "name"))
    numbers = (index.column("groups", name).tolist() for name in ("objects", "retained"))
    rows = zip(*texts, *numbers, strict=True)
    return {name: (objects, retained) for of, name, objects, retained in rows if of == partition}


def _above(path: str, points: int) -> str:
    """The namespace above; a name of a thousand points does not make a thousand levels."""
    if points >= _DEEPEST_LEVEL:
        return ".".join(path.split(".", _DEEPEST_LEVEL)[:_DEEPEST_LEVEL])
    return path.rpartition(".")[0]
