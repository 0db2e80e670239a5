"""One type: its fields, and its instances read from the sorted columns of the index page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.index.schema import GENERATIONS
from analysis.index.store import Index
from explorer.pages.generations import BY_NAME
from explorer.pages.names import visible
from explorer.pages.numbers import address
from explorer.pages.tables import Link, Query, structure

INSTANCE_COLUMNS = (
    structure("address", "Address", "address", about="Address of the object"),
    structure("size", "Size", "number", "B", "Shallow size"),
    structure("generation", "Generation", "text", sortable=False),
)

FIELD_COLUMNS = (
    structure("offset", "Offset", "number", "B", "From the end of the method table pointer"),
    structure("name", "Field", "code"),
    structure("type_name", "Type", "name"),
    structure("size", "Size", "number", "B", "Bytes the field takes in the object"),
    structure("declared_by", "Declared by", "owner"),
)

STATIC_COLUMNS = (
    structure("name", "Field", "code"),
    structure("type_name", "Type", "name"),
    structure("declared_by", "Declared by", "owner"),
)


class InstanceRows:
    """The instances of one type by address or by size, either way round: only the slice on the page is read."""

    def __init__(self, index: Index, type_id: int, query: Query, object_url: Callable[[str], str] = lambda address: "") -> None:
        """``object_url`` gives the page of the object at an address without its ``0x``."""
        self._index, self._object_url = index, object_url
        self.total = int(index.column("types", "count")[type_id])
        self._first = int(index.column("types", "first_instance")[type_id])
        by_size = query.sort == "size"
        self._column = index.column("instances", "by_size" if by_size else "by_address")
        # by_size is stored biggest first, by_address lowest first.
        self._backwards = query.descending != by_size

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        stop = min(stop, self.total)
        if self._backwards:
            ids = self._column[self._first + self.total - stop : self._first + self.total - start][::-1]
        else:
            ids = self._column[self._first + start : self._first + stop]
        ids = np.asarray(ids)
        addresses = self._index.column("objects", "address")[ids].tolist()
        generations = self._index.column("objects", "generation")[ids].tolist()
        sizes = self._index.object_sizes(ids).tolist()
        return [
            {
                "address": Link(address(at), self._object_url(f"{at:x}")),
                "size": size,
                "generation": BY_NAME[GENERATIONS[generation]].label,
            }
            for at, size, generation in zip(addresses, sizes, generations, strict=True)
        ]

    def page_of(self, wanted: int, page_size: int) -> int | None:
        """The page, in ascending address order, that holds the object at or before an address."""
        addresses, column = self._index.column("objects", "address"), self._index.column("instances", "by_address")
        low, high = 0, self.total
        while low < high:
            middle = (low + high) // 2
            if int(addresses[column[self._first + middle]]) <= wanted:
                low = middle + 1
            else:
                high = middle
        return (low - 1) // page_size + 1 if low else None


@dataclass(frozen=True)
class SizeRank:
    """One line of "how big are they": a share of the instances is at most this big."""

    label: str
    size: int


def size_ranks(index: Index, type_id: int) -> list[SizeRank]:
    """Exact sizes at chosen ranks, read from the sorted column without touching the other instances."""
    total = int(index.column("types", "count")[type_id])
    if not total:
        return []
    first = int(index.column("types", "first_instance")[type_id])
    shares = (
        ("smallest", 1.0),
        ("half are at most", 0.5),
        ("90 % are at most", 0.1),
        ("99 % are at most", 0.01),
        ("largest", 0.0),
    )
    rows = np.array([first + min(total - 1, int(share * total)) for _, share in shares])
    sizes = index.object_sizes(np.asarray(index.column("instances", "by_size")[rows])).tolist()
    return [SizeRank(label, size) for (label, _), size in zip(shares, sizes, strict=True)]


def field_rows(index: Index, type_id: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Instance fields in the order they lie in memory, and static fields."""
    owners = index.column("fields", "type")
    start, stop = (int(np.searchsorted(owners, type_id, side)) for side in ("left", "right"))
    texts = {key: index.text("fields", key) for key in ("name", "type_name", "element", "declared_by")}
    own, static = [], []
    for row in range(start, stop):
        values: dict[str, Any] = {key: visible(text[row]) for key, text in texts.items()}
        values["offset"] = int(index.column("fields", "offset")[row])
        values["size"] = int(index.column("fields", "size")[row])
        values["type_name"] = values["type_name"] or values["element"]
        (static if bool(index.column("fields", "is_static")[row]) else own).append(values)
    return sorted(own, key=lambda field: field["offset"]), static


def type_facts(index: Index, type_id: int) -> dict[str, Any]:
    """The facts of one type that are not in the list of types."""
    column = {key: index.column("types", key)[type_id] for key in ("method_table", "token", "base_size", "component_size")}
    flags = {
        "finalizable": "has a finalizer",
        "collectible": "lives in a collectible load context",
        "contains_pointers": "holds object references",
    }
    return {
        "method_table": address(int(column["method_table"])),
        "token": f"0x{int(column['token']):08x}" if column["token"] else "",
        "base_size": int(column["base_size"]),
        "component_size": int(column["component_size"]),
        "kind": index.text("types", "kind")[type_id],
        "base_type": visible(index.text("types", "base_type_name")[type_id]),
        "flags": [words for key, words in flags.items() if bool(index.column("types", key)[type_id])],
        "largest": int(index.column("types", "largest")[type_id]),
    }
