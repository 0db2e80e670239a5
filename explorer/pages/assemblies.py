"""Types added up by the assembly that declares them."""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.pages.names import visible
from explorer.pages.namespaces import group_sums
from explorer.pages.tables import Column, Link, structure
from explorer.pages.types import LIVE, TypeCatalogue

_UNKNOWN = "(unknown)"

ASSEMBLY_COLUMNS = (
    structure("name", "Assembly", "name", about="The assembly that declares the types"),
    structure("types", "Types", "number"),
    structure("count", "Objects", "number"),
    structure("size", "Size", "number", "B", "Shallow sizes added up"),
)
_HELD_COLUMNS = (
    structure("live_count", "Live", "number", about="Objects that a root keeps alive"),
    structure("live_size", "Live size", "bytes", "B", "Shallow sizes of the live objects"),
    structure("retained", "Retained", "bytes", "B", "What would be free without all objects of its types"),
)


def assembly_columns(types: TypeCatalogue) -> tuple[Column, ...]:
    """The columns, with what is live and retained where that is known."""
    unit, about = ("% of live", "the bytes of all live objects") if types.has_graph else ("% of heap", "all bytes on the heap")
    share = structure("share", "Share", "share", unit, f"Part of {about}", sortable=False, exported=False)
    return (*ASSEMBLY_COLUMNS, *(_HELD_COLUMNS if types.has_graph else ()), share)


def assembly_rows(types: TypeCatalogue) -> list[dict[str, Any]]:
    """One row per assembly with types on the heap; free blocks belong to none."""
    # The last place is for types of no known module, whose row is -1.
    of_module = [*types.index.text("modules", "assembly").all, ""]
    names = sorted(set(of_module))
    place = {name: row for row, name in enumerate(names)}
    real = ~types.is_free
    modules = types.modules[real]
    labels = np.array([place[name] for name in of_module], np.int64)[modules]
    figures = {"types": np.ones(types.total, np.int64)}
    figures["count"], figures["size"] = types.shown(None)
    figures["live_count"], figures["live_size"] = types.shown(None, LIVE)
    sums = {key: np.bincount(labels, column[real], len(names)) for key, column in figures.items()}
    return [
        _row(types, names[row], {key: round(column[row]) for key, column in sums.items()}, int(modules[first]))
        for row, first in zip(*np.unique(labels, return_index=True), strict=True)
    ]


def _row(types: TypeCatalogue, name: str, sums: dict[str, int], module: int) -> dict[str, Any]:
    objects, retained = group_sums(types.index, "assembly").get(name, (0, 0))
    part = (sums["live_size"], types.live_size) if types.has_graph else (sums["size"], types.heap_size)
    return {
        "name": Link(visible(name, 120), f"?module={module}") if name else _UNKNOWN,
        **sums,
        "retained": retained if objects == sums["live_count"] else None,
        "share": part,
    }
