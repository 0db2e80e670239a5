"""Texts of the heap that are looked at for secrets: strings, arrays of characters, arrays of bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.graph.strings import Strings
from analysis.heap.walk import HeapWalk
from analysis.index.secrets import BYTES, CHARACTERS, STRING
from analysis.kernels.walk import FIRST, STOP, WORD
from analysis.limits import LIMITS

_WORD_BYTES = 8
#: Arrays with fewer elements hold nothing worth a look.
_SHORTEST = 8
_ARRAYS = ((CHARACTERS, "System.Char[]", 2), (BYTES, "System.Byte[]", 1))
_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of one ``place`` (as in the index): ``lengths`` units from ``begins`` of ``units`` on, and ``numbers`` int64[n]: of
    strings the text, of arrays the object id. ``left_out`` are not there as a whole or beyond what is read."""

    place: int
    units: npt.NDArray[np.uint16] | npt.NDArray[np.uint8]
    begins: _I64
    lengths: _I64
    numbers: _I64
    left_out: int = 0

    @property
    def size_bytes(self) -> int:
        return int(self.lengths.sum()) * self.units.itemsize


def texts_of_strings(dump: Dump, walked: HeapWalk, strings: Strings) -> Texts:
    """Each text of the heap's strings once."""
    offset = dump.runtime.target.layout.offset("String", "m_FirstChar")
    rows = strings.rows[strings.firsts]
    begins, ends = _spans(walked, rows)
    begins += offset
    lengths = strings.lengths[strings.firsts].astype(np.int64)
    whole = np.flatnonzero((begins + 2 * lengths <= ends) & (lengths >= _SHORTEST))
    cut = int(np.count_nonzero(begins + 2 * lengths > ends))
    return Texts(STRING, walked.captured.words.view(np.uint16), begins[whole] // 2, lengths[whole], whole, cut)


def texts_of_arrays(dump: Dump, walked: HeapWalk) -> list[Texts]:
    """Arrays of characters; arrays of bytes, as bytes and again as characters of 16 bits."""
    found: list[Texts] = []
    left = LIMITS.secret_arrays_bytes
    for place, name, size in _ARRAYS:
        texts = _arrays(dump, walked, place, name, size, left)
        left -= texts.size_bytes
        found.append(texts)
        if size == 1:
            # Characters of 16 bits in an array of bytes begin at an even place of it.
            even = texts.lengths >= 2 * _SHORTEST
            wide = walked.captured.words.view(np.uint16)
            found.append(Texts(place, wide, texts.begins[even] // 2, texts.lengths[even] // 2, texts.numbers[even]))
    return found


def _arrays(dump: Dump, walked: HeapWalk, place: int, name: str, size: int, budget: int) -> Texts:
    words = walked.captured.words
    units = words.view(np.uint16) if size == 2 else words.view(np.uint8)
    rows = _instances(dump, walked, name, size)
    begins, ends = _spans(walked, rows)
    layout = dump.runtime.target.layout
    lengths = walked.captured.words.view(np.uint32)[(begins + layout.offset("Array", "m_NumComponents")) // 4].astype(np.int64)
    # Elements begin behind all that an array without any has; of that the header word lies before the object.
    begins += _base_size(walked, rows) - _WORD_BYTES
    whole = begins + lengths * size <= ends
    read = np.minimum(lengths, LIMITS.secret_array_bytes // size)
    whole &= np.cumsum(np.where(whole, read, 0)) * size <= budget
    left_out = int(np.count_nonzero(~whole) + np.count_nonzero(read[whole] < lengths[whole]))
    kept = whole & (lengths >= _SHORTEST)
    return Texts(place, units, begins[kept] // size, read[kept], rows[kept].astype(np.int64), left_out)


def _instances(dump: Dump, walked: HeapWalk, name: str, size: int) -> npt.NDArray[np.uint32]:
    """Object ids of arrays of one type, in address order."""
    types = walked.types
    kinds = [
        row for row in range(1, len(types))
        if types.component_size[row] == size and dump.runtime.types.name(types.method_tables[row]) == name
    ]  # fmt: skip
    return np.flatnonzero(np.isin(walked.columns.type, kinds)).astype(np.uint32) if kinds else np.zeros(0, np.uint32)


def _base_size(walked: HeapWalk, rows: npt.NDArray[np.uint32]) -> _I64:
    sizes: _I64 = walked.types.base_size[walked.columns.type[rows]]
    return sizes


def _spans(walked: HeapWalk, rows: npt.NDArray[np.uint32]) -> tuple[_I64, _I64]:
    """Where objects begin in the captured bytes, and where the stretch of them that each lies in ends."""
    jobs = walked.jobs
    job = np.searchsorted(jobs[:, FIRST], rows, "right") - 1
    base = jobs[job, WORD] * _WORD_BYTES
    begins: _I64 = base + walked.columns.address[rows].astype(np.int64)
    ends: _I64 = base + jobs[job, STOP] + _WORD_BYTES
    return begins, ends
