"""The tables that SQL may ask: those of the index as far as they may be shown, and a few that are put together from them.

Described here once for both sides: ``analysis.query`` makes them, the web application explains them.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.index.columns import DataClass
from analysis.index.schema import GENERATIONS, TABLES

#: Rows of arrays and offsets; ``edges`` and the columns of ``objects`` say the same in a way that can be joined.
_FOLDED = (
    "objects", "oversize_objects", "instances", "retention", "retained_types", "references", "reference_offsets", "referrers",
    "referrer_offsets", "dominated", "dominated_offsets",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Described:
    """A column or a table: its name and what it holds."""

    name: str
    about: str


@dataclass(frozen=True, slots=True)
class DescribedTable:
    """A table and its columns."""

    name: str
    about: str
    columns: tuple[Described, ...]


_ROW = Described("id", "row number; other tables name this row by it")
_OBJECT = (
    _ROW,
    Described("address", "address of the object"),
    Described("type", "id in types"),
    Described("size", "shallow size in bytes"),
    Described("generation", f"0 to {len(GENERATIONS) - 1}: {', '.join(GENERATIONS)}"),
    Described("live", "a root keeps it alive; null where no references were followed"),
    Described("retained", "bytes that would be free without it; 0 when it is dead"),
    Described("dominator", "node without which it would be dead: below the number of objects an object's id; null when dead"),
)
_LIVE = (
    Described("live_count", "live objects of exactly this type"),
    Described("live_size", "their shallow sizes in bytes"),
    Described("retained", "bytes that would be free without all of them"),
)


def described_tables(highest: DataClass) -> tuple[DescribedTable, ...]:
    """All tables with the columns of an index up to ``highest``."""
    return (
        DescribedTable("heap", "One row per object with the name of its type: objects and types joined.", (
            Described("id", "id in objects"), Described("address", "address of the object"),
            Described("type", "full name of its type"), Described("size", "shallow size in bytes"),
            Described("generation", "Generation0, Generation1, Generation2, Large, Pinned or Frozen"),
            Described("live", "a root keeps it alive"), Described("retained", "bytes that would be free without it"),
        )),
        DescribedTable("objects", "One row per object, in address order.", _OBJECT),
        DescribedTable("edges", "One row per reference from object to object, dead ones too.", (
            Described("source", "id in objects of the one that refers"), Described("target", "id in objects"),
            Described("slot", "eight-byte word of the source that holds it"),
        )),
        *(_of_schema(name, highest) for name in TABLES if name not in _FOLDED and _shows_anything(name, highest)),
    )  # fmt: skip


def _shows_anything(name: str, highest: DataClass) -> bool:
    """Whether a table has a column for this class: how many rows there are is told with the columns or not at all."""
    return any(one.data_class <= highest for one in TABLES[name].columns)


def _of_schema(name: str, highest: DataClass) -> DescribedTable:
    table = TABLES[name]
    columns = [_ROW]
    for one in table.columns:
        if one.data_class > highest:
            continue
        about = f"{one.about} ({one.unit})" if one.unit else one.about
        names = [f"{one.name}_{part}" for part in range(one.width)] if one.width else [one.name]
        columns += [Described(part, about) for part in names]
    return DescribedTable(name, table.about, (*columns, *(_LIVE if name == "types" else ())))
