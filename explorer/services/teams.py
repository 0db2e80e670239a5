"""People and teams: the first administrator, members."""

from __future__ import annotations

import secrets
from contextlib import suppress

from django.db import IntegrityError, transaction

from explorer.models import Membership, Role, Team, User


def first_administrator() -> str | None:
    """Make the first person and team of a new server; the one-time password, or None when there are people already."""
    with suppress(IntegrityError), transaction.atomic():
        if User.objects.exists():
            return None
        password = secrets.token_urlsafe(12)
        user = User.objects.create_superuser("admin", "", password, must_change_password=True)
        Membership.objects.create(team=Team.objects.create(name="My team"), user=user, role=Role.LEAD)
        return password
    return None  # another process was faster


def add_member(*, team: Team, username: str, role: Role) -> tuple[User, str | None]:
    """Put a person into a team, making an account with a one-time password when there is none of that name.
    Raises ValueError when that would leave the team without a lead."""
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        user = User.objects.filter(username=username).first()
        password = None
        if user is None:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(username, "", password, must_change_password=True)
        if role != Role.LEAD:
            _require_another_lead(team, user)
        Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    return user, password


def remove_member(*, team: Team, membership_id: int) -> None:
    """Take a person out of a team. The last lead stays: a team without one could not be managed."""
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)  # two leads may not remove each other at once
        row = Membership.objects.get(team=team, pk=membership_id)
        _require_another_lead(team, row.user)
        row.delete()


def _require_another_lead(team: Team, user: User) -> None:
    leads = set(Membership.objects.filter(team=team, role=Role.LEAD).values_list("user_id", flat=True))
    if leads == {user.pk}:
        raise ValueError("A team needs a lead; make somebody else lead first.")
