"""One dump beside another."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from analysis.errors import AnalysisError
from explorer.access import dump_for
from explorer.exports import export_response
from explorer.models import State
from explorer.pages import compare as rows_of
from explorer.pages.tables import Column, ListedRows, Query, Table, sorted_rows
from explorer.queries import dumps_visible_to
from explorer.views.dump_page import DumpPage, finished_analysis, page_of, with_index

_MOST_CHOICES = 200
_MOST_ROWS = 20


@require_GET
@with_index("compare")
def choose(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """The other dumps of the archive that the person may see."""
    others = dumps_visible_to(request.user).filter(analyses__state=State.DONE).exclude(pk=page.dump.pk)
    others = others.select_related("team").distinct().order_by("-created_at")[:_MOST_CHOICES]
    choices = [{"dump": one, "url": page.frame.url("dump-compare", one.pk)} for one in others]
    return render(request, "retention/compare_choose.html", {"page": page, "frame": page.frame, "choices": choices})


@require_GET
@with_index("compare")
def compare(request: HttpRequest, page: DumpPage, other_id: UUID) -> HttpResponseBase:
    """Types, holders and paths that differ from the other dump, which counts as the one before."""
    other = dump_for(request, other_id)
    analysis = finished_analysis(other)
    if analysis is None:
        return redirect("dump-overview", other.pk)
    try:
        before = page_of(request, other, analysis, "compare").index
    except AnalysisError:
        return redirect("dump-overview", other.pk)
    known = rows_of.common({page.dump.name: page.index, other.name: before})
    found = rows_of.type_rows(page.index, before, page.references, known)
    query = Query.read(request.GET.dict(), rows_of.TYPE_COLUMNS, "-size_change")
    tables = [Table("types", "Types that changed", rows_of.TYPE_COLUMNS, query, ListedRows(sorted_rows(found, query)),
                    "No type has changed.", "types")] if known.heap else []  # fmt: skip
    if known.graph:
        tables = [
            _beginning("paths", "Where it hangs", rows_of.PATH_COLUMNS, rows_of.path_rows(page.index, before),
                       "Nothing large has changed."),
            _beginning("holders", "Static fields that changed", rows_of.HOLDER_COLUMNS, rows_of.holder_rows(page.index, before),
                       "No static field retains more or less than before."),
            *tables,
        ]  # fmt: skip
    if file := export_response(request, f"{page.file_name}-against-{other.name}", *tables):
        return file
    return render(request, "retention/compare.html", {
        "page": page, "frame": page.frame, "other": other, "tables": tables, "lacking": known.lacking,
        "says": rows_of.headline(page.index, before, found, known),
        "choose_url": page.frame.url("dump-compare-choose"),
        "turned_url": reverse("dump-compare", args=[other.pk, page.dump.pk]),
    })  # fmt: skip


def _beginning(name: str, caption: str, columns: tuple[Column, ...], rows: list[dict[str, Any]], empty: str) -> Table:
    """The largest changes; the export has them all."""
    return Table(name, caption, columns, Query.unpaged(min(len(rows), _MOST_ROWS)), ListedRows(rows), empty, name)


urlpatterns = [
    path("dumps/<uuid:dump_id>/compare", choose, name="dump-compare-choose"),
    path("dumps/<uuid:dump_id>/compare/<uuid:other_id>", compare, name="dump-compare"),
]
