"""What keeps the objects of one type alive: referrers by field, live counts, retained size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.index.retention import DEPENDENT
from analysis.index.store import Index
from explorer.pages.objects import slot_name
from explorer.pages.references import Piece, References

_MOST_HOLDERS = 12


@dataclass(frozen=True, slots=True)
class Holder:
    """References of one field to objects of the type."""

    type: Piece
    field: str
    references: int
    live: int


@dataclass(frozen=True, slots=True)
class TypeRetention:
    """Figures of one type."""

    live_count: int
    dead_count: int
    live_size: int
    retained: int
    holders: list[Holder]
    more_holders: int


def type_retention(index: Index, references: References, type_id: int) -> TypeRetention:
    """Everything the index says about who keeps objects of a type."""
    live, size, retained = (int(index.column("retained_types", n)[type_id]) for n in ("live_count", "live_size", "retained"))
    targets = index.column("field_references", "target_type")
    first, last = np.searchsorted(targets, [type_id, type_id + 1]).tolist()
    rows = list(range(first, min(last, first + _MOST_HOLDERS)))
    return TypeRetention(
        live, int(index.column("types", "count")[type_id]) - live, size, retained,
        [_holder(index, references, row) for row in rows], last - first - len(rows),
    )  # fmt: skip


def _holder(index: Index, references: References, row: int) -> Holder:
    kind, offset, count, live = (
        int(index.column("field_references", name)[row]) for name in ("source_type", "offset", "references", "live_references")
    )
    field = "(dependent handle)" if offset == DEPENDENT else slot_name(index, kind, offset)
    is_array = int(index.column("types", "component_size")[kind]) > 0
    return Holder(references.type(kind), f"[…].{field}".rstrip(".") if is_array else field or f"+0x{offset:x}", count, live)
