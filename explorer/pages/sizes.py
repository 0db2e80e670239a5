"""How big the instances of one type are: counted and added up by powers of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.index.store import Index
from explorer import charts
from explorer.pages.numbers import grouped, percent, readable_bytes
from explorer.pages.opened import kept_structure
from explorer.pages.tables import structure

#: Instances that are looked at at a time: a type may have ten million.
_CHUNK = 1 << 20
_LARGEST_POWER = 64
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

SIZE_COLUMNS = (
    structure("between", "Size of one", "text", "B", sortable=False, exported=False),
    structure("lower", "From", "hidden", "B"),
    structure("upper", "To", "hidden", "B"),
    structure("count", "Objects", "number", sortable=False),
    structure("size", "Together", "bytes", "B", "Their shallow sizes added up", sortable=False),
)


@dataclass(frozen=True, slots=True)
class SizeBin:
    """Instances of ``lower`` to less than twice ``lower`` bytes."""

    lower: int
    count: int
    size: int

    @property
    def upper(self) -> int:
        return 2 * self.lower - 1

    @property
    def between(self) -> str:
        return f"{grouped(self.lower)}–{grouped(self.upper)}"


@kept_structure(32)
def size_bins(index: Index, type_id: int) -> tuple[SizeBin, ...]:
    """Every power of two between the smallest and the largest instance, empty ones too; nothing when all are as big."""
    total, first = (int(index.column("types", name)[type_id]) for name in ("count", "first_instance"))
    if not total:
        return ()
    ends = np.asarray(index.column("instances", "by_size")[[first, first + total - 1]])
    largest, smallest = index.object_sizes(ends).tolist()
    if smallest == largest:
        return ()
    rows = index.column("instances", "by_address")[first : first + total]
    counts, sizes = np.zeros(_LARGEST_POWER, np.int64), np.zeros(_LARGEST_POWER)
    for start in range(0, total, _CHUNK):
        found = index.object_sizes(np.asarray(rows[start : start + _CHUNK])).astype(np.float64)
        power = np.frexp(found)[1] - 1
        counts += np.bincount(power, minlength=_LARGEST_POWER)
        sizes += np.bincount(power, found, _LARGEST_POWER)
    powers = range(int(smallest).bit_length() - 1, int(largest).bit_length())
    return tuple(SizeBin(1 << power, int(counts[power]), round(sizes[power])) for power in powers)


def size_rows(bins: tuple[SizeBin, ...]) -> list[dict[str, Any]]:
    """The bins that hold anything."""
    names = ("between", "lower", "upper", "count", "size")
    return [{name: getattr(each, name) for name in names} for each in bins if each.count]


def size_words(bins: tuple[SizeBin, ...]) -> str:
    """Where the bytes are, in words."""
    most, whole = max(bins, key=lambda each: each.size), sum(each.size for each in bins)
    return (
        f"The largest part, {percent(most.size, whole)} % of the bytes, is in objects of {most.between} B: "
        f"{grouped(most.count)} {'takes' if most.count == 1 else 'take'} {readable_bytes(most.size)}."
    )


def sizes_bars(bins: tuple[SizeBin, ...]) -> charts.Figure:
    """Bytes above, objects below, a bar for each power of two."""
    details = [[each.between, grouped(each.count), readable_bytes(each.size)] for each in bins]

    def trace(axis: str, heights: list[int], tone: str) -> charts.Figure:
        return {
            "type": "bar", "x": [_short(each.lower) for each in bins], "y": heights, "yaxis": axis, "customdata": details,
            "hovertemplate": "%{customdata[0]} B<br>%{customdata[1]} objects, %{customdata[2]}<extra></extra>",
            "meta": {"tones": [tone] * len(bins)},
        }  # fmt: skip

    return {
        "data": [trace("y", [each.size for each in bins], "accent"), trace("y2", [each.count for each in bins], "gen1")],
        "layout": {
            "bargap": 0.2, "showlegend": False,
            "xaxis": {"type": "category", "fixedrange": True, "automargin": True, "anchor": "y2"},
            "yaxis": {"domain": [0.54, 1], "title": {"text": "bytes"}, "tickformat": "~s", "ticksuffix": "B", "nticks": 5,
                      "fixedrange": True},
            "yaxis2": {"domain": [0, 0.46], "title": {"text": "objects"}, "tickformat": "~s", "nticks": 5, "fixedrange": True},
            "margin": {"l": 74, "r": 12, "t": 8, "b": 40},
        },
    }  # fmt: skip


def _short(power_of_two: int) -> str:
    unit = min((power_of_two.bit_length() - 1) // 10, len(_UNITS) - 1)
    return f"{power_of_two >> (10 * unit)} {_UNITS[unit]}"
