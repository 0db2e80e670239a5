"""Who belongs to a team."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from explorer import permissions
from explorer.access import team_for, viewer_of
from explorer.models import Membership, Role, User
from explorer.queries import members_of, open_invitations, teams_of
from explorer.services import teams


@require_GET
def team_list(request: HttpRequest) -> HttpResponse:
    """The person's teams, each with its members."""
    viewer = viewer_of(request.user)
    rows = [
        {
            "team": team,
            "members": members_of(team),
            "may_manage": permissions.can_manage_members(viewer, team.pk),
            "invitations": open_invitations().filter(team=team),
            "roles_to_invite": [role for role in Role if permissions.can_invite(viewer, team.pk, role)],
        }
        for team in teams_of(request.user)
    ]
    return render(request, "account/team.html", {"rows": rows, "roles": Role.choices})


@require_POST
def add_member(request: HttpRequest, team_id: UUID) -> HttpResponse:
    team = team_for(request, team_id, to_manage=True)
    username, role = request.POST.get("username", "").strip(), request.POST.get("role", "")
    try:
        User.username_validator(username)
        if role not in Role.values or len(username) > 150:
            raise ValidationError("Choose a role, and a name of at most 150 characters.")
        user, password = teams.add_member(team=team, username=username, role=Role(role))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("team")
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("team")
    once = f" One-time password, shown only here: {password}" if password else ""
    messages.success(request, f"{user.username} is now {Role(role).label.lower()} in {team}.{once}")
    return redirect("team")


@require_POST
def remove_member(request: HttpRequest, team_id: UUID, membership_id: int) -> HttpResponse:
    team = team_for(request, team_id, to_manage=True)
    get_object_or_404(Membership, team=team, pk=membership_id)
    try:
        teams.remove_member(team=team, membership_id=membership_id)
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("team")


@login_not_required
@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    """For health checks: the process answers and reaches its database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


urlpatterns = [
    path("team", team_list, name="team"),
    path("team/<uuid:team_id>/members", add_member, name="member-add"),
    path("team/<uuid:team_id>/members/<int:membership_id>/remove", remove_member, name="member-remove"),
    path("healthz", healthz, name="healthz"),
]
