"""Share links: making and revoking them, and the one page that each shows."""

from __future__ import annotations

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
from explorer.access import dump_for
from explorer.models import ShareLink
from explorer.pages import overview, shared
from explorer.pages.opened import opened
from explorer.pages.references import References
from explorer.services import shares
from explorer.views.dump_page import finished_analysis

_MOST_VIEWS = 100_000
_GONE = "There is no such page, or it is not shared any more."


@never_cache
@require_POST
def create(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Make a link and show it, this once."""
    dump = dump_for(request, dump_id, "share")
    analysis = finished_analysis(dump)
    what, days, most = (request.POST.get(name, "") for name in ("scope", "days", "most_views"))
    chosen = shared.read_choice(opened(analysis.index_directory, DataClass.D1_STRUCTURE), what) if analysis else None
    sound = days in map(str, shares.DAYS) and (not most or (most.isdecimal() and 0 < int(most[:9]) <= _MOST_VIEWS))
    if analysis is None or chosen is None or not sound:
        messages.error(request, "Choose what to share and for how long; the number of views is at least 1.")
        return redirect("dump-access", dump.pk)
    wanted = shares.Wanted(*chosen, int(days), int(most) if most else None, "sign_in_only" in request.POST)
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
    content = shared.content(index, References(index, link.dump_id), link)
    context = {"link": link, "facts": overview.facts(index.facts("summary")), **content}
    return _unseen(render(request, f"shares/{link.scope}.html", context))


def _unseen(response: HttpResponse) -> HttpResponse:
    """Found by no search engine, and told to no other site."""
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, no-store"
    return response


urlpatterns = [
    path("dumps/<uuid:dump_id>/shares", create, name="share-create"),
    path("dumps/<uuid:dump_id>/shares/<uuid:share_id>/end", end, name="share-end"),
    path("s/<str:secret>", open_link, name="share-open"),
    path("shared/<uuid:share_id>", show, name="share"),
]
