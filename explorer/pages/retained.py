"""What retains memory: the merged dominator tree as rows and as a chart, the biggest objects, the roots behind them."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.index.graph import Graph
from analysis.index.retention import ROOT_KINDS, STACK
from analysis.index.store import Index
from explorer import charts
from explorer.pages.names import visible
from explorer.pages.numbers import grouped, percent, readable_bytes
from explorer.pages.objects import Objects
from explorer.pages.opened import kept_structure
from explorer.pages.references import Piece, References
from explorer.pages.tables import Link, Query, structure

_FRAMEWORK = ("System.", "Microsoft.", "Internal.", "Interop.")
_MOST_BRANCHES = 40
#: Of an object deep in a chain no more dominators are looked at.
_MOST_DOMINATORS = 100_000
#: An object that retains this share of the live heap is worth the first sentence.
_STANDS_OUT = 0.05

BIGGEST_COLUMNS = (
    structure("object", "Object", "text", sortable=False),
    structure("type_name", "Type", "name", sortable=False),
    structure("size", "Own size", "bytes", "B", "Shallow size", sortable=False),
    structure("retained", "Retained", "bytes", "B", "What would be free without it", sortable=False),
    structure("share", "Share", "share", "% of live heap", sortable=False, exported=False),
)
HOLDER_COLUMNS = (
    structure("object", "Object", "text", sortable=False),
    structure("root", "Held by", "text", sortable=False),
    structure("retained", "Retained", "bytes", "B", "What would be free without the object", sortable=False),
    structure("share", "Share", "share", "% of live heap", sortable=False, exported=False),
    structure("kind", "Kind", "text", about="and others: more than this one root keeps the object alive", sortable=False),
    structure("others", "By others too", "hidden"),
)
ROOT_COLUMNS = (
    structure("root", "Root", "text"),
    structure("kind", "Kind", "text"),
    structure("object", "Refers to", "text"),
    structure("type_name", "Type", "name"),
    structure("address", "Slot", "address", about="Address of the slot; 0x0 for a register"),
    structure("how", "How", "words", sortable=False, about="interior: points into the object; conservative: only looks like one"),
    structure("retained", "Retained", "bytes", "B", "What would be free without this root alone"),
)
GROUP_COLUMNS = (
    structure("root", "Group", "text"),
    structure("kind", "Kind", "text"),
    structure("roots", "Roots", "number"),
    structure("objects", "Objects", "number", about="Different objects they refer to"),
    structure("retained", "Retained", "bytes", "B", "What would be free without all of them"),
)


@dataclass(frozen=True, slots=True)
class Branch:
    """One row of the merged dominator tree."""

    row: int
    piece: Piece
    url: str
    objects: int
    own: int
    total: int
    share: tuple[int, int]
    opens: bool


class MergedDominators:
    """The merged dominator tree of one index as one viewer may see it."""

    def __init__(self, index: Index, references: References) -> None:
        self.index, self._references = index, references
        self._total = index.column("merged_dominators", "total_size")
        self.rows = index.rows["merged_dominators"]

    @property
    def live_bytes(self) -> int:
        return int(self._total[0]) if self.rows else 0

    def below(self, row: int) -> tuple[list[Branch], int]:
        """The rows below one, those that retain most first; and how many smaller ones there are."""
        children = _children(self.index).get(row, [])
        return [self._branch(child) for child in children[:_MOST_BRANCHES]], max(0, len(children) - _MOST_BRANCHES)

    def path(self, row: int) -> list[Branch]:
        """The rows from the first one below START down to ``row``."""
        found = []
        while row > 0:
            found.append(self._branch(row))
            row = int(self.index.column("merged_dominators", "parent")[row])
        return found[::-1]

    def piece(self, row: int) -> Piece:
        """What a row stands for."""
        columns = {name: int(self.index.column("merged_dominators", name)[row]) for name in ("type", "root", "root_group")}
        if columns["type"] >= 0:
            return self._references.type(columns["type"])
        if columns["root"] >= 0:
            return self._references.root(columns["root"])
        return self._references.root_group(columns["root_group"]) if columns["root_group"] >= 0 else Piece("Live heap")

    def _branch(self, row: int) -> Branch:
        total = int(self._total[row])
        return Branch(
            row, self.piece(row), f"?at={row}", int(self.index.column("merged_dominators", "objects")[row]),
            int(self.index.column("merged_dominators", "size")[row]), total, (total, self.live_bytes),
            row in _children(self.index),
        )  # fmt: skip

    def icicle(self) -> charts.Figure:
        """The rows that retain most, at most 500 of them, each below its parent; width is retained bytes."""
        own = {"type": "icicle", "maxdepth": 8, "tiling": {"orientation": "v"}, "texttemplate": "%{label} %{customdata[0]}"}
        return {"data": [self._sectors() | own], "layout": {"margin": {"l": 0, "r": 0, "t": 0, "b": 24}}}

    def treemap(self) -> charts.Figure:
        """The same rows, each inside its parent; area is retained bytes."""
        own = {"type": "treemap", "maxdepth": 9, "pathbar": {"thickness": 22}, "texttemplate": "%{label}<br>%{customdata[0]}"}
        return {
            "data": [self._sectors() | own],
            "layout": {"margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "uniformtext": {"minsize": 9, "mode": "hide"}},
        }

    def _sectors(self) -> charts.Figure:
        kept = self._biggest(charts.MOST_SECTORS)
        pieces = [self.piece(row) for row in kept]
        parents = self.index.column("merged_dominators", "parent")[kept].tolist()
        sizes = [int(self._total[row]) for row in kept]
        counts = [int(self.index.column("merged_dominators", "total_objects")[row]) for row in kept]
        # A sector with others inside opens on a click; one without leads to its page.
        opens = set(parents)
        return {
            "ids": [str(row) for row in kept], "labels": [charts.plain(piece.text) for piece in pieces],
            "parents": ["" if parent < 0 else str(parent) for parent in parents], "values": sizes,
            "customdata": [
                [readable_bytes(size), percent(size, self.live_bytes), grouped(count), "" if row in opens else piece.url,
                 charts.plain(_whole(piece), 120)]
                for row, size, count, piece in zip(kept, sizes, counts, pieces, strict=True)
            ],
            "branchvalues": "total",
            "hovertemplate": "%{customdata[4]}<br>%{customdata[0]}, %{customdata[1]} % of the live heap<br>"
            "%{customdata[2]} objects<extra></extra>",
            "meta": {"tones": ["root" if piece.kind in ("root", "") else self._tone(piece) for piece in pieces]},
        }  # fmt: skip

    @staticmethod
    def _tone(piece: Piece) -> str:
        return "framework" if piece.title.startswith(_FRAMEWORK) else "own"

    def _biggest(self, most: int) -> list[int]:
        """Best first: a row is taken only behind its parent, and no row left out is larger than one taken."""
        children = _children(self.index)
        queue, kept = [(-self.live_bytes, 0, 0, [0])], list[int]()
        while queue and len(kept) < most:
            _, row, place, siblings = heapq.heappop(queue)
            kept.append(row)
            # Of the rows below one, each waits until the one before it is taken.
            for following, at in ((siblings, place + 1), (children.get(row, []), 0)):
                if at < len(following) and self._total[following[at]]:
                    heapq.heappush(queue, (-int(self._total[following[at]]), following[at], at, following))
        return kept


def _whole(piece: Piece) -> str:
    return piece.title or piece.text


@kept_structure(12)
def _children(index: Index) -> dict[int, list[int]]:
    """Rows below each row of the merged dominator tree, those that retain most first."""
    parents, total = index.column("merged_dominators", "parent"), index.column("merged_dominators", "total_size")
    found: dict[int, list[int]] = defaultdict(list)
    order = np.argsort(-total.astype(np.int64), kind="stable")
    for row, parent in zip(order.tolist(), parents[order].tolist(), strict=True):
        if parent >= 0:
            found[parent].append(row)
    return dict(found)


def biggest_objects(objects: Objects, most: int, live_bytes: int, *, outermost: bool = False) -> list[Mapping[str, Any]]:
    """Objects that retain most: best first down the dominator tree, where nothing is larger than what it hangs on.

    ``outermost`` leaves out what hangs on another object: those that are left hang on roots and have no byte in common.
    """
    graph = objects.graph
    queue, found = [(0, graph.start)], list[int]()
    while queue and len(found) < most:
        _, node = heapq.heappop(queue)
        if node < graph.objects:
            found.append(node)
            if outermost:
                continue
        below = graph.dominated(node)
        sizes = _retained(graph, below)
        if len(below) > most:
            chosen = np.argpartition(sizes, len(below) - most)[-most:]
            below, sizes = below[chosen], sizes[chosen]
        for size, child in zip(sizes.tolist(), below.tolist(), strict=True):
            heapq.heappush(queue, (-size, child))
    sizes = objects.index.object_sizes(np.array(found, np.int64))
    return [
        {**objects.row(row), "row": row, "size": int(size), "share": (graph.retained(row), live_bytes)}
        for row, size in zip(found, sizes, strict=True)
    ]


def _retained(graph: Graph, nodes: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Retained sizes of objects, roots and groups of roots."""
    bounds = (0, graph.objects, graph.objects + graph.roots, graph.start)
    sizes = np.zeros(len(nodes), np.int64)
    for table, (first, last) in zip(("retention", "roots", "root_groups"), pairwise(bounds), strict=True):
        inside = (nodes >= first) & (nodes < last)
        sizes[inside] = graph.index.column(table, "retained")[nodes[inside] - first]
    return sizes


