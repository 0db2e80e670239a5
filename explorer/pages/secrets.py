"""Texts that look like secrets: by kind, where they are and who holds them. All of it is context (D2), and never a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.index.retention import NOT_LIVE
from analysis.index.schema import DataClass
from analysis.index.secrets import ARGUMENTS, CERTAINTIES, PERSON, SECRET_PLACES, VARIABLE
from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.numbers import grouped, readable_bytes
from explorer.pages.objects import Objects, held_by
from explorer.pages.references import References
from explorer.pages.tables import Column, Link, Query

_D2 = DataClass.D2_CONTEXT

KIND_COLUMNS = (
    Column("name", "Looks like", "text", sortable=False, data_class=_D2),
    Column("certainty", "How sure", "text", about="That of the surest one", sortable=False, data_class=_D2),
    Column("texts", "Texts", "number", about="Copies of a text count once", sortable=False, data_class=_D2),
    Column("objects", "Objects", "number", about="With copies, and places outside of the heap", sortable=False, data_class=_D2),
    Column("live_objects", "Live", "number", about="Objects that a root keeps alive", sortable=False, data_class=_D2),
)
PLACE_COLUMNS = (
    Column("kind", "Looks like", "text", sortable=False, data_class=_D2),
    Column("certainty", "How sure", "text", sortable=False, data_class=_D2),
    Column("place", "Where", "text", sortable=False, data_class=_D2),
    Column("count", "In it", "number", about="Secrets of this kind in this text", sortable=False, data_class=_D2),
    Column("copies", "Copies", "number", "objects", "Objects with this text", sortable=False, data_class=_D2),
    Column("live_copies", "Live", "number", "objects", "Those that a root keeps alive", sortable=False, data_class=_D2),
    Column("held_by", "Held by", "text", about="Fields that refer to the copies, most references first", sortable=False,
           data_class=_D2),
)  # fmt: skip


@dataclass(frozen=True)
class SecretHints:
    """What the scan of a dump says in words."""

    facts: Mapping[str, Any]

    @property
    def found(self) -> bool:
        return bool(self.facts["kinds"])

    def kind(self, number: str) -> str:
        """The name of the kind with that number in the table of kinds, "" for any other text."""
        kinds = self.facts["kinds"]
        known = number.isascii() and number.isdecimal() and len(number) < 4 and int(number) < len(kinds)
        return str(kinds[int(number)]["name"]) if known else ""

    def left_out(self, kind: str, listed: int) -> str:
        """Words behind the number of places listed of a kind, or of all ("")."""
        of_kind = next((int(one["texts"]) - listed for one in self.facts["kinds"] if one["name"] == kind), 0)
        more = of_kind if kind else int(self.facts["rows_left_out"])
        return f", {grouped(more)} more are not listed" if more else ""

    @property
    def title(self) -> str:
        """``This dump holds 12 secret-looking texts of 5 kinds and data of persons in 303 texts.``"""
        texts, personal = self.facts["texts"], self.facts["personal_texts"]
        kinds = sum(kind["family"] != PERSON for kind in self.facts["kinds"])
        least = "at least " if self.facts["places_left_out"] or self.facts["arrays_left_out"] else ""
        parts = []
        if texts:
            noun = "text" if texts == 1 else "texts"
            parts.append(f"{grouped(texts)} secret-looking {noun} of {kinds} {'kind' if kinds == 1 else 'kinds'}")
        if personal:
            parts.append(f"data of persons in {grouped(personal)} {'text' if personal == 1 else 'texts'}")
        return f"This dump holds {least}{' and '.join(parts)}." if parts else "No text in this dump looks like a secret."

    @property
    def looked_at(self) -> str:
        """What was looked at, and what not."""
        scanned = self.facts["scanned"]
        heap = f"{grouped(scanned['strings'])} strings and {grouped(scanned['arrays'])} arrays of characters and bytes"
        parts = [f"{heap} ({readable_bytes(scanned['bytes'])})"] if not self.facts["problem"] else []
        if scanned["variables"] is not None:
            parts.append(f"{grouped(scanned['variables'])} environment variables and {grouped(scanned['arguments'])} arguments")
        words = f"Looked at: {', '.join(parts) or 'nothing'}, for {self.facts['known_kinds']} kinds. "
        if self.facts["problem"]:
            words += f"{self.facts['problem']} "
        if scanned["variables"] is None:
            words += "The environment is not in this dump. "
        if left := self.facts["places_left_out"]:
            words += f"{grouped(left)} more places were too many to look at. "
        if left := self.facts["arrays_left_out"]:
            words += f"{grouped(left)} arrays were read in part or not at all. "
        return words + "Not looked at: freed memory, native memory, registers and what is encrypted or compressed."


def secret_hints(index: Index) -> SecretHints | None:
    """What the scan found, for those who may see context; None for everybody else."""
    facts = index.facts("secrets") if index.shows("secrets", "kind") else {}
    return SecretHints(facts) if facts else None


def kind_rows(hints: SecretHints, query: Query) -> list[Mapping[str, Any]]:
    """Each kind, the surest and most frequent first, leading to the places of that kind."""
    return [
        {**kind, "name": Link(str(kind["name"]), f"{query.url(secret=number)}#table-secrets")}
        for number, kind in enumerate(hints.facts["kinds"])
    ]


class SecretRows:
    """Texts with secrets, the surest first: only the slice on the page is made."""

    def __init__(self, index: Index, references: References, objects: Objects, kind: str = "") -> None:
        self._index, self._references, self._objects = index, references, objects
        kinds = index.text("secrets", "kind").all
        self._rows = [row for row, name in enumerate(kinds) if not kind or name == kind]
        self.total = len(self._rows)

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return [self._row(row) for row in self._rows[start:stop]]

    def _row(self, row: int) -> dict[str, Any]:
        number = {
            name: int(self._index.column("secrets", name)[row])
            for name in ("certainty", "place", "object", "count", "copies", "live_copies")
        }
        on_heap, of_object = number["object"] != NOT_LIVE, number["object"]
        return {
            "kind": visible(str(self._index.text("secrets", "kind")[row]), 80),
            "certainty": CERTAINTIES[number["certainty"]],
            "place": self._place(row, number["place"], of_object),
            "count": number["count"],
            "copies": number["copies"] if on_heap else None,
            "live_copies": number["live_copies"] if on_heap else None,
            "held_by": held_by(self._index, self._references, "secret_holders", "object", of_object) if on_heap else "",
        }

    def _place(self, row: int, place: int, of_object: int) -> Link | str:
        if place == VARIABLE:
            return f"environment variable {visible(str(self._index.text('secrets', 'name')[row]), 120)}"
        if place == ARGUMENTS:
            return SECRET_PLACES[place]
        return Link(SECRET_PLACES[place], self._objects.link(of_object).url)
