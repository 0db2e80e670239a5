"""How long and how much a team keeps, and the end of a team."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_POST

from explorer import permissions
from explorer.access import team_for
from explorer.models import Held
from explorer.services import keeping, quotas, removal
from explorer.viewers import viewer_of

_GIGABYTE = 10**9
_MOST_GIGABYTES = 10**6


def _number(text: str, most: int) -> int | None:
    """A number of a form field, None where it is empty. Raises ValueError."""
    text = text.strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise ValueError(f"A whole number from 1 to {most:,}, or nothing.")
    return int(text)


@require_POST
def days(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """After how many days originals are deleted, and dumps moved to the trash."""
    team = team_for(request, team_id, to_manage=True)
    try:
        originals, dumps = (_number(request.POST.get(name, ""), keeping.MOST_DAYS) for name in ("originals", "dumps"))
    except ValueError as error:
        messages.error(request, f"Days: {error}")
        return redirect("team")
    keeping.change(request=request, team=team, originals=originals, dumps=dumps)
    messages.success(request, f"{team} keeps its dumps so from now on. What is older goes within the next quarter of an hour.")
    return redirect("team")


@require_POST
def quota(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """How much a team may keep."""
    team = team_for(request, team_id, to_manage=True)
    if not permissions.can_set_quota(viewer_of(request.user)):
        raise PermissionDenied("Administrators say how much a team may keep.")
    try:
        gigabytes = _number(request.POST.get("gigabytes", ""), _MOST_GIGABYTES)
    except ValueError as error:
        messages.error(request, f"Gigabytes: {error}")
        return redirect("team")
    quotas.change_quota(request=request, team=team, limit_bytes=gigabytes * _GIGABYTE if gigabytes else None)
    return redirect("team")


@require_POST
def remove(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """Remove a team with everything it has, when its name was typed."""
    team = team_for(request, team_id, to_manage=True)
    if not permissions.can_remove_team(viewer_of(request.user)):
        raise PermissionDenied("Administrators remove teams.")
    if request.POST.get("name", "") != team.name:
        messages.error(request, "Type the name of the team as it is written, to remove it.")
        return redirect("team")
    try:
        removal.remove_team(request=request, team=team)
    except Held as held:
        messages.error(request, str(held))
        return redirect("team")
    messages.success(request, f"{team.name} and all its dumps are gone.")
    return redirect("team")


urlpatterns = [
    path("team/<uuid:team_id>/keeping", days, name="team-keeping"),
    path("team/<uuid:team_id>/quota", quota, name="team-quota"),
    path("team/<uuid:team_id>/remove", remove, name="team-remove"),
]
