"""What a share link can show, and the content of its page: structure only, no way on from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from analysis.index.store import Index
from explorer.models import ShareLink
from explorer.pages import merged, stacks
from explorer.pages import overview as words
from explorer.pages.findings import finding_cards
from explorer.pages.garbage_collector import generation_rows
from explorer.pages.references import References, plain
from explorer.pages.threads import group_counts, row_of, thread_rows
from explorer.pages.types import catalogue, type_rows_at

_MOST_TYPES, _MOST_LINES, _MOST_FINDINGS, _LONGEST_TITLE = 300, 2000, 30, 80
_Scope = ShareLink.Scope


def choices(index: Index, references: References, asked: str) -> list[tuple[str, str]]:
    """What may be shared, as values of the form and words: whole scopes, single findings, and the thread ``asked`` for."""
    found = [(scope.value, str(scope.label)) for scope in _Scope if scope not in ONE_PAGE]
    for card in finding_cards(index, references)[:_MOST_FINDINGS]:
        title = card.text if len(card.text) <= _LONGEST_TITLE else f"{card.text[: _LONGEST_TITLE - 1]}…"
        found.append((f"{_Scope.FINDING}:{card.number}", f"Finding: {title}"))
    chosen = read_choice(index, asked)
    if chosen and chosen[0] == _Scope.THREAD:
        found.append((asked, f"Thread {chosen[1]} and its stack"))
    return found


def read_choice(index: Index, text: str) -> tuple[ShareLink.Scope, int | None] | None:
    """Scope and the one page of it that a value of the form names; None when this dump has no such thing."""
    name, _, number = text.partition(":")
    if name not in _Scope.values:
        return None
    scope = _Scope(name)
    if scope not in ONE_PAGE:
        return None if number else (scope, None)
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        return None
    return (scope, int(number)) if ONE_PAGE[scope](index, int(number)) else None


def content(index: Index, references: References, link: ShareLink) -> dict[str, Any]:
    """What the template of the link's scope shows."""
    return _CONTENTS[_Scope(link.scope)](index, references, link.part or 0)


def _summary(index: Index, references: References, part: int) -> dict[str, Any]:
    return {
        "sentence": words.sentence(index, catalogue(index)),
        "cards": finding_cards(index, references),
        "generations": [row for row in generation_rows(index.facts("summary")) if row["count"] or row["free_size"]],
        "thread_groups": [group for group in group_counts(thread_rows(index)) if group["count"]],
    }


def _stacks(index: Index, references: References, part: int) -> dict[str, Any]:
    lines, total = merged.lines(index, references, "", 0, _MOST_LINES)
    return {"lines": lines, "more": max(0, total - len(lines))}


def _heap_shape(index: Index, references: References, part: int) -> dict[str, Any]:
    found = catalogue(index)
    biggest = found.order("size", None, "")[::-1][:_MOST_TYPES].tolist()
    rows = type_rows_at(found, biggest, lambda type_id: "")
    return {"types": rows, "total": found.total, "more": max(0, found.total - len(rows))}


def _finding(index: Index, references: References, part: int) -> dict[str, Any]:
    card = finding_cards(index, references)[part - 1]
    return {"card": card, "evidence": [(plain([line.piece]), line.text) for line in card.evidence]}


def _thread(index: Index, references: References, part: int) -> dict[str, Any]:
    row = row_of(index, part)
    facts = thread_rows(index)[row or 0]
    shown = stacks.stack_of(index, facts["first_frame"], facts["frames"], row or 0, unfolded=False, page=1, per_page=_MOST_LINES)
    frames = [one for one in shown.rows if one.kind != "native"]
    return {"thread": facts, "frames": frames, "natives": len(shown.rows) - len(frames), "total": shown.total}


def _has_finding(index: Index, number: int) -> bool:
    return 0 < number <= len(index.facts("findings").get("items", []))


#: Scopes that are one page of many, and whether a dump has the one with a number.
ONE_PAGE: dict[ShareLink.Scope, Callable[[Index, int], bool]] = {
    _Scope.FINDING: _has_finding,
    _Scope.THREAD: lambda index, number: row_of(index, number) is not None,
}
_CONTENTS: dict[ShareLink.Scope, Callable[[Index, References, int], dict[str, Any]]] = {
    _Scope.SUMMARY: _summary,
    _Scope.STACKS: _stacks,
    _Scope.HEAP_SHAPE: _heap_shape,
    _Scope.FINDING: _finding,
    _Scope.THREAD: _thread,
}
