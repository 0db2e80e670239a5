"""How the process ended, and every exception there is: chains, stack traces, groups by type and throw site."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.index.schema import TABLES
from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.opened import kept_structure
from explorer.pages.references import Piece, References, short_method
from explorer.pages.source_lines import SourceLines
from explorer.pages.tables import Column, Link, structure

_MOST_FRAMES, _MOST_CHAIN, _MOST_NESTED, _MOST_CHARACTERS = 200, 50, 20, 4000
#: Names of HResults that people know by heart (``inc/corerror.xml`` in dotnet/runtime, winerror.h).
_HRESULTS = {
    0x80131500: "COR_E_EXCEPTION", 0x80131501: "COR_E_SYSTEM", 0x80131506: "COR_E_EXECUTIONENGINE",
    0x80131509: "COR_E_INVALIDOPERATION", 0x80131515: "COR_E_NOTSUPPORTED", 0x80131522: "COR_E_TYPELOAD",
    0x80131534: "COR_E_TYPEINITIALIZATION", 0x8013153B: "COR_E_OPERATIONCANCELED", 0x80131505: "COR_E_TIMEOUT",
    0x80131537: "COR_E_FORMAT", 0x80131502: "COR_E_ARGUMENTOUTOFRANGE", 0x80131513: "COR_E_MISSINGMETHOD",
    0x80131539: "COR_E_INSUFFICIENTEXECUTIONSTACK", 0x80131622: "COR_E_OBJECTDISPOSED", 0x8007000E: "E_OUTOFMEMORY",
    0x80070057: "E_INVALIDARG", 0x80004003: "E_POINTER", 0x80070002: "ERROR_FILE_NOT_FOUND", 0x80070005: "E_ACCESSDENIED",
    0x800703E9: "COR_E_STACKOVERFLOW", 0x80004001: "E_NOTIMPL", 0x80004002: "COR_E_INVALIDCAST",
    0x80131508: "COR_E_INDEXOUTOFRANGE", 0x80131577: "COR_E_KEYNOTFOUND", 0x80020012: "COR_E_DIVIDEBYZERO",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One frame of an exception's stack trace."""

    name: str
    own: bool
    line: str


@dataclass(frozen=True, slots=True)
class ExceptionCard:
    """One exception of a chain. ``message`` is None where the viewer may not see it, "" where there is none."""

    row: int
    type_name: str
    message: str | None
    hresult: str
    address: int
    heading: str
    thread: Piece | None
    trace: list[TraceLine]
    more_frames: int
    #: It has an inner exception that is not shown any more.
    goes_on: bool = False


def hresult_words(value: int) -> str:
    """``0x80131509 COR_E_INVALIDOPERATION``."""
    number = value & 0xFFFFFFFF
    name = _HRESULTS.get(number, "")
    return f"{number:#010x} {name}".strip()


def exceptions_of_thread(index: Index, references: References, thread: int, lines: SourceLines) -> list[ExceptionCard]:
    """The current exception of a thread with its inner chain, then those it was handling, each with its own."""
    of_thread = np.flatnonzero(index.column("exceptions", "thread") == thread).tolist()
    nesting = index.column("exceptions", "nesting")
    cards = list[ExceptionCard]()
    for row in sorted(of_thread, key=lambda row: int(nesting[row]))[:_MOST_NESTED]:
        heading = "Current exception" if nesting[row] == 0 else "Was being handled when that was thrown"
        cards += chain(index, references, row, lines, heading)
    return cards


def chain(index: Index, references: References, row: int, lines: SourceLines, heading: str) -> list[ExceptionCard]:
    """An exception and its inner ones, outermost first."""
    inner, cards, seen = index.column("exceptions", "inner"), list[ExceptionCard](), set[int]()
    while row >= 0 and row not in seen and len(cards) < _MOST_CHAIN:
        seen.add(row)
        cards.append(_card(index, references, row, lines, heading if not cards else "Inner exception"))
        row = int(inner[row])
    if cards and row >= 0 and row not in seen:
        cards[-1] = replace(cards[-1], goes_on=True)
    return cards


