"""What full-text search finds: the kinds of names, each with its data class, and where it is read in an index.

The class comes from the schema of the index; a kind cannot have another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.index import DataClass
from analysis.index.schema import FACTS, TABLES
from analysis.index.store import Index

#: A name and the row of its table that it stands in.
Placed = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. ``number`` stands in the database and is never given to another; ``table`` is where places are rows of."""

    number: int
    slug: str
    one: str
    many: str
    table: str
    column: str

    @property
    def data_class(self) -> DataClass:
        if self.table == "findings":
            return FACTS["findings"]["items.title.text"]
        text_of = "methods" if self.column == "method" else self.table
        return TABLES[text_of].column("name" if self.column == "method" else self.column).data_class

    def named(self, count: int) -> str:
        return self.one if count == 1 else self.many


KINDS = (
    Kind(1, "type", "type", "types", "types", "name"),
    Kind(2, "frame", "method on a stack", "methods on stacks", "frames", "method"),
    Kind(3, "trace", "method in a stack trace", "methods in stack traces", "exception_frames", "method"),
    Kind(4, "exception", "exception type", "exception types", "exceptions", "type_name"),
    Kind(5, "message", "exception message", "exception messages", "exceptions", "message"),
    Kind(6, "module", "module", "modules", "modules", "name"),
    Kind(7, "native-module", "native module", "native modules", "native_modules", "name"),
    Kind(8, "path", "path of a module", "paths of modules", "modules", "path"),
    Kind(9, "native-path", "path of a native module", "paths of native modules", "native_modules", "path"),
    Kind(10, "thread", "thread name", "thread names", "threads", "name"),
    Kind(11, "finding", "finding", "findings", "findings", "title"),
)
BY_NUMBER = {kind.number: kind for kind in KINDS}
BY_SLUG = {kind.slug: kind for kind in KINDS}
#: The classes that names have, the lowest first.
CLASSES = sorted({kind.data_class for kind in KINDS})


def names_in(kind: Kind, index: Index) -> Iterator[Placed]:
    """Every name of a kind that the tables of an index hold, some of them more than once."""
    if kind.column == "method":
        yield from _methods(index, kind.table)
        return
    rows: Iterable[str] = index.text(kind.table, kind.column).all
    free = index.text("types", "kind").all if kind.slug == "type" else ()
    for row, name in enumerate(rows):
        if name and not (free and free[row] == "free"):
            yield name, row


def _methods(index: Index, table: str) -> Iterator[Placed]:
    """Methods that rows of a table name, each with the first such row on a managed thread."""
    methods = np.asarray(index.column(table, "method"))
    wanted = methods >= 0
    if table == "frames":
        wanted &= np.asarray(index.column(table, "thread")) >= 0
    rows = np.flatnonzero(wanted)
    numbers, first = np.unique(methods[rows], return_index=True)
    names = index.text("methods", "name")
    for method, row in zip(numbers.tolist(), rows[first].tolist(), strict=True):
        if method < len(names) and names[method]:
            yield names[method], row
