"""Managed threads as rows, with filters that people ask for by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.index.schema import TABLES
from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.opened import kept
from explorer.pages.references import References, short_method
from explorer.pages.stacks import threads_with
from explorer.pages.tables import Column, Link, structure

COLUMNS = (
    structure("managed_id", "Id", "thread", about="Managed thread id; leads to the thread's stack"),
    structure("os_id", "OS id", "id", about="Operating system thread id; none for a dead or unstarted thread"),
    Column("name", "Name", "text", data_class=TABLES["threads"].column("name").data_class),
    structure("doing", "What it does", "sentence", about="From what it waits for, else from the code at the top of its stack"),
    structure("top", "Own code on top", "name", about="The innermost frame of the program's own code", sortable=True),
    structure("frames", "Frames", "number"),
    structure("exception_type", "Current exception", "name"),
    structure("state_words", "State", "words", about="The runtime's state bits in words"),
    structure("roles", "Role", "words"),
    structure("gc_mode", "GC mode", "text", about="Cooperative: runs managed code; Preemptive: in native code or waiting"),
    structure("exception_address", "Exception object", "hidden-address"),
    structure("stopped", "Stack ends early", "hidden-text"),
    structure("state", "State bits", "hidden-address"),
    structure("address", "Thread structure", "hidden-address"),
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
    ThreadFilter("own", "In own code", lambda row: row["top_own_frame"] >= 0),
    ThreadFilter("dead", "Dead or unstarted", lambda row: not row["alive"]),
)


def row_of(index: Index, managed_id: int) -> int | None:
    """The row of a managed id, of several threads with the same one the first that lives; None where there is none."""
    rows = [row for row, found in enumerate(index.column("threads", "managed_id").tolist()) if found == managed_id]
    alive = index.column("threads", "alive")
    return next((row for row in rows if alive[row]), rows[0] if rows else None)


@kept(12)
def thread_rows(index: Index) -> list[dict[str, Any]]:
    """Every managed thread; an address or id of 0 becomes a missing value. The rows are kept: do not change them."""
    columns: dict[str, list[Any]] = {}
    for column in index.columns_of("threads"):
        if column.dtype == "text":
            columns[column.name] = [visible(text) for text in index.text("threads", column.name).all]
        else:
            columns[column.name] = index.column("threads", column.name).tolist()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    methods, names = index.column("frames", "method"), [short_method(visible(name)) for name in index.text("methods", "name").all]
    for row in rows:
        row["top"] = names[methods[row["top_own_frame"]]] if row["top_own_frame"] >= 0 else ""
        for key in ("os_id", "exception_address"):
            row[key] = row[key] or None
    return rows


def columns(rows: list[dict[str, Any]]) -> tuple[Column, ...]:
    """The columns; those about exceptions only where a thread carries one."""
    if any(row["exception_type"] for row in rows):
        return COLUMNS
    return tuple(column for column in COLUMNS if not column.key.startswith("exception"))


@dataclass(frozen=True)
class Wanted:
    """What the URL of the page asks for: a named filter, words, a node of the merged stacks, a group of identical stacks."""

    slug: str = ""
    text: str = ""
    node: int | None = None
    group: int | None = None

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> Wanted:
        return cls(
            parameters.get("only", ""), parameters.get("q", ""), _number(parameters.get("node")), _number(parameters.get("group"))
        )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def filtered(index: Index, wanted: Wanted, keys: set[str]) -> list[dict[str, Any]]:
    """Rows that fit. Every word must stand in a column the viewer sees or in the name of a method on the thread's stack."""
    rows = thread_rows(index)
    choice = next((choice for choice in FILTERS if choice.slug == wanted.slug), None)
    searched = [key for key in _SEARCHED if key in keys]
    words = [(word, threads_with(index, word)) for word in wanted.text.lower().split()]
    first, end = _subtree(index, wanted.node)
    return [
        row
        for place, row in enumerate(rows)
        if (choice is None or choice.holds(row))
        and (wanted.node is None or first <= row["merged_leaf"] < end)
        and (wanted.group is None or row["stack_group"] == wanted.group)
        and all(place in found or any(word in str(row[key] or "").lower() for key in searched) for word, found in words)
    ]


_SEARCHED = ("managed_id", "os_id", "name", "roles", "state_words", "gc_mode", "exception_type", "doing")


def _subtree(index: Index, node: int | None) -> tuple[int, int]:
    """Rows of the merged tree that hang below a node, itself included."""
    if node is None or node >= index.rows["merged_stacks"]:
        return 0, 0
    return node, int(index.column("merged_stacks", "end")[node])


@dataclass(frozen=True)
class LinkedRows:
    """Rows whose id leads to the thread and whose frame on top to its place; links are made for the rows that are shown."""

    listed: Sequence[Mapping[str, Any]]
    references: References

    @property
    def total(self) -> int:
        return len(self.listed)

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return [self._linked(row) for row in self.listed[start:stop]]

    def _linked(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        frame, url = row["top_own_frame"], self.references.url("dump-thread", row["managed_id"])
        top = Link(row["top"], self.references.frame_url(frame)) if frame >= 0 else ""
        return {**row, "managed_id": Link(str(row["managed_id"]), url), "top": top}


GROUP_COLUMNS = (
    structure("count", "Threads", "number", descending_first=True),
    structure("stack", "Top of the stack", "name", about="Leads to the threads of this group"),
    structure("top", "Own code on top", "name"),
    structure("doing", "One of them", "sentence"),
    structure("frames", "Frames", "number"),
)


def stack_groups(index: Index, references: References, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of threads with the same methods on their stacks, the largest first."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["stack_group"] >= 0:
            groups.setdefault(row["stack_group"], []).append(row)
    kinds = index.column("frames", "kind")
    found = []
    for number, members in groups.items():
        one = members[0]
        start = one["first_frame"]
        top = next((at for at in range(start, start + one["frames"]) if kinds[at] == 0), start)
        own = references.frame(one["top_own_frame"]).text if one["top_own_frame"] >= 0 else ""
        url = f"{references.url('dump-threads')}?group={number}"
        found.append({
            "count": len(members), "stack": Link(references.frame_label(top), url), "top": own, "doing": one["doing"],
            "frames": one["frames"],
        })  # fmt: skip
    return sorted(found, key=lambda row: -row["count"])


def native_threads(index: Index, references: References) -> list[dict[str, Any]]:
    """Threads the runtime does not manage, by where they are."""
    found = []
    columns = zip(*(index.column("native_threads", name).tolist() for name in ("os_id", "first_frame", "frames")), strict=True)
    for os_id, first, frames in columns:
        label = visible(str(index.text("frames", "label")[first]), 120) if frames else ""
        found.append({"os_id": os_id, "url": references.url("dump-native-thread", os_id), "label": label, "frames": frames})
    return found


def group_counts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many threads each named filter holds, for the overview and the filter bar."""
    return [
        {"slug": choice.slug, "label": choice.label, "count": sum(1 for row in rows if choice.holds(row))} for choice in FILTERS
    ]
