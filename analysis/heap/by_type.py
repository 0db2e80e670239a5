"""All objects of a few types, by what their types derive from, and one field of them all at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from analysis.heap.spans import CapturedWords
from analysis.heap.walk import HeapWalk
from analysis.memory.reader import Memory
from analysis.runtime.gc_heap import GcHeap

_POINTER_BYTES = 8


class ObjectsByType:
    """Looks objects up by type in a walked heap, or in none at all (a dump that was taken without its heap)."""

    def __init__(
        self, memory: Memory, heap: GcHeap | None, walked: HeapWalk | None, bases: Callable[[int], tuple[str, ...]]
    ) -> None:
        self._walked, self._bases = walked, bases
        self._captured = CapturedWords(memory, heap) if heap and walked else None
        self._found: dict[tuple[str, bool], npt.NDArray[np.uint64]] = {}

    def of(self, name: str, *, derived: bool = False) -> npt.NDArray[np.uint64]:
        """Addresses (uint64, ascending) of objects of the type as metadata names it; ``derived`` with those that derive
        from it."""
        key = (name, derived)
        if key not in self._found:
            self._found[key] = self._look_up(name, derived)
        return self._found[key]

    def _look_up(self, name: str, derived: bool) -> npt.NDArray[np.uint64]:
        if self._walked is None:
            return np.empty(0, np.uint64)
        wanted = np.zeros(len(self._walked.types), np.bool_)
        for row, method_table in enumerate(self._walked.types.method_tables):
            bases = self._bases(method_table) if row else ()
            wanted[row] = name in (bases if derived else bases[:1])
        if not wanted.any():
            return np.empty(0, np.uint64)
        columns = self._walked.columns
        return columns.address[wanted[columns.type]]

    def words(self, addresses: npt.NDArray[np.uint64], offset: int) -> npt.NDArray[np.uint64]:
        """The word at the field offset ``offset`` (a multiple of eight bytes) of each object; 0 where it is not captured."""
        if self._captured is None or not self._captured.spans:
            return np.zeros(len(addresses), np.uint64)
        starts, ends, bases = (
            np.array([getattr(span, name) for span in self._captured.spans], np.int64) for name in ("start", "end", "base")
        )
        places = addresses.astype(np.int64) + _POINTER_BYTES + offset
        rows = np.maximum(np.searchsorted(starts, places, "right") - 1, 0)
        inside = (places >= starts[rows]) & (places + _POINTER_BYTES <= ends[rows])
        found = np.zeros(len(addresses), np.uint64)
        found[inside] = self._captured.words[bases[rows[inside]] + (places[inside] >> 3)]
        return found
