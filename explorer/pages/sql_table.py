"""What SQL answered, as a table: addresses lead to their object, type names to their type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.index.schema import DataClass
from explorer.pages.names import visible
from explorer.pages.numbers import address
from explorer.pages.objects import Objects
from explorer.pages.references import References
from explorer.pages.tables import Column, Link, ListedRows, Query, Table
from explorer.pages.types import catalogue

_MOST_SHOWN = 200
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
#: Columns of the index that hold addresses: eight bytes that the engine describes as one.
_ADDRESSES = {
    "address",
    "method_table",
    "ip",
    "sp",
    "slot",
    "start",
    "end",
    "committed_end",
    "reserved_end",
    "image_base",
    "base",
}
_TYPE_NAMES = {"type", "type_name", "class", "class_name", "name"}
_MOST_NAME = 120


@dataclass(frozen=True, slots=True)
class SqlResult:
    """Names and types of the columns, rows of plain values, whether there were more rows, and how long it took."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    more: bool
    seconds: float


def result_table(result: SqlResult, references: References, text: str) -> Table:
    """The rows on one page as far as they can be read; the export has all of them."""
    highest = references.index.highest
    columns = _columns(result, highest)
    names, links = [name.lower() for name, _ in result.columns], _Links(references)
    rows = [
        {column.key: links.cell(name, column.kind, value) for column, name, value in zip(columns, names, row, strict=True)}
        for row in result.rows
    ]
    shown = Query({"q": text}, "", False, 1, min(max(1, len(rows)), _MOST_SHOWN))
    more = "; there are more, at most this many are fetched" if result.more else ""
    footnote = f", in {result.seconds:.2f} s{more}"
    return Table("result", "Answer", columns, shown, ListedRows(rows), "No rows.", "rows", footnote=footnote, highest=highest)


def _columns(result: SqlResult, highest: DataClass) -> tuple[Column, ...]:
    found: dict[str, Column] = {}
    for place, (name, kind) in enumerate(result.columns):
        shown = visible(name, _MOST_NAME)
        key = shown if shown not in found else f"{shown}_{place}"
        address = kind == "UBIGINT" and name.lower() in _ADDRESSES
        drawn = "address" if address else "number" if kind in _NUMBERS else "text"
        found[key] = Column(key, shown, drawn, data_class=highest, sortable=False)
    return tuple(found.values())


class _Links:
    """Finds where a cell leads, each name once."""

    def __init__(self, references: References) -> None:
        self._references, self._objects = references, Objects(references.index, references)
        self._types = catalogue(references.index)

    def cell(self, name: str, kind: str, value: Any) -> Any:
        """A value as its column draws it; ``name`` in small letters."""
        if value is None or kind == "number":
            return value
        if kind == "address":
            return self._address(value)
        shown = visible(str(value))
        of_type = self._types.id_of(value) if name in _TYPE_NAMES else None
        return shown if of_type is None else Link(shown, self._references.url("dump-type", of_type))

    def _address(self, value: int) -> Link | int:
        found = self._objects.at(value) if self._references.index.rows["objects"] else None
        return Link(address(value), self._references.url("dump-object", f"{value:x}")) if found and found[1] else value
