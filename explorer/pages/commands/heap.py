"""Commands about the heap as a whole: dumpheap, eeheap, gchandles, finalizequeue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.index.retention import HANDLE_KINDS, NOT_LIVE
from analysis.index.schema import GENERATIONS
from explorer.pages.commands.answer import Cell, Line, columns, line
from explorer.pages.commands.language import Arguments, Command, CommandError, Option, parsed_address
from explorer.pages.commands.session import Session
from explorer.pages.names import visible
from explorer.pages.references import Piece

_DEPENDENT_KIND = HANDLE_KINDS.index("Dependent")
#: Objects looked at in one go, so that a large heap needs no large memory.
_BLOCK = 1 << 22
_WHOLE = 0xFFFF_FFFF
_PAGE = 4096
_GENERATIONS = {
    "gen0": 0, "0": 0, "gen1": 1, "1": 1, "gen2": 2, "2": 2, "loh": 3, "large": 3, "poh": 4, "pinned": 4, "foh": 5, "frozen": 5,
    "nongc": 5,
}  # fmt: skip
_HEAPS = (
    ("Small object heap", (("generation 0:", ("Generation0",)), ("generation 1:", ("Generation1",)),
                           ("generation 2:", ("Generation2",)), ("ephemeral:", ("Ephemeral",)))),
    ("NonGC heap", (("", ("Frozen",)),)),
    ("Large object heap", (("", ("Large",)),)),
    ("Pinned object heap", (("", ("Pinned",)),)),
)  # fmt: skip
_HANDLE_WORDS = {"AsyncPinned": "Async Pinned", "RefCounted": "Ref Count", "SizedRef": "Sized Ref"}

Rows = npt.NDArray[np.int64]


@dataclass(slots=True)
class _Chosen:
    """Objects that fit: how many and how large by type, by size where that was asked for, and the first of them."""

    counts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.float64]
    by_size: Counter[int] = field(default_factory=Counter)
    first: list[int] = field(default_factory=list)


def statistics(session: Session, counts: Sequence[int], sizes: Sequence[int]) -> Iterator[Line]:
    """MT, Count, TotalSize, Class Name of every type that has any, smallest first, and the sum."""
    kinds = sorted((kind for kind, count in enumerate(counts) if count), key=lambda kind: (sizes[kind], kind))
    shown = kinds[-session.most :]
    yield line("Statistics:")
    if len(kinds) > len(shown):
        yield line(f"… {len(kinds) - len(shown):,} smaller types before these")
    yield from columns(
        ("MT", "Count", "TotalSize", "Class Name"),
        [(session.method_table(k), f"{counts[k]:,}", f"{sizes[k]:,}", session.type_name(k)) for k in shown],
    )
    yield line(f"Total {sum(counts):,} objects, {sum(sizes):,} bytes")


def listed_objects(session: Session, rows: Sequence[int], total: int) -> Iterator[Line]:
    """Address, MT, Size of objects, and how many more there are."""
    sizes = session.sizes(np.asarray(rows, np.int64)).tolist()
    kinds = session.index.column("objects", "type")[rows].tolist() if rows else []
    yield from columns(
        ("Address", "MT", "Size"),
        [(session.address(row), session.method_table(kind), f"{size:,}")
         for row, kind, size in zip(rows, kinds, sizes, strict=True)],
        left=(),
    )  # fmt: skip
    if total > len(rows):
        yield line(f"… and {total - len(rows):,} more: narrow it down, or ask in SQL")


def _dumpheap(session: Session, arguments: Arguments) -> Iterator[Line]:
    if not session.index.rows["objects"]:
        raise CommandError("There is no managed heap in this dump.")
    if arguments.has("thinlock"):
        yield from _thin_locks(session)
        return
    chosen = _choose(session, arguments)
    total = int(chosen.counts.sum())
    if arguments.has("short"):
        for row in chosen.first:
            yield line(session.address(row))
        return
    if not arguments.has("stat"):
        yield from listed_objects(session, chosen.first, total)
        yield line()
    if arguments.has("strings"):
        yield from _string_statistics(session, chosen)
    else:
        yield from statistics(session, chosen.counts.tolist(), [int(size) for size in chosen.sizes.tolist()])


def _choose(session: Session, arguments: Arguments) -> _Chosen:
    index, types = session.index, session.index.rows["types"]
    wanted = _wanted_types(session, arguments)
    generation, state = _generation(arguments), _state(session, arguments)
    least, most = arguments.number("min"), arguments.number("max")
    bounds = [parsed_address(word) for word in arguments.words[:2]]
    addresses = session.objects.addresses
    first = int(np.searchsorted(addresses, np.uint64(bounds[0]))) if bounds else 0
    last = int(np.searchsorted(addresses, np.uint64(bounds[1]))) if len(bounds) > 1 else len(addresses)
    chosen = _Chosen(np.zeros(types, np.int64), np.zeros(types))
    for start in range(first, last, _BLOCK):
        part = slice(start, min(start + _BLOCK, last))
        kinds, sizes = np.asarray(index.column("objects", "type")[part]), _sizes(session, part)
        keep = wanted[kinds]
        if generation is not None:
            keep &= index.column("objects", "generation")[part] == generation
        if state is not None:
            keep &= (index.column("retention", "parent")[part] != NOT_LIVE) == state
        if least is not None:
            keep &= sizes >= least
        if most is not None:
            keep &= sizes <= most
        kinds, sizes = kinds[keep], sizes[keep]
        chosen.counts += np.bincount(kinds, minlength=types)
        chosen.sizes += np.bincount(kinds, weights=sizes, minlength=types)
        if arguments.has("strings"):
            chosen.by_size.update(dict(zip(*(part.tolist() for part in np.unique(sizes, return_counts=True)), strict=True)))
        if len(chosen.first) < session.most:
            chosen.first += (np.flatnonzero(keep)[: session.most - len(chosen.first)] + start).tolist()
    return chosen


def _wanted_types(session: Session, arguments: Arguments) -> npt.NDArray[np.bool_]:
    index = session.index
    wanted = np.ones(index.rows["types"], np.bool_)
    if arguments.has("strings"):
        wanted &= np.array([kind == "string" for kind in index.text("types", "kind").all], np.bool_)
    if arguments.has("type"):
        text = arguments.values["type"]
        wanted &= np.array([text.lower() in name.lower() for name in index.text("types", "name").all], np.bool_)
        if not wanted.any():
            raise CommandError(f"No type on the heap has {visible(text, 80)} in its name.")
    table = arguments.hexadecimal("mt")
    if table is not None:
        wanted &= session.method_tables == np.uint64(table)
        if not wanted.any():
            raise CommandError(f"No object on the heap has the method table {table:x}.")
    return wanted


def _generation(arguments: Arguments) -> int | None:
    text = arguments.values.get("gen")
    if text is not None and text.lower() not in _GENERATIONS:
        raise CommandError("-gen takes gen0, gen1, gen2, loh, poh or foh.")
    return _GENERATIONS[text.lower()] if text is not None else None


def _state(session: Session, arguments: Arguments) -> bool | None:
    if not arguments.has("live") and not arguments.has("dead"):
        return None
    if not session.objects.graph.built:
        raise CommandError("No references were followed in this dump, so nobody knows what lives.")
    return arguments.has("live")


def _sizes(session: Session, part: slice) -> npt.NDArray[np.uint64]:
    sizes = session.index.column("objects", "size")[part].astype(np.uint64)
    whole = np.flatnonzero(sizes == _WHOLE)
    if len(whole):
        sizes[whole] = session.sizes(whole + part.start)
    return sizes


def _string_statistics(session: Session, chosen: _Chosen) -> Iterator[Line]:
    kind = int(np.argmax(chosen.counts))
    base = int(session.index.column("types", "base_size")[kind])
    rows = [
        (f"{count:,}", f"{count * size:,}", f"{max(0, size - base) // 2:,} characters, hidden")
        for size, count in sorted(chosen.by_size.items(), key=lambda one: one[0] * one[1])
    ]
    yield line("Statistics:")
    yield from columns(("Count", "TotalSize", "String Value"), rows)
    yield line(f"Total {int(chosen.counts.sum()):,} objects, {int(chosen.sizes.sum()):,} bytes")


def _thin_locks(session: Session) -> Iterator[Line]:
    index = session.index
    rows = [row for row, form in enumerate(index.text("locks", "form").all) if form == "thin lock"]
    cells = []
    for row in rows[: session.most]:
        owner = int(index.column("locks", "owner")[row])
        at = int(index.column("locks", "object")[row])
        os_id = f"{int(index.column('threads', 'os_id')[owner]):x}" if owner >= 0 else ""
        recursion, name = int(index.column("locks", "recursion")[row]), visible(str(index.text("locks", "type_name")[row]))
        who = session.references.thread(owner) if owner >= 0 else ""
        cells.append((Piece(f"{at:x}", session.references.lock_url(row), "lock"), who, os_id, f"{recursion}", name))
    yield from columns(("Object", "Thread", "OSId", "Recursion", "Class Name"), cells)
    yield line(f"Found {len(rows):,} objects.")


def _eeheap(session: Session, arguments: Arguments) -> Iterator[Line]:
    index = session.index
    if not index.rows["segments"]:
        raise CommandError("The collector's segments are not in this dump.")
    names = ("heap", "start", "end", "committed_end")
    segments = list(zip(*(index.column("segments", name).tolist() for name in names), index.text("segments", "kind").all,
                        strict=True))  # fmt: skip
    heaps = sorted({segment[0] for segment in segments})
    allocated = committed = 0
    yield line(f"Number of GC Heaps: {len(heaps)}")
    for heap in heaps:
        yield line("-" * 30)
        if len(heaps) > 1:
            yield line(f"Heap {heap}")
        for title, parts in _HEAPS:
            rows = [(label, [one for one in segments if one[0] == heap and one[4] in kinds]) for label, kinds in parts]
            if not any(found for _, found in rows):
                continue
            yield line(title)
            for label, found in rows:
                if label and found:
                    yield line(label)
                if found:
                    yield from columns(("begin", "allocated", "committed", "allocated size", "committed size"),
                                       [_segment(*one[1:4]) for one in found], left=(3, 4))  # fmt: skip
                allocated += sum(end - start for _, start, end, _, _ in found)
                committed += sum(_committed(start, limit) for _, start, _, limit, _ in found)
    yield line("-" * 30)
    yield line(f"GC Allocated Heap Size:    Size: 0x{allocated:x} ({allocated}) bytes.")
    yield line(f"GC Committed Heap Size:    Size: 0x{committed:x} ({committed}) bytes.")


def _segment(start: int, end: int, limit: int) -> tuple[str, ...]:
    used, promised = max(0, end - start), _committed(start, limit)
    return f"{start:x}", f"{end:x}", f"{limit:x}", f"0x{used:x} ({used})", f"0x{promised:x} ({promised})"


def _committed(start: int, limit: int) -> int:
    """Bytes from the page before a segment's first object on: what the segment itself needs lies between."""
    return max(0, limit - ((start - 1) & -_PAGE))


