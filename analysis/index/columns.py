"""What a column of the index is: its name, numpy type, unit and data class."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class DataClass(IntEnum):
    """How sensitive a field is; the number grows with the harm a leak would do."""

    D0_INDEX = 0
    D1_STRUCTURE = 1
    D2_CONTEXT = 2
    D3_VALUE = 3
    D4_RAW = 4


D1, D2, D3 = DataClass.D1_STRUCTURE, DataClass.D2_CONTEXT, DataClass.D3_VALUE


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a numpy dtype or ``text``, a unit where it has one, and its data class. ``width`` > 0 makes it 2-D."""

    name: str
    dtype: str
    data_class: DataClass
    about: str
    unit: str = ""
    width: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Equally long columns under one name."""

    name: str
    about: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


def column(name: str, dtype: str, about: str, unit: str = "", data_class: DataClass = D1, width: int = 0) -> Column:
    return Column(name, dtype, data_class, about, unit, width)
