"""Whose analysis is next. A message only says that there is work; which work it is, the database says.

The team with the fewest analyses under way comes first, then the one that was served longest ago; within a team the
oldest. So a team that sends a hundred dumps holds up its own, and takes turns with others.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.db.models import F, Max, Min, Q
from django.utils import timezone

from explorer.models import Analysis, State

_HELD = (State.CHECKING, State.RUNNING)
_NEVER = datetime.min.replace(tzinfo=UTC)


def startable() -> Q:
    """Analyses that wait, or whose lease ran out, and whose worker was not lost too often."""
    waiting = Q(state__in=(State.RECEIVED, State.QUEUED)) | Q(state__in=_HELD, lease_until__lt=timezone.now())
    return waiting & Q(attempts__lt=F("crashes") + settings.MAXIMUM_LOSSES)


def next_in_turn() -> UUID | None:
    """The analysis to start now; None when none waits."""
    waiting = Analysis.objects.filter(startable())
    teams = dict(waiting.order_by().values_list("dump__team").annotate(Min("created_at")))
    if not teams:
        return None
    of_teams = Analysis.objects.filter(dump__team__in=teams).order_by()
    held = Counter(of_teams.filter(state__in=_HELD, lease_until__gte=timezone.now()).values_list("dump__team", flat=True))
    served = dict(of_teams.filter(started_at__isnull=False).values_list("dump__team").annotate(Max("started_at")))
    first = min(teams, key=lambda team: (held[team], served.get(team, _NEVER), teams[team]))
    return waiting.filter(dump__team=first).order_by("created_at").values_list("pk", flat=True).first()
