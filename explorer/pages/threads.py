"""Managed threads as rows, with filters that people ask for by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from analysis.index.schema import TABLES
from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.tables import Column

COLUMNS = (
    Column("managed_id", "Id", "id", about="Managed thread id"),
    Column("os_id", "OS id", "id", about="Operating system thread id; none for a dead or unstarted thread"),
    Column("name", "Name", "text", data_class=TABLES["threads"].column("name").data_class),
    Column("roles", "Role", "words"),
    Column("state_words", "State", "words", about="The runtime's state bits in words"),
    Column("gc_mode", "GC mode", "text", about="Cooperative: runs managed code; Preemptive: in native code or waiting"),
    Column("exception_type", "Current exception", "name"),
    Column("exception_address", "Exception object", "address"),
    Column("state", "State bits", "hidden-address"),
    Column("address", "Thread structure", "hidden-address"),
)


@dataclass(frozen=True)
class ThreadFilter:
    """A named choice of threads; several do not exclude each other."""

    slug: str
    label: str
    holds: Callable[[dict[str, Any]], bool]


FILTERS = (
    ThreadFilter("alive", "Alive", lambda row: bool(row["alive"])),
    ThreadFilter("pool", "Pool workers", lambda row: "pool worker" in row["roles"]),
    ThreadFilter(
        "background", "Background", lambda row: "background" in row["roles"] or "background" in row["state_words"].lower()
    ),
    ThreadFilter("cooperative", "Cooperative", lambda row: row["alive"] and row["gc_mode"] == "Cooperative"),
    ThreadFilter("exception", "With exception", lambda row: bool(row["exception_type"])),
    ThreadFilter("dead", "Dead or unstarted", lambda row: not row["alive"]),
)


@lru_cache(maxsize=12)
def thread_rows(index: Index) -> list[dict[str, Any]]:
    """Every managed thread; an address or id of 0 becomes a missing value. The rows are kept: do not change them."""
    columns: dict[str, list[Any]] = {}
    for column in TABLES["threads"].columns:
        if column.dtype == "text":
            columns[column.name] = [visible(text) for text in index.text("threads", column.name).all]
        else:
            columns[column.name] = index.column("threads", column.name).tolist()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for row in rows:
        for key in ("os_id", "exception_address"):
            row[key] = row[key] or None
    return rows


def columns(rows: list[dict[str, Any]]) -> tuple[Column, ...]:
    """The columns; those about exceptions only where a thread carries one."""
    if any(row["exception_type"] for row in rows):
        return COLUMNS
    return tuple(column for column in COLUMNS if not column.key.startswith("exception"))


def filtered(rows: list[dict[str, Any]], slug: str, text: str, keys: set[str]) -> list[dict[str, Any]]:
    """Rows of a named filter that hold every word of ``text`` in a column the viewer sees."""
    wanted = next((choice for choice in FILTERS if choice.slug == slug), None)
    searched = [
        key for key in ("managed_id", "os_id", "name", "roles", "state_words", "gc_mode", "exception_type") if key in keys
    ]
    words = text.lower().split()
    return [
        row
        for row in rows
        if (wanted is None or wanted.holds(row))
        and all(any(word in str(row[key] or "").lower() for key in searched) for word in words)
    ]


def group_counts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many threads each named filter holds, for the overview and the filter bar."""
    return [
        {"slug": choice.slug, "label": choice.label, "count": sum(1 for row in rows if choice.holds(row))} for choice in FILTERS
    ]
