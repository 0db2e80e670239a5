"""Strings of the heap: copies of the same text, what they waste and who holds them, and how long strings are. No texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.index import DataClass
from analysis.index.store import Index
from explorer import charts
from explorer.pages.numbers import grouped, readable_bytes
from explorer.pages.objects import Objects, held_by
from explorer.pages.references import References
from explorer.pages.tables import Column, Link, structure

_D2 = DataClass.D2_CONTEXT
#: Which values are equal is for those who see the marks of masked ones, too.
DUPLICATE_COLUMNS = (
    Column("object", "First copy", "text", sortable=False, data_class=_D2),
    Column("count", "Copies", "number", sortable=False, data_class=_D2),
    Column("characters", "Length", "number", "characters", sortable=False, data_class=_D2),
    Column("size", "Size of one", "number", "B", sortable=False, data_class=_D2),
    Column("wasted", "Wasted", "bytes", "B", "Sizes of all copies but one", sortable=False, data_class=_D2),
    Column("held_by", "Held by", "text", about="Fields that refer to the copies", sortable=False, data_class=_D2),
)
LENGTH_COLUMNS = (
    structure("length", "Characters", "text", sortable=False),
    structure("count", "Strings", "number", sortable=False),
    structure("size", "Size", "bytes", "B", "Shallow sizes added up", sortable=False),
)


class DuplicateRows:
    """Groups of equal strings, those that waste most first: only the slice on the page is made."""

    def __init__(self, index: Index, references: References, objects: Objects) -> None:
        self._index, self._references, self._objects = index, references, objects
        self.total = index.rows["string_groups"]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return [self._row(row) for row in range(start, min(stop, self.total))]

    def _row(self, row: int) -> dict[str, Any]:
        column = {
            name: int(self._index.column("string_groups", name)[row])
            for name in ("characters", "size", "count", "wasted", "object")
        }
        url = self._objects.link(column.pop("object")).url
        holders = held_by(self._index, self._references, "string_holders", "group", row)
        return {"object": Link(f"string of {grouped(column['characters'])}", url), **column, "held_by": holders}


def found_rows(objects: Objects, rows: Sequence[int], lengths: Sequence[int]) -> list[Mapping[str, Any]]:
    """Strings that a search found: where they lie, how long they are, who holds them."""
    return [_found(objects, row, length) for row, length in zip(rows, lengths, strict=True)]


def _found(objects: Objects, row: int, length: int) -> dict[str, Any]:
    graph = objects.graph
    referrers = len(graph.referrers(row)) if graph.built else 0
    first = objects.referrer_rows(row, 0, 1)[0] if referrers else None
    return {
        "object": objects.link(row), "characters": length, "referrers": referrers,
        "held_by": first["object"] if first else None, "field": first["field"] if first else "",
        "live": graph.built and graph.parent(row) is not None,
    }  # fmt: skip


def length_rows(index: Index) -> list[dict[str, Any]]:
    """Strings by length, shortest first."""
    columns = (index.column("string_lengths", name).tolist() for name in ("lower", "upper", "count", "size"))
    return [
        {"length": str(lower) if lower == upper else f"{grouped(lower)}–{grouped(upper)}", "count": count, "size": size}
        for lower, upper, count, size in zip(*columns, strict=True)
    ]


def lengths_bar(rows: list[dict[str, Any]]) -> charts.Figure:
    """Bytes of strings by length, one bar each."""
    return {
        "data": [{
            "type": "bar", "x": [row["length"] for row in rows], "y": [row["size"] for row in rows],
            "customdata": [[grouped(row["count"]), readable_bytes(row["size"])] for row in rows],
            "hovertemplate": "%{x} characters<br>%{customdata[0]} strings, %{customdata[1]}<extra></extra>",
            "meta": {"tones": ["accent"] * len(rows)},
        }],
        "layout": {
            "bargap": 0.25, "showlegend": False,
            "xaxis": {"type": "category", "fixedrange": True, "automargin": True},
            "yaxis": {"tickformat": "~s", "ticksuffix": "B", "fixedrange": True},
            "margin": {"l": 58, "r": 40, "t": 8, "b": 62},
        },
    }  # fmt: skip
