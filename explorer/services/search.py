"""Full-text search over what analyses found, of what one person may see: hits, and every count of them.

The index over words gives the names that match; they count for nobody by themselves. Which of them a person gets to know of
is decided by postings alone (``explorer.queries.postings_visible_to``): dump by dump, class by class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection
from django.db.models import QuerySet

from analysis.index import DataClass
from explorer.models import Dump, SearchedName
from explorer.queries import postings_visible_to
from explorer.services.search_kinds import BY_NUMBER, Kind
from explorer.services.search_rows import Ids, ids_in
from explorer.services.search_words import asked_words
from explorer.viewers import AnyUser

#: Hits of one kind in one dump that are weighed against each other, best first.
_WEIGHED = 500
_SQLITE = "SELECT rowid FROM explorer_searchedwords WHERE explorer_searchedwords MATCH %s"
_POSTGRES = """SELECT id FROM explorer_searchedname
    WHERE array_to_tsvector(string_to_array(words, ' ')) @@ %s::tsquery"""


@dataclass(frozen=True, slots=True)
class Hit:
    """One name in one dump. ``place`` is the row of the index where it stands first."""

    kind: Kind
    text: str
    place: int
    data_class: DataClass


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: how many names of which kind in which dump."""

    words: Sequence[str] = ()
    #: By the id of a name, up to the last that matches.
    is_hit: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    by_dump: dict[UUID, Counter[Kind]] = field(default_factory=dict)
    #: Dumps of which not all names of a kind could be kept.
    cut: frozenset[UUID] = frozenset()

    @property
    def by_kind(self) -> dict[Kind, int]:
        """In how many dumps a name of each kind was found."""
        total = Counter(kind for counts in self.by_dump.values() for kind in counts)
        return {kind: total[kind] for kind in BY_NUMBER.values() if total[kind]}


def find(user: AnyUser, dumps: QuerySet[Dump], text: str) -> Found:
    """Names of the dumps in which every word of ``text`` begins a word."""
    words = asked_words(text)
    if not words:
        return Found()
    names = _names_with(words)
    is_hit = np.zeros(int(names[-1]) + 1 if len(names) else 0, bool)
    is_hit[names] = True
    by_dump: dict[UUID, Counter[Kind]] = {}
    cut = set()
    rows = postings_visible_to(user).filter(dump__in=dumps.order_by().values("pk"))
    if len(names):
        for dump_id, kind, content, left_off in rows.values_list("dump_id", "kind", "names", "left_off").iterator():
            count = int(np.count_nonzero(_hits_in(ids_in(content), is_hit)))
            if count:
                by_dump.setdefault(dump_id, Counter())[BY_NUMBER[kind]] = count
            if left_off:
                cut.add(dump_id)
    return Found(words, is_hit, by_dump, frozenset(cut))


def _hits_in(held: Ids, is_hit: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of the names that a posting holds, ascending, match; those behind the last that does are left out."""
    return is_hit[held[: np.searchsorted(held, len(is_hit))]]


def hits(user: AnyUser, found: Found, dump_ids: Sequence[UUID], most: int, kind: Kind | None = None) -> dict[UUID, list[Hit]]:
    """The best ``most`` hits of each kind in each of these dumps, kinds in their order."""
    rows = postings_visible_to(user).filter(dump_id__in=dump_ids).order_by("kind")
    if kind is not None:
        rows = rows.filter(kind=kind.number)
    chosen: list[tuple[UUID, int, Ids, Ids]] = []
    for dump_id, number, names, places in rows.values_list("dump_id", "kind", "names", "places"):
        held = ids_in(names)
        at = np.flatnonzero(_hits_in(held, found.is_hit))[:_WEIGHED]
        chosen.append((dump_id, number, held[at], ids_in(places)[at]))
    texts = _texts(np.unique(np.concatenate([ids for _, _, ids, _ in chosen])) if chosen else [])
    best: dict[UUID, list[Hit]] = {}
    for dump_id, number, ids, rows_of_index in chosen:
        of_kind = BY_NUMBER[number]
        listed = [
            Hit(of_kind, texts[name], place, of_kind.data_class)
            for name, place in zip(ids.tolist(), rows_of_index.tolist(), strict=True)
        ]
        best.setdefault(dump_id, []).extend(sorted(listed, key=lambda hit: (len(hit.text), hit.text))[:most])
    return best


def suggestions(user: AnyUser, dumps: QuerySet[Dump], text: str, most: int = 10) -> list[str]:
    """Short names that match so far, of all kinds that the person may see."""
    found = find(user, dumps, text)
    listed = hits(user, found, [*found.by_dump][:20], most)
    texts = {hit.text for of_dump in listed.values() for hit in of_dump}
    return sorted(texts, key=lambda one: (len(one), one))[:most]


def _names_with(words: Sequence[str]) -> Ids:
    """Ids of all names, ascending, of which every word of ``words`` begins a word. Words are letters and digits only."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(_SQLITE, [" AND ".join(f'"{word}"*' for word in words)])
        else:
            cursor.execute(_POSTGRES, [" & ".join(f"'{word}':*" for word in words)])
        return np.sort(np.fromiter((row[0] for row in cursor.fetchall()), np.uint32))


def _texts(ids: Sequence[int] | Ids) -> dict[int, str]:
    listed, texts = [int(one) for one in ids], dict[int, str]()
    for start in range(0, len(listed), 500):
        batch = SearchedName.objects.filter(pk__in=listed[start : start + 500])
        texts.update(batch.values_list("pk", "text"))
    return texts
