"""Locks and who waits for whom: rows for the table, one lock, the locks of a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.opened import kept_structure
from explorer.pages.references import Piece, References
from explorer.pages.tables import Link, structure

_MOST_SHOWN = 200

COLUMNS = (
    structure("lock", "Lock", "name", about="Leads to who holds it and who waits"),
    structure("kind", "Kind", "text"),
    structure("form", "Form", "text", about="Thin lock: in the object's header; sync block: in a table of the runtime"),
    structure("owner", "Owner", "text"),
    structure("recursion", "Entries", "number", about="How often the owner entered it"),
    structure("waiters", "Waiting", "number", about="Threads known to wait for it", descending_first=True),
    structure("stated_waiters", "By its own count", "number", about="Waiters as the lock counts them; – where it keeps none"),
    structure("state", "State", "text"),
    structure("trouble", "Trouble", "text"),
    structure("address", "Object", "address"),
    structure("sync_index", "Sync block", "hidden-number"),
)

FILTERS = (("waited", "Waited for"), ("held", "Held"), ("orphaned", "Owner has ended"), ("cycle", "In a deadlock"))


@kept_structure(12)
def _columns(index: Index) -> dict[str, Any]:
    numbers = ("object", "owner", "recursion", "waiters", "stated_waiters", "sync_index", "held", "orphaned")
    texts = ("kind", "type_name", "form", "state")
    return {name: index.column("locks", name).tolist() for name in numbers} | {
        name: [visible(text) for text in index.text("locks", name).all] for name in texts
    }


def cycle_locks(index: Index) -> set[int]:
    """Rows of locks that are part of a deadlock."""
    return set(index.column("cycles", "waits").tolist()) | set(index.column("cycles", "holds").tolist())


def lock_rows(index: Index, references: References, chosen: str, text: str) -> list[dict[str, Any]]:
    """Rows of the table that fit the filter and hold every word."""
    columns, stuck = _columns(index), cycle_locks(index)
    words = text.lower().split()
    found = []
    for row in range(index.rows["locks"]):
        if not _fits(columns, stuck, row, chosen):
            continue
        owner = columns["owner"][row]
        piece = references.lock(row)
        values = {
            "lock": Link(f"{columns['type_name'][row] or columns['kind'][row]}", piece.url),
            "kind": columns["kind"][row],
            "form": columns["form"][row],
            "owner": Link(references.thread_label(owner), references.thread_url(owner)) if owner >= 0 else "",
            "recursion": columns["recursion"][row],
            "waiters": columns["waiters"][row],
            "stated_waiters": columns["stated_waiters"][row] if columns["stated_waiters"][row] >= 0 else None,
            "state": columns["state"][row],
            "trouble": "deadlock" if row in stuck else "owner has ended" if columns["orphaned"][row] else "",
            "address": columns["object"][row],
            "sync_index": columns["sync_index"][row] if columns["sync_index"][row] >= 0 else None,
        }
        searched = " ".join(value.text if isinstance(value, Link) else str(value or "") for value in values.values()).lower()
        if all(word in searched or word in f"{columns['object'][row]:#x}" for word in words):
            found.append(values)
    return found


def _fits(columns: dict[str, Any], stuck: set[int], row: int, chosen: str) -> bool:
    return {
        "waited": columns["waiters"][row] > 0,
        "held": columns["held"][row],
        "orphaned": columns["orphaned"][row],
        "cycle": row in stuck,
    }.get(chosen, True)


def filter_counts(index: Index) -> list[dict[str, Any]]:
    """How many locks each filter holds."""
    columns, stuck = _columns(index), cycle_locks(index)
    rows = range(index.rows["locks"])
    return [
        {"slug": slug, "label": label, "count": sum(_fits(columns, stuck, row, slug) for row in rows)} for slug, label in FILTERS
    ]


# One lock


@dataclass(frozen=True, slots=True)
class Edge:
    """One thread at a lock: it waits, or it holds."""

    thread: Piece
    frame: Piece | None
    mode: str
    position: int | None
    how: str
    certainty: str
    doing: str = ""


@dataclass(frozen=True, slots=True)
class Chained:
    """Another lock that this one waits for in turn."""

    lock: Piece
    how: str
    certainty: str


@dataclass(frozen=True, slots=True)
class LockDetail:
    """Everything about one lock; lists are cut at a few hundred, ``total_waiting`` says how many there are."""

    row: int
    piece: Piece
    kind: str
    type_name: str
    form: str
    state: str
    recursion: int
    orphaned: bool
    address: int
    stated_waiters: int | None
    holds: list[Edge]
    waits: list[Edge]
    total_waiting: int
    chains: list[Chained]


def lock_at(index: Index, address: int) -> int | None:
    """Row of the lock at an object's address."""
    rows = np.flatnonzero(index.column("locks", "object") == np.uint64(address))
    return int(rows[0]) if len(rows) else None


