"""The types of the heap: sorted, filtered, added up. Everything that reads all types is computed once per open index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.index.store import Index
from explorer.pages.generations import GENERATION_LIST, Generation
from explorer.pages.names import namespace_of, visible
from explorer.pages.numbers import address
from explorer.pages.tables import Column, Link, Query

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: What a filter box may ask for; longer text cannot match a shown name better.
_LONGEST_FILTER = 200
_DEEPEST_LEVEL = 15


@dataclass(slots=True)
class Sums:
    """Types added up."""

    types: int = 0
    count: int = 0
    size: int = 0


class TypeCatalogue:
    """All types of one index with their names, sorted orders and namespaces, each made at first need and kept."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.total = index.rows["types"]
        self.count = np.asarray(index.column("types", "count"), np.int64)
        self.size = np.asarray(index.column("types", "size"), np.int64)
        self.count_by_generation = np.asarray(index.column("types", "count_by_generation"), np.int64)
        self.size_by_generation = np.asarray(index.column("types", "size_by_generation"), np.int64)
        self._orders: dict[tuple[str, int], Ids] = {}
        self._masks: dict[tuple[str, int, int], Mask] = {}

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

    @cached_property
    def sums_by_namespace(self) -> tuple[dict[str, Sums], dict[str, Sums]]:
        """All types added up by the first part of their namespace, and by their whole namespace."""
        families: dict[str, Sums] = {}
        groups: dict[str, Sums] = {}
        for namespace, count, size in zip(self.namespaces, self.count.tolist(), self.size.tolist(), strict=True):
            family = families.setdefault(namespace.partition(".")[0], Sums())
            for sums in (family, groups.setdefault(namespace, Sums())):
                sums.types, sums.count, sums.size = sums.types + 1, sums.count + count, sums.size + size
        return families, groups

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

    def module_name(self, type_id: int) -> str:
        # Free blocks carry the method table of no module of their own.
        row = int(self.modules[type_id]) if self.kinds[type_id] != "free" else -1
        return visible(self.module_names[row], 260) if 0 <= row < len(self.module_names) else ""

    def order(self, sort: str, generation: Generation | None) -> Ids:
        """Type ids in ascending order of one sort key."""
        key = (sort, generation.number if generation else -1)
        if key not in self._orders:
            self._orders[key] = self._sorted(sort, generation)
        return self._orders[key]

    def _sorted(self, sort: str, generation: Generation | None) -> Ids:
        if sort == "name":
            return np.array(sorted(range(self.total), key=self.lowered.__getitem__), np.int64)
        if sort == "module":
            lowered = [name.lower() for name in self.module_names]
            rank = np.zeros(len(lowered) + 1, np.int64)
            rank[sorted(range(len(lowered)), key=lowered.__getitem__)] = np.arange(1, len(lowered) + 1)
            return np.argsort(rank[self.modules], kind="stable")
        return np.argsort(self._numbers(sort, generation), kind="stable")

    def _numbers(self, sort: str, generation: Generation | None) -> npt.NDArray[Any]:
        for each in GENERATION_LIST:
            if sort == each.slug:
                return self.size_by_generation[:, each.number]
        if sort in ("live_count", "retained"):
            return np.asarray(self.index.column("retained_types", sort), np.int64)
        if sort == "largest":
            return np.asarray(self.index.column("types", "largest"), np.int64)
        counts, sizes = self.shown(generation)
        if sort == "average":
            return sizes / np.maximum(counts, 1)
        return counts if sort == "count" else sizes

    def shown(self, generation: Generation | None) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Counts and sizes of all types, in the whole heap or in one generation."""
        if generation is None:
            return self.count, self.size
        return self.count_by_generation[:, generation.number], self.size_by_generation[:, generation.number]

    def matching(self, text: str, module: int, generation: Generation | None) -> Mask:
        """Which types match: every word of ``text`` is in the name, or is the method table as ``0x…``."""
        text = text[:_LONGEST_FILTER].lower()
        key = (text, module, generation.number if generation else -1)
        if key not in self._masks:
            if len(self._masks) > 64:
                self._masks.clear()
            self._masks[key] = self._match(text.split(), module, generation)
        return self._masks[key]

    def _match(self, words: list[str], module: int, generation: Generation | None) -> Mask:
        mask = self.shown(generation)[0] > 0 if generation else np.ones(self.total, np.bool_)
        if module >= 0:
            mask = mask & (self.modules == module)
        for word in words:
            table = _hexadecimal(word)
            if table is not None:
                mask = mask & (self.index.column("types", "method_table") == table)
            else:
                mask = mask & np.fromiter((word in name for name in self.lowered), np.bool_, self.total)
        return mask

    @cached_property
    def tree(self) -> NamespaceTree:
        return NamespaceTree(self)


@lru_cache(maxsize=12)
def catalogue(index: Index) -> TypeCatalogue:
    """The catalogue of an open index."""
    return TypeCatalogue(index)


@dataclass(frozen=True)
class TypeFilter:
    """What the URL of the types page asks for."""

    text: str
    generation: Generation | None
    module: int

    @property
    def active(self) -> bool:
        return bool(self.text or self.generation or self.module >= 0)


class TypeRows:
    """The rows of the flat list, built only for the page that is shown."""

    def __init__(self, types: TypeCatalogue, wanted: TypeFilter, query: Query, type_url: Callable[[int], str]) -> None:
        self._types, self._type_url = types, type_url
        self._counts, self._sizes = types.shown(wanted.generation)
        order = types.order(query.sort, wanted.generation)
        if wanted.active:
            order = order[types.matching(wanted.text, wanted.module, wanted.generation)[order]]
        self._order = order[::-1] if query.descending else order
        self._whole = int(self._sizes.sum())
        self.total = len(self._order)
        self.matched_count, self.matched_size = int(self._counts[order].sum()), int(self._sizes[order].sum())

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return [self._row(int(type_id)) for type_id in self._order[start:stop]]

    def _row(self, type_id: int) -> dict[str, Any]:
        types, index = self._types, self._types.index
        count, size = int(self._counts[type_id]), int(self._sizes[type_id])
        by_generation = types.size_by_generation[type_id].tolist()
        return {
            "name": Link(visible(types.names[type_id]), self._type_url(type_id)),
            "module": types.module_name(type_id),
            "kind": types.kinds[type_id],
            "count": count,
            "size": size,
            "share": (size, self._whole),
            "average": round(size / count) if count else None,
            "largest": int(index.column("types", "largest")[type_id]),
            "mix": by_generation,
            **self._retention(type_id),
            "method_table": int(index.column("types", "method_table")[type_id]),
            **{each.slug: by_generation[each.number] for each in GENERATION_LIST},
        }

    def _retention(self, type_id: int) -> dict[str, int]:
        if not self._types.has_graph:
            return {}
        index = self._types.index
        return {name: int(index.column("retained_types", name)[type_id]) for name in ("live_count", "live_size", "retained")}


def type_columns(types: TypeCatalogue, generation: Generation | None, numbers: bool) -> tuple[Column, ...]:
    """The columns of the flat list; ``numbers`` gives one column per generation instead of the small bar."""
    where = f" in {generation.label}" if generation else ""
    columns = [
        Column("name", "Type", "name", about="Full type name; the namespace is grey"),
        Column("module", "Module", "module"),
        Column("count", f"Objects{where}", "number", about="Objects of exactly this type"),
        Column("size", f"Size{where}", "number", "B", "Their shallow sizes added up"),
    ]
    largest = Column("largest", "Largest", "number", "B", "The biggest object of this type")
    present = types.present_generations
    if numbers:
        columns += [Column(each.slug, each.label, "number", "B", each.about) for each in present]
        columns.append(replace(largest, kind="hidden"))
    else:
        share = Column("share", "Share", "share", "% of heap", "Part of all bytes on the heap", sortable=False, exported=False)
        mix = Column("mix", "Generations", "mix", about="Where the bytes are", sortable=False, exported=False)
        if types.has_graph:
            columns += [
                Column("live_count", "Live", "number", about="Objects that a root keeps alive"),
                Column("retained", "Retained", "number", "B", "What would be free without all objects of this type"),
                Column("live_size", "Live size", "hidden", "B"),
            ]
            largest = replace(largest, kind="hidden")
        columns += [share, largest, mix, *(Column(each.slug, each.label, "hidden", "B") for each in present)]
    return (
        *columns,
        Column("average", "Average", "hidden", "B"),
        Column("kind", "Kind", "hidden"),
        Column("method_table", "Method table", "hidden-address"),
    )


class NamespaceTree:
    """Types added up by namespace, each namespace holding those below it."""

    def __init__(self, types: TypeCatalogue) -> None:
        self._types = types
        self.members: dict[str, list[int]] = {}
        for type_id, namespace in enumerate(types.namespaces):
            self.members.setdefault(namespace, []).append(type_id)
        counts, sizes = types.count.tolist(), types.size.tolist()
        self.count = {path: sum(counts[each] for each in ids) for path, ids in self.members.items()}
        self.size = {path: sum(sizes[each] for each in ids) for path, ids in self.members.items()}
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
                for sums in (self.count, self.size, self.type_count):
                    sums[above] = sums.get(above, 0) + sums[path]
                if above:
                    by_depth.setdefault(above.count("."), set()).add(above)

    def below(self, namespace: str) -> list[str]:
        """The namespaces directly below, biggest first."""
        return sorted(self.children.get(namespace, ()), key=lambda path: (-self.size[path], path))

    def types_in(self, namespace: str, limit: int) -> tuple[list[int], int]:
        """The biggest types directly in a namespace, and how many more there are."""
        ids = self.members.get(namespace, [])
        biggest = sorted(ids, key=lambda type_id: -int(self._types.size[type_id]))
        return biggest[:limit], max(0, len(biggest) - limit)


def _above(path: str, points: int) -> str:
    """The namespace above; a name of a thousand points does not make a thousand levels."""
    if points >= _DEEPEST_LEVEL:
        return ".".join(path.split(".", _DEEPEST_LEVEL)[:_DEEPEST_LEVEL])
    return path.rpartition(".")[0]


def type_rows_at(types: TypeCatalogue, ids: list[int], type_url: Callable[[int], str]) -> list[dict[str, Any]]:
    """Short rows (name, objects, size) for lists beside charts and inside the tree."""
    return [
        {
            "name": visible(types.names[type_id]),
            "url": type_url(type_id),
            "count": int(types.count[type_id]),
            "size": int(types.size[type_id]),
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
