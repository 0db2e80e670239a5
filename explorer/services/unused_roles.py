"""Roles that nobody uses are taken away: who has not used a team's dumps for some months sees no more of them than a viewer.

``explorer.viewers.note_use`` keeps the day of a membership's last use. A protected reader goes in two steps: first what they may
do with values, and after as many days again the rest.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from explorer.models import ApiToken, AuditEntry, Membership, Role, Team
from explorer.queries import leads_of
from explorer.services.audit import by_the_server, write_down
from explorer.services.notices import tell_of


def drop() -> int:
    """Do it for everybody whose time is over; how many roles went."""
    days = settings.UNUSED_ROLE_DAYS
    if days <= 0:
        return 0
    since = timezone.localdate() - timedelta(days=days)
    unused = Membership.objects.filter(last_used_on__lt=since).exclude(role=Role.VIEWER).order_by("last_used_on", "pk")
    return sum(_drop(membership_id, team_id, since) for membership_id, team_id in list(unused.values_list("pk", "team_id")))


def _drop(membership_id: int, team_id: UUID, since: date) -> bool:
    with transaction.atomic():
        team = Team.objects.select_for_update().filter(pk=team_id).first()  # two leads may not go at once
        row = Membership.objects.select_related("user").filter(pk=membership_id, last_used_on__lt=since).first()
        if team is None or row is None or _is_last_lead(row):
            return False
        left = _what_is_left(row, since)
        if left == row.role:
            return False
        detail = f"{{0}}: {row.role} to {left}, not used since {row.last_used_on:%Y-%m-%d}"
        written = write_down(by_the_server(), AuditEntry.Action.DROP_ROLE, team=team, detail=detail, people=[row.user])
        Membership.objects.filter(pk=row.pk).update(role=left, last_used_on=timezone.localdate())
        tell_of(written)
    return True


def _is_last_lead(row: Membership) -> bool:
    """No other lead who can come in would be left."""
    return row.role == Role.LEAD and not leads_of(row.team_id).exclude(pk=row.pk).exists()


def _what_is_left(row: Membership, since: date) -> Role:
    """A program that still comes with a token of the person's keeps what it needs: it uploads, and does nothing else."""
    midnight = timezone.make_aware(datetime.combine(since, time.min))
    program = ApiToken.objects.filter(user_id=row.user_id, may_upload=True, last_used_at__gte=midnight).exists()
    return Role.ANALYST if row.role == Role.PROTECTED or program else Role.VIEWER
