"""People and teams: the first administrator, members and their roles, access that is lent."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from explorer.models import AuditEntry, LentAccess, Membership, Role, RoleProposal, ServerRole, Team, User
from explorer.permissions import agrees_as, can_change_role, can_grant, can_lend_access, can_remove_member
from explorer.queries import leads_of
from explorer.services.audit import SHORTEST_EXPLANATION, Purpose, as_person, write_down
from explorer.viewers import viewer_of

LENT_FOR = timedelta(hours=8)


def first_administrator() -> str | None:
    """Make the first person and team of a new server; the one-time password, or None when there are people already."""
    with suppress(IntegrityError), transaction.atomic():
        if User.objects.exists():
            return None
        password = secrets.token_urlsafe(12)
        user = User.objects.create_superuser(
            "admin", "", password, must_change_password=True, server_role=ServerRole.ADMINISTRATOR
        )
        Membership.objects.create(team=Team.objects.create(name="My team"), user=user, role=Role.LEAD)
        return password
    return None  # another process was faster


def add_member(*, request: HttpRequest, team: Team, username: str, role: Role) -> tuple[User, str | None]:
    """Put a person into a team or change their role, making an account with a one-time password when there is none of that
    name. Raises PermissionDenied for a role that is not theirs to give, ValueError when the team would lose its last lead."""
    viewer = viewer_of(request.user)
    if username == request.user.get_username() and viewer.roles.get(team.pk) != Role.LEAD:
        raise PermissionDenied("Administrators read no dumps: a lead of the team takes you in, or lets you in for some hours.")
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        led = leads_of(team.pk).exists()
        if not can_grant(viewer, team.pk, role, led=led):
            raise PermissionDenied(not_at_once(role))
        user, password = User.objects.filter(username=username).first(), None
        if user is None:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(username, "", password, must_change_password=True)
        held = Membership.objects.filter(team=team, user=user).values_list("role", flat=True).first()
        own = user == request.user
        if held and not own and not can_change_role(viewer, team.pk, Role(held), role, active=user.is_active, led=led):
            raise PermissionDenied(_kept(Role(held)))
        if role != Role.LEAD:
            _require_another_lead(team, user)
        detail = f"{{0}}: {held or 'none'} to {role}"
        write_down(request, AuditEntry.Action.CHANGE_ROLE, team=team, detail=detail, people=[user])
        Membership.objects.update_or_create(team=team, user=user, defaults={"role": role, "last_used_on": timezone.localdate()})
    return user, password


def not_at_once(role: Role) -> str:
    """What somebody does who may not give a role at once."""
    if role in RoleProposal.ROLES:
        return f"A lead of the team and an administrator must agree: propose a member as {role.label.lower()} on the page Team."
    return f"Only leads of the team make somebody {role.label.lower()}: ask one of them."


def _kept(held: Role) -> str:
    """The same where a member's role is not theirs to take."""
    if held == Role.LEAD:
        return "A lead steps down by themselves, or another lead takes them out of the team."
    return f"Somebody who is {held.label.lower()} becomes viewer first: an administrator does that."


def remove_member(*, request: HttpRequest, team: Team, membership_id: int) -> None:
    """Take a person out of a team, with what was proposed for them. The last lead stays: a team without one could not be
    managed. Raises PermissionDenied for somebody who is not theirs to remove, ValueError for the last lead."""
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)  # two leads may not remove each other at once
        row = Membership.objects.select_related("user").get(team=team, pk=membership_id)
        if not can_remove_member(viewer_of(request.user), team.pk, Role(row.role), active=row.user.is_active):
            raise PermissionDenied(_kept(Role(row.role)))
        _require_another_lead(team, row.user)
        write_down(request, AuditEntry.Action.REMOVE_MEMBER, team=team, detail=f"{{0}} was {row.role}", people=[row.user])
        RoleProposal.objects.filter(team=team, user=row.user).delete()
        row.delete()


