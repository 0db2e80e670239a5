"""The front page of a finished analysis: one sentence, the big numbers, the biggest types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.numbers import grouped, percent, readable_bytes
from explorer.pages.types import DEAD, LIVE, TypeCatalogue


def sentence(index: Index, types: TypeCatalogue) -> str:
    """What this process looked like, in words, from what is known for certain."""
    summary = index.facts("summary")
    threads, process = summary.get("threads") or {}, summary.get("process") or {}
    parts = []
    if types.heap_size:
        parts.append(_heap_words(types))
    managed = threads.get("managed") or 0
    if managed:
        background, failing = threads.get("background") or 0, threads.get("with_exception") or 0
        words = f"{grouped(managed)} managed {'thread' if managed == 1 else 'threads'}, {grouped(background)} of them background"
        carrying = f"; {grouped(failing)} {'carries' if failing == 1 else 'carry'} an exception" if failing else ""
        parts.append(words + carrying + ".")
    if process.get("signal"):
        parts.append(f"The process was ended by {visible(str(process['signal']), 60)}.")
    return " ".join(parts)


def _heap_words(types: TypeCatalogue) -> str:
    biggest = int(types.order("size", None)[-1])
    share = percent(int(types.size[biggest]), types.heap_size)
    name = "free blocks" if types.kinds[biggest] == "free" else visible(types.names[biggest], 80)
    return (
        f"{readable_bytes(types.heap_size)} on the managed heap in {grouped(types.count_of_objects)} objects; "
        f"the biggest part is {name} with {share} %."
    )


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the heap; ``start`` and ``width`` place it on the bar, in per cent."""

    name: str
    tone: str
    url: str
    count: int
    size: int
    share: tuple[int, int]
    start: float
    width: float


def split(types: TypeCatalogue, types_url: str, free_url: str) -> list[Part]:
    """The heap as live objects, dead objects and free blocks; empty where the index does not know which objects live."""
    if not types.has_graph:
        return []
    free = tuple(int(column[types.is_free].sum()) for column in types.shown(None))
    live, dead = (tuple(int(column.sum()) for column in types.shown(None, objects)) for objects in (LIVE, DEAD))
    parts, start = [], 0.0
    for name, tone, (count, size) in (("Live", LIVE, live), ("Dead", DEAD, dead), ("Free", "free", free)):
        width = 100 * size / types.heap_size
        url = free_url if tone == "free" else f"{types_url}?objects={tone}"
        parts.append(Part(name, tone, url, count, size, (size, types.heap_size), round(start, 2), round(width, 2)))
        start += width
    return parts


def split_words(parts: list[Part]) -> str:
    """What the split means, in words."""
    live, dead, free = parts
    words = f"{percent(*live.share)} % of the heap is alive. "
    if dead.size > live.size:
        words += "Dead objects take more than live ones: they wait for a collection, and the process needs less than it holds. "
    else:
        words += f"{readable_bytes(dead.size)} belong to dead objects, which a full collection would free. "
    return words + f"{readable_bytes(free.size)} lie free between objects."


def facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts card: label and text. Paths and the command line are not in every viewer's summary."""
    dump, process, runtime = (summary.get(part) or {} for part in ("dump", "process", "runtime"))
    collector, threads = summary.get("gc") or {}, summary.get("threads") or {}
    rows = [
        ("Process", f"{process.get('name') or 'unknown'}, pid {process.get('pid') or 'unknown'}"),
        (
            "Runtime",
            f"{runtime.get('name') or '.NET'} {runtime.get('version') or 'unknown version'}, {runtime.get('deployment') or ''}",
        ),
        ("System", f"{dump.get('operating_system') or ''} {dump.get('architecture') or ''}".strip()),
        (
            "Dump",
            f"{dump.get('kind') or 'unknown kind'}, {dump.get('format') or ''}, by {dump.get('written_by') or 'an unknown tool'}",
        ),
        ("Collector", _collector_words(collector) if collector else ""),
        ("Threads", _thread_words(threads, process)),
        ("Ended by", str(process.get("signal") or "")),
        ("Path", process.get("path") or ""),
        ("Command line", process.get("command_line") or ""),
    ]
    return [(label, visible(text.strip(", "), 400)) for label, text in rows if text.strip(", ")]


def _collector_words(collector: dict[str, Any]) -> str:
    flavour = "server" if collector.get("server") else "workstation"
    heaps = collector.get("heaps") or 0
    layout = "regions" if collector.get("regions") else "segments"
    return f"{flavour} GC, {heaps} {'heap' if heaps == 1 else 'heaps'}, {layout}"


def _thread_words(threads: dict[str, Any], process: dict[str, Any]) -> str:
    managed = threads.get("managed")
    if managed is None:
        return ""
    system = process.get("threads")
    return f"{grouped(managed)} managed" + (f" of {grouped(system)} in the process" if system else "")