def lock_detail(index: Index, references: References, row: int) -> LockDetail:
    """One lock with who holds it, who waits, and what it waits for."""
    columns = _columns(index)
    holds = np.flatnonzero(index.column("lock_holds", "lock") == row).tolist()
    waits = np.flatnonzero(index.column("lock_waits", "lock") == row).tolist()
    position = index.column("lock_waits", "position")
    waits.sort(key=lambda edge: (int(position[edge]) < 0, int(position[edge])))
    chains = np.flatnonzero(index.column("lock_chains", "lock") == row).tolist()
    stated = columns["stated_waiters"][row]
    return LockDetail(
        row=row,
        piece=references.lock(row),
        kind=columns["kind"][row],
        type_name=columns["type_name"][row],
        form=columns["form"][row],
        state=columns["state"][row],
        recursion=columns["recursion"][row],
        orphaned=columns["orphaned"][row],
        address=columns["object"][row],
        stated_waiters=stated if stated >= 0 else None,
        holds=[_edge(index, references, "lock_holds", edge) for edge in holds[:_MOST_SHOWN]],
        waits=[_edge(index, references, "lock_waits", edge) for edge in waits[:_MOST_SHOWN]],
        total_waiting=len(waits),
        chains=[
            Chained(
                references.lock(int(index.column("lock_chains", "next")[edge])),
                visible(str(index.text("lock_chains", "how")[edge])),
                str(index.text("lock_chains", "certainty")[edge]),
            )
            for edge in chains[:_MOST_SHOWN]
        ],
    )


def _edge(index: Index, references: References, table: str, row: int) -> Edge:
    thread, frame = int(index.column(table, "thread")[row]), int(index.column(table, "frame")[row])
    position = int(index.column(table, "position")[row]) if table == "lock_waits" else -1
    return Edge(
        thread=references.thread(thread),
        frame=references.frame(frame) if frame >= 0 else None,
        mode=str(index.text(table, "mode")[row]),
        position=position if position > 0 else None,
        how=visible(str(index.text(table, "how")[row])),
        certainty=str(index.text(table, "certainty")[row]),
        doing=visible(str(index.text("threads", "doing")[thread]), 300) if thread >= 0 else "",
    )


@dataclass(frozen=True, slots=True)
class ThreadLock:
    """A lock a thread holds or waits for."""

    lock: Piece
    kind: str
    edge: Edge


def locks_of_thread(index: Index, references: References, thread: int) -> dict[str, list[ThreadLock]]:
    """What a thread waits for, and what it holds."""
    found: dict[str, list[ThreadLock]] = {}
    for name, table in (("waits", "lock_waits"), ("holds", "lock_holds")):
        rows = np.flatnonzero(index.column(table, "thread") == thread).tolist()[:_MOST_SHOWN]
        found[name] = [
            ThreadLock(
                references.lock(lock := int(index.column(table, "lock")[row])),
                str(index.text("locks", "kind")[lock]),
                _edge(index, references, table, row),
            )
            for row in rows
        ]
    return found
