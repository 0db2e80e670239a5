"""People and dumps as the rules of ``explorer.permissions`` see them."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from explorer.models import Dump, LentAccess, Membership, Role, ServerRole, User
from explorer.permissions import Subject, Viewer

AnyUser = User | AnonymousUser


def viewer_of(user: AnyUser) -> Viewer:
    """A person; or the program that came with a token of theirs. Asked once in a request (``explorer.middleware``)."""
    if not isinstance(user, User):
        return Viewer(0, {})
    if user.as_viewer is None:
        return _read(user)
    if not user.as_viewer:
        user.as_viewer.append(_read(user))
    return user.as_viewer[0]


def _read(user: User) -> Viewer:
    lent = LentAccess.objects.filter(user_id=user.pk, expires_at__gt=timezone.now(), granted_by__isnull=False)
    roles = dict.fromkeys(lent.values_list("team_id", flat=True), Role.ANALYST)
    memberships = list(user.memberships.all())
    roles |= {row.team_id: Role(row.role) for row in memberships}
    user.used_on = {row.team_id: row.last_used_on for row in memberships}
    return Viewer(user.pk, roles, ServerRole(user.server_role), user.by_token is not None)


def note_use(user: AnyUser, team_id: UUID) -> None:
    """Remember that a person did something with a team's dumps today: one write a day. What programs do is not theirs."""
    today = timezone.localdate()
    if not isinstance(user, User) or user.by_token is not None or user.used_on is None:
        return
    if user.used_on.get(team_id, today) < today:
        Membership.objects.filter(user_id=user.pk, team_id=team_id).update(last_used_on=today)
        user.used_on[team_id] = today


def subject_of(dump: Dump) -> Subject:
    """A dump, with the people it is narrowed to."""
    only = frozenset(person.pk for person in dump.only_people.all())
    return Subject(
        dump.team_id, dump.uploaded_by_id, only or None, dump.team.opens_archive, dump.held_at is not None,
        timezone.now() - dump.created_at, dump.trashed_at is not None, dump.trashed_by_id,
    )  # fmt: skip
