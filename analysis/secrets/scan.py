"""Find secrets in many texts at once: a kernel names the places to look at, patterns and checks decide about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
_ENCODINGS = {2: "utf-16-le", 1: "latin-1"}
_I64 = npt.NDArray[np.int64]
_Units = npt.NDArray[np.uint16] | npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Match:
    """Characters ``start`` to ``end`` - 1 of a text are a secret of a kind."""

    start: int
    end: int
    kind: Kind
    certainty: Certainty


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
        rows += _rows(text, _matches(units, begin, begin + length, ((place, which) for _, place, which in group)))
    checked = np.array(rows, np.int64).reshape(-1, 4)
    texts, counts = np.unique(found.text[addresses_alone], return_counts=True)
    sure = np.array([_ADDRESS, Certainty.LIKELY])
    lone = np.column_stack([texts, np.broadcast_to(sure, (len(texts), 2)), counts]).astype(np.int64)
    table = np.concatenate([lone, checked])
    text, kind, certainty, count = np.ascontiguousarray(table[np.argsort(table[:, 0], kind="stable")].T)
    return Hits(text, kind, certainty, count, found.left_out)


def find_in_text(text: str) -> list[Match]:
    """Secrets in one text, in its order; of matches of one kind that overlap the first."""
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    size = np.array([len(units)])
    found = _candidates(units, np.zeros(1, np.int64), size)
    return _matches(units, 0, len(units), zip(found.place.tolist(), found.which.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Number of the text, place in it and number of the anchor or shape of everything to be looked at."""

    text: npt.NDArray[np.uint32]
    place: npt.NDArray[np.uint32]
    which: npt.NDArray[np.uint16]
    left_out: int


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
    return _Candidates(texts[:count], places[:count], which[:count], int(tally[:, kernels.LEFT_OUT].sum()))


def _only_addresses(found: _Candidates) -> npt.NDArray[np.bool_]:
    """Candidates in texts where nothing but e-mail addresses was seen: the kernel is sure of those by itself, and a list of
    customers holds a hundred thousand of them."""
    address = found.which == len(anchors().kinds) - kernels.SHAPES + kernels.EMAIL
    mixed = np.unique(found.text[~address])
    alone: npt.NDArray[np.bool_] = address & ~np.isin(found.text, mixed)
    return alone


def _matches(units: _Units, begin: int, end: int, candidates: Iterable[tuple[int, int]]) -> list[Match]:
    kinds = anchors().kinds
    found: set[Match] = set()
    for (text, first), place, number in _windows(units, begin, end, candidates):
        for kind in kinds[number]:
            if match := kind.match(text, place - first):
                found.add(Match(match[0].start() + first, match[0].end() + first, kind, match[1]))
    return _without_overlaps(found) if found else []


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


def _without_overlaps(found: set[Match]) -> list[Match]:
    """What is named best: of overlapping matches those of generic kinds go, and of one kind all but the first."""
    kept: list[Match] = []
    for match in sorted(found, key=lambda one: (one.kind.generic, -one.certainty, one.start, -one.end)):
        hidden = any(
            one.start < match.end and match.start < one.end and (match.kind.generic or one.kind.name == match.kind.name)
            for one in kept
        )
        if not hidden:
            kept.append(match)
    return sorted(kept, key=lambda one: one.start)


def _rows(text: int, found: list[Match]) -> Iterator[tuple[int, int, int, int]]:
    """Rows of ``Hits`` of one text."""
    by_kind: dict[int, list[Match]] = {}
    for match in found:
        by_kind.setdefault(KIND_NUMBERS[match.kind.name], []).append(match)
    for number, matches in by_kind.items():
        yield text, number, max(one.certainty for one in matches), len(matches)
