"""The managed heap as the garbage collector lays it out: generations, segments or regions, and their memory map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.index.retention import HANDLE_KINDS, NOT_LIVE
from analysis.index.store import Index
from explorer.pages.generations import BY_NAME, GENERATION_LIST, label
from explorer.pages.names import visible
from explorer.pages.numbers import address, grouped, percent, readable_bytes
from explorer.pages.tables import Link, structure

GENERATION_COLUMNS = (
    structure("generation", "Generation", "text", sortable=False),
    structure("count", "Objects", "number", about="Objects that are not free blocks"),
    structure("size", "Used", "number", "B", "Bytes in objects that are not free blocks"),
    structure("free_count", "Free blocks", "number"),
    structure("free_size", "Free", "number", "B", "Bytes in free blocks between objects"),
    structure("fragmentation", "Fragmented", "share", "%", "Free part of used and free bytes", sortable=False, exported=False),
    structure("committed", "Committed", "number", "B", "Bytes the operating system has promised for it"),
)

SEGMENT_COLUMNS = (
    structure("number", "No.", "number"),
    structure("heap", "Heap", "number"),
    structure("kind", "Kind", "text"),
    structure("start", "First object", "address"),
    structure("end", "Allocated to", "address"),
    structure("objects", "Objects", "number"),
    structure("live_bytes", "Used", "number", "B", "Bytes in objects that are not free blocks"),
    structure("free_bytes", "Free", "number", "B", "Bytes in free blocks"),
    structure("committed", "Committed", "number", "B"),
    structure("reserved", "Reserved", "number", "B"),
)

CONTEXT_COLUMNS = (
    structure("pointer", "Next allocation", "address"),
    structure("limit", "Limit", "address"),
    structure("left", "Left", "number", "B"),
)

GAP_COLUMNS = (
    structure("segment", "Segment", "number"),
    structure("start", "From", "address"),
    structure("end", "Went on at", "address"),
    structure("bytes", "Lost", "number", "B"),
    structure("cause", "What was found there", "text"),
)

#: More cells than this are counted, not drawn: a page with thousands of shapes is slow and says no more.
_MOST_CELLS = 600
_MOST_GAPS_IN_CELL = 200
_MAP_PIXELS = 2600
_CELL_HEIGHT = 34
#: Free room in an old generation is worth a warning from this size and share on, as in the rule about fragmented heaps.
_FREE_BYTES, _FREE_SHARE = 5_000_000, 0.4
#: The old generations in words, and why gaps in them matter.
_OLD = {
    "Generation2": (
        "generation 2",
        "The process keeps this memory until a compacting collection closes the gaps; around pinned objects it cannot.",
    ),
    "Large": (
        "the large object heap",
        "Large objects are not moved by default: only an object that fits into a gap fills it, and until then the process keeps "
        "the memory.",
    ),
    "Pinned": ("the pinned object heap", "Objects there never move: only an object that fits into a gap fills it."),
}


def generation_rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Live and free objects per generation, from the summary."""
    rows = []
    for entry in summary.get("generations") or []:
        free = int(entry.get("free_size") or 0)
        live = int(entry["size"]) - free
        rows.append(
            {
                "name": entry["name"],
                "generation": label(entry["name"]),
                "count": int(entry["count"]) - int(entry.get("free_count") or 0),
                "size": live,
                "free_count": int(entry.get("free_count") or 0),
                "free_size": free,
                "fragmentation": (free, live + free),
                "committed": entry.get("committed_bytes"),
            }
        )
    position = {each.name: each.number for each in GENERATION_LIST}
    return sorted(rows, key=lambda row: position.get(row["name"], 99))


def fragmentation_words(rows: list[dict[str, Any]]) -> str:
    """Where the free room between objects is, and whether it matters; "" for a heap without objects."""
    whole = {row["name"]: row["free_size"] + row["size"] for row in rows}
    free = {row["name"]: row["free_size"] for row in rows}
    if not any(whole.values()):
        return ""
    if not any(free.values()):
        return "No room lies free between objects: the heap is not fragmented."
    bad = [name for name in _OLD if free.get(name, 0) >= max(_FREE_BYTES, _FREE_SHARE * whole.get(name, 0))]
    if bad:
        worst = max(bad, key=free.__getitem__)
        words, why = _OLD[worst]
        share = percent(free[worst], whole[worst])
        return f"{readable_bytes(free[worst])} of {words}, {share} %, are gaps between objects: it is fragmented. {why}"
    most = max(free, key=free.__getitem__)
    words, why = (_OLD[most][0], "too little to cost anything") if most in _OLD else (label(most), "which empties by itself")
    found = f"{readable_bytes(sum(free.values()))}, {percent(sum(free.values()), sum(whole.values()))} % of the heap"
    return f"Fragmentation does not matter here: {found}, lie free between objects, most of it in {words}, {why}."


