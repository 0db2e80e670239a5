"""Names of dumps made searchable: written when an analysis is published, replaced and removed with it.

A text is kept once per team, under the lowest class of its postings; these say which dumps hold it, under the data class of
its kind. A text that no posting of the team names any more is deleted in the same transaction, so that nothing of a dump stays
behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
import structlog
from django.db import transaction

from analysis.errors import AnalysisError
from analysis.index import DataClass
from analysis.index.store import Index
from explorer.models import Analysis, Dump, Finding, SearchedName, SearchPosting, State, Team
from explorer.pages.names import LONGEST_NAME, visible
from explorer.pages.opened import opened
from explorer.services.findings import findings_of
from explorer.services.search_kinds import CLASSES, KINDS, Kind, names_in
from explorer.services.search_words import in_scope, scope_of, words_of

log = structlog.get_logger()
#: Raised when other names are kept or words are cut differently: every dump is then read again.
SEARCH_VERSION = 2
#: The most names of one kind that one dump brings into the search.
MOST_NAMES = 100_000
_BATCH, _CAUGHT_UP_AT_ONCE = 500, 20
Ids = npt.NDArray[np.uint32]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FoundNames:
    """The names of one kind in one dump, each with the row where it stands first."""

    kind: Kind
    places: dict[str, int]
    left_off: int


def names_found(index: Index, findings: Iterable[Finding]) -> list[FoundNames]:
    """What one result brings into the search, kind by kind: structure and context, nothing above."""
    index = index.up_to(DataClass.D2_CONTEXT)
    found = []
    for kind in KINDS:
        titles = ((row.title, row.number - 1) for row in findings)
        places: dict[str, int] = {}
        left_off = 0
        for name, row in titles if kind.slug == "finding" else names_in(kind, index):
            text = visible(name, LONGEST_NAME)
            if text in places:
                continue
            if len(places) < MOST_NAMES:
                places[text] = row
            else:
                left_off += 1
        found.append(FoundNames(kind, places, left_off))
    return found


def replace_postings(dump: Dump, found: list[FoundNames], analysis: Analysis) -> None:
    """The search finds of a dump what its newest result holds."""
    classes = {text: each.kind.data_class for each in _highest_first(found) for text in each.places}
    new = classes.keys() - _known(dump.team_id, classes).keys()
    words = {text: words_of(text) for text in new}  # before the write lock is taken
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=dump.team_id)
        before = _named_by(SearchPosting.objects.filter(dump=dump).values_list("names", flat=True))
        ids = _ids_of(dump.team_id, classes, words)
        SearchPosting.objects.filter(dump=dump).delete()
        SearchPosting.objects.bulk_create([_posting(dump, each, ids) for each in found if each.places])
        _settle(dump.team_id, before)
        Analysis.objects.filter(pk=analysis.pk).update(search_version=SEARCH_VERSION)


def forget(dump: Dump) -> None:
    """Take a dump out of the search, with every text that only it held."""
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=dump.team_id)
        before = _named_by(SearchPosting.objects.filter(dump=dump).values_list("names", flat=True))
        SearchPosting.objects.filter(dump=dump).delete()
        _settle(dump.team_id, before)


def forget_team(team: Team) -> None:
    """Take all dumps of a team out of the search at once, before they go one by one."""
    SearchPosting.objects.filter(dump__team=team).delete()
    SearchedName.objects.filter(team=team).delete()


def catch_up(most: int = _CAUGHT_UP_AT_ONCE) -> int:
    """Make dumps searchable that were analysed before they could be, or whose names an older version kept. How many."""
    waiting = (
        Analysis.objects.filter(state=State.DONE, search_version__lt=SEARCH_VERSION)
        .select_related("dump")
        .order_by("-created_at")[:most]
    )
    for analysis in waiting:
        newest = analysis.dump.analyses.filter(state=State.DONE).order_by("-created_at").first()
        if newest == analysis:
            _read_again(analysis)
        Analysis.objects.filter(pk=analysis.pk).update(search_version=SEARCH_VERSION)
    return len(waiting)


def sweep() -> int:
    """Delete texts that no dump names, how many there were. There should be none: it is asked for by hand, not by the clock,
    because it reads all that a team has under its lock."""
    deleted = 0
    for team_id in Team.objects.values_list("pk", flat=True):
        with transaction.atomic():
            Team.objects.select_for_update().get(pk=team_id)
            kept = np.fromiter(SearchedName.objects.filter(team_id=team_id).values_list("pk", flat=True), np.uint32)
            deleted += _settle(team_id, np.sort(kept))
    return deleted


def _read_again(analysis: Analysis) -> None:
    dump = analysis.dump
    try:
        index = opened(analysis.index_directory, DataClass.D2_CONTEXT)
    except AnalysisError as error:
        # What an older version kept may be more than may be kept: a new analysis brings the dump back.
        log.warning("not_searchable", dump=str(dump.pk), reason=error.what)
        forget(dump)
        return
    Dump.objects.filter(pk=dump.pk).update(signature=signature_of(index))
    replace_postings(dump, names_found(index, findings_of(dump, index.structure)), analysis)


def signature_of(index: Index) -> str:
    """The signature of the crash that a result tells of, "" for none."""
    return str(index.facts("crash").get("signature") or "")[:16]


def ids_in(content: bytes | memoryview) -> Ids:
    """The array that a posting holds."""
    return np.frombuffer(content, "<u4").astype(np.uint32, copy=False)


def _posting(dump: Dump, found: FoundNames, ids: dict[str, int]) -> SearchPosting:
    pairs = np.array([(ids[text], row) for text, row in found.places.items()], "<u4")
    pairs = pairs[np.argsort(pairs[:, 0])]
    return SearchPosting(
        dump=dump, kind=found.kind.number, data_class=int(found.kind.data_class), left_off=found.left_off,
        names=np.ascontiguousarray(pairs[:, 0]).tobytes(), places=np.ascontiguousarray(pairs[:, 1]).tobytes(),
    )  # fmt: skip


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _highest_first(found: list[FoundNames]) -> list[FoundNames]:
    return sorted(found, key=lambda each: each.kind.data_class, reverse=True)


def _known(team_id: UUID, texts: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Id and class of those texts that the team has already."""
    digests = {_digest(text): text for text in texts}
    known: dict[str, tuple[int, int]] = {}
    for batch in _batches([*digests]):
        rows = SearchedName.objects.filter(team_id=team_id, digest__in=batch).values_list("digest", "pk", "data_class")
        known.update((digests[digest], (pk, data_class)) for digest, pk, data_class in rows)
    return known