def _card(index: Index, references: References, row: int, lines: SourceLines, heading: str) -> ExceptionCard:
    """One exception as a card."""

    def column(name: str) -> Any:
        return index.column("exceptions", name)[row]

    sees = index.shows("exceptions", "message")
    first, count, thread = int(column("first_frame")), int(column("frames")), int(column("thread"))
    return ExceptionCard(
        row=row,
        type_name=visible(str(index.text("exceptions", "type_name")[row])),
        message=_lines(str(index.text("exceptions", "message")[row])) if sees else None,
        hresult=hresult_words(int(column("hresult"))),
        address=int(column("address")),
        heading=heading,
        thread=references.thread(thread) if thread >= 0 else None,
        trace=[_line(index, lines, at) for at in range(first, first + min(count, _MOST_FRAMES))],
        more_frames=max(0, count - _MOST_FRAMES),
    )


def _lines(message: str) -> str:
    """A message with the line breaks it has and no other character that cannot be seen."""
    rest = "…" if len(message) > _MOST_CHARACTERS else ""
    lines = message[:_MOST_CHARACTERS].replace("\r\n", "\n").split("\n")
    return "\n".join(visible(line, _MOST_CHARACTERS) for line in lines) + rest


def _line(index: Index, lines: SourceLines, row: int) -> TraceLine:
    method = int(index.column("exception_frames", "method")[row])
    if method < 0:
        return TraceLine("unknown method", own=False, line="")
    return TraceLine(
        visible(str(index.text("methods", "name")[method])),
        bool(index.column("methods", "own_code")[method]),
        lines.of_method(method, int(index.column("exception_frames", "il_offset")[row])),
    )


GROUP_COLUMNS = (
    structure("count", "Exceptions", "number", descending_first=True),
    structure("type_name", "Type", "name"),
    structure("site", "Thrown in", "name", about="The innermost method of the stack trace"),
    structure("own", "Own code on top", "name", about="The innermost method of the program's own code in the stack trace"),
    Column("message", "One message", "text", data_class=TABLES["exceptions"].column("message").data_class),
    structure("hresult", "HResult", "code"),
)


@kept_structure(12)
def _groups(index: Index) -> list[tuple[tuple[int, int, int], int, int]]:
    """(type, throw site, own method), first row, count of every group of exceptions."""
    names = index.text("exceptions", "type_name").all
    numbers_of = {name: place for place, name in enumerate(dict.fromkeys(names))}
    first, count = (index.column("exceptions", name).tolist() for name in ("first_frame", "frames"))
    methods = index.column("exception_frames", "method").tolist()
    own = index.column("methods", "own_code")
    counts: Counter[tuple[int, int, int]] = Counter()
    example: dict[tuple[int, int, int], int] = {}
    for row, name in enumerate(names):
        trace = methods[first[row] : first[row] + count[row]]
        key = (numbers_of[name], trace[0] if trace else -1, next((m for m in trace if m >= 0 and own[m]), -1))
        counts[key] += 1
        example.setdefault(key, row)
    return [(key, example[key], number) for key, number in counts.most_common()]


def groups(index: Index, type_url: Any) -> list[dict[str, Any]]:
    """Exceptions on the heap by type and throw site, the most frequent first."""
    sees = index.shows("exceptions", "message")

    def method(row: int) -> str:
        return short_method(visible(str(index.text("methods", "name")[row]))) if row >= 0 else ""

    found = []
    for (_, site, own), row, count in _groups(index):
        name = visible(str(index.text("exceptions", "type_name")[row]))
        url = type_url(name)
        found.append({
            "count": count, "type_name": Link(name, url) if url else name,
            "site": method(site) or "never thrown", "own": method(own),
            "hresult": hresult_words(int(index.column("exceptions", "hresult")[row])),
            **({"message": visible(str(index.text("exceptions", "message")[row]), 300)} if sees else {}),
        })  # fmt: skip
    return found