def segment_rows(index: Index) -> list[dict[str, Any]]:
    """Every segment or region with its bytes."""
    names = ("heap", "start", "end", "committed_end", "reserved_end", "objects", "live_bytes", "free_bytes")
    columns = {key: index.column("segments", key).tolist() for key in names}
    kinds = index.text("segments", "kind").all
    rows = []
    for number in range(index.rows["segments"]):
        row: dict[str, Any] = {key: columns[key][number] for key in names}
        row.update(
            number=number,
            kind=label(kinds[number]),
            kind_name=kinds[number],
            committed=max(0, row["committed_end"] - row["start"]),
            reserved=max(0, row["reserved_end"] - row["start"]),
        )
        if row["end"] > row["start"] and not row["objects"]:
            # Bytes were allocated here, but not one object of them was seen: unknown is not 0.
            row.update(objects=None, live_bytes=None, free_bytes=None)
        rows.append(row)
    return rows


def context_rows(index: Index) -> list[dict[str, Any]]:
    """Allocation contexts and what is left in each."""
    pointers = index.column("allocation_contexts", "pointer").tolist()
    limits = index.column("allocation_contexts", "limit").tolist()
    return [{"pointer": at, "limit": end, "left": max(0, end - at)} for at, end in zip(pointers, limits, strict=True)]


