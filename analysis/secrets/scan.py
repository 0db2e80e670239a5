"""Find secrets in many texts at once: a kernel names the places to look at, patterns and checks decide about them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from analysis.kernels import secrets as kernels
from analysis.limits import LIMITS
from analysis.secrets.anchors import Anchors, build_anchors
from analysis.secrets.families import ALL_KINDS
from analysis.secrets.kinds import Certainty, Kind

#: Characters before and behind a place that patterns and checks may look at; a shorter text is taken as a whole.
_BEFORE, _BEHIND = 2_048, 16_384
#: Names of all kinds, each once.
KIND_NAMES = tuple(dict.fromkeys(kind.name for kind in ALL_KINDS))
FAMILIES = {kind.name: kind.family for kind in ALL_KINDS}
KIND_NUMBERS = {name: number for number, name in enumerate(KIND_NAMES)}
_ADDRESS = KIND_NUMBERS[next(kind.name for kind in ALL_KINDS if kind.shape == kernels.EMAIL)]
#: Names of groups of patterns that hold what follows a name.
_VALUES = ("value", "quoted")
_ENCODINGS = {2: "utf-16-le", 1: "latin-1"}
_I64 = npt.NDArray[np.int64]
_Units = npt.NDArray[np.uint16] | npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Match:
    """Characters ``start`` to ``end`` - 1 of a text are a secret of a kind; from ``value`` on, where a name stands before it."""

    start: int
    end: int
    kind: Kind
    certainty: Certainty
    value: int


@dataclass(frozen=True, slots=True)
class Found:
    """What one ``text`` holds (one character for each unit): all ``matches``, those that name it ``best`` in their order, and
    ``looked_up_to``: from there on are places that were too many to be looked at."""

    text: str
    matches: set[Match]
    best: list[Match]
    looked_up_to: int


@dataclass(frozen=True, slots=True)
class Hits:
    """Secrets of one kind in one text a row, in the order of texts; all int64[n]: number of the ``text``, ``kind`` as an index
    into ``KIND_NAMES``, ``certainty`` of the surest, ``count`` of them. ``left_out`` places were too many to be looked at."""

    text: _I64
    kind: _I64
    certainty: _I64
    count: _I64
    left_out: int


@cache
def anchors() -> Anchors:
    """The tables of all kinds."""
    return build_anchors(ALL_KINDS)


def scan(units: _Units, begins: _I64, lengths: _I64) -> Hits:
    """Secrets in texts of ``lengths`` characters that begin at ``begins`` of ``units`` (UTF-16 or bytes)."""
    found = _candidates(units, begins, lengths)
    addresses_alone = _only_addresses(found)
    rest = (column[~addresses_alone].tolist() for column in (found.text, found.place, found.which))
    rows: list[tuple[int, int, int, int]] = []
    for text, group in groupby(zip(*rest, strict=True), key=itemgetter(0)):
        begin, length = int(begins[text]), int(lengths[text])
        matches = _matches(units, begin, begin + length, ((place, which) for _, place, which in group))
        rows += _rows(text, without_overlaps(matches))
    checked = np.array(rows, np.int64).reshape(-1, 4)
    texts, counts = np.unique(found.text[addresses_alone], return_counts=True)
    sure = np.array([_ADDRESS, Certainty.LIKELY])
    lone = np.column_stack([texts, np.broadcast_to(sure, (len(texts), 2)), counts]).astype(np.int64)
    table = np.concatenate([lone, checked])
    text, kind, certainty, count = np.ascontiguousarray(table[np.argsort(table[:, 0], kind="stable")].T)
    return Hits(text, kind, certainty, count, int(found.left_out.sum()))


def find_in_text(text: str) -> list[Match]:
    """Secrets in one text, in its order; of matches of one kind that overlap the first."""
    return look_at(text).best


def look_at(text: str) -> Found:
    """All that is to be said of one text."""
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    found = _candidates(units, np.zeros(1, np.int64), np.array([len(units)]))
    matches = _matches(units, 0, len(units), zip(found.place.tolist(), found.which.tolist(), strict=True))
    left_out = np.flatnonzero(found.left_out)
    last_places = (int(found.place[found.which == which].max(initial=0)) for which in left_out)
    return Found(_decode(units), matches, without_overlaps(matches), min(last_places, default=len(units)))


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Number of the text, place in it and number of the anchor or shape of everything to be looked at; ``left_out`` int64[anchors
    and shapes]: how many places of each were too many."""

    text: npt.NDArray[np.uint32]
    place: npt.NDArray[np.uint32]
    which: npt.NDArray[np.uint16]
    left_out: _I64


