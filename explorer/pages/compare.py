"""Two dumps side by side: types and holders by name, never by address, for an address means nothing in another process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.index.retention import ROOT_KINDS, STACK, STATIC, THREAD_STATIC
from analysis.index.store import Index
from explorer.pages.names import shortened, visible
from explorer.pages.numbers import grouped, readable_bytes
from explorer.pages.references import Piece, References, short_member, short_type
from explorer.pages.tables import Link, structure
from explorer.pages.types import catalogue

#: Branches of the dominator tree smaller than this share of both heaps are not compared.
_LEAST_SHARE = 0.0005
_DEEPEST = 24

#: What changed stands first: on a narrow screen the rest is reached by scrolling the table.
TYPE_COLUMNS = (
    structure("name", "Type", "name"),
    structure("size_change", "Δ size", "bytes", "B"),
    structure("what", "New or gone", "words", about="new: only in this dump; gone: only in the other", sortable=False),
    structure("retained_change", "Δ retained", "bytes", "B", "Change of what all objects of the type retain together"),
    structure("count_change", "Δ objects", "number"),
    structure("before", "Objects before", "number"),
    structure("count", "Objects now", "number"),
)
_CHANGE_COLUMNS = (
    structure("change", "Change", "bytes", "B", sortable=False),
    structure("before", "Retained before", "bytes", "B", sortable=False),
    structure("now", "Retained now", "bytes", "B", sortable=False),
)
HOLDER_COLUMNS = (
    structure("name", "Held by", "code", sortable=False),
    *_CHANGE_COLUMNS,
    structure("kind", "Kind", "text", sortable=False),
)
PATH_COLUMNS = (structure("name", "From the root down", "sentence", sortable=False), *_CHANGE_COLUMNS)


@dataclass(frozen=True, slots=True)
class Common:
    """What both dumps hold. What one of them lacks is unknown there, not 0, and is not compared."""

    heap: bool
    graph: bool
    lacking: tuple[str, ...]


def common(dumps: Mapping[str, Index]) -> Common:
    """What is known of all ``dumps``, and a sentence for each that lacks something."""
    heap = {name: index.rows["objects"] > 0 for name, index in dumps.items()}
    graph = {name: catalogue(index).has_graph for name, index in dumps.items()}
    lacking = []
    for name, index in dumps.items():
        if not heap[name]:
            lacking.append(f"{name} holds no managed heap: types and what keeps them alive cannot be compared with it.")
        elif not graph[name]:
            reason = index.facts("retention").get("reason") or "its analysis is older than that; analyse it again"
            lacking.append(f"In {name} no references were followed ({reason}): retained sizes and holders cannot be compared.")
    return Common(all(heap.values()), all(heap.values()) and all(graph.values()), tuple(visible(one, 400) for one in lacking))


@dataclass(frozen=True, slots=True)
class _Sums:
    """A type in one dump, added up over load contexts that loaded it twice."""

    type_id: int
    count: int
    size: int
    retained: int


def type_rows(index: Index, other: Index, references: References, known: Common) -> list[dict[str, Any]]:
    """Every type whose count, size or retained size differs; ``other`` is the dump before."""
    if not known.heap:
        return []
    now, before = _types(index), _types(other)
    rows = []
    nothing = _Sums(-1, 0, 0, 0)
    for name in {*now, *before}:
        new, old = now.get(name, nothing), before.get(name, nothing)
        retained = new.retained - old.retained if known.graph else None
        if (new.count, new.size) == (old.count, old.size) and not retained:
            continue
        shown = visible(name)
        rows.append({
            "name": Link(shown, references.url("dump-type", new.type_id)) if new.type_id >= 0 else shown,
            "what": "new" if old.type_id < 0 else "gone" if new.type_id < 0 else "",
            "before": old.count, "count": new.count, "count_change": new.count - old.count,
            "size_change": new.size - old.size, "retained_change": retained,
        })  # fmt: skip
    return rows


def _types(index: Index) -> dict[str, _Sums]:
    found = catalogue(index)
    retained = index.column("retained_types", "retained").tolist() if found.has_graph else [0] * found.total
    sums: dict[str, _Sums] = {}
    for row, name in enumerate(found.names):
        if found.kinds[row] == "free":
            continue
        one = sums.get(name, _Sums(row, 0, 0, 0))
        sums[name] = _Sums(
            one.type_id, one.count + int(found.count[row]), one.size + int(found.size[row]), one.retained + int(retained[row])
        )
    return sums


def holder_rows(index: Index, other: Index) -> list[dict[str, Any]]:
    """Static and thread static fields by what they alone retain, the largest change first."""
    now, before = _holders(index), _holders(other)
    rows = [
        {"name": visible(key[1], 300), "kind": ROOT_KINDS[key[0]], "before": before.get(key, 0), "now": now.get(key, 0),
         "change": now.get(key, 0) - before.get(key, 0)}
        for key in {*now, *before}
    ]  # fmt: skip
    return sorted((row for row in rows if row["change"]), key=lambda row: -abs(row["change"]))


def _holders(index: Index) -> dict[tuple[int, str], int]:
    found: dict[tuple[int, str], int] = defaultdict(int)
    names = index.text("roots", "name")
    kinds, retained = index.column("roots", "kind"), index.column("roots", "retained")
    for row in np.flatnonzero(np.isin(kinds, (STATIC, THREAD_STATIC))).tolist():
        found[int(kinds[row]), str(names[row])] += int(retained[row])
    return found


def path_rows(index: Index, other: Index) -> list[dict[str, Any]]:
    """Branches of the dominator tree by the names from the root down, the largest change first.

    A branch is left out when the one below it tells of the same change: what is shown is where it comes from.
    """
    now, before = _paths(index), _paths(other)
    change = {path: now.get(path, 0) - before.get(path, 0) for path in {*now, *before}}
    told = {path[:-1] for path, grown in change.items() if path[:-1] in change and abs(grown) > 0.9 * abs(change[path[:-1]]) > 0}
    rows = [
        {"name": " → ".join(_shown(*step) for step in path), "before": before.get(path, 0), "now": now.get(path, 0),
         "change": grown}
        for path, grown in change.items() if grown and path not in told
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -abs(row["change"]))


def _shown(name: str, is_type: bool) -> str:
    """A step without its namespace; two paths that read alike then may be two."""
    return shortened((short_type if is_type else short_member)(visible(name)), 60)


def _paths(index: Index) -> dict[tuple[tuple[str, bool], ...], int]:
    """Bytes below each branch, by the steps that lead to it: a name, and whether it is a type's."""
    names = ("parent", "type", "root", "root_group", "total_size")
    columns = {name: index.column("merged_dominators", name).tolist() for name in names}
    if not columns["parent"]:
        return {}
    least = _LEAST_SHARE * columns["total_size"][0]
    types, roots, groups = index.text("types", "name"), index.text("roots", "name"), index.text("root_groups", "name")
    threads = index.column("root_groups", "kind") == STACK
    paths: list[tuple[tuple[str, bool], ...] | None] = [()]
    found: dict[tuple[tuple[str, bool], ...], int] = defaultdict(int)
    for row in range(1, len(columns["parent"])):
        above = paths[columns["parent"][row]]
        if above is None or columns["total_size"][row] < least or len(above) >= _DEEPEST:
            paths.append(None)
            continue
        kind, root, group = columns["type"][row], columns["root"][row], columns["root_group"][row]
        if kind >= 0:
            name = str(types[kind])
        elif root >= 0:
            name = str(roots[root]) if index.column("roots", "frame")[root] < 0 else "a frame"
        else:
            name = "a thread" if threads[group] else str(groups[group])
        path = (*above, (name, kind >= 0)) if name else above
        paths.append(path)
        if path:
            found[path] += columns["total_size"][row]
    return found


def headline(index: Index, other: Index, rows: list[dict[str, Any]], known: Common) -> list[Piece]:
    """What has changed most, in one or two sentences; none without two heaps."""
    if not known.heap:
        return []
    now, before = (
        int(one.facts("retention")["live"]["bytes"]) if known.graph else catalogue(one).heap_size for one in (index, other)
    )
    what = "live heap" if known.graph else "heap, dead objects included,"
    pieces = [Piece(f"The {what} {'grew' if now >= before else 'shrank'} by {readable_bytes(abs(now - before))}, ")]
    pieces.append(Piece(f"from {readable_bytes(before)} to {readable_bytes(now)}. "))
    most = max(rows, key=lambda row: row["size_change"], default=None)
    if most is None or most["size_change"] <= 0:
        return [*pieces, Piece("No type takes more than before.")]
    name = most["name"]
    link = Piece(name.text, name.url, "type", name.text) if isinstance(name, Link) else Piece(name)
    words = f" grew most: {grouped(most['count_change'])} more objects, {readable_bytes(most['size_change'])}."
    return [*pieces, link, Piece(words)]