def agree_to_role(*, request: HttpRequest, team: Team, user: User, role: Role) -> bool:
    """Say that a member is to be protected reader or lead; whether that made them one, which takes a lead and an administrator.
    Raises PermissionDenied, and ValueError for who may do as much already."""
    speaks_as = agrees_as(viewer_of(request.user), team.pk)
    if request.user == user:
        raise PermissionDenied(f"Others make somebody {role.label.lower()}.")
    if not speaks_as or role not in RoleProposal.ROLES:
        raise PermissionDenied("A lead of the team and an administrator make a member protected reader or lead.")
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        membership = Membership.objects.get(team=team, user=user)
        if membership.role in (role, Role.LEAD):
            raise ValueError(f"{user} is {membership.get_role_display().lower()} already.")
        proposal, _ = RoleProposal.objects.get_or_create(team=team, user=user, role=role)
        _agree(proposal, as_person(request), speaks_as)
        proposal.save()
        agreed = bool(proposal.lead and proposal.administrator)
        detail = f"{{0}}: {'now' if agreed else 'proposed as'} {role}"
        write_down(request, AuditEntry.Action.CHANGE_ROLE, team=team, detail=detail, people=[user])
        if agreed:
            Membership.objects.filter(pk=membership.pk).update(role=role, last_used_on=timezone.localdate())
            proposal.delete()
    return agreed


def _agree(proposal: RoleProposal, person: User, speaks_as: frozenset[str]) -> None:
    """One person agrees, for one side: who could speak for both speaks for the one that is missing. Who agreed before and may not
    do so any more has no voice."""
    for side in ("lead", "administrator"):
        voice = getattr(proposal, side)
        if voice and not (voice.is_active and side in agrees_as(viewer_of(voice), proposal.team_id)):
            setattr(proposal, side, None)
    if person in (proposal.lead, proposal.administrator):
        return
    missing = [side for side in ("lead", "administrator") if side in speaks_as and getattr(proposal, side) is None]
    for side in missing[:1]:
        setattr(proposal, side, person)


def open_archive(*, request: HttpRequest, team: Team, is_open: bool) -> None:
    """Show the structure of the team's dumps to everybody on this server, or to members only."""
    detail = "archive open to everybody here" if is_open else "archive for members only"
    write_down(request, AuditEntry.Action.CHANGE_ROLE, team=team, detail=detail)
    Team.objects.filter(pk=team.pk).update(opens_archive=is_open)


def ask_for_access(*, request: HttpRequest, team: Team, explanation: str) -> None:
    """An administrator asks a team to be let in for some hours. Raises PermissionDenied, and ValueError without a reason."""
    if viewer_of(request.user).server_role != ServerRole.ADMINISTRATOR:
        raise PermissionDenied("Administrators ask to be let into a team.")
    if len(explanation) < SHORTEST_EXPLANATION:
        raise ValueError(f"Say in at least {SHORTEST_EXPLANATION} letters why you need to see the team's dumps.")
    write_down(request, AuditEntry.Action.BREAK_GLASS, team=team, purpose=Purpose(explanation=explanation))
    LentAccess.objects.create(team=team, user=as_person(request), explanation=explanation)


def lend_access(*, request: HttpRequest, team: Team, lent_id: int) -> None:
    """Let an administrator who asked into the team for eight hours, as an analyst. Raises PermissionDenied."""
    if not can_lend_access(viewer_of(request.user), team.pk):
        raise PermissionDenied("Leads of the team let administrators in.")
    lent = LentAccess.objects.select_related("user").get(team=team, pk=lent_id, granted_by=None)
    if lent.user_id == request.user.pk:
        raise PermissionDenied("Somebody else lets you in.")
    write_down(request, AuditEntry.Action.GRANT_GLASS, team=team, detail="{0}", people=[lent.user])
    lent.grant(as_person(request), LENT_FOR)


def _require_another_lead(team: Team, user: User) -> None:
    leads = set(leads_of(team.pk).values_list("user_id", flat=True))
    if leads == {user.pk}:
        raise ValueError("A team needs a lead; make somebody else lead first.")
