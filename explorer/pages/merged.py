"""All stacks as one tree: the flame graph's figure, the indented tree, text for a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.index.store import Index
from explorer.pages import numbers
from explorer.pages.names import visible
from explorer.pages.opened import kept_structure
from explorer.pages.references import References, short_method

#: Nodes drawn in the flame graph, and lines of the tree on one page.
MOST_DRAWN, MOST_LINES = 600, 400
_THREADS_OF_LEAF = 4


@dataclass(frozen=True, slots=True)
class TreeLine:
    """One frame of the merged tree; ``indent`` grows only where the tree branches, as a person would indent it."""

    row: int
    name: str
    whole: str
    own: bool
    threads: int
    repeats: int
    indent: int
    depth: int
    url: str
    leaves: tuple[Any, ...]
    more_leaves: int
    hit: bool

    @property
    def text(self) -> str:
        """As parallelstacks prints it: how many threads, then the frame."""
        turns = f" × {self.repeats:,}" if self.repeats > 1 else ""
        return f"{'  ' * self.indent}{self.threads:>5} {self.whole}{turns}"


@dataclass(frozen=True)
class _Tree:
    """Columns of merged_stacks as lists, with the branching depth of every node."""

    parent: list[int]
    end: list[int]
    depth: list[int]
    method: list[int]
    label: tuple[str, ...]
    threads: list[int]
    repeats: list[int]
    indent: list[int]


@kept_structure(12)
def _tree(index: Index) -> _Tree:
    columns = {name: index.column("merged_stacks", name).tolist() for name in
               ("parent", "end", "depth", "method", "threads", "repeats")}  # fmt: skip
    children = [0] * len(columns["parent"])
    for parent in columns["parent"]:
        if parent >= 0:
            children[parent] += 1
    indent: list[int] = []
    for parent in columns["parent"]:
        indent.append(0 if parent < 0 else indent[parent] + (children[parent] > 1))
    return _Tree(**columns, label=index.text("merged_stacks", "label").all, indent=indent)


def whole_name(index: Index, row: int) -> str:
    """The method of a node with its parameters."""
    tree = _tree(index)
    return visible(str(index.text("methods", "name")[tree.method[row]]) if tree.method[row] >= 0 else tree.label[row])


def lines(index: Index, references: References, text: str, first: int, most: int = MOST_LINES) -> tuple[list[TreeLine], int]:
    """Lines of the tree from ``first`` on, at most ``most``, and how many there are. With ``text`` only branches that
    hold it, hits marked."""
    tree = _tree(index)
    wanted = _hits(index, text) if text else None
    rows = [row for row in range(len(tree.parent)) if wanted is None or wanted[row]]
    leaf_of = _threads_at(index)
    found = []
    for row in rows[first : first + most]:
        ending = leaf_of.get(row, ())
        whole = whole_name(index, row)
        found.append(TreeLine(
            row=row, name=short_method(whole), whole=whole, own=_own(index, tree.method[row]), threads=tree.threads[row],
            repeats=tree.repeats[row], indent=min(tree.indent[row], 40), depth=tree.depth[row],
            url=f"{references.url('dump-threads')}?node={row}",
            leaves=tuple(references.thread(thread) for thread in ending[:_THREADS_OF_LEAF]),
            more_leaves=max(0, len(ending) - _THREADS_OF_LEAF),
            hit=bool(text) and text.lower() in whole.lower(),
        ))  # fmt: skip
    return found, len(rows)


def _own(index: Index, method: int) -> bool:
    return method >= 0 and bool(index.column("methods", "own_code")[method])


def _hits(index: Index, text: str) -> list[bool]:
    """Nodes that hold the text, with all above and below them."""
    tree, words = _tree(index), text.lower()
    keep, row = [False] * len(tree.parent), 0
    while row < len(tree.parent):
        if words not in whole_name(index, row).lower():
            row += 1
            continue
        at = tree.parent[row]
        while at >= 0 and not keep[at]:
            keep[at] = True
            at = tree.parent[at]
        # All below a hit is kept, so there is nothing to look for in there.
        keep[row : tree.end[row]] = [True] * (tree.end[row] - row)
        row = tree.end[row]
    return keep


@kept_structure(12)
def _threads_at(index: Index) -> dict[int, list[int]]:
    """Threads whose stacks end at a node."""
    found: dict[int, list[int]] = {}
    for thread, leaf in enumerate(index.column("threads", "merged_leaf").tolist()):
        found.setdefault(leaf, []).append(thread)
    return found


def flame(index: Index, references: References) -> dict[str, Any] | None:
    """The figure: width is threads, every level calls the one above it; the busiest nodes when there are too many."""
    tree = _tree(index)
    if not tree.parent:
        return None
    order = sorted(range(len(tree.parent)), key=lambda row: (-tree.threads[row], tree.depth[row]))[:MOST_DRAWN]
    drawn = _with_parents(tree.parent, order)
    names = {row: whole_name(index, row) for row in drawn}
    url = references.url("dump-threads")
    threads = sum(tree.threads[row] for row in drawn if tree.parent[row] < 0)
    return {
        "data": [
            {
                "type": "icicle",
                "ids": ["all", *map(str, drawn)],
                "parents": ["", *(str(tree.parent[row]) if tree.parent[row] >= 0 else "all" for row in drawn)],
                "labels": ["all stacks", *(short_method(names[row]) + _turns(tree.repeats[row]) for row in drawn)],
                "values": [threads, *(tree.threads[row] for row in drawn)],
                "customdata": [
                    ["all stacks", ""],
                    *([names[row], f"{url}?node={row}"] for row in drawn),
                ],
                "branchvalues": "total",
                "tiling": {"orientation": "v", "flip": "y"},
                "hovertemplate": "%{customdata[0]}<br>%{value} threads<extra></extra>",
                "sort": False,
                "meta": {"tones": ["root", *("own" if _own(index, tree.method[row]) else "framework" for row in drawn)]},
            }
        ],
        "layout": {"margin": {"t": 4, "l": 4, "r": 4, "b": 4}},
    }


def _turns(repeats: int) -> str:
    return f" × {numbers.grouped(repeats)}" if repeats > 1 else ""


def _with_parents(parents: list[int], rows: Sequence[int]) -> list[int]:
    """Rows with everything above them, in preorder."""
    kept: set[int] = set()
    for row in rows:
        at = row
        while at >= 0 and at not in kept:
            kept.add(at)
            at = parents[at]
    return sorted(kept)
