"""Managed and native modules."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from explorer.exports import export_response
from explorer.pages import modules as module_rows
from explorer.pages.tables import ListedRows, Query, Table, allowed_columns, sorted_rows
from explorer.views.dump_page import DumpPage, with_index


@require_GET
@with_index("modules")
def modules(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """One of the two lists; paths only for those who may see context."""
    native = request.GET.get("show") == "native"
    columns = allowed_columns(module_rows.NATIVE_COLUMNS if native else module_rows.MANAGED_COLUMNS, page.highest)
    query = Query.read(request.GET.dict(), columns, "name")
    rows = module_rows.native_rows(page.index) if native else _managed(page)
    matching = module_rows.filtered(rows, request.GET.get("q", ""), {column.key for column in columns})
    table = Table(
        name="native" if native else "managed",
        caption="Native modules" if native else "Managed modules",
        columns=columns,
        query=query,
        source=ListedRows(sorted_rows(matching, query)),
        empty="No module matches." if rows else "This dump names no such modules.",
        noun="modules",
        unfiltered_total=len(rows),
        highest=page.highest,
    )
    found = [] if native else module_rows.context_rows(page.index)
    contexts = Table("contexts", "Load contexts that can be unloaded", module_rows.CONTEXT_COLUMNS, Query.unpaged(len(found)),
                     ListedRows(found), noun="contexts")  # fmt: skip
    if file := export_response(request, page.file_name, table, contexts):
        return file
    counts = {"managed": page.index.rows["modules"], "native": page.index.rows["native_modules"]}
    context = {"page": page, "frame": page.frame, "table": table, "native": native, "counts": counts, "contexts": contexts}
    return render(request, "modules/modules.html", context)


def _managed(page: DumpPage) -> list[dict[str, Any]]:
    return module_rows.with_lines(module_rows.managed_rows(page.index), page.index, page.symbols)


urlpatterns = [path("dumps/<uuid:dump_id>/modules", modules, name="dump-modules")]