def holder(graph: Graph, row: int) -> tuple[int, bool]:
    """The root that a shortest path to a live object begins at, and whether that one alone keeps the object alive."""
    root = graph.nearest_root(row) or 0
    return root, graph.objects + root in graph.dominators(row, _MOST_DOMINATORS)


def top_holders(objects: Objects, references: References, most: int, live_bytes: int) -> list[Mapping[str, Any]]:
    """What hangs on the roots and retains most, each object with a root that holds it.

    Objects, not roots: a root counts only for what it alone keeps alive, and a leak that two roots hold would be missed.
    """
    rows = []
    for found in biggest_objects(objects, most, live_bytes, outermost=True):
        root, alone = holder(objects.graph, found["row"])
        piece, kind = references.root(root), ROOT_KINDS[int(objects.index.column("roots", "kind")[root])]
        words = kind if alone else f"{kind} and others"
        rows.append({**found, "root": Link(piece.text, piece.url), "kind": words, "others": not alone})
    return rows


def _root_row(index: Index, references: References, objects: Objects, row: int, live_bytes: int) -> dict[str, Any]:
    piece = references.root(row)
    target, retained = int(index.column("roots", "object")[row]), int(index.column("roots", "retained")[row])
    flags = [name for name in ("interior", "pinned", "conservative") if index.column("roots", name)[row]]
    type_name = objects.type_name(target)
    return {
        "root": Link(piece.text, piece.url),
        "kind": ROOT_KINDS[int(index.column("roots", "kind")[row])],
        "object": objects.link(target),
        "type_name": Link(type_name, references.url("dump-type", objects.type_of(target))),
        "address": int(index.column("roots", "address")[row]),
        "how": ", ".join(flags),
        "retained": retained,
        "share": (retained, live_bytes),
    }


