"""Saved views of the archive: filters, sort and words under a name, a person's own or shared with a team."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from explorer.archive_filters import KEPT
from explorer.models import SavedView, Team, User
from explorer.permissions import can_delete_view
from explorer.queries import teams_of, views_visible_to
from explorer.services.plain_text import plain
from explorer.viewers import viewer_of

_MOST_SHOWN, _LONGEST_NAME, _LONGEST_VALUE, _LONGEST = 40, 60, 200, 2000


class ViewRefused(Exception):
    """Why a view cannot be kept."""


def kept_parameters(query: str) -> str:
    """What a view keeps of the query of an address: what is known, once each, in a fixed order."""
    given = dict(parse_qsl(query[: 4 * _LONGEST]))
    kept = {key: plain(given[key], _LONGEST_VALUE) for key in KEPT if key in given}
    return urlencode({key: value for key, value in kept.items() if value})


def save_view(*, owner: User, name: str, query: str, team: Team | None) -> SavedView:
    """Keep a view; the same name again replaces it. Raises ViewRefused."""
    name, parameters = plain(name, _LONGEST_NAME), kept_parameters(query)
    if not name:
        raise ViewRefused("A view is saved under a name.")
    if not parameters or len(parameters) > _LONGEST:
        raise ViewRefused("Choose filters, words or an order first; a view keeps those.")
    values = {"parameters": parameters, "team": team}
    return SavedView.objects.update_or_create(owner=owner, name=name, defaults=values)[0]


def tabs_for(request: HttpRequest) -> dict[str, Any]:
    """Saved views as the archive shows them, and what it needs to save the present one."""
    viewer, present = viewer_of(request.user), kept_parameters(request.META.get("QUERY_STRING", ""))
    shown = views_visible_to(request.user)[:_MOST_SHOWN]
    tabs = [
        {
            "view": view,
            "url": f"{reverse('archive')}?{view.parameters}",
            "current": view.parameters == present,
            "own": view.owner_id == viewer.user_id,
            "delete_url": reverse("view-delete", args=[view.pk]) if can_delete_view(viewer, view.team_id, view.owner_id) else "",
        }
        for view in shown
    ]
    return {"tabs": tabs, "present": present, "share_with": teams_of(request.user)}
