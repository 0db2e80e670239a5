"""Full-text search over what analyses found, of what one person may see: hits, and every count of them.

The index over words gives the names that match, of those teams and classes only that a person sees something of; they count
for nobody by themselves. Which of them a person gets to know of is decided by postings alone
(``explorer.queries.postings_visible_to``): dump by dump, class by class. All postings in sight are read, whatever matches: how
long an answer takes must not tell of names that are out of sight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection
from django.db.models import Max, QuerySet

from analysis.index import DataClass
from explorer.models import Dump, SearchedName, SearchPosting
from explorer.queries import postings_visible_to
from explorer.services.search_kinds import BY_NUMBER, CLASSES, Kind
from explorer.services.search_rows import Ids, ids_in
from explorer.services.search_words import asked_words, scope_of
from explorer.viewers import AnyUser

#: Hits of one kind in one dump that are weighed against each other, best first.
_WEIGHED = 500
#: Teams and classes that one query of the index names.
_SCOPES_AT_ONCE = 100
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
    #: By the id of a name, up to the last there is.
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
    rows = postings_visible_to(user).filter(dump__in=dumps.order_by().values("pk"))
    is_hit = np.zeros((SearchedName.objects.aggregate(last=Max("pk"))["last"] or 0) + 1, bool)
    names = _names_with(words, _scopes_of(rows))
    is_hit[names[names < len(is_hit)]] = True
    by_dump: dict[UUID, Counter[Kind]] = {}
    cut = set()
    for dump_id, kind, content, left_off in rows.values_list("dump_id", "kind", "names", "left_off").iterator():
        count = int(np.count_nonzero(_hits_in(ids_in(content), is_hit)))
        if count:
            by_dump.setdefault(dump_id, Counter())[BY_NUMBER[kind]] = count
        if left_off:
            cut.add(dump_id)
    return Found(words, is_hit, by_dump, frozenset(cut))


def _hits_in(held: Ids, is_hit: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of the names that a posting holds, ascending, match; those written only now are left out."""
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


def _scopes_of(rows: QuerySet[SearchPosting]) -> list[str]:
    """The scopes of all names that these postings hold: a name is under the lowest class of its team's postings."""
    highest = rows.order_by().values_list("dump__team_id").annotate(highest=Max("data_class"))
    return [scope_of(team_id, one) for team_id, seen in highest.order_by("dump__team_id") for one in CLASSES if one <= seen]


def _names_with(words: Sequence[str], scopes: Sequence[str]) -> Ids:
    """Ids of the names in these scopes of which every word of ``words`` begins a word. Words are letters and digits only."""
    statement, word, both, either = (
        (_SQLITE, '"{}"*', " AND ", " OR ") if connection.vendor == "sqlite" else (_POSTGRES, "'{}':*", " & ", " | ")
    )
    ids: list[Ids] = [np.zeros(0, np.uint32)]
    with connection.cursor() as cursor:
        for start in range(0, len(scopes), _SCOPES_AT_ONCE):
            asked = (both.join(word.format(scope + one) for one in words) for scope in scopes[start : start + _SCOPES_AT_ONCE])
            cursor.execute(statement, [either.join(f"({one})" for one in asked)])
            ids.append(np.fromiter((row[0] for row in cursor.fetchall()), np.uint32))
    return np.concatenate(ids)


def _texts(ids: Sequence[int] | Ids) -> dict[int, str]:
    listed, texts = [int(one) for one in ids], dict[int, str]()
    for start in range(0, len(listed), 500):
        batch = SearchedName.objects.filter(pk__in=listed[start : start + 500])
        texts.update(batch.values_list("pk", "text"))
    return texts
