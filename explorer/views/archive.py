"""The list of dumps, and the page that takes new ones."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from analysis.index import DataClass
from explorer import archive_filters, archive_list
from explorer.exports import export_response
from explorer.pages.tables import Query, Table
from explorer.permissions import teams_with_context
from explorer.queries import teams_for_upload, teams_of, teams_with_trash
from explorer.services.saved_views import tabs_for
from explorer.viewers import viewer_of

_STATE_LABELS = {"": "All", "open": "Under way", "done": "Done", "failed": "Failed"}


@require_GET
def archive(request: HttpRequest) -> HttpResponseBase:
    """The dumps of a person's teams; where there is none yet, how to get one."""
    teams = list(teams_of(request.user))
    dumps = archive_list.listed_for(request.user)
    counts = archive_list.state_counts(dumps)
    context: dict[str, Any] = {
        "teams": teams,
        "team_names": ", ".join(team.name for team in teams),
        "may_upload": teams_for_upload(request.user).exists(),
        "trashes": teams_with_trash(request.user),
        "upload_endpoint": reverse("uploads"),
        "empty": not counts[""],
        "busy": counts["open"] > 0,
    }
    if not counts[""]:
        return render(request, "archive/archive.html", context)
    parameters = request.GET.dict()
    matching, found = archive_filters.with_words(
        archive_filters.narrowed(dumps, parameters, request.user), parameters.get("q", ""), request.user
    )
    columns = archive_list.shown_columns(dumps, len(teams), searched=bool(found.by_dump))
    query = Query.read(parameters, columns, "-uploaded_at")
    table = Table(
        name="dumps",
        caption="Dumps",
        columns=columns,
        query=query,
        source=archive_list.DumpRows(matching, query, found),
        empty="No dump matches.",
        noun="dumps",
        unfiltered_total=counts[""],
        highest=DataClass.D2_CONTEXT if teams_with_context(viewer_of(request.user)) else DataClass.D1_STRUCTURE,
    )
    if file := export_response(request, "archive", table):
        return file
    chosen = parameters.get("state", "")
    context["states"] = [
        {"label": label, "count": counts[key], "url": query.url(state=key or None), "current": key == chosen}
        for key, label in _STATE_LABELS.items()
    ]
    context["selects"] = archive_filters.selects(dumps, parameters)
    context["table"] = table
    context["search_url"] = f"{reverse('search')}?{urlencode({'q': parameters['q']})}" if found.by_dump else ""
    context["signature"], context["all_crashes_url"] = parameters.get("signature", ""), query.url(signature=None)
    return render(request, "archive/archive.html", {**context, **tabs_for(request)})


@require_GET
def upload(request: HttpRequest) -> HttpResponse:
    """The page on which files are dropped or chosen."""
    teams = list(teams_for_upload(request.user))
    return render(request, "archive/upload.html", {"teams": teams, "upload_endpoint": reverse("uploads")})


urlpatterns = [
    path("", archive, name="archive"),
    path("upload", upload, name="upload"),
]
