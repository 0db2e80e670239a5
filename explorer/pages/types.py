"""The types of the heap: sorted, filtered, added up. Everything that reads all types is computed once per open index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.index.retention import NOT_LIVE
from analysis.index.store import Index
from explorer.pages.generations import GENERATION_LIST, Generation
from explorer.pages.names import namespace_of, visible
from explorer.pages.namespaces import NamespaceTree
from explorer.pages.numbers import address
from explorer.pages.opened import kept_structure

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: What a filter box may ask for; longer text cannot match a shown name better.
_LONGEST_FILTER = 200

#: What ``objects`` in a URL chooses: objects that a root keeps alive, or those that the next collection would free.
LIVE, DEAD = "live", "dead"
#: Objects whose sizes are added up at a time.
_CHUNK = 1 << 20


@dataclass(slots=True)
class Sums:
    """Types added up."""

    types: int = 0
    count: int = 0
    size: int = 0


@dataclass(frozen=True)
class TypeFilter:
    """What the URL of the types page asks for."""

    text: str
    generation: Generation | None
    module: int
    objects: str = ""

    @property
    def active(self) -> bool:
        return bool(self.text or self.generation or self.module >= 0 or self.objects)


class TypeCatalogue:
    """All types of one index with their names, sorted orders and namespaces, each made at first need and kept."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.total = index.rows["types"]
        self.count = np.asarray(index.column("types", "count"), np.int64)
        self.size = np.asarray(index.column("types", "size"), np.int64)
        self.count_by_generation = np.asarray(index.column("types", "count_by_generation"), np.int64)
        self.size_by_generation = np.asarray(index.column("types", "size_by_generation"), np.int64)
        self._orders: dict[tuple[str, int, str], Ids] = {}
        self._masks: dict[tuple[str, int, int, str], Mask] = {}
        self._sums: dict[str, tuple[dict[str, Sums], dict[str, Sums]]] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        return self.index.text("types", "name").all

    @cached_property
    def lowered(self) -> list[str]:
        return [name.lower() for name in self.names]

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        return self.index.text("types", "kind").all

    @cached_property
    def modules(self) -> npt.NDArray[np.int64]:
        return np.asarray(self.index.column("types", "module"), np.int64)

    @cached_property
    def module_names(self) -> tuple[str, ...]:
        return self.index.text("modules", "name").all

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: type_id for type_id, name in reversed(list(enumerate(self.index.text("types", "name").all)))}

    def id_of(self, name: str) -> int | None:
        """The type of that name, the first of several; None where no object of it is on the heap."""
        return self._ids.get(name)

    @cached_property
    def namespaces(self) -> list[str]:
        return [namespace_of(name) for name in self.names]

    def sums_by_namespace(self, objects: str = "") -> tuple[dict[str, Sums], dict[str, Sums]]:
        """All types added up by the first part of their namespace, and by their whole namespace."""
        if objects not in self._sums:
            families: dict[str, Sums] = {}
            groups: dict[str, Sums] = {}
            counts, sizes = self.shown(None, objects)
            for namespace, count, size in zip(self.namespaces, counts.tolist(), sizes.tolist(), strict=True):
                family = families.setdefault(namespace.partition(".")[0], Sums())
                for sums in (family, groups.setdefault(namespace, Sums())):
                    sums.types, sums.count, sums.size = sums.types + (count > 0), sums.count + count, sums.size + size
            self._sums[objects] = families, groups
        return self._sums[objects]

    @cached_property
    def present_generations(self) -> tuple[Generation, ...]:
        """The generations that hold at least one object."""
        filled = self.count_by_generation.sum(axis=0) if self.total else np.zeros(len(GENERATION_LIST))
        return tuple(generation for generation in GENERATION_LIST if filled[generation.number])

    @cached_property
    def heap_size(self) -> int:
        return int(self.size.sum())

    @property
    def has_graph(self) -> bool:
        """Whether references were followed, so that live objects and retained sizes are known."""
        return self.total > 0 and self.index.rows["retained_types"] == self.total

    @cached_property
    def count_of_objects(self) -> int:
        return int(self.count.sum())

    @cached_property
    def is_free(self) -> Mask:
        """Which rows stand for free blocks: they are neither live nor dead."""
        return np.fromiter((kind == "free" for kind in self.kinds), np.bool_, self.total)

    @cached_property
    def _live(self) -> tuple[Ids, Ids]:
        if not self.has_graph:
            return np.zeros_like(self.count), np.zeros_like(self.size)
        columns = (self.index.column("retained_types", name) for name in ("live_count", "live_size"))
        counts, sizes = (np.asarray(column, np.int64) for column in columns)
        return counts, sizes

    @cached_property
    def live_by_generation(self) -> tuple[Ids, Ids]:
        """Live objects and their bytes by type and generation; the index holds the counts, the bytes are added up here."""
        counts = np.asarray(self.index.column("retained_types", "live_count_by_generation"), np.int64)
        kinds, generations = self.index.column("objects", "type"), self.index.column("objects", "generation")
        parents, sums = self.index.column("retention", "parent"), np.zeros(counts.size)
        for start in range(0, len(kinds), _CHUNK):
            rows = start + np.flatnonzero(parents[start : start + _CHUNK] != NOT_LIVE)
            cells = kinds[rows].astype(np.int64) * counts.shape[1] + generations[rows]
            sums += np.bincount(cells, self.index.object_sizes(rows).astype(np.float64), counts.size)
        return counts, np.rint(sums).astype(np.int64).reshape(counts.shape)

    @property
    def live_size(self) -> int:
        """Bytes in live objects."""
        return int(self._live[1].sum())

    @cached_property
    def retained(self) -> Ids:
        """What all objects of each type retain together."""
        if not self.has_graph:
            return np.zeros_like(self.size)
        return np.asarray(self.index.column("retained_types", "retained"), np.int64)

    def module_name(self, type_id: int) -> str:
        # Free blocks carry the method table of no module of their own.
        row = int(self.modules[type_id]) if self.kinds[type_id] != "free" else -1
        return visible(self.module_names[row], 260) if 0 <= row < len(self.module_names) else ""

    def order(self, sort: str, generation: Generation | None, objects: str = "") -> Ids:
        """Type ids in ascending order of one sort key."""
        key = (sort, generation.number if generation else -1, objects)
        if key not in self._orders:
            self._orders[key] = self._sorted(sort, generation, objects)
        return self._orders[key]

    def _sorted(self, sort: str, generation: Generation | None, objects: str) -> Ids:
        if sort == "name":
            return np.array(sorted(range(self.total), key=self.lowered.__getitem__), np.int64)
        if sort == "module":
            lowered = [name.lower() for name in self.module_names]
            rank = np.zeros(len(lowered) + 1, np.int64)
            rank[sorted(range(len(lowered)), key=lowered.__getitem__)] = np.arange(1, len(lowered) + 1)
            return np.argsort(rank[self.modules], kind="stable")
        return np.argsort(self._numbers(sort, generation, objects), kind="stable")

    def _numbers(self, sort: str, generation: Generation | None, objects: str) -> npt.NDArray[Any]:
        for each in GENERATION_LIST:
            if sort == each.slug:
                return self.sizes_by_generation(objects)[:, each.number]
        if sort == "retained":
            return self.retained
        if sort == "largest":
            return np.asarray(self.index.column("types", "largest"), np.int64)
        of, _, measure = sort.rpartition("_")
        counts, sizes = self.shown(generation, of or objects)
        if measure == "average":
            return sizes / np.maximum(counts, 1)
        return counts if measure == "count" else sizes

    def shown(self, generation: Generation | None, objects: str = "") -> tuple[Ids, Ids]:
        """Counts and sizes of all types, in the whole heap or in one generation; of all, the live or the dead objects."""
        if objects == LIVE:
            if generation is None:
                return self._live
            counts, sizes = self.live_by_generation
            return counts[:, generation.number], sizes[:, generation.number]
        if generation is None:
            every = self.count, self.size
        else:
            every = self.count_by_generation[:, generation.number], self.size_by_generation[:, generation.number]
        if objects != DEAD:
            return every
        live = self.shown(generation, LIVE)
        return np.where(self.is_free, 0, every[0] - live[0]), np.where(self.is_free, 0, every[1] - live[1])

    def sizes_by_generation(self, objects: str) -> Ids:
        """Bytes by type and generation; of all, the live or the dead objects."""
        if not objects:
            return self.size_by_generation
        live = self.live_by_generation[1]
        return live if objects == LIVE else np.where(self.is_free[:, None], 0, self.size_by_generation - live)

    def matching(self, wanted: TypeFilter) -> Mask:
        """Which types match: every word of the text is in the name, or is the method table as ``0x…``."""
        text = wanted.text[:_LONGEST_FILTER].lower()
        key = (text, wanted.module, wanted.generation.number if wanted.generation else -1, wanted.objects)
        if key not in self._masks:
            if len(self._masks) > 64:
                self._masks.clear()
            self._masks[key] = self._match(text.split(), wanted)
        return self._masks[key]

    def _match(self, words: list[str], wanted: TypeFilter) -> Mask:
        mask = np.ones(self.total, np.bool_)
        if wanted.generation or wanted.objects:
            mask = self.shown(wanted.generation, wanted.objects)[0] > 0
        if wanted.module >= 0:
            mask = mask & (self.modules == wanted.module)
        for word in words:
            table = _hexadecimal(word)
            if table is not None:
                mask = mask & (self.index.column("types", "method_table") == table)
            else:
                mask = mask & np.fromiter((word in name for name in self.lowered), np.bool_, self.total)
        return mask

    @cached_property
    def tree(self) -> NamespaceTree:
        return NamespaceTree(self.namespaces, self.shown(None), self.shown(None, LIVE))


@kept_structure(12)
def catalogue(index: Index) -> TypeCatalogue:
    """The catalogue of an open index."""
    return TypeCatalogue(index)


def type_rows_at(types: TypeCatalogue, ids: list[int], type_url: Callable[[int], str], objects: str = "") -> list[dict[str, Any]]:
    """Short rows (name, objects, size, share) for lists beside charts and inside the tree."""
    counts, sizes = types.shown(None, objects)
    whole = int(sizes.sum())
    return [
        {
            "name": visible(types.names[type_id]),
            "url": type_url(type_id),
            "count": int(counts[type_id]),
            "size": int(sizes[type_id]),
            "share": (int(sizes[type_id]), whole),
            "module": types.module_name(type_id),
            "method_table": address(int(types.index.column("types", "method_table")[type_id])),
        }
        for type_id in ids
    ]


def _hexadecimal(word: str) -> int | None:
    if not word.startswith("0x") or len(word) > 18:
        return None
    try:
        return int(word, 16)
    except ValueError:
        return None
