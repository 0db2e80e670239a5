"""What a note is pinned to: a finding, an object, a type, a thread or one of its frames, named so that it lasts.

Rows of an index change when a dump is analysed again. A pin is kept by what does not: the rule and title of a finding, the
address of an object, the name of a type or method, the id of a thread. All of that is structure (D1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from analysis.index.store import Index
from explorer.models import Note
from explorer.pages.findings import FindingCard, finding_cards
from explorer.pages.names import visible
from explorer.pages.numbers import address
from explorer.pages.objects import Objects
from explorer.pages.references import References
from explorer.pages.types import catalogue

_PLACE = re.compile(r"[0-9]{1,10}")
_FRAME_PLACE = re.compile(r"([0-9]{1,10})-([0-9]{1,9})")
_ADDRESS = re.compile(r"[0-9a-fA-F]{1,16}")
_LONGEST_LABEL = 300


@dataclass(frozen=True, slots=True)
class Pinned:
    """A thing that notes can be pinned to: ``key`` and ``label`` go into the note."""

    pin: Note.Pin
    key: str = ""
    label: str = ""


def to_finding(card: FindingCard) -> Pinned:
    return Pinned(Note.Pin.FINDING, f"{card.rule}: {visible(card.text, 1000)}", visible(card.text, _LONGEST_LABEL))


def to_object(object_address: int, type_name: str) -> Pinned:
    return Pinned(Note.Pin.OBJECT, f"{object_address:x}", visible(f"{address(object_address)} {type_name}", _LONGEST_LABEL))


def to_type(name: str) -> Pinned:
    return Pinned(Note.Pin.TYPE, visible(name), visible(name, _LONGEST_LABEL))


def to_thread(managed_id: int) -> Pinned:
    return Pinned(Note.Pin.THREAD, str(managed_id), f"thread {managed_id}")


def to_frame(managed_id: int, method: str) -> Pinned:
    return Pinned(Note.Pin.FRAME, f"{managed_id} {visible(method)}", visible(f"{method} in thread {managed_id}", _LONGEST_LABEL))


def read_pin(index: Index, references: References, pin: str, place: str) -> Pinned | None:
    """What a form names by kind and place; None where the index holds no such thing."""
    if pin == Note.Pin.FINDING and _PLACE.fullmatch(place):
        cards = finding_cards(index.structure, References(index.structure, references.dump_id))
        return to_finding(cards[int(place) - 1]) if 1 <= int(place) <= len(cards) else None
    if pin == Note.Pin.OBJECT and _ADDRESS.fullmatch(place):
        objects = Objects(index, references)
        found = objects.at(int(place, 16))
        return to_object(int(objects.addresses[found[0]]), objects.type_name(found[0])) if found else None
    if pin == Note.Pin.TYPE and _PLACE.fullmatch(place):
        return to_type(str(index.text("types", "name")[int(place)])) if int(place) < index.rows["types"] else None
    if pin == Note.Pin.THREAD and _PLACE.fullmatch(place):
        return to_thread(int(place)) if thread_row(index, int(place)) is not None else None
    if pin == Note.Pin.FRAME and (parts := _FRAME_PLACE.fullmatch(place)):
        return _frame(index, int(parts[1]), int(parts[2]))
    return None


def thread_row(index: Index, managed_id: int) -> int | None:
    """The row of a managed id, of several the first that lives."""
    rows = [row for row, found in enumerate(index.column("threads", "managed_id").tolist()) if found == managed_id]
    alive = index.column("threads", "alive")
    return next((row for row in rows if alive[row]), rows[0] if rows else None)


def _frame(index: Index, managed_id: int, place: int) -> Pinned | None:
    thread = thread_row(index, managed_id)
    if thread is None or place >= int(index.column("threads", "frames")[thread]):
        return None
    method = int(index.column("frames", "method")[int(index.column("threads", "first_frame")[thread]) + place])
    return to_frame(managed_id, str(index.text("methods", "name")[method])) if method >= 0 else None


def url_of(index: Index, references: References, note: Note) -> str:
    """Where the thing that a note is pinned to is shown in this result; "" where this result does not hold it."""
    find = {
        Note.Pin.FINDING: _finding_url, Note.Pin.OBJECT: _object_url, Note.Pin.TYPE: _type_url, Note.Pin.THREAD: _thread_url,
        Note.Pin.FRAME: _frame_url,
    }.get(Note.Pin(note.pin))  # fmt: skip
    return find(index, references, note.key) if find else ""


def _finding_url(index: Index, references: References, key: str) -> str:
    cards = finding_cards(index.structure, References(index.structure, references.dump_id))
    return next((card.url for card in cards if to_finding(card).key == key), "")


def _object_url(index: Index, references: References, key: str) -> str:
    return references.url("dump-object", key) if Objects(index, references).at(int(key, 16)) else ""


def _type_url(index: Index, references: References, key: str) -> str:
    type_id = catalogue(index).id_of(key)
    return "" if type_id is None else references.url("dump-type", type_id)


def _thread_url(index: Index, references: References, key: str) -> str:
    return references.url("dump-thread", int(key)) if thread_row(index, int(key)) is not None else ""


def _frame_url(index: Index, references: References, key: str) -> str:
    managed_id, _, method = key.partition(" ")
    thread = thread_row(index, int(managed_id))
    if thread is None:
        return ""
    first, count = (int(index.column("threads", name)[thread]) for name in ("first_frame", "frames"))
    methods: Any = index.column("frames", "method")[first : first + count].tolist()
    names = index.text("methods", "name")
    known = {number: visible(str(names[number])) for number in set(methods) if number >= 0}
    return next((references.frame_url(first + at) for at, number in enumerate(methods) if known.get(number) == method), "")
