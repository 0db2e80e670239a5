"""The heap as the garbage collector lays it out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from explorer.exports import export_response
from explorer.pages import garbage_collector as collector
from explorer.pages import pinned
from explorer.pages.generations import GENERATION_LIST
from explorer.pages.names import visible
from explorer.pages.tables import Column, Link, ListedRows, Query, Table, sorted_rows
from explorer.views.dump_page import DumpPage, with_index

_MOST_PINNED = 100


@require_GET
@with_index("gc")
def garbage_collector(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """Generations, the memory map, segments, allocation contexts, gaps, settings."""
    summary, segments = page.frame.summary, collector.segment_rows(page.index)
    heap, settings = summary.get("heap") or {}, summary.get("gc") or {}
    generations, fixed = collector.generation_rows(summary), pinned.Pinned(page.index, page.references)
    noun = "regions" if settings.get("regions") else "segments"
    query = Query.read(request.GET.dict(), collector.SEGMENT_COLUMNS, "number")
    listed = [{**row, "anchor": f"segment-{row['number']}"} for row in sorted_rows(segments, query)]
    tables = (
        Table("segments", noun.capitalize(), collector.SEGMENT_COLUMNS, query, ListedRows(listed), "No segments.", noun),
        _whole("generations", "Generations", collector.GENERATION_COLUMNS, generations, "generations"),
        *_further_tables(page, fixed),
    )
    if file := export_response(request, page.file_name, *tables):
        return file
    maps, left_off = collector.memory_map(segments, page.index)
    context = {
        "page": page,
        "frame": page.frame,
        "maps": maps,
        "left_off": left_off,
        **{table.name: table for table in tables},
        "pinned_says": fixed.words() if page.index.rows["roots"] else "",
        "fragmentation": collector.fragmentation_words(generations) if page.frame.has_heap else "",
        "finalizer": _finalizer(page),
        "noun": noun,
        "settings": settings,
        "heap": heap,
        "committed": heap.get("committed_bytes") or sum(row["committed"] for row in segments),
        "reserved": heap.get("reserved_bytes") or sum(row["reserved"] for row in segments),
        "live": sum(row["live_bytes"] or 0 for row in segments),
        "average_free": _average(heap),
        "legend": _legend(page),
        "free_share": (heap.get("free_bytes") or 0, heap.get("bytes") or 0),
    }
    return render(request, "gc/garbage_collector.html", context)


def _further_tables(page: DumpPage, fixed: pinned.Pinned) -> tuple[Table, ...]:
    footnote = ", the largest; the export has all" if fixed.total > _MOST_PINNED else ""
    shown = Query.unpaged(min(fixed.total, _MOST_PINNED))
    return (
        _whole("contexts", "Allocation contexts", collector.CONTEXT_COLUMNS, collector.context_rows(page.index), "contexts"),
        _whole("handles", "Handles", collector.HANDLE_COLUMNS, _handles(page), "kinds"),
        _whole("pinned_groups", "Pinned objects by type", pinned.GROUP_COLUMNS, fixed.groups(), "types"),
        Table("pinned", "Pinned objects", pinned.OBJECT_COLUMNS, shown, fixed, noun="objects", footnote=footnote),
        _whole("queue", "Finalizer queue", collector.QUEUE_COLUMNS, _queue(page), "types"),
        _whole("gaps", "Gaps", collector.GAP_COLUMNS, collector.gap_rows(page.index), "gaps"),
    )


def _handles(page: DumpPage) -> list[dict[str, object]]:
    return collector.handle_rows(page.index, lambda row: page.references.type(row).text)


def _queue(page: DumpPage) -> list[dict[str, object]]:
    def link(row: int) -> Link:
        piece = page.references.type(row)
        return Link(piece.title or piece.text, piece.url)

    return collector.queue_rows(page.index, link)


def _finalizer(page: DumpPage) -> str:
    """What the thread that runs finalizers does, in words."""
    rows = np.flatnonzero(page.index.column("threads", "finalizer")).tolist()
    return visible(str(page.index.text("threads", "doing")[rows[0]]), 400) if rows else ""


def _average(heap: dict[str, int]) -> int | None:
    blocks = heap.get("free_objects") or 0
    return round(heap.get("free_bytes", 0) / blocks) if blocks else None


def _legend(page: DumpPage) -> list[dict[str, str]]:
    present = set(page.index.text("segments", "kind").all)
    used = [
        {"tone": each.slug, "label": each.label} for each in GENERATION_LIST if each.name in present or "Ephemeral" in present
    ]
    rest = [("gen2 free", "free between objects"), ("committed", "committed, not allocated"), ("reserved", "reserved")]
    gaps = [("gap", "could not be read")] if page.index.rows["gaps"] else []
    return used + [{"tone": tone, "label": label} for tone, label in rest + gaps]


def _whole(name: str, caption: str, columns: tuple[Column, ...], rows: list[dict[str, object]], noun: str) -> Table:
    """A short table without paging: what it can be sorted by is its own order."""
    fixed = tuple(replace(column, sortable=False) for column in columns)
    return Table(name, caption, fixed, Query.unpaged(len(rows)), ListedRows(rows), f"No {noun}.", noun)


urlpatterns = [path("dumps/<uuid:dump_id>/gc", garbage_collector, name="dump-gc")]
