"""Names of the places in which objects hold references: the field at a word, through structs and array elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.graph.gc_descriptors import DescriptorTable
from analysis.heap.type_table import TypeTable
from analysis.index.retention import DEPENDENT
from analysis.kernels import references as kernels
from analysis.runtime.fields import Field

_WORD = 8
_DEEPEST = 16
#: Words of one element or object that are named; what lies behind has its offset alone.
_MOST_WORDS = 4096


@dataclass(frozen=True, slots=True)
class SlotName:
    """``offset`` in bytes from the method table pointer, of an array from the start of its element."""

    type: int
    offset: int
    name: str
    declared_by: str


def name_slots(dump: Dump, types: TypeTable, descriptors: DescriptorTable) -> list[SlotName]:
    """Slots of all types in the order of type and offset."""
    found: list[SlotName] = []
    for row, method_table in enumerate(types.method_tables):
        words = sorted(set(_words(descriptors, types, row)))
        if not words:
            continue
        try:
            info = dump.runtime.types.info(method_table)
            holder = info.element if info.is_array else method_table
            value = dump.runtime.types.info(holder).is_value_type if not holder & 2 else False
        except AnalysisError:
            holder, value = 0, False
        is_array = int(types.component_size[row]) > 0
        for offset in words:
            name, declared_by = "", ""
            if holder and (value or not is_array):
                name, declared_by = _field_at(dump, holder, offset if is_array else offset - _WORD)
            found.append(SlotName(row, offset, name, declared_by))
    return found


def _words(descriptors: DescriptorTable, types: TypeTable, row: int) -> Iterator[int]:
    """Offsets of an object's (of an array: of its element's) references in bytes."""
    kind, first, last = descriptors.programs[row].tolist()
    runs = descriptors.runs[first:last].tolist()
    if kind == kernels.FIXED:
        for start, count in runs:
            yield from range(start, start + _WORD * min(count, _MOST_WORDS), _WORD)
    elif kind == kernels.SIZED:
        yield 0
    elif kind == kernels.REPEATED:
        element = max(int(types.component_size[row]), _WORD)
        # References begin where the first element with a field that is one has it: elements begin behind the length.
        position = runs[0][0] - int(types.base_size[row]) + _WORD
        for count, skip in runs[1:]:
            yield from (at % element for at in range(position, position + _WORD * min(count, _MOST_WORDS), _WORD))
            position += _WORD * count + skip


def _field_at(dump: Dump, method_table: int, offset: int) -> tuple[str, str]:
    """Name of the field at an offset, with those of the structs it lies in, and the type that declares the outermost."""
    names: list[str] = []
    declared_by = ""
    while len(names) < _DEEPEST:
        field = _covering(dump, method_table, offset)
        if field is None:
            break
        declared_by = declared_by or field.declared_by
        offset -= field.offset
        names.append(field.name)
        if not field.value_type:
            break
        size = max(dump.fields.value_size(field.value_type), 1)
        if offset >= size and field.held_size > size:
            padded = -(-size // _WORD) * _WORD
            names[-1] += f"[{offset // padded}]"
            offset %= padded
        method_table = field.value_type
    return ".".join(names), declared_by


def _covering(dump: Dump, method_table: int, offset: int) -> Field | None:
    try:
        fields = dump.fields.instance_fields(method_table)
    except AnalysisError:
        return None
    before = [field for field in fields if field.offset <= offset]
    return max(before, key=lambda field: field.offset, default=None)


def word_numbers(types: TypeTable, descriptors: DescriptorTable) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(first word number, words per array element) int64[types] each: one number for every word that may hold a reference."""
    count = len(types)
    base, component = types.base_size[:count], types.component_size[:count]
    elements = np.where((component > 0) & (descriptors.programs[:, 0] != kernels.NONE), np.maximum(component // _WORD, 1), 0)
    words = np.where(elements > 0, elements + 1, base // _WORD + 1)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(words)[:-1]]), elements


def fields_of_words(
    numbers: npt.NDArray[np.int64], elements: npt.NDArray[np.int64], words: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(type, offset as in ``reference_slots`` or DEPENDENT) int64[n] of word numbers, by the arrays of ``word_numbers``."""
    kind = np.searchsorted(numbers, words, "right") - 1
    word = words - numbers[kind]
    offset = np.where(elements[kind] > 0, (word - 1) * _WORD, word * _WORD)
    return kind, np.where(word == 0, DEPENDENT, offset)
