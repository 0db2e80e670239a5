"""Commands about one object: dumpobj, dumparray, objsize, gcroot."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from analysis.index.retention import NOT_LIVE, ROOT_KINDS
from explorer.pages.commands.answer import Cell, Line, columns, line
from explorer.pages.commands.heap import listed_objects, statistics
from explorer.pages.commands.language import Arguments, Command, CommandError, Option
from explorer.pages.commands.session import Session
from explorer.pages.instances import field_rows
from explorer.pages.names import visible
from explorer.pages.references import Piece

_POINTER = 8
#: How long one command may follow references; what it found until then is told as a lower bound.
_SECONDS = 2.0
_MOST_ROOTS = 20
#: Of a longer way its beginning and its end are shown.
_MOST_HOPS = 40
_HIDDEN = "hidden"

Rows = npt.NDArray[np.int64]


def _object(session: Session, arguments: Arguments, place: int = 0) -> int:
    """The row of the object at the address that was asked for."""
    address = arguments.address(place)
    found = session.objects.at(address) if session.index.rows["objects"] else None
    if found is None:
        raise CommandError(f"No object lies at {address:x}.")
    row, begins = found
    if not begins:
        at = int(session.objects.addresses[row])
        raise CommandError(f"{address:x} lies inside an object, {session.objects.type_name(row)} at {at:x}: ask for that one.")
    return row


def _size(session: Session, row: int) -> int:
    return int(session.sizes(np.array([row]))[0])


def _head(session: Session, row: int) -> Iterator[Line]:
    """Name, method table, size and file of an object."""
    index, kind, size = session.index, session.objects.type_of(row), _size(session, row)
    module = int(index.column("types", "module")[kind])
    yield line("Name:        ", session.type_name(kind))
    yield line("MethodTable: ", session.method_table(kind))
    yield line(f"Size:        {size:,} (0x{size:x}) bytes")
    if module >= 0 and str(index.text("types", "kind")[kind]) != "free":
        yield line(f"File:        {visible(str(index.text('modules', 'name')[module]), 260)}")


def _dumpobj(session: Session, arguments: Arguments) -> Iterator[Line]:
    row = _object(session, arguments)
    kind = session.objects.type_of(row)
    yield from _head(session, row)
    length = session.objects.length(row)
    what = str(session.index.text("types", "kind")[kind])
    if what == "string":
        yield line(f"String:      {length:,} characters, {_HIDDEN}")
    elif length is not None:
        yield line(f"Array:       {length:,} elements; dumparray lists them")
        return
    yield line("Fields:")
    yield from columns(("MT", "Offset", "Type", "VT", "Attr", "Value", "Name"), _fields(session, row, kind), left=(6,))


def _fields(session: Session, row: int, kind: int) -> Iterator[tuple[Cell, ...]]:
    """Every field in SOS's columns: references lead to their object, values stay hidden."""
    own, static = field_rows(session.index, kind)
    held: dict[int, int] = {}
    if session.objects.graph.built:
        targets, slots = session.objects.graph.references(row)
        held = dict(zip((slots.astype(np.int64) * _POINTER).tolist(), targets.tolist(), strict=True))
    for one, attribute in [*((field, "instance") for field in own), *((field, "static") for field in static)]:
        by_value = one["element"] not in ("Class", "Object", "String", "Array", "SZArray")
        # An offset counts from behind the method table pointer in the index and from its beginning in SOS.
        offset = one["offset"] + (_POINTER if attribute == "instance" else 0)
        value: Cell = _HIDDEN
        if not by_value and attribute == "instance" and session.objects.graph.built:
            value = session.address(held[offset]) if offset in held else "null"
        table, by = _table_of(session, one["type_name"]), "Yes" if by_value else "No"
        yield table, f"{offset:x}", one["type_name"], by, attribute, value, one["name"]


def _table_of(session: Session, type_name: str) -> Cell:
    """The method table of a field's type where objects of it are on the heap."""
    names = session.index.text("types", "name").all
    return session.method_table(names.index(type_name)) if type_name in names else ""


