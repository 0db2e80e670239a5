"""One object: what it is, what keeps it alive, what it refers to and what refers to it. Values stay where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from analysis.index.graph import Graph
from analysis.index.retention import COLLECTION_KINDS, DEPENDENT, LOADER_ALLOCATOR, NO_CAPACITY, NOT_LIVE
from analysis.index.schema import GENERATIONS
from analysis.index.store import Index
from explorer.pages.generations import BY_NAME
from explorer.pages.names import visible
from explorer.pages.numbers import grouped
from explorer.pages.references import Piece, References
from explorer.pages.tables import Link, structure

_WORD = 8
_ARRAY_HEADER = 16
#: Referrers that are grouped; of an object with more the first ones stand for all.
_MOST_GROUPED = 20_000
_MOST_IN_PATH = 60
#: Of an object deep in a chain no more dominators are looked for on its path.
_MOST_DOMINATORS = 2_000
_MOST_HOLDERS = 3

REFERENCE_COLUMNS = (
    structure("field", "Field", "code", sortable=False),
    structure("object", "Refers to", "text", sortable=False),
    structure("type_name", "Type", "name", sortable=False),
    structure("retained", "Retained", "bytes", "B", "What would be free without that object", sortable=False),
)
REFERRER_COLUMNS = (
    structure("object", "Object", "text", sortable=False),
    structure("field", "Through", "code", sortable=False),
    structure("type_name", "Type", "name", sortable=False),
    structure("live", "Live", "flag", sortable=False),
    structure("retained", "Retained", "bytes", "B", "What would be free without the referrer", sortable=False),
)
DOMINATED_COLUMNS = (
    structure("object", "Object", "text", sortable=False),
    structure("type_name", "Type", "name", sortable=False),
    structure("retained", "Retained", "bytes", "B", "What would be free without it", sortable=False),
)
ITEM_COLUMNS = (
    structure("place", "Place", "id", sortable=False),
    structure("key", "Key", "text", about="Keys that are values are not shown", sortable=False),
    structure("item", "Item", "text", about="Items that are values are not shown", sortable=False),
    structure("type_name", "Type of the item", "name", sortable=False),
    structure("retained", "Retained", "bytes", "B", "What would be free without the item", sortable=False),
)
#: Names of the fields that hold the key and the item in an entry or node of a collection of the framework.
_KEYS, _ITEMS = ("key", "_key"), ("value", "_value", "Value", "_element", "element", "item", "Item", "")
_NEXT = "_next"
#: Items that are looked at; a collection of more shows its first ones.
MOST_ITEMS = 5_000


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a root path: what it is, the field that leads to it, and whether nothing reaches the object around it."""

    piece: Piece
    field: str
    dominates: bool
    retained: int
    object: bool


def slot_name(index: Index, kind: int, offset: int) -> str:
    """Name of the field at an offset of a type (of an array: of its element); empty where it has none."""
    types = index.column("reference_slots", "type")
    first, last = np.searchsorted(types, [kind, kind + 1]).tolist()
    place = first + int(np.searchsorted(index.column("reference_slots", "offset")[first:last], offset))
    if place >= last or int(index.column("reference_slots", "offset")[place]) != offset:
        return ""
    return visible(str(index.text("reference_slots", "name")[place]), 200)


def held_by(index: Index, references: References, table: str, key: str, row: int) -> str:
    """Fields that hold what has number ``row`` in the column ``key`` of a table of holders, with how often; the first few."""
    # Holders are written down in the order of what they hold.
    first, last = np.searchsorted(index.column(table, key), [row, row + 1]).tolist()
    found = [_holder(index, references, table, place) for place in range(first, min(last, first + _MOST_HOLDERS))]
    more = last - first - _MOST_HOLDERS
    return ", ".join([*found, f"{more} more"] if more > 0 else found)


def _holder(index: Index, references: References, table: str, place: int) -> str:
    kind, offset, count = (int(index.column(table, name)[place]) for name in ("source_type", "offset", "references"))
    field = slot_name(index, kind, offset)
    return f"{references.type(kind).text}{f'.{field}' if field else ''} ({grouped(count)})"


