"""The list of dumps, and the page that takes new ones."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from explorer import archive_list
from explorer.exports import export_response
from explorer.pages.tables import Query, Table
from explorer.queries import dumps_visible_to, teams_for_upload, teams_of, teams_with_trash

_STATE_LABELS = {"": "All", "open": "Under way", "done": "Done", "failed": "Failed"}


@require_GET
def archive(request: HttpRequest) -> HttpResponseBase:
    """The dumps of a person's teams; where there is none yet, how to get one."""
    teams = list(teams_of(request.user))
    dumps = archive_list.with_latest_analysis(dumps_visible_to(request.user))
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
    columns = archive_list.shown_columns(dumps_visible_to(request.user), len(teams))
    query = Query.read(parameters, columns, "-uploaded_at")
    rows = archive_list.DumpRows(archive_list.filtered(dumps, parameters), query)
    table = Table(
        name="dumps",
        caption="Dumps",
        columns=columns,
        query=query,
        source=rows,
        empty="No dump matches.",
        noun="dumps",
        unfiltered_total=counts[""],
    )
    if file := export_response(request, "archive", table):
        return file
    chosen = parameters.get("state", "")
    context["states"] = [
        {"label": label, "count": counts[key], "url": query.url(state=key or None), "current": key == chosen}
        for key, label in _STATE_LABELS.items()
    ]
    context["selects"] = _selects(request, parameters)
    context["table"] = table
    return render(request, "archive/archive.html", context)


def _selects(request: HttpRequest, parameters: dict[str, str]) -> list[dict[str, Any]]:
    labels = {"service": ("Service", "All services"), "environment": ("Environment", "All environments")}
    selects = []
    for key, (label, everything) in labels.items():
        values = archive_list.distinct_values(dumps_visible_to(request.user), key)
        if len(values) > 1:
            selects.append({"key": key, "label": label, "all": everything, "values": values, "current": parameters.get(key, "")})
    rules = archive_list.rules_found(dumps_visible_to(request.user))
    if rules:
        selects.append(
            {"key": "rule", "label": "Finding", "all": "All findings", "values": rules, "current": parameters.get("rule", "")}
        )
    return selects


@require_GET
def upload(request: HttpRequest) -> HttpResponse:
    """The page on which files are dropped or chosen."""
    teams = list(teams_for_upload(request.user))
    return render(request, "archive/upload.html", {"teams": teams, "upload_endpoint": reverse("uploads")})


urlpatterns = [
    path("", archive, name="archive"),
    path("upload", upload, name="upload"),
]
