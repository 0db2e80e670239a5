"""Why the objects of a group are alive: shortest root paths merged by the types along them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from analysis.index.store import Index
from explorer.pages.references import Piece, References

_MOST_PATHS, _MOST_STEPS = 8, 14


@dataclass(frozen=True, slots=True)
class MergedPath:
    """A way from a root that ``objects`` of one type share; ``size`` in bytes."""

    objects: int
    size: int
    steps: list[Piece]


@dataclass(frozen=True, slots=True)
class RootPaths:
    """The paths with the most bytes, and how many more there are with fewer."""

    paths: list[MergedPath]
    more: int


def merged_root_paths(index: Index, references: References, types: Collection[int]) -> RootPaths:
    """Paths to the live objects of these types: of one, of those in a namespace, of those a finding names."""
    merged = np.flatnonzero(np.isin(index.column("merged_paths", "type"), list(types)))
    sizes, counts = (index.column("merged_paths", name)[merged].astype(np.int64) for name in ("size", "objects"))
    order = merged[np.lexsort((-counts, -sizes))]
    found = [_path(index, references, row) for row in order[:_MOST_PATHS].tolist()]
    return RootPaths(found, max(0, len(order) - _MOST_PATHS))


def _path(index: Index, references: References, row: int) -> MergedPath:
    columns = {name: index.column("merged_paths", name) for name in ("parent", "type", "root", "objects", "size")}
    steps, at = list[Piece](), row
    while at > 0:
        kind, root = int(columns["type"][at]), int(columns["root"][at])
        if kind >= 0:
            steps.append(references.type(kind))
        elif root >= 0:
            steps.append(references.root(root))
            # The group is part of the root's name, but for handles, whose roots have none.
            break
        at = int(columns["parent"][at])
    if len(steps) > _MOST_STEPS:
        half = _MOST_STEPS // 2
        steps = [*steps[:half], Piece(f"… {len(steps) - _MOST_STEPS} more …"), *steps[-half:]]
    return MergedPath(int(columns["objects"][row]), int(columns["size"][row]), steps[::-1])