def _gchandles(session: Session, arguments: Arguments) -> Iterator[Line]:
    index = session.index
    kinds, objects = np.asarray(index.column("handles", "kind")), np.asarray(index.column("handles", "object"))
    rows = np.flatnonzero(objects != NOT_LIVE)
    if arguments.has("type"):
        wanted = arguments.values["type"].lower()
        number = next((n for n, name in enumerate(HANDLE_KINDS) if name.lower() == wanted), None)
        if number is None:
            raise CommandError(f"-type takes one of {', '.join(HANDLE_KINDS)}.")
        rows = rows[kinds[rows] == number]
    if not arguments.has("stat"):
        yield from columns(("Handle", "Type", "Object", "Size", "Data", "Type"),
                           [_handle(session, row) for row in rows[: session.most].tolist()], left=(1, 5))  # fmt: skip
        if len(rows) > session.most:
            yield line(f"… and {len(rows) - session.most:,} more")
        yield line()
    held = objects[rows]
    types = np.asarray(index.column("objects", "type")[held])
    count = index.rows["types"]
    counts = np.bincount(types, minlength=count).tolist()
    sizes = np.bincount(types, weights=session.sizes(held.astype(np.int64)), minlength=count).astype(np.int64).tolist()
    yield from statistics(session, counts, sizes)
    yield line()
    yield line("Handles:")
    for kind, number in Counter(kinds[rows].tolist()).most_common():
        name = HANDLE_KINDS[kind] if kind < len(HANDLE_KINDS) else f"kind {kind}"
        words = _HANDLE_WORDS.get(name, name.replace("Weak", "Weak "))
        yield line(f"    {words + ' Handles:':<22}{number:,}")


