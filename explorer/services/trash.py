"""The trash of a team: deleted dumps that can come back for some days."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from analysis.index import DataClass
from explorer.models import AuditEntry, Dump, Held, ShareLink, Team
from explorer.services.audit import by_the_server, write_down
from explorer.services.plain_text import plain
from explorer.services.removal import one_of_many, purge, unheld


def gone_at(dump: Dump) -> datetime:
    """When a dump in the trash goes for good."""
    return (dump.trashed_at or timezone.now()) + timedelta(days=settings.TRASH_DAYS)


def move_to_trash(*, request: HttpRequest, dump: Dump, note: str = "") -> None:
    """Take a dump away from everybody, for now; its share links end. Raises Held."""
    with unheld(dump.pk) as row:
        if row.trashed_at is not None:
            return
        write_down(request, AuditEntry.Action.TRASH_DUMP, dump=row, detail=note, data_class=DataClass.D4_RAW)
        now = timezone.now()
        Dump.objects.filter(pk=row.pk).update(trashed_at=now, trashed_by_id=request.user.pk, trash_note=plain(note, 100))
        ShareLink.objects.filter(dump=row, revoked_at=None).update(revoked_at=now)


def restore(*, request: HttpRequest, dump: Dump, detail: str = "") -> None:
    """Give a dump back to those who saw it. Nothing happens to one that is not in the trash."""
    with transaction.atomic():
        row = Dump.objects.select_for_update().get(pk=dump.pk)
        if row.trashed_at is not None:
            write_down(request, AuditEntry.Action.RESTORE_DUMP, dump=row, detail=detail)
            back = {"trashed_at": None, "trashed_by": None, "trash_note": "", "kept_since": timezone.now()}
            Dump.objects.filter(pk=row.pk).update(**back)


def empty(*, request: HttpRequest, team: Team) -> tuple[int, int]:
    """Delete for good what is in a team's trash; how many dumps went, and how many stay because of a hold."""
    gone = held = 0
    for dump in list(Dump.objects.filter(team=team).exclude(trashed_at=None)):
        with suppress(Dump.DoesNotExist):
            try:
                purge(request=request, dump=dump, detail="the trash was emptied")
                gone += 1
            except Held:
                held += 1
    return gone, held


def expire() -> int:
    """Delete for good what has been in the trash for its days; how many dumps went."""
    since = timezone.now() - timedelta(days=settings.TRASH_DAYS)
    request, gone = by_the_server(), 0
    for dump in list(Dump.objects.filter(trashed_at__lt=since, held_at=None)):
        with one_of_many(dump):
            purge(request=request, dump=dump, detail="its days in the trash are over")
            gone += 1
    return gone
