"""The flat list of types: its columns and rows, of all objects, the live or the dead ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from explorer.pages.generations import GENERATION_LIST
from explorer.pages.names import visible
from explorer.pages.tables import Column, Link, Query, structure
from explorer.pages.types import DEAD, LIVE, Ids, TypeCatalogue, TypeFilter

_OBJECTS = {LIVE: "Live objects", DEAD: "Dead objects"}
_SIZE = {LIVE: "Live size", DEAD: "Dead size"}


class TypeRows:
    """The rows of the flat list, built only for the page that is shown."""

    def __init__(self, types: TypeCatalogue, wanted: TypeFilter, query: Query, type_url: Callable[[int], str]) -> None:
        self._types, self._type_url, self._wanted = types, type_url, wanted
        self._counts, self._sizes = types.shown(wanted.generation, wanted.objects)
        self._by_generation = types.sizes_by_generation(wanted.objects)
        order = types.order(query.sort, wanted.generation, wanted.objects)
        if wanted.active:
            order = order[types.matching(wanted)[order]]
        self._order = order[::-1] if query.descending else order
        self._whole = int(self._sizes.sum())
        self.total = len(self._order)
        self.matched_count, self.matched_size = int(self._counts[order].sum()), int(self._sizes[order].sum())

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return [self._row(int(type_id)) for type_id in self._order[start:stop]]

    @cached_property
    def _split(self) -> dict[str, Ids]:
        """Live and dead objects of all types, and the bytes in them."""
        (live_count, live_size), (dead_count, dead_size) = (self._types.shown(self._wanted.generation, of) for of in (LIVE, DEAD))
        return {"live_count": live_count, "live_size": live_size, "dead_count": dead_count, "dead_size": dead_size}

    def _row(self, type_id: int) -> dict[str, Any]:
        types, index = self._types, self._types.index
        count, size = int(self._counts[type_id]), int(self._sizes[type_id])
        by_generation = self._by_generation[type_id].tolist()
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

    def _retention(self, type_id: int) -> dict[str, Any]:
        types = self._types
        if not types.has_graph:
            return {}
        if types.is_free[type_id]:
            return dict.fromkeys((*self._split, "retained", "share"))
        found: dict[str, Any] = {"retained": int(types.retained[type_id])}
        if not self._wanted.objects:
            found |= {name: int(column[type_id]) for name, column in self._split.items()}
            found["share"] = found["live_size"], self._live_whole
        return found

    @cached_property
    def _live_whole(self) -> int:
        return int(self._split["live_size"].sum())


def type_columns(types: TypeCatalogue, wanted: TypeFilter, numbers: bool) -> tuple[Column, ...]:
    """The columns of the flat list; ``numbers`` gives one column per generation instead of the small bar."""
    where = f" in {wanted.generation.label}" if wanted.generation else ""
    objects, size = _OBJECTS.get(wanted.objects, "Objects"), _SIZE.get(wanted.objects, "Size")
    columns = [
        structure("name", "Type", "name", about="Full type name; the namespace is grey"),
        structure("module", "Module", "module"),
        structure("count", f"{objects}{where}", "number", about="Objects of exactly this type"),
        structure("size", f"{size}{where}", "number", "B", "Their shallow sizes added up"),
    ]
    present = types.present_generations
    retention = _retention_columns(wanted.objects) if types.has_graph else []
    # Which object is the biggest of those that live is not known.
    largest = [] if wanted.objects else [structure("largest", "Largest", "number", "B", "The biggest object of this type")]
    if numbers or types.has_graph:
        largest = [replace(column, kind="hidden") for column in largest]
    if numbers:
        columns += [structure(each.slug, each.label, "number", "B", each.about) for each in present]
        columns += [*largest, *(replace(column, kind="hidden") for column in retention)]
    else:
        mix = structure("mix", "Generations", "mix", about="Where the bytes are", sortable=False, exported=False)
        columns += [*retention, _share_column(types, wanted), *largest, mix]
        columns += [structure(each.slug, each.label, "hidden", "B") for each in present]
    return (
        *columns,
        structure("average", "Average", "hidden", "B"),
        structure("kind", "Kind", "hidden"),
        structure("method_table", "Method table", "hidden-address"),
    )


def _retention_columns(objects: str) -> list[Column]:
    """What the graph adds: of all objects the split into live and dead, of a part what the type retains."""
    retained = structure("retained", "Retained", "bytes", "B", "What would be free without all objects of this type")
    if objects:
        return [replace(retained, kind="hidden") if objects == DEAD else retained]
    return [
        structure("live_count", "Live", "number", about="Objects that a root keeps alive"),
        structure("live_size", "Live size", "bytes", "B", "Shallow sizes of the live objects"),
        structure("dead_count", "Dead", "hidden"),
        structure("dead_size", "Dead size", "bytes", "B", "Shallow sizes of objects that the next collection would free"),
        retained,
    ]


def _share_column(types: TypeCatalogue, wanted: TypeFilter) -> Column:
    unit, about = "% of heap", "Part of all bytes on the heap"
    if types.has_graph:
        which = DEAD if wanted.objects == DEAD else LIVE
        unit, about = f"% of {which}", f"Part of the bytes of all {which} objects"
    return structure("share", "Share", "share", unit, about, sortable=False, exported=False)
