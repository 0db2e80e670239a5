"""Holds: set and lifted while the row of the dump is locked, so that a removal comes before one or not at all."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from explorer.models import AuditEntry, Dump
from explorer.services.audit import write_down


def set_hold(*, request: HttpRequest, dump: Dump, note: str) -> None:
    """Keep a dump from being deleted by anybody and anything. Raises Dump.DoesNotExist when it is gone meanwhile."""
    with transaction.atomic():
        row = Dump.objects.select_for_update().get(pk=dump.pk)
        if row.held_at is None:
            write_down(request, AuditEntry.Action.HOLD_DUMP, dump=row, detail=note)
            Dump.objects.filter(pk=row.pk).update(held_at=timezone.now(), hold_note=note)


def lift_hold(*, request: HttpRequest, dump: Dump) -> None:
    """Let a dump be deleted again. Raises Dump.DoesNotExist."""
    with transaction.atomic():
        row = Dump.objects.select_for_update().get(pk=dump.pk)
        write_down(request, AuditEntry.Action.LIFT_HOLD, dump=row, detail=row.hold_note)
        Dump.objects.filter(pk=row.pk).update(held_at=None, hold_note="")