def gap_rows(index: Index) -> list[dict[str, Any]]:
    """Parts of the heap that could not be walked."""
    starts, ends = index.column("gaps", "start").tolist(), index.column("gaps", "end").tolist()
    segments, causes = index.column("gaps", "segment").tolist(), index.text("gaps", "cause")
    return [
        {"segment": segment, "start": start, "end": end, "bytes": max(0, end - start), "cause": visible(causes[row], 300)}
        for row, (segment, start, end) in enumerate(zip(segments, starts, ends, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of a map cell in pixels; ``tone`` names its colour."""

    x: float
    y: float
    width: float
    height: float
    tone: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One segment on the map: width is bytes, filled height is the part of them that is in use."""

    number: int
    width: int
    height: int
    blocks: tuple[Block, ...]
    title: str


@dataclass(frozen=True)
class HeapMap:
    """The cells of one GC heap in address order."""

    heap: int
    cells: tuple[Cell, ...]
    live: int
    committed: int


def memory_map(rows: list[dict[str, Any]], index: Index) -> tuple[list[HeapMap], int]:
    """The map of all heaps, and how many segments were left off it."""
    drawn = sorted(rows, key=lambda row: (row["heap"], row["start"]))[:_MOST_CELLS]
    whole = sum(max(row["committed"], row["end"] - row["start"]) for row in drawn) or 1
    scale = _MAP_PIXELS / whole
    bounds = index.column("segments", "generation_bounds")
    gaps: dict[int, list[dict[str, Any]]] = {}
    for gap in gap_rows(index):
        gaps.setdefault(gap["segment"], []).append(gap)
    maps = []
    for heap in sorted({row["heap"] for row in drawn}):
        own = [row for row in drawn if row["heap"] == heap]
        cells = tuple(_cell(row, scale, bounds[row["number"]], gaps.get(row["number"], [])) for row in own)
        live, committed = sum(row["live_bytes"] or 0 for row in own), sum(row["committed"] for row in own)
        maps.append(HeapMap(heap, cells, live, committed))
    return maps, max(0, len(rows) - _MOST_CELLS)


def _cell(row: dict[str, Any], scale: float, bounds: np.ndarray[Any, Any], gaps: list[dict[str, Any]]) -> Cell:
    allocated = max(0, row["end"] - row["start"])
    unknown = row["objects"] is None
    used = 0.0 if unknown or not allocated else row["live_bytes"] / allocated
    width = max(4.0, max(allocated, row["committed"]) * scale)
    blocks = [Block(0, 0, round(width, 1), _CELL_HEIGHT, "committed")]
    for start, end, tone in _spans(row, bounds):
        x, wide = (start - row["start"]) * scale, (end - start) * scale
        if allocated and wide < 2 and start == row["start"]:
            wide = 2.0
        filled = _CELL_HEIGHT * used
        blocks.append(Block(round(x, 1), 0, round(wide, 1), _CELL_HEIGHT, f"{tone} free"))
        if not unknown:
            blocks.append(Block(round(x, 1), round(_CELL_HEIGHT - filled, 1), round(wide, 1), round(filled, 1), tone))
    for gap in gaps[:_MOST_GAPS_IN_CELL]:
        x = (gap["start"] - row["start"]) * scale
        blocks.append(Block(round(x, 1), 0, max(2.0, round(gap["bytes"] * scale, 1)), _CELL_HEIGHT, "gap"))
    if row["reserved"] > row["committed"]:
        blocks.append(Block(round(width, 1), 0, 5, _CELL_HEIGHT, "reserved"))
        width += 6
    return Cell(row["number"], round(width + 0.5), _CELL_HEIGHT, tuple(blocks), _cell_title(row, allocated, gaps))


def _spans(row: dict[str, Any], bounds: np.ndarray[Any, Any]) -> list[tuple[int, int, str]]:
    """The allocated part split by generation; only an ephemeral segment holds more than one."""
    start, end = row["start"], row["end"]
    if row["kind_name"] in BY_NAME:
        return [(start, end, BY_NAME[row["kind_name"]].slug)]
    spans = []
    for number, slug in enumerate(("gen0", "gen1", "gen2")):
        low, high = max(start, int(bounds[2 * number])), min(end, int(bounds[2 * number + 1]))
        if low < high:
            spans.append((low, high, slug))
    return sorted(spans) or [(start, end, "gen0")]


def _cell_title(row: dict[str, Any], allocated: int, gaps: list[dict[str, Any]]) -> str:
    lost = f", {len(gaps)} gaps" if gaps else ""
    if row["objects"] is None:
        inside = "its contents are not in this dump"
    else:
        inside = f"{percent(row['live_bytes'], allocated)} % of it in use, {grouped(row['objects'])} objects{lost}"
    return (
        f"{row['kind']} {address(row['start'])}: {readable_bytes(allocated)} allocated, {inside}, "
        f"{readable_bytes(row['committed'])} committed, {readable_bytes(row['reserved'])} reserved"
    )


HANDLE_COLUMNS = (
    structure("kind", "Kind", "text"),
    structure("count", "Handles", "number"),
    structure("what", "What it does", "sentence"),
    structure("types", "Most refer to", "sentence"),
)
QUEUE_COLUMNS = (
    structure("type_name", "Type", "name"),
    structure("waiting", "Alive, with a finalizer", "number"),
    structure("ready", "Dead, waiting for it", "number"),
)
_HANDLE_WORDS = {
    "WeakShort": "does not keep its object alive",
    "WeakLong": "weak, also while the finalizer runs",
    "Strong": "keeps its object alive",
    "Pinned": "keeps its object alive and in its place",
    "RefCounted": "keeps its object alive while somebody counts on it",
    "Dependent": "keeps a second object alive as long as the first one lives",
    "AsyncPinned": "pinned while input or output is under way",
    "SizedRef": "keeps its object alive, its size is measured",
    "WeakInterior": "weak, points into an object",
}
_MOST_TYPES = 3


def handle_rows(index: Index, type_label: Callable[[int], str]) -> list[dict[str, Any]]:
    """Handles by kind, most first."""
    kinds, objects = np.asarray(index.column("handles", "kind")), np.asarray(index.column("handles", "object"))
    rows = []
    for kind in np.unique(kinds).tolist():
        held = objects[kinds == kind]
        types = Counter(index.column("objects", "type")[held[held != NOT_LIVE]].tolist())
        name = HANDLE_KINDS[kind] if kind < len(HANDLE_KINDS) else f"kind {kind}"
        rows.append({
            "kind": name, "what": _HANDLE_WORDS.get(name, ""), "count": len(held),
            "types": ", ".join(f"{type_label(one)} ({count:,})" for one, count in types.most_common(_MOST_TYPES)),
        })  # fmt: skip
    return sorted(rows, key=lambda row: -row["count"])


def queue_rows(index: Index, type_link: Callable[[int], Link]) -> list[dict[str, Any]]:
    """The finalizer queue by type: those that wait first."""
    objects, ready = np.asarray(index.column("finalizer_queue", "object")), np.asarray(index.column("finalizer_queue", "ready"))
    kinds = index.column("objects", "type")[objects]
    waiting, dead = Counter(kinds[~ready].tolist()), Counter(kinds[ready].tolist())
    rows = [{"type_name": type_link(kind), "waiting": waiting[kind], "ready": dead[kind]} for kind in {*waiting, *dead}]
    return sorted(rows, key=lambda row: (-row["ready"], -row["waiting"]))