def _handle(session: Session, row: int) -> tuple[Cell, ...]:
    index = session.index
    kind, held = int(index.column("handles", "kind")[row]), int(index.column("handles", "object")[row])
    second = int(index.column("handles", "secondary")[row])
    size = int(session.sizes(np.array([held]))[0])
    return (
        f"{int(index.column('handles', 'address')[row]):x}", HANDLE_KINDS[kind] if kind < len(HANDLE_KINDS) else str(kind),
        session.address(held), f"{size:,}", session.address(second) if kind == _DEPENDENT_KIND and second != NOT_LIVE else "",
        session.type_name(session.objects.type_of(held)),
    )  # fmt: skip


def _finalizequeue(session: Session, arguments: Arguments) -> Iterator[Line]:
    index = session.index
    objects = np.asarray(index.column("finalizer_queue", "object")).astype(np.int64)
    ready = np.asarray(index.column("finalizer_queue", "ready"))
    generations = np.asarray(index.column("objects", "generation")[objects[~ready]])
    for number, name in enumerate(GENERATIONS):
        count = int((generations == number).sum())
        if count or number < 3:
            yield line(f"{name.replace('Generation', 'generation ')} has {count:,} objects")
    yield line(f"Ready for finalization {int(ready.sum()):,} objects")
    chosen = objects[ready] if arguments.has("allready") else objects
    yield line("-" * 30)
    yield line("All objects that are ready for finalization:" if arguments.has("allready")
               else "Statistics for all finalizable objects (including all objects ready for finalization):")  # fmt: skip
    if not arguments.has("stat"):
        yield from listed_objects(session, chosen[: session.most].tolist(), len(chosen))
        yield line()
    types, count = np.asarray(index.column("objects", "type")[chosen]), index.rows["types"]
    sizes = np.bincount(types, weights=session.sizes(chosen), minlength=count).astype(np.int64).tolist()
    yield from statistics(session, np.bincount(types, minlength=count).tolist(), sizes)