def _candidates(units: _Units, begins: _I64, lengths: _I64) -> _Candidates:
    tables = anchors()
    most = min(LIMITS.secret_places, int(lengths.sum()) + 1)
    texts, places, which = np.empty(most, np.uint32), np.empty(most, np.uint32), np.empty(most, np.uint16)
    limits = np.array([LIMITS.secret_places_per_text, LIMITS.secret_places_per_anchor])
    tally = np.zeros((len(tables.kinds), 4), np.int64)
    tally[:, kernels.LAST_TEXT] = -1
    count = kernels.find_candidates(
        units, begins, lengths, tables.codes, tables.bits, tables.ends_run, tables.heads, tables.following, tables.letters,
        tables.firsts, tables.marks, limits, tally, texts, places, which,
    )  # fmt: skip
    return _Candidates(texts[:count], places[:count], which[:count], tally[:, kernels.LEFT_OUT])


def _only_addresses(found: _Candidates) -> npt.NDArray[np.bool_]:
    """Candidates in texts where nothing but e-mail addresses was seen: the kernel is sure of those by itself, and a list of
    customers holds a hundred thousand of them."""
    address = found.which == len(anchors().kinds) - kernels.SHAPES + kernels.EMAIL
    mixed = np.unique(found.text[~address])
    alone: npt.NDArray[np.bool_] = address & ~np.isin(found.text, mixed)
    return alone


def _matches(units: _Units, begin: int, end: int, candidates: Iterable[tuple[int, int]]) -> set[Match]:
    kinds = anchors().kinds
    found: set[Match] = set()
    for (text, first), place, number in _windows(units, begin, end, candidates):
        for kind in kinds[number]:
            if match := kind.match(text, place - first):
                found.add(_placed(*match, kind, first))
    return found


def _placed(found: re.Match[str], certainty: Certainty, kind: Kind, first: int) -> Match:
    """A match in a part of a text that begins at ``first``."""
    named = [found.start(name) for name in _VALUES if name in found.re.groupindex]
    value = max(named, default=-1)
    return Match(found.start() + first, found.end() + first, kind, certainty, (value if value >= 0 else found.start()) + first)


def _windows(
    units: _Units, begin: int, end: int, candidates: Iterable[tuple[int, int]]
) -> Iterator[tuple[tuple[str, int], int, int]]:
    """Each candidate with the part of the text that surrounds it and the place in the text at which the part begins."""
    first = last = -1
    text = ""
    for place, number in candidates:
        if first < 0 or place < first + _BEFORE * (first > 0) or place + _BEHIND > last < end - begin:
            first = max(0, place - _BEFORE)
            last = min(end - begin, place + 2 * _BEHIND)
            text = _decode(units[begin + first : begin + last])
        yield (text, first), place, number


def _decode(part: _Units) -> str:
    """Text with one character for each unit, so that places in both are the same."""
    text = part.tobytes().decode(_ENCODINGS[part.itemsize], "surrogatepass" if part.itemsize > 1 else "strict")
    return text if len(text) == len(part) else "".join(one if one < "\U00010000" else "\ufffd\ufffd" for one in text)


def without_overlaps(found: set[Match]) -> list[Match]:
    """What is named best: of overlapping matches those of generic kinds go, and of one kind all but the first."""
    ordered = sorted(found, key=lambda one: (one.kind.generic, -one.certainty, one.start, -one.end))
    specific = [match for match in ordered if not match.kind.generic]
    by_name: defaultdict[str, _Stretches] = defaultdict(_Stretches)
    kept = [match for match in specific if by_name[match.kind.name].take(match.start, match.end)]
    taken = _Stretches.of(kept)
    kept += [match for match in ordered[len(specific) :] if taken.take(match.start, match.end)]
    return sorted(kept, key=lambda one: one.start)


@dataclass(slots=True)
class _Stretches:
    """Stretches of a text that do not overlap, in their order."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, matches: list[Match]) -> _Stretches:
        """Those that are covered by matches."""
        found = cls()
        for match in sorted(matches, key=lambda one: one.start):
            if found.ends and match.start < found.ends[-1]:
                found.ends[-1] = max(found.ends[-1], match.end)
            else:
                found.starts.append(match.start)
                found.ends.append(match.end)
        return found

    def take(self, start: int, end: int) -> bool:
        """Add one that overlaps none; whether it does not."""
        at = bisect_right(self.ends, start)
        if at < len(self.starts) and self.starts[at] < end:
            return False
        self.starts.insert(at, start)
        self.ends.insert(at, end)
        return True


def _rows(text: int, found: list[Match]) -> Iterator[tuple[int, int, int, int]]:
    """Rows of ``Hits`` of one text."""
    by_kind: dict[int, list[Match]] = {}
    for match in found:
        by_kind.setdefault(KIND_NUMBERS[match.kind.name], []).append(match)
    for number, matches in by_kind.items():
        yield text, number, max(one.certainty for one in matches), len(matches)
