"""Share links: making and revoking them, and the one page that each shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from analysis.errors import AnalysisError
from analysis.index import DataClass
from analysis.index.store import Index
from explorer.access import dump_for
from explorer.models import ShareLink
from explorer.pages import merged
from explorer.pages import overview as words
from explorer.pages.findings import finding_cards
from explorer.pages.garbage_collector import generation_rows
from explorer.pages.opened import opened
from explorer.pages.references import References
from explorer.pages.threads import group_counts, thread_rows
from explorer.pages.types import catalogue, type_rows_at
from explorer.services import shares
from explorer.views.dump_page import finished_analysis

_MOST_TYPES, _MOST_LINES, _MOST_VIEWS = 300, 2000, 100_000
_GONE = "There is no such page, or it is not shared any more."


@never_cache
@require_POST
def create(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Make a link and show it, this once."""
    dump = dump_for(request, dump_id, "share")
    analysis = finished_analysis(dump)
    scope, days, most = (request.POST.get(name, "") for name in ("scope", "days", "most_views"))
    sound = scope in ShareLink.Scope.values and days in map(str, shares.DAYS) and (not most or most.isdecimal())
    if analysis is None or not sound or (most and not 0 < int(most[:9]) <= _MOST_VIEWS):
        messages.error(request, "Choose what to share and for how long; the number of views is at least 1.")
        return redirect("dump-access", dump.pk)
    wanted = shares.Wanted(ShareLink.Scope(scope), int(days), int(most) if most else None, "sign_in_only" in request.POST)
    link, secret = shares.make(request=request, dump=dump, analysis=analysis, wanted=wanted)
    address = request.build_absolute_uri(reverse("share-open", args=[secret]))
    return render(request, "shares/made.html", {"link": link, "address": address, "dump": dump})


@require_POST
def end(request: HttpRequest, dump_id: UUID, share_id: UUID) -> HttpResponse:
    dump = dump_for(request, dump_id, "share")
    shares.end(request=request, link=get_object_or_404(ShareLink, pk=share_id, dump=dump))
    return redirect("dump-access", dump.pk)


@login_not_required
@never_cache
@require_GET
def open_link(request: HttpRequest, secret: str) -> HttpResponse:
    """The link itself: wrong, expired, revoked and unknown look the same."""
    link = shares.exchange(request, secret)
    if link is None:
        raise Http404(_GONE)
    return _unseen(redirect("share", link.pk))


@login_not_required
@never_cache
@require_GET
def show(request: HttpRequest, share_id: UUID) -> HttpResponse:
    """What a link shows: structure only, and no way on from there."""
    link = shares.opened(request, share_id)
    if link is None:
        raise Http404(_GONE)
    try:
        index = opened(link.analysis.index_directory, DataClass.D1_STRUCTURE)
    except AnalysisError:
        raise Http404(_GONE) from None
    references = References(index, link.dump_id)
    context = {
        "link": link,
        "facts": words.facts(index.facts("summary")),
        **_CONTENTS[ShareLink.Scope(link.scope)](index, references),
    }
    return _unseen(render(request, f"shares/{link.scope}.html", context))


def _unseen(response: HttpResponse) -> HttpResponse:
    """Found by no search engine, and told to no other site."""
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, no-store"
    return response


def _summary(index: Index, references: References) -> dict[str, Any]:
    return {
        "sentence": words.sentence(index, catalogue(index)),
        "cards": finding_cards(index, references),
        "generations": [row for row in generation_rows(index.facts("summary")) if row["count"] or row["free_size"]],
        "thread_groups": [group for group in group_counts(thread_rows(index)) if group["count"]],
    }


def _stacks(index: Index, references: References) -> dict[str, Any]:
    lines, total = merged.lines(index, references, "", 0, _MOST_LINES)
    return {"lines": lines, "more": max(0, total - len(lines))}


def _heap_shape(index: Index, references: References) -> dict[str, Any]:
    found = catalogue(index)
    biggest = found.order("size", None, "")[::-1][:_MOST_TYPES].tolist()
    rows = type_rows_at(found, biggest, lambda type_id: "")
    return {"types": rows, "total": found.total, "more": max(0, found.total - len(rows))}


_CONTENTS: dict[ShareLink.Scope, Callable[[Index, References], dict[str, Any]]] = {
    ShareLink.Scope.SUMMARY: _summary,
    ShareLink.Scope.STACKS: _stacks,
    ShareLink.Scope.HEAP_SHAPE: _heap_shape,
}
urlpatterns = [
    path("dumps/<uuid:dump_id>/shares", create, name="share-create"),
    path("dumps/<uuid:dump_id>/shares/<uuid:share_id>/end", end, name="share-end"),
    path("s/<str:secret>", open_link, name="share-open"),
    path("shared/<uuid:share_id>", show, name="share"),
]