class Objects:
    """Objects of one dump by row, as one viewer may see them."""

    def __init__(self, index: Index, references: References) -> None:
        self.index, self.graph, self._references = index, Graph(index), references
        self.addresses = index.column("objects", "address")

    def at(self, address: int) -> tuple[int, bool] | None:
        """The object that an address lies in, and whether it begins there; None where none lies."""
        row = int(np.searchsorted(self.addresses, np.uint64(address), "right")) - 1
        if row < 0:
            return None
        begin = int(self.addresses[row])
        size = int(self.index.object_sizes(np.array([row]))[0])
        return (row, begin == address) if address < begin + max(size, _WORD) else None

    def type_of(self, row: int) -> int:
        return int(self.index.column("objects", "type")[row])

    def type_name(self, row: int) -> str:
        return visible(str(self.index.text("types", "name")[self.type_of(row)]))

    def facts(self, row: int) -> dict[str, Any]:
        """Header facts."""
        generation = GENERATIONS[int(self.index.column("objects", "generation")[row])]
        return {
            "address": f"0x{int(self.addresses[row]):x}",
            "type_id": self.type_of(row),
            "type_name": self.type_name(row),
            "kind": str(self.index.text("types", "kind")[self.type_of(row)]),
            "size": int(self.index.object_sizes(np.array([row]))[0]),
            "generation": BY_NAME[generation].label,
            "live": self.graph.built and self.graph.parent(row) is not None,
            "retained": self.graph.retained(row) if self.graph.built else 0,
        }

    def collection(self, row: int) -> dict[str, Any] | None:
        """Kind, items and capacity of an object that is a collection; None for any other."""
        rows = self.index.column("collections", "object")
        place = int(np.searchsorted(rows, row))
        if place >= len(rows) or int(rows[place]) != row:
            return None
        column = {name: int(self.index.column("collections", name)[place]) for name in ("kind", "count", "capacity", "storage")}
        return {
            "kind": COLLECTION_KINDS[column["kind"]],
            "count": column["count"],
            "capacity": None if column["capacity"] == NO_CAPACITY else column["capacity"],
            "storage": None if column["storage"] == NOT_LIVE else self._references.object(column["storage"]),
        }

    def items(self, row: int) -> list[tuple[int, int | None, int | None]]:
        """Place, key and item (rows of objects, None for a value or null) of what a collection holds in its array."""
        rows = self.index.column("collections", "object")
        place = int(np.searchsorted(rows, row))
        if place >= len(rows) or int(rows[place]) != row or not self.graph.built:
            return []
        storage = int(self.index.column("collections", "storage")[place])
        if storage == NOT_LIVE:
            return []
        kind = COLLECTION_KINDS[int(self.index.column("collections", "kind")[place])]
        entries: dict[int, dict[str, int]] = {}
        for target, slot in zip(*(part[: 2 * MOST_ITEMS].tolist() for part in self.graph.references(storage)), strict=True):
            at, name = self._element(storage, slot)
            entries.setdefault(at, {})[name.rpartition(".")[2]] = target
        if kind in _CHAINED:
            return self._chained([next(iter(one.values())) for one in entries.values()])
        return [(at, _first(one, _KEYS), _first(one, _ITEMS)) for at, one in entries.items()][:MOST_ITEMS]

    def _chained(self, nodes: list[int]) -> list[tuple[int, int | None, int | None]]:
        """Keys and items of nodes and of those behind them in the same bucket."""
        found: list[tuple[int, int | None, int | None]] = []
        for node in nodes:
            following: int | None = node
            while following is not None and len(found) < MOST_ITEMS:
                targets, slots = self.graph.references(following)
                held = {
                    self.field(following, slot): target for target, slot in zip(targets.tolist(), slots.tolist(), strict=True)
                }
                found.append((len(found), _first(held, _KEYS), _first(held, _ITEMS)))
                following = held.get(_NEXT)
        return found

    def item_rows(self, items: list[tuple[int, int | None, int | None]]) -> list[Mapping[str, Any]]:
        """Items as cells."""
        return [
            {
                "place": str(place), "key": self.link(key) if key is not None else None,
                "item": self.link(item) if item is not None else None,
                "type_name": self.type_name(item) if item is not None else "",
                "retained": self.graph.retained(item) if item is not None else None,
            }
            for place, key, item in items
        ]  # fmt: skip

    def length(self, row: int) -> int | None:
        """Elements of an array, characters of a string; None for other objects."""
        kind = self.type_of(row)
        component = int(self.index.column("types", "component_size")[kind])
        base = int(self.index.column("types", "base_size")[kind])
        return (int(self.index.object_sizes(np.array([row]))[0]) - base) // component if component else None

    def field(self, row: int, slot: int) -> str:
        """Name of the place in an object that holds a reference: ``_entries``, ``[17].value``."""
        if slot == DEPENDENT:
            return "(dependent handle)"
        if slot == LOADER_ALLOCATOR:
            return "(loader allocator of its type)"
        kind = self.type_of(row)
        if not int(self.index.column("types", "component_size")[kind]):
            return slot_name(self.index, kind, slot * _WORD) or f"+0x{slot * _WORD:x}"
        place, name = self._element(row, slot)
        return f"[{place}].{name}" if name else f"[{place}]"

    def _element(self, row: int, slot: int) -> tuple[int, str]:
        """Which element of an array a word belongs to, and the field of that element."""
        kind = self.type_of(row)
        element = int(self.index.column("types", "component_size")[kind])
        base = int(self.index.column("types", "base_size")[kind]) - _WORD
        place, offset = divmod(slot * _WORD - base, max(element, _WORD))
        return place, slot_name(self.index, kind, offset)

    def field_between(self, source: int, target: int) -> str:
        """The first field of one object that refers to another."""
        targets, slots = self.graph.references(source)
        found = np.flatnonzero(targets == target)
        return self.field(source, int(slots[found[0]])) if len(found) else ""

    def root_path(self, row: int) -> tuple[list[Hop], int]:
        """A shortest path from a root down to the object, and how many hops in its middle are left out."""
        graph = self.graph
        nodes, left_out = graph.root_path(row, _MOST_IN_PATH)
        above = set(graph.dominators(row, _MOST_DOMINATORS))
        hops = []
        for place, node in enumerate(nodes):
            found = graph.node(node)
            before = nodes[place - 1] if place else None
            through = self.field_between(before, node) if before is not None and before < graph.objects > node else ""
            piece = {
                "objects": self._references.object, "roots": self._references.root, "root_groups": self._references.root_group,
            }[found.table](found.row)  # fmt: skip
            hops.append(Hop(piece, through, node in above, graph.retained(node), found.table == "objects"))
        return hops, left_out

    def link(self, row: int) -> Link:
        piece = self._references.object(row)
        return Link(piece.text, piece.url)

    def reference_rows(self, row: int, start: int, stop: int) -> list[Mapping[str, Any]]:
        targets, slots = self.graph.references(row)
        return [
            {"field": self.field(row, slot), **self.row(target)}
            for target, slot in zip(targets[start:stop].tolist(), slots[start:stop].tolist(), strict=True)
        ]

    def referrer_rows(self, row: int, start: int, stop: int) -> list[Mapping[str, Any]]:
        sources = self.graph.referrers(row)[start:stop].tolist()
        return [
            {"field": self.field_between(source, row), "live": self.graph.parent(source) is not None, **self.row(source)}
            for source in sources
        ]

    def dominated_rows(self, node: int, most: int) -> tuple[list[Mapping[str, Any]], int]:
        """The objects below a node of the dominator tree that retain most, and how many there are."""
        below = self.graph.dominated(node)
        below = below[below < self.graph.objects]
        retained = self.index.column("retention", "retained")[below]
        chosen = _largest(retained, most)
        return [self.row(int(below[place])) for place in chosen], len(below)

    def row(self, row: int) -> dict[str, Any]:
        """Object, type and retained size as cells."""
        name = self.type_name(row)
        url = self._references.url("dump-type", self.type_of(row))
        return {"object": self.link(row), "type_name": Link(name, url), "retained": self.graph.retained(row)}

    def referrer_groups(self, row: int) -> list[dict[str, Any]]:
        """Referrers by type and field, most first."""
        sources = self.graph.referrers(row)[:_MOST_GROUPED]
        kinds = Counter(self.index.column("objects", "type")[sources].tolist())
        groups = []
        for kind, count in kinds.most_common(12):
            example = int(sources[np.flatnonzero(self.index.column("objects", "type")[sources] == kind)[0]])
            groups.append({"type": self._references.type(kind), "field": self.field_between(example, row), "count": count})
        return groups


#: Kinds whose array holds buckets of nodes.
_CHAINED = ("ConcurrentDictionary", "MemoryCache")


def _first(held: Mapping[str, int], names: tuple[str, ...]) -> int | None:
    return next((held[name] for name in names if name in held), None)


class Held(Protocol):
    """A field or element with its content."""

    name: str
    type_name: str
    text: str
    object: int
    missing: str


def value_rows(objects: Objects, values: Iterable[Held]) -> list[dict[str, Any]]:
    """Values of an object with the pages of the objects they refer to."""
    rows = []
    for one in values:
        found = objects.at(one.object) if one.object else None
        target = objects.link(found[0]) if found and found[1] else None
        rows.append({
            "name": visible(one.name, 200), "type_name": visible(one.type_name), "target": target,
            "text": visible(one.text, 5000), "missing": visible(one.missing, 300),
        })  # fmt: skip
    return rows


def _largest(values: np.ndarray, most: int) -> np.ndarray:  # type: ignore[type-arg]
    """Places of the largest values, the largest first."""
    chosen = np.argpartition(-values.astype(np.int64), most)[:most] if len(values) > most else np.arange(len(values))
    return chosen[np.argsort(-values[chosen].astype(np.int64), kind="stable")]
