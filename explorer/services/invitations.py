"""Inviting people into a team: make a link, send it, accept it, take it back."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import PermissionDenied
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from explorer import permissions
from explorer.models import AuditEntry, Invitation, Membership, Role, Team, User
from explorer.models.team import keyed_hash
from explorer.queries import leads_of, open_invitations
from explorer.services.audit import as_person, write_down
from explorer.services.teams import not_at_once
from explorer.viewers import viewer_of

VALID = timedelta(days=7)
_SESSION_KEY = "invitation"


class InvitationUnusable(Exception):
    """Used, expired or taken back meanwhile, or the person belongs to the team already; the message says it to people."""


def invite(*, request: HttpRequest, team: Team, role: Role, email: str = "") -> tuple[Invitation, str]:
    """A new invitation and the secret of its link, which is not kept. Raises PermissionDenied for a role not theirs to give."""
    by = as_person(request)
    if not permissions.can_grant(viewer_of(by), team.pk, role, led=leads_of(team.pk).exists()):
        raise PermissionDenied(not_at_once(role))
    domain = email.rpartition("@")[2]  # of somebody who has no key yet under which the audit could forget them
    write_down(request, AuditEntry.Action.INVITE, team=team, detail=f"as {role}{f', at {domain}' if domain else ''}")
    secret = secrets.token_urlsafe(32)
    digest = keyed_hash("invitation", secret)
    invitation = Invitation.objects.create(
        team=team, invited_by=by, role=role, email=email, digest=digest, expires_at=timezone.now() + VALID
    )
    return invitation, secret


def send(*, invitation: Invitation, link: str) -> bool:
    """Mail the link to the address of the invitation; False when the mail server did not take it."""
    subject = f"Dump Explorer: join {' '.join(invitation.team.name.split())}"
    body = (
        f"{invitation.invited_by} invites you to the team {invitation.team} as {invitation.get_role_display().lower()}.\n\n"
        f"{link}\n\nThe link works once, for {VALID.days} days.\n"
    )
    try:
        return send_mail(subject, body, None, [invitation.email]) == 1
    except OSError:
        return False


def invitation_of(secret: str) -> Invitation | None:
    """The invitation of a link while it can be accepted."""
    return open_invitations().filter(digest=keyed_hash("invitation", secret)).first()


def keep(session: SessionBase, invitation: Invitation) -> None:
    """Remember it in the session while somebody signs in or makes an account."""
    session[_SESSION_KEY] = str(invitation.pk)


def kept(session: SessionBase) -> Invitation | None:
    """The invitation that was followed in this session, while it can be accepted."""
    key = session.get(_SESSION_KEY)
    return open_invitations().filter(pk=key).first() if key else None


def forget(session: SessionBase) -> None:
    session.pop(_SESSION_KEY, None)


def take_back(*, request: HttpRequest, invitation: Invitation) -> None:
    """Its link leads nowhere from now on."""
    write_down(request, AuditEntry.Action.INVITE, team=invitation.team, detail=f"taken back, as {invitation.role}")
    invitation.delete()


def accept(*, request: HttpRequest, invitation: Invitation, user: User) -> None:
    """Make the person a member. Raises InvitationUnusable; a member keeps the role they have and the link stays unused."""
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=invitation.team_id)
        if Membership.objects.filter(team=invitation.team, user=user).exists():
            raise InvitationUnusable(f"You belong to {invitation.team} already.")
        if invitation.invited_by_id == user.pk:
            raise InvitationUnusable("Somebody else has to invite you.")
        used = open_invitations().filter(pk=invitation.pk).update(accepted_by=user, accepted_at=timezone.now())
        if used != 1:
            raise InvitationUnusable("This invitation cannot be used any more. Ask for another.")
        detail = f"{{0}} as {invitation.role}"
        write_down(request, AuditEntry.Action.JOIN, team=invitation.team, detail=detail, people=[user])
        Membership.objects.create(team=invitation.team, user=user, role=invitation.role)


def accept_as_newcomer(*, request: HttpRequest, invitation: Invitation, username: str, password: str) -> User:
    """The same for somebody without an account, who gets one. Raises InvitationUnusable, and then there is none."""
    with transaction.atomic():
        user = User.objects.create_user(username, "", password)
        accept(request=request, invitation=invitation, user=user)
    return user
