"""Objects that may not move: by type and generation, and one by one with what pins them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.index.retention import ASYNC_PINNED, PINNED
from analysis.index.store import Index
from explorer.pages.generations import GENERATION_LIST
from explorer.pages.numbers import grouped, readable_bytes
from explorer.pages.objects import Objects
from explorer.pages.references import References
from explorer.pages.tables import Link, structure

#: Generations that the collector compacts by moving objects, by their place in GENERATIONS.
_COMPACTED = 3

GROUP_COLUMNS = (
    structure("type_name", "Type", "name", sortable=False),
    structure("generation", "Generation", "text", sortable=False),
    structure("count", "Objects", "number", sortable=False),
    structure("size", "Size", "bytes", "B", "Their shallow sizes added up", sortable=False),
)
OBJECT_COLUMNS = (
    structure("object", "Object", "text", sortable=False),
    structure("generation", "Generation", "text", sortable=False),
    structure("size", "Size", "bytes", "B", "Shallow size", sortable=False),
    structure("by", "Pinned by", "text", about="Handle or place on a stack that pins it", sortable=False),
)


class Pinned:
    """The pinned objects of one index, each once, the largest first, as one viewer may see them."""

    def __init__(self, index: Index, references: References) -> None:
        self._index, self._references, self._objects = index, references, Objects(index, references)
        kinds = index.column("roots", "kind")
        roots = np.flatnonzero(np.isin(kinds, (PINNED, ASYNC_PINNED)) | index.column("roots", "pinned"))
        rows, first = np.unique(index.column("roots", "object")[roots], return_index=True)
        sizes = index.object_sizes(rows).astype(np.int64)
        order = np.argsort(-sizes, kind="stable")
        self._rows, self._roots, self._sizes = rows[order], roots[first][order], sizes[order]
        self._generations: npt.NDArray[np.uint8] = index.column("objects", "generation")[self._rows]
        self.total = len(rows)

    def words(self) -> str:
        """How many there are, and whether they are in the way of the collector."""
        if not self.total:
            return "No object is pinned: the collector may move every object of generations 0 to 2."
        found = f"{grouped(self.total)} {'object is' if self.total == 1 else 'objects are'} pinned"
        inside = self._generations < _COMPACTED
        if not inside.any():
            return f"{found}, none of them in generations 0 to 2: there they are in nobody's way."
        count, size = int(inside.sum()), readable_bytes(int(self._sizes[inside].sum()))
        these = "it lies" if self.total == 1 else f"{'all' if count == self.total else grouped(count)} of them, {size}, lie"
        return (
            f"{found}; {these} in generations 0 to 2, where the collector has to work around what is pinned and cannot close the "
            "gaps before it."
        )

    def groups(self) -> list[dict[str, Any]]:
        """Pinned objects by type and generation, those that take most first."""
        kinds = self._index.column("objects", "type")[self._rows].astype(np.int64)
        keys, group = np.unique(kinds * len(GENERATION_LIST) + self._generations, return_inverse=True)
        counts, sizes = np.bincount(group, minlength=len(keys)), np.bincount(group, self._sizes, len(keys))
        rows = []
        for key, count, size in zip(keys.tolist(), counts.tolist(), sizes.tolist(), strict=True):
            kind, generation = divmod(key, len(GENERATION_LIST))
            piece = self._references.type(kind)
            rows.append({
                "type_name": Link(piece.title, piece.url), "generation": GENERATION_LIST[generation].label,
                "count": count, "size": round(size),
            })  # fmt: skip
        return sorted(rows, key=lambda row: -row["size"])

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """The objects one by one."""
        return [self._row(place) for place in range(start, min(stop, self.total))]

    def _row(self, place: int) -> dict[str, Any]:
        root = self._references.root(int(self._roots[place]))
        return {
            "object": self._objects.link(int(self._rows[place])),
            "generation": GENERATION_LIST[int(self._generations[place])].label,
            "size": int(self._sizes[place]),
            "by": Link(root.text, root.url),
        }
