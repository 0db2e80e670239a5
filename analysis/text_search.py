"""Which strings of the heap contain a text. Looking for a value tells of values (data class D3): it is asked for with a
permission and a row in the audit (``explorer.services.reveals``), and answered from the dump itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.spans import CapturedWords
from analysis.index.store import Index
from analysis.kernels.strings import CUT, texts_with
from analysis.limits import LIMITS

_UNIT = np.dtype("<u2")
_LENGTH = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class FoundTexts:
    """``rows`` of objects whose text contains what was looked for, in address order, and their lengths in characters; how many
    there are in all, how many strings were read, and how many do not lie in the dump as a whole."""

    rows: list[int]
    lengths: list[int]
    total: int
    read: int
    cut: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_text(dump: Dump, index: Index, text: str, *, any_case: bool) -> FoundTexts:
    """Strings of ``index`` that contain ``text``; their characters are read from ``dump``."""
    kinds = np.flatnonzero([kind == "string" for kind in index.text("types", "kind").all])
    rows = np.flatnonzero(np.isin(np.asarray(index.column("objects", "type")), kinds))
    units, places, lengths = _places(dump, np.asarray(index.column("objects", "address"))[rows])
    wanted, other = _units(text), _units(_other_case(text)) if any_case else _units(text)
    found = np.zeros(len(rows), np.bool_)
    texts_with(units, places, lengths, wanted, other, found)
    hits = np.flatnonzero(found)
    shown, cut = hits[: LIMITS.values], int((places == CUT).sum())
    return FoundTexts(rows[shown].tolist(), lengths[shown].tolist(), len(hits), len(rows) - cut, cut)


def _places(dump: Dump, addresses: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[Any], ...]:
    """16-bit units of the heap, where in them each string's characters begin, CUT for one that is not there as a whole, and
    lengths in characters."""
    if isinstance(dump.gc_heap, AnalysisError):
        raise dump.gc_heap
    captured = CapturedWords(dump.core.memory, dump.gc_heap)
    layout = dump.runtime.target.layout
    length_at, text_at = layout.offset("String", "m_StringLength"), layout.offset("String", "m_FirstChar")
    units, halves = captured.words.view(_UNIT), captured.words.view(_LENGTH)
    places, lengths = np.full(len(addresses), CUT, np.int64), np.zeros(len(addresses), np.int64)
    for span in captured.spans:
        first, last = np.searchsorted(addresses, np.array([span.start, max(span.start, span.end - text_at)], np.uint64)).tolist()
        begin = addresses[first:last].astype(np.int64)
        lengths[first:last] = halves[(span.base * 8 + begin + length_at) >> 2]
        whole = begin + text_at + 2 * lengths[first:last] <= span.end
        places[first:last] = np.where(whole, (span.base * 8 + begin + text_at) >> 1, CUT)
    return units, places, lengths


def _units(text: str) -> npt.NDArray[np.uint16]:
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), _UNIT)


def _other_case(text: str) -> str:
    """Each letter in its other case where that is one letter of the same width."""
    swapped = (letter.swapcase() for letter in text)
    return "".join(
        other if len(other) == 1 and (ord(other) > 0xFFFF) == (ord(letter) > 0xFFFF) else letter
        for letter, other in zip(text, swapped, strict=True)
    )