def _dumparray(session: Session, arguments: Arguments) -> Iterator[Line]:
    row = _object(session, arguments)
    objects, kind = session.objects, session.objects.type_of(row)
    length = objects.length(row)
    if length is None or str(session.index.text("types", "kind")[kind]) == "string":
        raise CommandError(f"{objects.type_name(row)} is no array: dumpobj shows its fields.")
    yield from _head(session, row)
    yield line(f"Array:       {length:,} elements")
    first = arguments.number("start") or 0
    count = arguments.number("length")
    last = min(length, first + (count if count is not None else session.most), first + session.most)
    if not bool(session.index.column("types", "contains_pointers")[kind]):
        yield line(f"Its elements are values, {_HIDDEN}.")
        return
    if not objects.graph.built:
        yield line("No references were followed in this dump, so its elements are not known.")
        return
    targets, slots = objects.graph.references(row)
    component = int(session.index.column("types", "component_size")[kind])
    base = int(session.index.column("types", "base_size")[kind]) - _POINTER
    places = (slots.astype(np.int64) * _POINTER - base) // max(component, 1)
    low, high = np.searchsorted(places, [first, last]).tolist()
    at = low
    for place in range(first, last):
        if at >= high or int(places[at]) != place:
            yield line(f"[{place}] null")
        while at < high and int(places[at]) == place:
            yield line(f"{objects.field(row, int(slots[at]))} ", session.address(int(targets[at])), " ",
                       session.type_name(objects.type_of(int(targets[at]))))  # fmt: skip
            at += 1
    if last < length:
        yield line(f"… and {length - last:,} more: -start {last}")


def _referenced(session: Session, rows: Rows) -> Rows:
    """What these objects refer to, each once."""
    return _joined(session, "reference_offsets", "references", "target", rows)


def _referrers(session: Session, rows: Rows) -> Rows:
    """Objects that refer to these, each once."""
    return _joined(session, "referrer_offsets", "referrers", "source", rows)


def _joined(session: Session, offsets: str, table: str, column: str, rows: Rows) -> Rows:
    first = session.index.column(offsets, "first")
    starts, counts = first[rows].astype(np.int64), first[rows + 1].astype(np.int64) - first[rows]
    places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    return np.unique(session.index.column(table, column)[places]).astype(np.int64)


def _objsize(session: Session, arguments: Arguments) -> Iterator[Line]:
    row = _object(session, arguments)
    if not session.objects.graph.built:
        raise CommandError("No references were followed in this dump.")
    seen = np.zeros(session.index.rows["objects"], np.bool_)
    level, until, order = np.array([row]), time.monotonic() + _SECONDS, []
    while len(level) and time.monotonic() < until:
        seen[level] = True
        order.append(level)
        level = _referenced(session, level)
        level = level[~seen[level]]
    found = np.concatenate(order)
    at = session.address(row)
    yield line("Objects which ", at, f" ({session.objects.type_name(row)}) transitively keep alive:")
    if len(level):
        yield line(f"More than can be followed in {_SECONDS:.0f} s: what is listed is the beginning, nearest first.")
    yield line()
    yield from listed_objects(session, found[: session.most].tolist(), len(found))
    yield line()
    count, types = session.index.rows["types"], np.asarray(session.index.column("objects", "type")[found])
    sizes = np.bincount(types, weights=session.sizes(found), minlength=count).astype(np.int64).tolist()
    yield from statistics(session, np.bincount(types, minlength=count).tolist(), sizes)
    yield line(f"Without it {session.objects.graph.retained(row):,} bytes of them would be free (its retained size).")


def _gcroot(session: Session, arguments: Arguments) -> Iterator[Line]:
    row, graph = _object(session, arguments), session.objects.graph
    if not graph.built:
        raise CommandError("No references were followed in this dump.")
    if graph.parent(row) is None:
        yield line("Found 0 unique roots: nothing keeps it alive.")
        return
    found = _ways(session, row)
    if found is None:
        nodes, left_out = graph.root_path(row, _MOST_HOPS)
        yield from _shown(session, [([node for node in nodes if node < graph.objects], left_out, nodes[1] - graph.objects)])
        yield line("At least 1 root: there is more above it than can be followed, so only the nearest one is shown.")
        return
    most = session.most if arguments.has("all") else _MOST_ROOTS
    yield from _shown(session, found[:most])
    rest = f", the {most} with the shortest way shown; -all shows more" if len(found) > most else ""
    yield line(f"Found {len(found):,} {'roots' if len(found) != 1 else 'root'}{rest}.")


