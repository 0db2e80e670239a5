"""How the process ended, and its exceptions."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from explorer.exports import export_response
from explorer.pages import crash as exceptions
from explorer.pages import stacks
from explorer.pages.tables import ListedRows, Query, Table, allowed_columns, sorted_rows
from explorer.views.dump_page import DumpPage, with_index

_FRAMES_OF_CRASH, _OTHER_THREADS = 40, 20


@require_GET
@with_index("crash")
def crash(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """The crash in words, the faulting thread, exception chains, and all exceptions of the heap by type and throw site."""
    facts = page.index.facts("crash")
    chain = _chain(page, facts)
    others = _threads_with_exceptions(page)
    columns = allowed_columns(exceptions.GROUP_COLUMNS, page.highest)
    query = Query.read(request.GET.dict(), columns, "-count")
    rows = exceptions.groups(page.index, page.type_url)
    table = Table(
        name="exceptions", caption="Exceptions by type and throw site", columns=columns, query=query,
        source=ListedRows(sorted_rows(rows, query)), noun="groups", highest=page.highest,
        empty="There are no exceptions in this dump.",
    )  # fmt: skip
    if file := export_response(request, page.file_name, table):
        return file
    context = {
        "page": page,
        "frame": page.frame,
        "facts": facts,
        "chain": chain,
        "thread": _thread(page, facts),
        "place": page.references.frame(facts["frame"]) if facts.get("frame") is not None else None,
        "others": _others(page, others[:_OTHER_THREADS], {card.row for card in chain}),
        "more_others": max(0, len(others) - _OTHER_THREADS),
        "table": table,
    }
    return render(request, "crash/crash.html", context)


def _chain(page: DumpPage, facts: dict[str, Any]) -> list[exceptions.ExceptionCard]:
    row = facts.get("exception")
    if row is None:
        return []
    return exceptions.chain(page.index, page.references, row, page.source_lines, "Unhandled exception")


def _thread(page: DumpPage, facts: dict[str, Any]) -> dict[str, Any] | None:
    """The faulting thread with the top of its stack."""
    row = facts.get("thread")
    if row is None:
        return None
    first, count = (int(page.index.column("threads", name)[row]) for name in ("first_frame", "frames"))
    shown = stacks.stack_of(page.index, first, count, row, unfolded=False, page=1)
    rows = shown.rows[:_FRAMES_OF_CRASH]
    stacks.add_lines(rows, page.source_lines.of_method)
    return {"piece": page.references.thread(row), "rows": stacks.grouped(rows), "more": len(shown.rows) - len(rows)}


def _threads_with_exceptions(page: DumpPage) -> list[int]:
    return [thread for thread in dict.fromkeys(page.index.column("exceptions", "thread").tolist()) if thread >= 0]


def _others(page: DumpPage, threads: list[int], shown: set[int]) -> list[exceptions.ExceptionCard]:
    """Exceptions these threads hold, and those that were being handled, but for those ``shown`` already."""
    cards = [
        card
        for thread in threads
        for card in exceptions.exceptions_of_thread(page.index, page.references, thread, page.source_lines)
    ]
    return [card for card in cards if card.row not in shown]


urlpatterns = [path("dumps/<uuid:dump_id>/crash", crash, name="dump-crash")]
