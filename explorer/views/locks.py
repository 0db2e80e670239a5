"""Locks: who waits for whom."""

from __future__ import annotations

import re

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from explorer.exports import export_response
from explorer.pages import locks as lock_rows
from explorer.pages.deadlocks import MOST_IN_TEXT, MOST_ON_PAGE, deadlocks
from explorer.pages.findings import finding_cards
from explorer.pages.lock_graph import MOST_NODES, lock_graph
from explorer.pages.tables import ListedRows, Query, Table, sorted_rows
from explorer.views.dump_page import DumpPage, with_index

_ADDRESS = re.compile("[0-9a-fA-F]{1,16}")


@require_GET
@with_index("locks")
def locks(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """Deadlocks in words, the graph, and its twin, the table of all locks."""
    index, references = page.index, page.references
    if request.GET.get("format") == "text":
        return _text(page)
    chosen = request.GET.get("only", "")
    query = Query.read(request.GET.dict(), lock_rows.COLUMNS, "-waiters")
    rows = lock_rows.lock_rows(index, references, chosen, request.GET.get("q", ""))
    table = Table(
        name="locks", caption="Locks", columns=lock_rows.COLUMNS, query=query, source=ListedRows(sorted_rows(rows, query)),
        noun="locks", unfiltered_total=index.rows["locks"],
        empty="No lock matches." if index.rows["locks"] else "No thread holds a lock or waits for one.",
    )  # fmt: skip
    if file := export_response(request, page.file_name, table):
        return file
    choices = [{"slug": "", "label": "All", "count": index.rows["locks"]}, *lock_rows.filter_counts(index)]
    for choice in choices:
        choice.update(url=query.url(only=choice["slug"] or None), current=choice["slug"] == chosen)
    graph = lock_graph(index, references)
    told, total = deadlocks(index, references, MOST_ON_PAGE)
    context = {
        "page": page,
        "frame": page.frame,
        "deadlocks": told,
        "deadlocks_total": total,
        "more_deadlocks": total - len(told),
        "convoys": [card for card in finding_cards(index, references) if card.rule == "lock-convoy"],
        "graph": graph,
        "most_nodes": MOST_NODES,
        "table": table,
        "choices": choices,
        "waiting_threads": len(set(index.column("lock_waits", "thread").tolist())),
        "held": int(index.column("locks", "held").sum()),
    }
    return render(request, "locks/locks.html", context)


def _text(page: DumpPage) -> HttpResponse:
    """For a ticket: deadlocks, then every lock somebody waits for."""
    told, total = deadlocks(page.index, page.references, MOST_IN_TEXT)
    rows = lock_rows.lock_rows(page.index, page.references, "waited", "")
    parts = [deadlock.text for deadlock in told] or ["No deadlock was found."]
    parts += [f"{total - len(told):,} more deadlocks."] if total > len(told) else []
    for row in sorted(rows, key=lambda row: -row["waiters"]):
        owner = row["owner"].text if row["owner"] else "nobody known"
        parts.append(f"{row['kind']} {row['lock'].text} {row['address']:#x}: {row['waiters']:,} waiting, held by {owner}")
    return HttpResponse("\n\n".join(parts) + "\n", content_type="text/plain; charset=utf-8")


@require_GET
@with_index("locks")
def lock(request: HttpRequest, page: DumpPage, address: str) -> HttpResponseBase:
    """One lock: who holds it, who waits in which order, what it waits for in turn."""
    row = lock_rows.lock_at(page.index, int(address, 16)) if _ADDRESS.fullmatch(address) else None
    if row is None:
        raise Http404
    detail = lock_rows.lock_detail(page.index, page.references, row)
    return render(request, "locks/lock.html", {"page": page, "frame": page.frame, "lock": detail,
                                               "type_url": page.type_url(detail.type_name)})  # fmt: skip


urlpatterns = [
    path("dumps/<uuid:dump_id>/locks", locks, name="dump-locks"),
    path("dumps/<uuid:dump_id>/locks/<slug:address>", lock, name="dump-lock"),
]
