"""The right of one worker to write one row, for as long as it renews it; of analyses and of scrubbed copies.

A worker that dies stops renewing. The reaper then rings for another one, until it was lost too often (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from explorer.models import Analysis, ScrubbedCopy

_Model = type[Analysis] | type[ScrubbedCopy]


class LeaseLost(Exception):
    """Another worker, a cancellation or the reaper took the row away."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one row, as long as the token in the row is this one. A row that has ended has none."""

    model: _Model
    row_id: Any
    token: UUID

    def renew(self, **changes: Any) -> None:
        """Write changes and lengthen the lease. Raises LeaseLost when the row is no longer ours."""
        self._write(lease_until=lease_end(), **changes)

    def end(self, state: str, **changes: Any) -> None:
        """Write the outcome and give the lease up. Raises LeaseLost when the row is no longer ours."""
        self._write(state=state, token=None, lease_until=None, finished_at=timezone.now(), **changes)

    def _write(self, **changes: Any) -> None:
        rows: QuerySet[Any] = self.model.objects.filter(pk=self.row_id, token=self.token)
        if not rows.update(**changes):
            raise LeaseLost


def claim(model: _Model, row_id: Any, startable: Q, **changes: Any) -> Lease | None:
    """Start what waits, or what lost its worker, by one compare-and-set. None when somebody else has it or it has ended."""
    token = uuid4()
    rows: QuerySet[Any] = model.objects.filter(startable, pk=row_id)
    started = rows.update(token=token, lease_until=lease_end(), attempts=F("attempts") + 1, **changes)
    return Lease(model, row_id, token) if started else None


def reap(
    rows: QuerySet[Any], *, since: str, waiting: str, given_up: Callable[[Any], dict[str, Any]], ring: Callable[[Any], None]
) -> int:
    """Ring again for those of the open ``rows`` that nobody holds, or end them with what ``given_up`` says when their worker was
    lost too often; how many were touched. ``since`` is when they began to wait, ``waiting`` the state in which they do."""
    now = timezone.now()
    rung_long_ago = Q(**{f"{since}__lt": now - timedelta(seconds=settings.LEASE_SECONDS)})
    found = list(rows.filter(Q(lease_until__lt=now) | Q(rung_long_ago, lease_until=None)))
    for one in found:
        row, ended = rows.filter(pk=one.pk, lease_until=one.lease_until), given_up(one)
        if ended:
            row.update(token=None, lease_until=None, finished_at=now, **ended)
        elif row.update(state=waiting, token=None, lease_until=lease_end()):
            ring(one)
    return len(found)


def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
