"""A team's trash: what was deleted lately, taken out again or deleted for good."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from explorer import permissions
from explorer.access import dump_for, team_for, trashed_dump_for
from explorer.models import Held
from explorer.pages.names import visible
from explorer.queries import trash_visible_to
from explorer.services import removal, trash
from explorer.viewers import subject_of, viewer_of

_SHOWN = 500


@require_POST
def move(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Delete a dump, which can be undone for some days."""
    dump = dump_for(request, dump_id, to="delete")
    try:
        trash.move_to_trash(request=request, dump=dump)
    except Held as held:
        raise PermissionDenied(str(held)) from held
    messages.success(request, f"{visible(dump.name, 120)} is in the trash. Restore it here to undo that.")
    return redirect("trash", dump.team_id)


@never_cache
@require_GET
def listed(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """Dumps that the person may take out: who put them there, when, and when they go for good."""
    team, viewer = team_for(request, team_id), viewer_of(request.user)
    if not permissions.can_use_trash(viewer, team.pk):
        raise PermissionDenied("Team leads see the trash, and analysts what they deleted.")
    found = trash_visible_to(request.user).filter(team=team)
    rows = [
        {"dump": dump, "gone_at": trash.gone_at(dump), "may_purge": permissions.can_purge(viewer, subject_of(dump))}
        for dump in found[:_SHOWN]
    ]
    context = {
        "team": team, "rows": rows, "total": found.count(), "shown": _SHOWN, "days": settings.TRASH_DAYS,
        "may_empty": permissions.can_empty_trash(viewer, team.pk),
    }  # fmt: skip
    return render(request, "archive/trash.html", context)


@require_POST
def restore(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    dump = trashed_dump_for(request, dump_id)
    trash.restore(request=request, dump=dump)
    return redirect("dump-overview", dump.pk)


@require_POST
def purge(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Delete a dump for good, now."""
    dump = trashed_dump_for(request, dump_id, to_purge=True)
    try:
        removal.purge(request=request, dump=dump, detail="before its days in the trash were over")
    except Held as held:
        raise PermissionDenied(str(held)) from held
    messages.success(request, f"{visible(dump.name, 120)} and everything made from it is gone.")
    return redirect("trash", dump.team_id)


@require_POST
def empty(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """Delete for good whatever is in the trash."""
    team = team_for(request, team_id)
    if not permissions.can_empty_trash(viewer_of(request.user), team.pk):
        raise PermissionDenied("Team leads empty the trash.")
    gone, held = trash.empty(request=request, team=team)
    stay = f" {held:,} with a hold stay." if held else ""
    messages.success(request, f"{gone:,} {'dump is' if gone == 1 else 'dumps are'} gone for good.{stay}")
    return redirect("trash", team.pk)


urlpatterns = [
    path("dumps/<uuid:dump_id>/delete", move, name="dump-delete"),
    path("team/<uuid:team_id>/trash", listed, name="trash"),
    path("team/<uuid:team_id>/trash/empty", empty, name="trash-empty"),
    path("trash/<uuid:dump_id>/restore", restore, name="trash-restore"),
    path("trash/<uuid:dump_id>/delete", purge, name="trash-purge"),
]
