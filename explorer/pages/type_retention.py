"""What keeps the objects of one type alive: referrers by field, merged root paths, live counts, retained size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.index.retention import DEPENDENT
from analysis.index.store import Index
from explorer.pages.objects import slot_name
from explorer.pages.references import Piece, References

_MOST_HOLDERS, _MOST_PATHS, _MOST_STEPS = 12, 8, 14


@dataclass(frozen=True, slots=True)
class Holder:
    """References of one field to objects of the type."""

    type: Piece
    field: str
    references: int
    live: int


@dataclass(frozen=True, slots=True)
class MergedPath:
    """A way from a root that ``objects`` of the type share; ``size`` in bytes."""

    objects: int
    size: int
    steps: list[Piece]


@dataclass(frozen=True, slots=True)
class TypeRetention:
    """Figures of one type."""

    live_count: int
    dead_count: int
    live_size: int
    retained: int
    holders: list[Holder]
    more_holders: int
    paths: list[MergedPath]
    more_paths: int


def type_retention(index: Index, references: References, type_id: int) -> TypeRetention:
    """Everything the index says about who keeps objects of a type."""
    live, size, retained = (int(index.column("retained_types", n)[type_id]) for n in ("live_count", "live_size", "retained"))
    targets = index.column("field_references", "target_type")
    first, last = np.searchsorted(targets, [type_id, type_id + 1]).tolist()
    rows = list(range(first, min(last, first + _MOST_HOLDERS)))
    merged = np.flatnonzero(index.column("merged_paths", "type") == type_id)
    order = merged[np.argsort(-index.column("merged_paths", "objects")[merged].astype(np.int64), kind="stable")]
    return TypeRetention(
        live, int(index.column("types", "count")[type_id]) - live, size, retained,
        [_holder(index, references, row) for row in rows], last - first - len(rows),
        [_path(index, references, row) for row in order[:_MOST_PATHS].tolist()], max(0, len(order) - _MOST_PATHS),
    )  # fmt: skip


def _holder(index: Index, references: References, row: int) -> Holder:
    kind, offset, count, live = (
        int(index.column("field_references", name)[row]) for name in ("source_type", "offset", "references", "live_references")
    )
    field = "(dependent handle)" if offset == DEPENDENT else slot_name(index, kind, offset)
    is_array = int(index.column("types", "component_size")[kind]) > 0
    return Holder(references.type(kind), f"[…].{field}".rstrip(".") if is_array else field or f"+0x{offset:x}", count, live)


def _path(index: Index, references: References, row: int) -> MergedPath:
    columns = {name: index.column("merged_paths", name) for name in ("parent", "type", "root", "root_group", "objects", "size")}
    steps, at = list[Piece](), row
    while at > 0:
        kind, root = int(columns["type"][at]), int(columns["root"][at])
        if kind >= 0:
            steps.append(references.type(kind))
        elif root >= 0:
            steps.append(references.root(root))
            # The group is part of the root's name, but for handles, whose roots have none.
            break
        at = int(columns["parent"][at])
    if len(steps) > _MOST_STEPS:
        half = _MOST_STEPS // 2
        steps = [*steps[:half], Piece(f"… {len(steps) - _MOST_STEPS} more …"), *steps[-half:]]
    return MergedPath(int(columns["objects"][row]), int(columns["size"][row]), steps[::-1])
