"""What many method tables say, read as arrays: a process with tens of thousands of types asks each of them the same.

``analysis.runtime.types`` reads one type and says what is wrong with it; here a row that cannot be read is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.contracts.target import Target
from analysis.runtime import types as rules

_Addresses = npt.NDArray[np.uint64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MethodTables:
    """Rows of method tables: ``readable`` says which could be read, all other columns are 0 where one could not.

    ``address`` uint64[n], ``flags`` uint32[n], ``base_size`` and ``component_size`` int64[n] (bytes), ``ee_class`` uint64[n];
    ``consistent``: the class points back at the canonical method table and the size is one that a type can have.
    """

    address: _Addresses
    flags: npt.NDArray[np.uint32]
    base_size: npt.NDArray[np.int64]
    component_size: npt.NDArray[np.int64]
    ee_class: _Addresses
    readable: _Mask
    consistent: _Mask

    @property
    def contains_pointers(self) -> _Mask:
        return np.asarray(self.flags & rules.CONTAINS_POINTERS, np.bool_)

    @property
    def is_value_type(self) -> _Mask:
        return np.isin(self.flags & rules.CATEGORY, rules.CATEGORY_VALUE_TYPES)

    @property
    def collectible(self) -> _Mask:
        return np.asarray(self.flags & rules.COLLECTIBLE, np.bool_)


def read_method_tables(target: Target, addresses: npt.ArrayLike) -> MethodTables:
    """The columns of the method tables at ``addresses``."""
    memory, layout = target.memory, target.layout
    address = np.asarray(addresses, np.uint64)
    link = np.uint64(layout.offset("MethodTable", "EEClassOrCanonMT"))
    low, readable = memory.gather(address, np.uint64)  # flags, then the base size
    tagged, there = memory.gather(address + link, np.uint64)
    readable &= there & (address & 7 == 0)
    flags, base_size = low.astype(np.uint32), (low >> 32).astype(np.int64)
    points_on = tagged & 3 != 0
    canonical = np.where(points_on, tagged & ~np.uint64(3), address)
    of_canonical, there = memory.gather(canonical + link, np.uint64)
    ee_class = np.where(points_on, of_canonical, tagged)
    back, there_too = memory.gather(ee_class + np.uint64(layout.offset("EEClass", "MethodTable")), np.uint64)
    sized = (base_size >= rules.SMALLEST_BASE_SIZE) & (base_size <= rules.LARGEST_BASE_SIZE)
    consistent = readable & there & there_too & (ee_class & 3 == 0) & (back == canonical) & sized
    component = np.where(flags & rules.HAS_COMPONENT_SIZE, flags & 0xFFFF, 0).astype(np.int64)
    return MethodTables(address, flags, base_size, component, ee_class, readable, consistent)


def may_have_statics(target: Target, tables: MethodTables) -> _Mask:
    """False for types whose class counts no static fields; True also where that could not be read."""
    memory, layout = target.memory, target.layout

    def of(block: _Addresses, type_name: str, field: str, kind: npt.DTypeLike) -> tuple[npt.NDArray[np.uint64], _Mask]:
        values, there = memory.gather(block + np.uint64(layout.offset(type_name, field)), kind)
        return values.astype(np.uint64), there

    if layout.contracts["RuntimeTypeSystem"]:
        count, there = of(tables.ee_class, "EEClass", "NumStaticFields", np.uint16)
    else:
        size, known = of(tables.ee_class, "EEClass", "FixedSize", np.uint8)
        packed, _ = of(tables.ee_class, "EEClass", "FieldsArePacked", np.uint8)
        count, there = of(tables.ee_class + size, "PackedFields", "NumStaticFields", np.uint32)
        there &= known & (packed == 0)
    return ~tables.consistent | ~there | (count > 0)
