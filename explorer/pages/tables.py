"""A table that is sorted, filtered and paged by its URL, shown as HTML and exported as CSV or JSON from the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlencode

from analysis.index.schema import DataClass

PAGE_SIZES = (50, 100, 200, 500)
DEFAULT_PAGE_SIZE = 100
#: A table without paging shows no more rows than this; its export has them all.
MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``kind`` chooses how a cell is drawn: text, name, number, id, bytes, share, address, code, words, sentence,
    thread, flag, mix, state, status, ticket or when; kinds that begin with ``hidden`` are only exported.

    ``key`` is the name in URLs and exports; ``data_class`` decides who sees the column at all, and nobody sees one that
    names none: most are made by ``structure``.
    """

    key: str
    label: str
    kind: str = "text"
    unit: str = ""
    about: str = ""
    sortable: bool = True
    descending_first: bool = False
    data_class: DataClass = DataClass.D4_RAW
    exported: bool = True

    @property
    def numeric(self) -> bool:
        return self.kind in ("number", "bytes", "share")

    @property
    def to_the_right(self) -> bool:
        return self.kind in ("number", "bytes", "id", "thread")


#: A column about how the process is built (D1).
structure = partial(Column, data_class=DataClass.D1_STRUCTURE)
#: A column about dumps and what people do with them (D0).
listed = partial(Column, data_class=DataClass.D0_INDEX)


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads somewhere; ``text`` is what exports and copies get."""

    text: str
    url: str


class Rows(Protocol):
    """Rows in their final order, made only for the slice that is asked for."""

    total: int

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        """The rows ``start`` … ``stop`` as values by column key."""
        ...


@dataclass(frozen=True)
class ListedRows:
    """Rows that are all in memory already."""

    listed: Sequence[Mapping[str, Any]]

    @property
    def total(self) -> int:
        return len(self.listed)

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return list(self.listed[start:stop])


@dataclass(frozen=True)
class Query:
    """The state of a table as its URL says it: filters, sort, page. Anything unreadable falls back to the default."""

    parameters: Mapping[str, str]
    sort: str
    descending: bool
    page: int
    page_size: int

    @classmethod
    def read(cls, parameters: Mapping[str, str], columns: Sequence[Column], default_sort: str) -> Query:
        """Read ``sort=-size``, ``page`` and ``rows``; only columns of ``columns`` can be sorted by."""
        known = {column.key for column in columns if column.sortable}
        wanted = parameters.get("sort", default_sort)
        if wanted.lstrip("-") not in known:
            wanted = default_sort
        size = _number(parameters.get("rows"), DEFAULT_PAGE_SIZE)
        return cls(
            parameters={key: value for key, value in parameters.items() if value},
            sort=wanted.lstrip("-"),
            descending=wanted.startswith("-"),
            page=max(1, _number(parameters.get("page"), 1)),
            page_size=size if size in PAGE_SIZES else DEFAULT_PAGE_SIZE,
        )

    @classmethod
    def unpaged(cls, rows: int) -> Query:
        """A table that shows its rows in the order they come in on one page, as many as a page can bear."""
        return cls(parameters={}, sort="", descending=False, page=1, page_size=min(max(1, rows), MOST_ROWS))

    def url(self, **changes: str | int | None) -> str:
        """This table's URL with some parameters changed or, by ``None``, left out; going anywhere else returns to page 1."""
        parameters: dict[str, Any] = {key: value for key, value in self.parameters.items() if key not in ("page", "format")}
        parameters.update(changes)
        return "?" + urlencode({key: value for key, value in parameters.items() if value not in (None, "")})

    def sort_url(self, column: Column) -> str:
        if column.key == self.sort:
            return self.url(sort=column.key if self.descending else f"-{column.key}")
        return self.url(sort=f"-{column.key}" if column.numeric or column.descending_first else column.key)


@dataclass(frozen=True)
class Table:
    """One page of rows with everything a template needs to draw it and to link to its neighbours.

    Columns above ``highest`` are dropped: whoever fills a table for somebody who sees more says so.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    query: Query
    source: Rows
    empty: str = "Nothing matches."
    noun: str = "rows"
    unfiltered_total: int | None = None
    footnote: str = ""
    highest: DataClass = DataClass.D1_STRUCTURE

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", allowed_columns(self.columns, self.highest))

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that are drawn; hidden ones are only in exports."""
        return tuple(column for column in self.columns if not column.kind.startswith("hidden"))

    @property
    def total(self) -> int:
        return self.source.total

    @property
    def paged(self) -> bool:
        """Whether the URL can turn the pages of this table."""
        return self.pages > 1 and bool(self.query.sort)

    @property
    def counted(self) -> str:
        """The noun for the number of rows there are."""
        return self.noun.removesuffix("s") if self.total == 1 else self.noun

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.query.page_size))

    @property
    def page(self) -> int:
        return min(self.query.page, self.pages)

    @property
    def first(self) -> int:
        """Number of the first row on this page, counted from 1."""
        return (self.page - 1) * self.query.page_size + 1 if self.total else 0

    @property
    def last(self) -> int:
        return min(self.total, self.page * self.query.page_size)

    @property
    def page_rows(self) -> list[Mapping[str, Any]]:
        start = (self.page - 1) * self.query.page_size
        return self.source.rows(start, min(self.total, start + self.query.page_size))

    @property
    def headers(self) -> list[dict[str, Any]]:
        return [
            {
                "column": column,
                "url": self.query.sort_url(column) if column.sortable else "",
                "direction": ("descending" if self.query.descending else "ascending") if column.key == self.query.sort else "",
            }
            for column in self.shown
        ]

    @property
    def previous_url(self) -> str:
        return self.query.url(page=self.page - 1) if self.page > 1 else ""

    @property
    def next_url(self) -> str:
        return self.query.url(page=self.page + 1) if self.page < self.pages else ""

    @property
    def first_url(self) -> str:
        return self.query.url(page=None)

    @property
    def last_url(self) -> str:
        return self.query.url(page=self.pages)

    @property
    def csv_url(self) -> str:
        return self.query.url(format="csv", table=self.name)

    @property
    def json_url(self) -> str:
        return self.query.url(format="json", table=self.name)


def allowed_columns(columns: Sequence[Column], highest: DataClass) -> tuple[Column, ...]:
    """The columns a viewer may see: the others are not drawn, not exported and cannot be sorted by."""
    return tuple(column for column in columns if column.data_class <= highest)


def sorted_rows(rows: list[dict[str, Any]], query: Query) -> list[Mapping[str, Any]]:
    """``rows`` in the order the URL asks for; text without regard to case, missing values last."""

    def key(row: Mapping[str, Any]) -> tuple[bool, Any]:
        value = row[query.sort]
        if isinstance(value, Link):
            value = value.text
        if isinstance(value, str):
            return value == "", value.lower()
        return value is None, 0 if value is None else value

    present = [row for row in rows if not key(row)[0]]
    missing = [row for row in rows if key(row)[0]]
    return [*sorted(present, key=lambda row: key(row)[1], reverse=query.descending), *missing]


def _number(text: str | None, otherwise: int) -> int:
    try:
        return int(text or "") if len(text or "") < 12 else otherwise
    except ValueError:
        return otherwise
