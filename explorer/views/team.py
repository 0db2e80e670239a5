"""Who belongs to a team."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from explorer import permissions
from explorer.access import team_for
from explorer.models import AuditEntry, Membership, Role, RoleProposal, ServerRole, Team, User
from explorer.permissions import Viewer
from explorer.queries import leads_of, members_of, open_invitations, teams_managed_by, teams_of
from explorer.services import teams
from explorer.services.audit import write_down
from explorer.services.plain_text import plain
from explorer.services.quotas import usage_of
from explorer.viewers import viewer_of


@require_GET
def team_list(request: HttpRequest) -> HttpResponse:
    """The person's teams, each with its members; for administrators all teams."""
    viewer = viewer_of(request.user)
    administers = viewer.server_role == ServerRole.ADMINISTRATOR
    rows = [
        {
            "team": team,
            "members": _members(viewer, team, at_once),
            "may_manage": permissions.can_manage_members(viewer, team.pk),
            "invitations": open_invitations().filter(team=team),
            "roles_to_give": at_once,
            "may_lend": permissions.can_lend_access(viewer, team.pk),
            "asks": team.lent.filter(granted_by=None).select_related("user"),
            "lent": team.lent.filter(expires_at__gt=timezone.now()).select_related("user", "granted_by"),
            "may_ask": administers and team.pk not in viewer.roles,
            "is_member": team.pk in viewer.roles,
            "usage": usage_of(team),
            "quota_gigabytes": team.quota_bytes // 10**9 if team.quota_bytes else None,
            "may_set_quota": permissions.can_set_quota(viewer),
            "may_use_trash": permissions.can_use_trash(viewer, team.pk),
        }
        for team in (teams_of(request.user) | teams_managed_by(request.user)).distinct()
        for at_once in [_roles_to_give(viewer, team)]
    ]
    return render(request, "account/team.html", {"rows": rows, "administers": administers})


def _roles_to_give(viewer: Viewer, team: Team) -> list[Role]:
    led = leads_of(team.pk).exists()
    return [role for role in Role if permissions.can_grant(viewer, team.pk, role, led=led)]


def _members(viewer: Viewer, team: Team, at_once: list[Role]) -> list[dict[str, object]]:
    """Members, each with what somebody may do with them: take them out, propose them for a role that is not theirs to give, or
    agree to it."""
    by_two = [role for role in RoleProposal.ROLES if permissions.agrees_as(viewer, team.pk) and role not in at_once]
    proposed = set(team.proposals.values_list("user_id", "role"))
    return [
        {
            "membership": row,
            "may_remove": permissions.can_remove_member(viewer, team.pk, Role(row.role), active=row.user.is_active),
            "proposals": [
                {"role": role, "made": (row.user_id, role) in proposed}
                for role in by_two
                if row.role not in (role, Role.LEAD) and row.user_id != viewer.user_id
            ],
        }
        for row in members_of(team)
    ]


@require_POST
def add_member(request: HttpRequest, team_id: UUID) -> HttpResponse:
    team = team_for(request, team_id, to_manage=True)
    username, role = request.POST.get("username", "").strip(), request.POST.get("role", "")
    try:
        User.username_validator(username)
        if role not in Role.values or len(username) > 150:
            raise ValidationError("Choose a role, and a name of at most 150 characters.")
        user, password = teams.add_member(request=request, team=team, username=username, role=Role(role))
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
        teams.remove_member(request=request, team=team, membership_id=membership_id)
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("team")


@require_POST
def make_team(request: HttpRequest) -> HttpResponse:
    """A new team, with whoever makes it as nobody in it: administrators do not read dumps."""
    if viewer_of(request.user).server_role != ServerRole.ADMINISTRATOR:
        raise PermissionDenied("Administrators make teams.")
    name = plain(request.POST.get("name", ""), 100)
    if not name or Team.objects.filter(name=name).exists():
        messages.error(request, "Give the team a name that no other team has.")
    else:
        with transaction.atomic():
            team = Team.objects.create(name=name)
            write_down(request, AuditEntry.Action.CHANGE_ROLE, team=team, detail=f"made the team {name}")
    return redirect("team")


@require_POST
def propose(request: HttpRequest, team_id: UUID, membership_id: int) -> HttpResponse:
    """Propose, or agree, that a member becomes protected reader or lead."""
    team = team_for(request, team_id, to_manage=True)
    member = get_object_or_404(Membership.objects.select_related("user"), team=team, pk=membership_id)
    try:
        role = Role(request.POST.get("role", ""))
    except ValueError:
        messages.error(request, "Choose a role.")
        return redirect("team")
    try:
        agreed = teams.agree_to_role(request=request, team=team, user=member.user, role=role)
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("team")
    other = "an administrator" if "lead" in permissions.agrees_as(viewer_of(request.user), team.pk) else "a lead of the team"
    name = role.label.lower()
    text = f"{member.user} is now {name}." if agreed else f"Noted. {member.user} is {name} once {other} agrees."
    messages.success(request, text)
    return redirect("team")


@require_POST
def archive_openness(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """Open the archive to everybody on this server, or close it."""
    team = team_for(request, team_id, to_manage=True)
    teams.open_archive(request=request, team=team, is_open="open" in request.POST)
    return redirect("team")


@require_POST
def ask_for_access(request: HttpRequest, team_id: UUID) -> HttpResponse:
    team = team_for(request, team_id, to_manage=True)
    explanation = plain(request.POST.get("explanation", ""), 500)
    try:
        teams.ask_for_access(request=request, team=team, explanation=explanation)
        messages.success(request, "The leads of the team see that you ask.")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("team")


@require_POST
def lend_access(request: HttpRequest, team_id: UUID, lent_id: int) -> HttpResponse:
    team = team_for(request, team_id, to_manage=True)
    get_object_or_404(team.lent, pk=lent_id, granted_by=None)
    teams.lend_access(request=request, team=team, lent_id=lent_id)
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
    path("team/new", make_team, name="team-create"),
    path("team/<uuid:team_id>/members/<int:membership_id>/propose", propose, name="member-propose"),
    path("team/<uuid:team_id>/archive", archive_openness, name="team-archive"),
    path("team/<uuid:team_id>/access", ask_for_access, name="access-ask"),
    path("team/<uuid:team_id>/access/<int:lent_id>", lend_access, name="access-lend"),
    path("healthz", healthz, name="healthz"),
]