_STAT = Option("stat", "", "the sum by type only")

COMMANDS = (
    Command(
        "dumpheap", "the objects of the heap, and their sum by type", _dumpheap, "[START [END]]",
        (
            _STAT,
            Option("type", "TEXT", "types with this text in their name"),
            Option("mt", "ADDRESS", "the type with this method table"),
            Option("min", "BYTES", "objects of at least this size"),
            Option("max", "BYTES", "objects of at most this size"),
            Option("gen", "GENERATION", "gen0, gen1, gen2, loh, poh or foh"),
            Option("live", "", "objects that a root keeps alive"),
            Option("dead", "", "objects that nothing keeps alive"),
            Option("strings", "", "strings, summed by length"),
            Option("thinlock", "", "objects with a thin lock"),
            Option("short", "", "addresses only"),
        ),
        differs="texts of strings are values and stay hidden; sizes are decimal, or hexadecimal with 0x.",
    ),
    Command(
        "eeheap", "segments or regions of the managed heap", _eeheap, options=(Option("gc", "", "the managed heap (always)"),),
        differs="the loader's own heaps are not listed, and a segment is named by its first object.",
    ),
    Command(
        "gchandles", "handles, the types they refer to, and how many of each kind", _gchandles,
        options=(_STAT, Option("type", "KIND", "handles of one kind: Strong, Pinned, WeakShort …")),
    ),
    Command(
        "finalizequeue", "objects that have a finalizer, and those that wait for it", _finalizequeue,
        options=(_STAT, Option("allready", "", "only those that wait for the finalizer thread")), aliases=("fq",),
    ),
)  # fmt: skip
