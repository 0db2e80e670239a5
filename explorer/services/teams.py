"""People and teams: the first administrator, members."""

from __future__ import annotations

import secrets

from django.db import transaction

from explorer.models import Membership, Role, Team, User


def first_administrator() -> str | None:
    """Make the first person and team of a new server; the one-time password, or None when there are people already."""
    with transaction.atomic():
        if User.objects.exists():
            return None
        password = secrets.token_urlsafe(12)
        user = User.objects.create_superuser("admin", "", password, must_change_password=True)
        Membership.objects.create(team=Team.objects.create(name="My team"), user=user, role=Role.LEAD)
    return password


def add_member(*, team: Team, username: str, role: Role) -> tuple[User, str | None]:
    """Put a person into a team, making an account with a one-time password when there is none of that name."""
    with transaction.atomic():
        user = User.objects.filter(username=username).first()
        password = None
        if user is None:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(username, "", password, must_change_password=True)
        Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    return user, password


def remove_member(*, team: Team, membership_id: int) -> None:
    """Take a person out of a team. The last lead stays: a team without one could not be managed."""
    with transaction.atomic():
        row = Membership.objects.select_for_update().get(team=team, pk=membership_id)
        leads = Membership.objects.filter(team=team, role=Role.LEAD).exclude(pk=row.pk)
        if row.role == Role.LEAD and not leads.exists():
            raise ValueError("A team needs a lead; make somebody else lead first.")
        row.delete()
