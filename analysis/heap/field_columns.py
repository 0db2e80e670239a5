"""One field of many objects at once, by its name: what ``NamedFields`` reads of one object, as columns.

Objects are uint64[n] addresses; 0 is null, NO_OBJECT what could not be read. Numbers are int64[n], UNREAD where there is none:
far below zero, so that sums and differences with it are no counts either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from analysis.heap.spans import CapturedWords
from analysis.heap.walk import HeapWalk
from analysis.kernels import chains
from analysis.runtime.fields import PRIMITIVE_SIZES, Field
from analysis.runtime.named_fields import NamedFields
from analysis.runtime.types import TypeSystem

NO_OBJECT, UNREAD = 0xFFFFFFFFFFFFFFFF, chains.UNREAD
_WORD = 8
_MARK_BITS = np.uint64(7)
_NUMBERS = ("Boolean", "Int32", "Int64")
_REFERENCES = ("Class", "Object", "String", "SZArray", "Array")
#: Elements of arrays and links of chains that are looked at in all.
_MOST_STEPS, _STEPS_AT_ONCE = 1 << 24, 1 << 20
_Objects = npt.NDArray[np.uint64]
_Numbers = npt.NDArray[np.int64]


class FieldColumns:
    """Reads fields of the objects of a walked heap."""

    def __init__(self, walked: HeapWalk, types: TypeSystem, named: NamedFields) -> None:
        self._types, self._named = types, named
        layout = types.target.layout
        self._length_offset, self._first_element = layout.offset("Array", "m_NumComponents"), layout.types["Array"]["!"]
        self._captured: CapturedWords = walked.captured
        spans = self._captured.spans
        self._starts, self._ends, self._bases = (
            np.array([getattr(span, name) for span in spans], np.int64) for name in ("start", "end", "base")
        )

    def numbers(self, objects: _Objects, *names: str) -> _Numbers:
        """A signed whole number or truth value; ``_state._first`` is the field of a struct that is a field."""
        found = np.full(len(objects), UNREAD, np.int64)
        for rows, field, offset in self._each(objects, names, _NUMBERS):
            bits = 8 * PRIMITIVE_SIZES[field.element]
            places = objects[rows].astype(np.int64) + _WORD + offset
            words, captured = self._words(places)
            # To the top of the word, and down again with its sign.
            top = words << (64 - bits - 8 * (places & 7)).astype(np.uint64)
            found[rows] = np.where(captured, top.view(np.int64) >> (64 - bits), UNREAD)
        return found

    def references(self, objects: _Objects, *names: str) -> _Objects:
        """The object a field refers to."""
        found = np.full(len(objects), NO_OBJECT, np.uint64)
        for rows, _, offset in self._each(objects, names, _REFERENCES):
            words, captured = self._words(objects[rows].astype(np.int64) + _WORD + offset)
            found[rows] = np.where(captured, words, np.uint64(NO_OBJECT))
        return found

    def lengths(self, arrays: _Objects) -> _Numbers:
        """Elements of arrays of one dimension; 0 for null."""
        words, captured = self._words(arrays.astype(np.int64) + self._length_offset)
        length = (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
        return np.where(arrays == 0, 0, np.where(captured, length, UNREAD))

    def add_up(
        self, arrays: _Objects, counts: _Numbers, field: str = "", value: Callable[[_Numbers], _Numbers] = np.array
    ) -> _Numbers:
        """Sum of ``value`` over the first ``counts`` elements of each array, or over one field of them. Elements come as
        words, or as 32-bit numbers where they are such."""
        stride, offset = self._element(arrays, field)
        read = (counts >= 0) & (counts <= self.lengths(arrays)) & (stride > 0)
        ends = np.cumsum(np.where(read, counts, 0))
        read &= ends <= _MOST_STEPS
        found = np.where(read, 0, UNREAD).astype(np.int64)
        rows = np.flatnonzero(read & (counts > 0))
        for part in np.split(rows, np.flatnonzero(np.diff(ends[rows] // _STEPS_AT_ONCE)) + 1):
            taken = counts[part]
            position = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
            first = arrays[part].astype(np.int64) + self._first_element + offset[part]
            places = np.repeat(first, taken) + position * np.repeat(stride[part], taken)
            words, captured = self._words(places)
            low = (words >> (8 * (places & 7)).astype(np.uint64)).astype(np.uint32).view(np.int32)
            is_number = np.repeat(stride[part] == PRIMITIVE_SIZES["Int32"], taken)
            values = np.where(captured, value(np.where(is_number, low, words.view(np.int64))), UNREAD)
            found[part] = np.bincount(np.repeat(np.arange(len(part)), taken), values, len(part)).astype(np.int64)
        return found

    def chain_lengths(self, firsts: _Objects, name: str) -> _Numbers:
        """Objects from the first one on, each referring to the next by the field ``name``."""
        found = np.where(firsts == 0, 0, UNREAD).astype(np.int64)
        for rows, _, offset in self._each(firsts, (name,), _REFERENCES):
            counts = np.empty(len(rows), np.int64)
            chains.count_chains(
                self._captured.words, self._starts, self._ends, self._bases, firsts[rows], _WORD + offset, _MOST_STEPS, counts
            )
            found[rows] = counts
        return found

    def _element(self, arrays: _Objects, field: str) -> tuple[_Numbers, _Numbers]:
        """Bytes of an element of each array, 0 where it is none, and bytes from its start to the field."""
        stride, offset = np.zeros(len(arrays), np.int64), np.zeros(len(arrays), np.int64)
        for rows, table in self._by_table(arrays):
            try:
                info = self._types.info(table)
            except AnalysisError:
                continue
            inside = self._named.fields(info.element).get(field) if field else None
            if info.is_array and (inside or not field):
                stride[rows], offset[rows] = info.component_size, inside.offset if inside else 0
        return stride, offset

    def _each(
        self, objects: _Objects, names: tuple[str, ...], elements: tuple[str, ...]
    ) -> Iterator[tuple[_Numbers, Field, int]]:
        """Rows of the objects of each type that has one of the fields, the field and its offset."""
        for rows, table in self._by_table(objects):
            found = next(filter(None, (self._find(table, name) for name in names)), None)
            if found and found[0].element in elements:
                yield rows, *found

    def _by_table(self, objects: _Objects) -> Iterator[tuple[_Numbers, int]]:
        """Rows of the objects of each method table."""
        words, captured = self._words(objects.astype(np.int64))
        tables = np.where(captured & (objects != 0), words & ~_MARK_BITS, np.uint64(0))
        if len(tables) and (tables == tables[0]).all():
            unique, order, bounds = tables[:1], np.arange(len(tables)), [0, len(tables)]
        else:
            unique, number = np.unique(tables, return_inverse=True)
            order = np.argsort(number, kind="stable")
            bounds = np.searchsorted(number[order], np.arange(len(unique) + 1)).tolist()
        for place, table in enumerate(unique.tolist()):
            if table:
                yield order[bounds[place] : bounds[place + 1]], table

    def _find(self, table: int, name: str) -> tuple[Field, int] | None:
        """The field and its offset from the end of the method table pointer."""
        offset, field = 0, None
        for part in name.split("."):
            field = self._named.fields(field.value_type if field else table).get(part)
            if field is None:
                return None
            offset += field.offset
        return (field, offset) if field else None

    def _words(self, places: _Numbers) -> tuple[_Objects, npt.NDArray[np.bool_]]:
        """The aligned words that hold the addresses ``places``, and which of them the dump has."""
        if not len(self._starts):
            return np.zeros(len(places), np.uint64), np.zeros(len(places), np.bool_)
        aligned = places & ~7
        rows = np.maximum(np.searchsorted(self._starts, aligned, "right") - 1, 0)
        captured = (aligned >= self._starts[rows]) & (aligned + _WORD <= self._ends[rows])
        found = np.zeros(len(places), np.uint64)
        found[captured] = self._captured.words[self._bases[rows[captured]] + (aligned[captured] >> 3)]
        return found, captured
