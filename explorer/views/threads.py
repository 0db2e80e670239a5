"""Threads: the list, groups of identical stacks, one thread with its stack, and registers on demand."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from explorer.exports import export_response
from explorer.models import AuditEntry
from explorer.pages import stacks
from explorer.pages import threads as thread_rows
from explorer.pages.crash import exceptions_of_thread
from explorer.pages.locks import locks_of_thread
from explorer.pages.pins import to_thread
from explorer.pages.tables import Column, ListedRows, Query, Rows, Table, allowed_columns, sorted_rows
from explorer.services.audit import Purpose
from explorer.services.reveals import reveal_registers
from explorer.value_acts import value_act, value_form
from explorer.views.dump_page import DumpPage, share_url, with_index
from explorer.views.notes import pinned_notes

_MOST_NATIVE, _MOST_FRAMES_TO_PIN = 200, 100
_VIEWS = {"threads": "Threads", "groups": "Identical stacks"}


@require_GET
@with_index("threads")
def threads(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """The list of threads, or groups of those with the same stack; names only for those who may see context."""
    view = request.GET.get("view", "threads")
    wanted = thread_rows.Wanted.read(request.GET.dict())
    rows = thread_rows.thread_rows(page.index)
    columns = allowed_columns(thread_rows.columns(rows), page.highest)
    matching = thread_rows.filtered(page.index, wanted, {column.key for column in columns})
    references = page.references
    if view == "groups":
        table = _groups(request, page, matching)
    else:
        query = Query.read(request.GET.dict(), columns, "managed_id")
        source = thread_rows.LinkedRows(sorted_rows(matching, query), references)
        table = _table(page, "threads", "Managed threads", columns, query, source, len(rows))
    if file := export_response(request, page.file_name, table):
        return file
    query = table.query
    choices = [{"slug": "", "label": "All", "count": len(rows)}, *thread_rows.group_counts(rows)]
    for choice in choices:
        choice.update(url=query.url(only=choice["slug"] or None), current=choice["slug"] == wanted.slug)
    context = {
        "page": page,
        "frame": page.frame,
        "table": table,
        "choices": choices,
        "views": [
            {"label": label, "url": query.url(view=key, sort=None), "current": key == view} for key, label in _VIEWS.items()
        ],
        "narrowed": wanted.node is not None or wanted.group is not None,
        "all_url": query.url(node=None, group=None),
        "native": thread_rows.native_threads(page.index, references)[:_MOST_NATIVE],
        "native_total": page.index.rows["native_threads"],
        "process": page.frame.summary.get("process", {}),
    }
    return render(request, "threads/threads.html", context)


def _groups(request: HttpRequest, page: DumpPage, rows: list[dict[str, Any]]) -> Table:
    found = thread_rows.stack_groups(page.index, page.references, rows)
    query = Query.read(request.GET.dict(), thread_rows.GROUP_COLUMNS, "-count")
    source = ListedRows(sorted_rows(found, query))
    return _table(page, "groups", "Groups of identical stacks", thread_rows.GROUP_COLUMNS, query, source, None, noun="groups")


def _table(
    page: DumpPage, name: str, caption: str, columns: tuple[Column, ...], query: Query, source: Rows, total: int | None,
    noun: str = "threads",
) -> Table:  # fmt: skip
    return Table(
        name=name, caption=caption, columns=columns, query=query, source=source, noun=noun, unfiltered_total=total,
        highest=page.highest,
        empty="No thread matches." if total or total is None else "This dump holds no managed threads.",
    )  # fmt: skip


@require_GET
@with_index("threads")
def thread(request: HttpRequest, page: DumpPage, managed_id: int) -> HttpResponseBase:
    """One managed thread: its frames, the objects on them, locks, exceptions."""
    row = _row(page, managed_id)
    facts = thread_rows.thread_rows(page.index)[row]
    if request.GET.get("format") == "text":
        return _text(page, f"thread-{managed_id}", page.references.thread_label(row), facts["first_frame"], facts["frames"], row)
    shown = _stack(request, page, facts["first_frame"], facts["frames"], row)
    context = {
        **_stack_context(page, shown),
        "thread": page.references.thread(row),
        "name": page.references.thread_name(row),
        "facts": facts,
        "locks": locks_of_thread(page.index, page.references, row),
        "exceptions": exceptions_of_thread(page.index, page.references, row, page.source_lines),
        **value_form(request, page.dump),
        **_notes(request, page, managed_id, shown),
        "share_url": share_url(request, page.dump, f"thread:{managed_id}"),
        "registers_url": page.frame.url("dump-registers", managed_id),
    }
    return render(request, "threads/thread.html", context)


def _notes(request: HttpRequest, page: DumpPage, managed_id: int, shown: stacks.StackPage) -> dict[str, Any]:
    """Notes on a thread and its frames; a new one goes to the thread or to a method that is shown."""
    context = pinned_notes(request, page, to_thread(managed_id), str(managed_id))
    frames = {row.name: row.place for row in reversed(shown.rows) if row.kind == "managed"}
    choices = [{"value": f"thread:{managed_id}", "label": "the thread"}]
    choices += [{"value": f"frame:{managed_id}-{place}", "label": name} for name, place in reversed(frames.items())]
    context["pinned"]["choices"] = choices[:_MOST_FRAMES_TO_PIN]
    return context


@require_GET
@with_index("threads")
def native_thread(request: HttpRequest, page: DumpPage, os_id: int) -> HttpResponseBase:
    """One thread that the runtime does not manage."""
    os_ids = page.index.column("native_threads", "os_id").tolist()
    if os_id not in os_ids:
        raise Http404
    row = os_ids.index(os_id)
    first, count = (int(page.index.column("native_threads", name)[row]) for name in ("first_frame", "frames"))
    if request.GET.get("format") == "text":
        return _text(page, f"os-thread-{os_id}", f"OS thread {os_id}", first, count, -1)
    shown = _stack(request, page, first, count, -1)
    return render(request, "threads/thread.html", {**_stack_context(page, shown), "os_id": os_id, "open_natives": True})


@require_POST
@with_index("threads")
@value_act(AuditEntry.Action.REVEAL_REGISTERS)
def registers(request: HttpRequest, page: DumpPage, managed_id: int, purpose: Purpose) -> HttpResponseBase:
    """The registers of a thread."""
    row = _row(page, managed_id)
    os_id = int(page.index.column("threads", "os_id")[row])
    found = reveal_registers(request=request, dump=page.dump, managed_id=managed_id, os_id=os_id, purpose=purpose)
    return render(request, "threads/registers.html", {"page": page, "frame": page.frame, "found": found,
                                                      "thread": page.references.thread(row)})  # fmt: skip


def _row(page: DumpPage, managed_id: int) -> int:
    row = thread_rows.row_of(page.index, managed_id)
    if row is None:
        raise Http404
    return row


def _stack(request: HttpRequest, page: DumpPage, first: int, count: int, thread: int) -> stacks.StackPage:
    number = request.GET.get("page", "1")
    shown = stacks.stack_of(
        page.index, first, count, thread, unfolded="unfolded" in request.GET,
        page=int(number) if number.isascii() and number.isdigit() and len(number) < 8 else 1,
    )  # fmt: skip
    stacks.add_lines(shown.rows, page.source_lines.of_method)
    stacks.add_objects(page.index, first, shown.rows, page.type_url)
    return shown


def _stack_context(page: DumpPage, shown: stacks.StackPage) -> dict[str, Any]:
    return {"page": page, "frame": page.frame, "stack": shown, "rows": stacks.grouped(shown.rows),
            "state": "" if shown.folded else "unfolded=1&"}  # fmt: skip


def _text(page: DumpPage, name: str, title: str, first: int, count: int, thread: int) -> HttpResponse:
    """The whole stack for a ticket, recursion folded."""
    rows = stacks.stack_of(page.index, first, count, thread, unfolded=False, page=1, per_page=max(count, 1)).rows
    stacks.add_lines(rows, page.source_lines.of_method)
    lines = [
        title,
        f"{'Child SP':>18} {'IP':>18} Call Site",
        *(_fold_text(row) if row.kind == "fold" else row.text for row in rows),
    ]
    response = HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'inline; filename="{name}.txt"'
    return response


def _fold_text(row: stacks.FrameRow) -> str:
    above = "the frame above repeats" if row.period == 1 else f"the {row.period} frames above repeat"
    return f"{'':>37} … {above} {row.repeats - 1:,} more times"


urlpatterns = [
    path("dumps/<uuid:dump_id>/threads", threads, name="dump-threads"),
    path("dumps/<uuid:dump_id>/threads/<int:managed_id>", thread, name="dump-thread"),
    path("dumps/<uuid:dump_id>/threads/<int:managed_id>/registers", registers, name="dump-registers"),
    path("dumps/<uuid:dump_id>/threads/os-<int:os_id>", native_thread, name="dump-native-thread"),
]
