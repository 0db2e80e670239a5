"""Query: one line that understands SOS commands, and SQL over the tables of the analysis."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from analysis.index.described import described_tables
from explorer import permissions
from explorer.access import dump_for, query_for
from explorer.exports import export_response
from explorer.models import Dump, SavedQuery, User
from explorer.pages import commands
from explorer.pages.query_help import EXAMPLES
from explorer.pages.sql_table import result_table
from explorer.queries import queries_visible_to
from explorer.services.sql import SqlRefused, ask
from explorer.viewers import subject_of, viewer_of
from explorer.views.dump_page import DumpPage, with_index

LONGEST_QUERY = 20_000
_LONGEST_NAME = 100
_MOST_SAVED = 200
_MOST_SHOWN, _MOST_IN_FILE = 500, 50_000
_SQL = re.compile(r"\s*(select|with|describe|show|explain|from|summarize)\b|\s*--|\s*/\*", re.IGNORECASE)


@require_GET
@with_index("query")
def query(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """The form, examples, saved queries; with ``q`` the answer."""
    text = request.GET.get("q", "")[:LONGEST_QUERY].replace("\r\n", "\n").strip()
    context: dict[str, Any] = {}
    if text and _SQL.match(text):
        try:
            table = result_table(ask(page.index.directory, text, page.highest), page.references, text)
        except SqlRefused as refused:
            context["error"] = str(refused)
        else:
            if file := export_response(request, f"{page.file_name}-query", table):
                return file
            context["table"] = table
    elif text:
        as_file = request.GET.get("format") == "text"
        try:
            found = commands.answer(text, _session(page, _MOST_IN_FILE if as_file else _MOST_SHOWN))
        except commands.CommandError as error:
            context["error"] = str(error)
        else:
            if as_file:
                return _text_file(page, text, found.text)
            context["answer"] = found
            context["text_url"] = "?" + urlencode({"q": text, "format": "text"})
    return render(request, "query/query.html", {
        "page": page, "frame": page.frame, "text": text, "examples": EXAMPLES, "longest": LONGEST_QUERY,
        "tables": described_tables(page.highest), "commands": commands.COMMANDS, "saved": _saved(request, page.dump),
        "save_url": page.frame.url("dump-query-save") if _may_save(request, page.dump) else "", **context,
    })  # fmt: skip


def _may_save(request: HttpRequest, dump: Dump) -> bool:
    return permissions.can_save_query(viewer_of(request.user), subject_of(dump))


def _session(page: DumpPage, most: int) -> commands.Session:
    return commands.Session(page.index, page.references, page.source_lines, most)


def _text_file(page: DumpPage, command: str, text: str) -> HttpResponse:
    name = re.sub(r"[^\w.-]+", "-", f"{page.file_name}-{command}", flags=re.ASCII)[:120].strip("-.")
    headers = {"Content-Disposition": f'attachment; filename="{name}.txt"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


def _saved(request: HttpRequest, dump: Dump) -> list[dict[str, Any]]:
    viewer = viewer_of(request.user)
    return [
        {
            "query": one,
            "url": f"{reverse('dump-query', args=[dump.pk])}?{urlencode({'q': one.text})}",
            "own": one.owner_id == viewer.user_id,
            "delete_url": reverse("dump-query-delete", args=[dump.pk, one.pk])
            if permissions.can_delete_query(viewer, dump.team_id, one.owner_id)
            else "",
        }
        for one in queries_visible_to(request.user, dump.team_id)[:_MOST_SAVED]
    ]


@require_POST
def save(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Keep a query under a name; the same name again replaces it."""
    dump = dump_for(request, dump_id, "save_query")
    text = request.POST.get("q", "")[:LONGEST_QUERY].replace("\r\n", "\n").replace("\x00", "").strip()
    name = request.POST.get("name", "").replace("\x00", "").strip()[:_LONGEST_NAME]
    back = f"{reverse('dump-query', args=[dump.pk])}?{urlencode({'q': text})}"
    if not text or not name:
        messages.error(request, "A query is saved with its text and a name.")
    elif isinstance(request.user, User):
        values = {"text": text, "shared": bool(request.POST.get("shared"))}
        SavedQuery.objects.update_or_create(team=dump.team, owner=request.user, name=name, defaults=values)
        messages.success(request, f"Saved as {name}.")
    return redirect(back)


@require_POST
def delete(request: HttpRequest, dump_id: UUID, query_id: UUID) -> HttpResponse:
    """Forget a saved query."""
    dump = dump_for(request, dump_id)
    query_for(request, dump, query_id).delete()
    return redirect("dump-query", dump.pk)


urlpatterns = [
    path("dumps/<uuid:dump_id>/query", query, name="dump-query"),
    path("dumps/<uuid:dump_id>/query/save", save, name="dump-query-save"),
    path("dumps/<uuid:dump_id>/query/<uuid:query_id>/delete", delete, name="dump-query-delete"),
]