#: Objects from the one a root refers to down to the one asked for, how many behind the first are left out, and the root.
_Way = tuple[list[int], int, int]


def _ways(session: Session, row: int) -> list[_Way] | None:
    """A shortest way from every root that leads to an object, the shortest first; None when there is too much above it."""
    following = _ancestors(session, row)
    if following is None:
        return None
    held = np.asarray(session.index.column("roots", "object")).astype(np.int64)
    found: list[_Way] = []
    for root in np.flatnonzero(np.isin(held, np.fromiter(following, np.int64))).tolist():
        way = [int(held[root])]
        while way[-1] != row:
            way.append(following[way[-1]])
        left_out = max(0, len(way) - _MOST_HOPS)
        found.append(([way[0], *way[1 + left_out :]], left_out, root))
    return sorted(found, key=lambda one: len(one[0]) + one[1])


def _shown(session: Session, ways: list[_Way]) -> Iterator[Line]:
    title = ""
    for way, left_out, root in ways:
        section, place = _root(session, root)
        if section != title:
            yield line(section)
            title = section
        yield line("    ", *place)
        for number, hop in enumerate(way):
            if number == 1 and left_out:
                yield line(f"          … {left_out:,} more")
            yield line("          -> ", session.address(hop), "     ", session.type_name(session.objects.type_of(hop)))
        yield line()


def _ancestors(session: Session, row: int) -> dict[int, int] | None:
    """Live objects from which the object can be reached, nearest first, with the next object on a shortest way to it; None
    when time ran out before all were found."""
    parents = session.index.column("retention", "parent")
    following = {row: row}
    level, until = [row], time.monotonic() + _SECONDS
    while level:
        if time.monotonic() > until:
            return None
        nearer = []
        for one in level:
            for source in session.objects.graph.referrers(one).tolist():
                if source not in following and parents[source] != NOT_LIVE:
                    following[source] = one
                    nearer.append(source)
        level = nearer
    return following


def _root(session: Session, root: int) -> tuple[str, list[Cell]]:
    """Under which heading a root stands, and its own line."""
    index = session.index
    kind = ROOT_KINDS[int(index.column("roots", "kind")[root])]
    address = int(index.column("roots", "address")[root])
    name = visible(str(index.text("roots", "name")[root]))
    group, frame = int(index.column("roots", "group")[root]), int(index.column("roots", "frame")[root])
    thread = int(index.column("root_groups", "thread")[group])
    guessed = " (found by scanning)" if bool(index.column("roots", "conservative")[root]) else ""
    if thread >= 0:
        title = f"Thread {int(index.column('threads', 'os_id')[thread]):x}:"
        if frame < 0:
            return title, [f"{name} ({kind})"]
        sp, ip = int(index.column("frames", "sp")[frame]), int(index.column("frames", "ip")[frame])
        where = f"{name}: " if name else ""
        method = session.references.frame(frame)
        return title, [f"{sp:x} {ip:x} ", Piece(method.title, method.url, "frame"), f" {where}{address:016x}{guessed}"]
    link = session.references.root(root)
    if kind == "static":
        return "Static fields:", [Piece(name, link.url, "root")]
    return ("HandleTable:" if kind.endswith("handle") else "Finalizer queue:"), [f"{address:016x} ({kind})"]


COMMANDS = (
    Command(
        "dumpobj", "one object: type, size, fields", _dumpobj, "ADDRESS", aliases=("do",),
        differs="numbers and texts are values and stay hidden; references lead on.",
    ),
    Command(
        "dumparray", "the elements of an array", _dumparray, "ADDRESS",
        (Option("start", "N", "the first element"), Option("length", "N", "how many")), aliases=("da",),
        differs="elements that are values stay hidden.",
    ),
    Command(
        "objsize", "what an object keeps alive, directly and through others", _objsize, "ADDRESS",
        differs="the retained size is told too.",
    ),
    Command(
        "gcroot", "what keeps an object alive, from the root down", _gcroot, "ADDRESS", (Option("all", "", "all roots"),),
        differs="a way is a shortest one, static fields stand under their own name.",
    ),
)  # fmt: skip