class RootRows:
    """Roots of one kind or group by retained size: only the slice on the page is made."""

    def __init__(self, index: Index, references: References, objects: Objects, kind: int, group: int, live_bytes: int) -> None:
        self._index, self._references, self._objects, self._live = index, references, objects, live_bytes
        keep = np.ones(index.rows["roots"], np.bool_)
        if kind >= 0:
            keep &= index.column("roots", "kind") == kind
        if group >= 0:
            keep &= index.column("roots", "group") == group
        rows = np.flatnonzero(keep)
        self._rows = rows[np.argsort(-index.column("roots", "retained")[rows].astype(np.int64), kind="stable")]
        self.total = len(rows)

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return [
            _root_row(self._index, self._references, self._objects, row, self._live) for row in self._rows[start:stop].tolist()
        ]


class GroupRows:
    """All groups of roots in the order that is asked for: only the slice on the page is made."""

    def __init__(self, index: Index, references: References, query: Query) -> None:
        self._references = references
        columns = {name: index.column("root_groups", name).tolist() for name in ("kind", "roots", "objects", "retained")}
        self.total = index.rows["root_groups"]
        self._columns = {**columns, "kind": ["thread" if kind == STACK else ROOT_KINDS[kind] for kind in columns["kind"]]}
        keys = self._columns.get(query.sort) or [references.root_group(row).text.lower() for row in range(self.total)]
        self._order = sorted(range(self.total), key=keys.__getitem__, reverse=query.descending)

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return [self._row(row) for row in self._order[start:stop]]

    def _row(self, row: int) -> dict[str, Any]:
        piece = self._references.root_group(row)
        return {"root": Link(piece.text, piece.url), **{name: values[row] for name, values in self._columns.items()}}


def headline(index: Index, references: References, graph: Graph, biggest: list[Mapping[str, Any]]) -> list[Piece]:
    """What the page says first: the object that retains most and the root it hangs on."""
    live = int(index.facts("retention")["live"]["bytes"])
    pieces = [Piece(f"{readable_bytes(live)} are live. ")]
    if not biggest:
        return pieces
    row, retained = biggest[0]["row"], biggest[0]["retained"]
    if retained < _STANDS_OUT * live:
        return [*pieces, Piece("No single object retains more than a twentieth of it: memory hangs on many.")]
    return [
        *pieces, references.object(row), Piece(f" alone retains {readable_bytes(retained)} of it, "),
        Piece(f"{percent(retained, live)} %; it is kept alive by "),
        references.root(holder(graph, row)[0]), Piece("."),
    ]  # fmt: skip


def kind_counts(index: Index) -> list[dict[str, Any]]:
    """Kinds of roots that there are, with their number."""
    counts = np.bincount(index.column("roots", "kind"), minlength=len(ROOT_KINDS))
    return [{"kind": kind, "label": visible(ROOT_KINDS[kind]), "count": int(count)} for kind, count in enumerate(counts) if count]
