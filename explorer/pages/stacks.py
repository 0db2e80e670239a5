"""The frames of one thread as a page shows them: folded recursion, own code marked, objects by frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.index.execution import FRAME_KINDS, MANAGED
from analysis.index.store import Index
from explorer.pages import numbers
from explorer.pages.names import visible
from explorer.pages.opened import kept_structure
from explorer.pages.references import FRAMES_PER_PAGE

#: Objects listed for one frame; a frame of generated code may hold thousands.
_MOST_OBJECTS = 60


@dataclass(frozen=True, slots=True)
class StackObject:
    """An object a frame refers to."""

    where: str
    address: str
    type_name: str
    type_url: str
    words: tuple[str, ...]


@dataclass(slots=True)
class FrameRow:
    """One line of a stack. ``place`` counts from the innermost frame; ``repeats`` > 0 is the line that stands for folded ones."""

    place: int
    kind: str
    name: str
    label: str = ""
    own: bool = False
    module: str = ""
    code: str = ""
    il_offset: str = ""
    line: str = ""
    method: int = -1
    il: int = -1
    ip: str = ""
    sp: str = ""
    repeats: int = 0
    period: int = 1
    skipped: int = 0
    objects: list[StackObject] = field(default_factory=list)
    more_objects: int = 0
    inner: list[FrameRow] = field(default_factory=list)

    @property
    def text(self) -> str:
        """As ``clrstack`` prints it."""
        mark = f"[{self.label}: {self.sp}] " if self.kind != "managed" and self.label else ""
        return f"{self.sp:>18} {self.ip:>18} {mark}{self.name}{f' [{self.line}]' if self.line else ''}".rstrip()


@dataclass(frozen=True, slots=True)
class StackPage:
    """A part of a stack: rows, and where this part lies in the whole."""

    rows: list[FrameRow]
    total: int
    page: int
    pages: int
    folded: int


def stack_of(
    index: Index, first: int, count: int, thread: int, *, unfolded: bool, page: int, per_page: int = FRAMES_PER_PAGE
) -> StackPage:
    """Rows of the frames ``first`` … ``first + count``, folded or a page of all of them."""
    folds = [] if unfolded else _folds(index, thread)
    places: list[tuple[int, int, int, int]] = []  # place, repeats, period, skipped
    at = 0
    for start, period, repeats in [*folds, (first + count, 0, 0)]:
        places += [(place, 0, 1, 0) for place in range(at, start - first)]
        if repeats:
            turn = start - first
            places += [(place, 0, 1, 0) for place in range(turn, turn + period)]
            places.append((turn + period, repeats, period, period * (repeats - 1)))
            at = turn + period * repeats
    pages = max(1, -(-len(places) // per_page))
    page = min(max(page, 1), pages)
    shown = places[(page - 1) * per_page : page * per_page]
    rows = [
        FrameRow(place, "fold", "", repeats=repeats, period=period, skipped=skipped)
        if repeats
        else frame_row(index, first + place, place)
        for place, repeats, period, skipped in shown
    ]
    return StackPage(rows, count, page, pages, sum(skipped for *_, skipped in places))


def _folds(index: Index, thread: int) -> list[tuple[int, int, int]]:
    """First frame, period and repeats of every fold of a thread, in order."""
    rows = np.flatnonzero(index.column("frame_folds", "thread") == thread)
    columns = [index.column("frame_folds", name)[rows].tolist() for name in ("first_frame", "period", "repeats")]
    return sorted(zip(*columns, strict=True))


def frame_row(index: Index, row: int, place: int) -> FrameRow:
    """One frame of the index as a line."""
    kind = FRAME_KINDS[int(index.column("frames", "kind")[row])]
    method = int(index.column("frames", "method")[row])
    found = FrameRow(
        place=place,
        kind=kind,
        name=visible(str(index.text("methods", "name")[method])) if method >= 0 else "",
        label=visible(str(index.text("frames", "label")[row]), 200),
        ip=numbers.address(int(index.column("frames", "ip")[row])),
        sp=numbers.address(int(index.column("frames", "sp")[row])),
    )
    if method >= 0:
        found.own = kind == "managed" and bool(index.column("methods", "own_code")[method])
        module = int(index.column("methods", "module")[method])
        found.module = visible(str(index.text("modules", "name")[module]), 100) if module >= 0 else ""
        tier = str(index.text("methods", "tier")[method])
        found.code = f"{index.text('methods', 'code')[method]}{f', {tier}' if tier else ''}"
        il_offset = int(index.column("frames", "il_offset")[row])
        found.il_offset = _il_words(il_offset) if kind == "managed" else ""
        found.method, found.il = method, il_offset
    return found


def _il_words(offset: int) -> str:
    return {-1: "", -2: "prolog", -3: "epilog"}.get(offset, f"IL {offset:#06x}")


def grouped(rows: list[FrameRow]) -> list[FrameRow]:
    """Rows with each run of native frames as one line that opens: few people look for them."""
    found: list[FrameRow] = []
    for row in rows:
        if row.kind != "native":
            found.append(row)
        elif found and found[-1].kind == "natives":
            found[-1].inner.append(row)
        else:
            found.append(FrameRow(row.place, "natives", "", inner=[row]))
    for row in found:
        modules = dict.fromkeys(inner.label.partition("+")[0].partition("!")[0] for inner in row.inner)
        row.label = ", ".join(modules) if row.inner else row.label
    return found


def add_lines(rows: list[FrameRow], line_of: Callable[[int, int], str]) -> None:
    """Fill in source file and line; ``line_of`` gives them for a method row and an IL offset."""
    for row in rows:
        if row.kind == "managed":
            row.line = line_of(row.method, row.il)


def add_objects(index: Index, first: int, rows: list[FrameRow], type_url: Callable[[str], str]) -> None:
    """Fill in the objects of each line; ``type_url`` gives the page of a type by its name, "" for none."""
    frames = index.column("stack_objects", "frame")
    for line in rows:
        if line.kind == "fold":
            continue
        start, stop = np.searchsorted(frames, [first + line.place, first + line.place + 1]).tolist()
        line.more_objects = max(0, stop - start - _MOST_OBJECTS)
        line.objects = [_object(index, row, type_url) for row in range(start, min(stop, start + _MOST_OBJECTS))]


def _object(index: Index, row: int, type_url: Callable[[str], str]) -> StackObject:
    def column(name: str) -> Any:
        return index.column("stack_objects", name)[row]

    register = str(index.text("stack_objects", "register")[row])
    name = str(index.text("stack_objects", "type_name")[row])
    words = [
        word
        for word, present in (
            ("inside the object", column("interior")),
            ("pinned", column("pinned")),
            ("found by scanning", not column("precise")),
        )
        if present
    ]
    return StackObject(
        where=register or numbers.address(int(column("slot"))),
        address=numbers.address(int(column("object"))),
        type_name=visible(name),
        type_url=type_url(name) if name else "",
        words=tuple(words),
    )


@kept_structure(12)
def threads_by_method(index: Index) -> tuple[Any, Any]:
    """Pairs (method row, thread row) of all managed frames, sorted by method, each pair once."""
    managed = (index.column("frames", "kind") == MANAGED) & (index.column("frames", "thread") >= 0)
    pairs = np.unique(
        np.stack([index.column("frames", "method")[managed], index.column("frames", "thread")[managed]], axis=1), axis=0
    )
    return pairs[:, 0], pairs[:, 1]


@kept_structure(12)
def _lowered_methods(index: Index) -> list[str]:
    return [name.lower() for name in index.text("methods", "name").all]


def threads_with(index: Index, word: str) -> set[int]:
    """Rows of threads with a method on their stacks whose name holds ``word`` (lower case)."""
    wanted = [row for row, name in enumerate(_lowered_methods(index)) if word in name]
    methods, threads = threads_by_method(index)
    return set(threads[np.isin(methods, wanted)].tolist()) if wanted else set()
