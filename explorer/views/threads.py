"""Managed threads."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from explorer.exports import export_response
from explorer.pages import threads as thread_rows
from explorer.pages.tables import ListedRows, Query, Table, allowed_columns, sorted_rows
from explorer.views.dump_page import DumpPage, with_index


@require_GET
@with_index("threads")
def threads(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """The list of threads; names only for those who may see context."""
    rows = thread_rows.thread_rows(page.index)
    columns = allowed_columns(thread_rows.columns(rows), page.highest)
    query = Query.read(request.GET.dict(), columns, "managed_id")
    chosen = request.GET.get("only", "")
    matching = thread_rows.filtered(rows, chosen, request.GET.get("q", ""), {column.key for column in columns})
    table = Table(
        name="threads",
        caption="Managed threads",
        columns=columns,
        query=query,
        source=ListedRows(sorted_rows(matching, query)),
        empty="No thread matches." if rows else "This dump holds no managed threads.",
        noun="threads",
        unfiltered_total=len(rows),
    )
    if file := export_response(request, page.file_name, table):
        return file
    choices = [{"slug": "", "label": "All", "count": len(rows)}, *thread_rows.group_counts(rows)]
    for choice in choices:
        choice.update(url=query.url(only=choice["slug"] or None), current=choice["slug"] == chosen)
    context = {
        "page": page,
        "frame": page.frame,
        "table": table,
        "choices": choices,
        "process": page.frame.summary.get("process", {}),
    }
    return render(request, "threads/threads.html", context)


urlpatterns = [path("dumps/<uuid:dump_id>/threads", threads, name="dump-threads")]