def _ids_of(team_id: UUID, classes: dict[str, DataClass], words: dict[str, str]) -> dict[str, int]:
    """Ids of all texts, by text with the class it has here; those that are new are written down, those known under a higher
    class come under this one."""
    known = _known(team_id, classes)
    new = [
        SearchedName(
            team_id=team_id, digest=_digest(text), text=text, data_class=int(classes[text]),
            words=in_scope(words.get(text) or words_of(text), scope_of(team_id, classes[text])),
        )
        for text in classes.keys() - known.keys()
    ]  # fmt: skip
    SearchedName.objects.bulk_create(new, batch_size=_BATCH)
    for each in CLASSES:
        _put_under(each, [pk for text, (pk, data_class) in known.items() if classes[text] == each < data_class])
    return {text: pk for text, (pk, _) in known.items()} | {row.text: row.pk for row in new}


def _put_under(data_class: DataClass, ids: Sequence[int]) -> None:
    """From now on these names are found by those only who see this class."""
    for batch in _batches(ids):
        rows = [*SearchedName.objects.filter(pk__in=batch).exclude(data_class=data_class)]
        for row in rows:
            row.data_class = int(data_class)
            row.words = in_scope(words_of(row.text), scope_of(row.team_id, data_class))
        SearchedName.objects.bulk_update(rows, ["data_class", "words"])


def _named_by(postings: Iterable[bytes | memoryview]) -> Ids:
    arrays = [ids_in(content) for content in postings]
    return np.unique(np.concatenate(arrays)) if arrays else np.zeros(0, np.uint32)


def _settle(team_id: UUID, candidates: Ids) -> int:
    """Delete those of these names that no posting of the team holds, how many; the others come under the lowest class of
    those that do. ``candidates`` ascend."""
    for data_class in CLASSES:
        unnamed = _unnamed(team_id, data_class, candidates)
        if data_class > CLASSES[0]:  # under the lowest they are since a posting of it was written
            _put_under(data_class, np.setdiff1d(candidates, unnamed, assume_unique=True).tolist())
        candidates = unnamed
    for batch in _batches(candidates.tolist()):
        SearchedName.objects.filter(pk__in=batch).delete()
    return len(candidates)


def _unnamed(team_id: UUID, data_class: DataClass, candidates: Ids) -> Ids:
    """Those of these names that no posting of the team under this class holds."""
    if len(candidates):
        postings = SearchPosting.objects.filter(dump__team_id=team_id, data_class=data_class).values_list("names", flat=True)
        for content in postings.iterator(chunk_size=50):
            candidates = np.setdiff1d(candidates, ids_in(content), assume_unique=True)
            if not len(candidates):
                break
    return candidates


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
