"""All texts of a dump that look like secrets: on the heap, in the environment, on the command line. Never the texts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.graph.strings import Holders, Strings, holders_of
from analysis.heap.walk import HeapWalk
from analysis.index.retention import NOT_LIVE
from analysis.index.secrets import ARGUMENTS, STRING, VARIABLE
from analysis.limits import LIMITS
from analysis.secrets.heap import Texts, texts_of_arrays, texts_of_strings
from analysis.secrets.scan import KIND_NUMBERS, find_in_text, scan

_I64 = npt.NDArray[np.int64]
#: Columns of a row of secrets, in this order.
KIND, CERTAINTY, PLACE, OBJECT, COUNT, COPIES, LIVE_COPIES = range(7)
_COLUMNS = 7


@dataclass(slots=True)
class Scanned:
    """How much was looked at; None for what the dump does not hold. ``problem`` says why the heap was not."""

    strings: int = 0
    texts: int = 0
    arrays: int = 0
    bytes: int = 0
    variables: int | None = None
    arguments: int | None = None
    places_left_out: int = 0
    arrays_left_out: int = 0
    problem: str | None = None


@dataclass(slots=True)
class Secrets:
    """Secrets of one kind in one text a row: ``rows`` int64[n, 7] (columns above; objects are NOT_LIVE outside of the heap), the
    surest first, and ``names`` of the variables among them by row.

    ``reported`` int64[m]: rows that are written down, as many of each kind as the limits let. ``objects`` uint32[k]: what they
    lie in, along the ranks of ``holders``.
    """

    scanned: Scanned
    rows: _I64
    names: dict[int, str]
    reported: _I64
    objects: npt.NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    holders: Holders | None = None


@dataclass(frozen=True, slots=True)
class _Copies:
    """Objects that hold the texts of one place: ``objects`` text after text, those of one from ``starts`` on."""

    objects: _I64
    starts: _I64

    def columns(self, live: npt.NDArray[np.bool_]) -> _I64:
        """The object that stands for each text (the first live one, or the first), copies, live copies: int64[3, texts]."""
        if not len(self.starts):
            return np.zeros((3, 0), np.int64)
        alive = live[self.objects]
        places = np.arange(len(self.objects))
        first_live = np.minimum.reduceat(np.where(alive, places, len(places)), self.starts)
        first = np.where(first_live < len(places), first_live, self.starts)
        copies = np.diff(np.append(self.starts, len(self.objects)))
        return np.stack([self.objects[first], copies, np.add.reduceat(alive.astype(np.int64), self.starts)])


def _copies(place: int, numbers: _I64, strings: Strings) -> _Copies:
    """Objects of the texts with these numbers, in address order; an array is its own."""
    if place != STRING:
        return _Copies(numbers, np.arange(len(numbers)))
    wanted = np.zeros(len(strings.firsts), np.bool_)
    wanted[numbers] = True
    found = np.flatnonzero(wanted[strings.groups])
    found = found[np.argsort(strings.groups[found], kind="stable")]
    starts = np.flatnonzero(np.diff(strings.groups[found], prepend=-1))
    return _Copies(strings.rows[found].astype(np.int64), starts)


class _HeapScan:
    """Looks at the texts of a heap and keeps which objects hold those with a secret."""

    def __init__(self, walked: HeapWalk, strings: Strings, retention: Retention | None, scanned: Scanned) -> None:
        self._strings, self._retention, self._scanned = strings, retention, scanned
        self._live = retention.live if retention else np.zeros(walked.object_count, np.bool_)
        #: For each object with a secret the one that stands for it: int64[2, n].
        self._standing = np.zeros((2, 0), np.int64)

    def look_at(self, texts: Texts) -> _I64:
        """Rows of ``Secrets``."""
        hits = scan(texts.units, texts.begins, texts.lengths)
        self._scanned.bytes += texts.size_bytes
        self._scanned.places_left_out += hits.left_out
        self._scanned.arrays_left_out += texts.left_out
        numbers, inverse = np.unique(texts.numbers[hits.text], return_inverse=True)
        copies = _copies(texts.place, numbers, self._strings)
        first, count, live = columns = copies.columns(self._live)
        self._standing = np.hstack([self._standing, np.stack([copies.objects, np.repeat(first, count)])])
        object_of, copies_of, live_of = columns[:, inverse] if len(live) else columns
        place = np.full(len(hits.text), texts.place)
        return np.column_stack([hits.kind, hits.certainty, place, object_of, hits.count, copies_of, live_of])

    def holders(self, objects: npt.NDArray[np.uint32]) -> Holders | None:
        """Who refers to the texts for which these objects stand."""
        if self._retention is None or not len(objects):
            return None
        order = np.argsort(objects)
        members, standing = self._standing
        place = np.minimum(np.searchsorted(objects[order], standing), len(objects) - 1)
        known = objects[order[place]] == standing
        ranks = np.zeros(self._retention.objects, np.uint16)
        ranks[members[known]] = order[place[known]] + 1
        return holders_of(ranks, self._retention)


def find_secrets(dump: Dump, walked: HeapWalk | None, strings: Strings | None, retention: Retention | None) -> Secrets:
    """Look at everything; without a heap at what the process was started with."""
    scanned = Scanned()
    started, names = _at_start(dump, scanned)
    if walked is None or strings is None:
        scanned.problem = "There is no heap in this dump."
        return _ordered(scanned, started, names)
    looking = _HeapScan(walked, strings, retention, scanned)
    scanned.strings, scanned.texts = len(strings.rows), len(strings.firsts)
    arrays = texts_of_arrays(dump, walked)
    scanned.arrays = len(np.unique(np.concatenate([one.numbers for one in arrays])))
    on_heap = [looking.look_at(texts) for texts in (texts_of_strings(dump, walked, strings), *arrays)]
    found = _ordered(scanned, np.concatenate([started, *on_heap]), names)
    objects = found.rows[found.reported, OBJECT]
    found.objects = np.unique(objects[objects != NOT_LIVE]).astype(np.uint32)
    found.holders = looking.holders(found.objects)
    return found


def _ordered(scanned: Scanned, rows: _I64, names: list[str]) -> Secrets:
    """Rows in their order, the surest first; ``names`` are those of the first rows."""
    order = np.lexsort((rows[:, OBJECT], rows[:, PLACE], rows[:, LIVE_COPIES] == 0, rows[:, KIND], -rows[:, CERTAINTY]))
    place_of = np.argsort(order)[: len(names)].tolist()
    rows = rows[order]
    by_kind = np.argsort(rows[:, KIND], kind="stable")
    kinds, firsts = np.unique(rows[by_kind, KIND], return_index=True)
    place_in_kind = np.empty(len(rows), np.int64)
    place_in_kind[by_kind] = np.arange(len(rows)) - firsts[np.searchsorted(kinds, rows[by_kind, KIND])] if len(rows) else 0
    reported = np.flatnonzero(place_in_kind < LIMITS.secret_rows_per_kind)[: LIMITS.secret_rows]
    return Secrets(scanned, rows, dict(zip(place_of, names, strict=True)), reported)


def _at_start(dump: Dump, scanned: Scanned) -> tuple[_I64, list[str]]:
    """Secrets in the environment and in the arguments the process was started with; the name of the variable of each row."""
    initial = dump.initial_stack
    rows: list[tuple[int, ...]] = []
    names: list[str] = []
    if initial is not None:
        scanned.variables, scanned.arguments = len(initial.environment), len(initial.arguments)
        texts = [(f"{name}={value}", VARIABLE, name) for name, value in initial.environment]
        for text, place, name in (*texts, (" ".join(initial.arguments), ARGUMENTS, "")):
            counts: dict[int, list[int]] = {}
            for match in find_in_text(text):
                counts.setdefault(KIND_NUMBERS[match.kind.name], []).append(match.certainty)
            rows += [(kind, max(sure), place, NOT_LIVE, len(sure), 1, 0) for kind, sure in counts.items()]
            names += [name] * len(counts)
    return np.array(rows, np.int64).reshape(-1, _COLUMNS), names
