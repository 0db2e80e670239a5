"""How long a team keeps its dumps: after some days the original goes and the analysis stays, or the dump goes to the trash."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from explorer.models import AuditEntry, Dump, Team
from explorer.services.audit import by_the_server, write_down
from explorer.services.removal import one_of_many, remove_original
from explorer.services.trash import move_to_trash

#: Longer is for ever.
MOST_DAYS = 36_500


def change(*, request: HttpRequest, team: Team, originals: int | None, dumps: int | None) -> None:
    """Say after how many days originals are deleted and dumps move to the trash; None keeps them."""
    words = f"originals: {_words(originals)}, dumps: {_words(dumps)}"
    write_down(request, AuditEntry.Action.CHANGE_KEEPING, team=team, detail=words)
    Team.objects.filter(pk=team.pk).update(keep_originals_days=originals, keep_dumps_days=dumps)


def _words(days: int | None) -> str:
    return f"{days:,} days" if days else "for ever"


def enforce() -> int:
    """Do what the teams want, but for dumps under a hold; how many dumps were touched."""
    request, touched = by_the_server(), 0
    for team in Team.objects.exclude(keep_originals_days=None, keep_dumps_days=None):
        if team.keep_dumps_days is not None:
            for dump in _older(team, team.keep_dumps_days):
                with one_of_many(dump):
                    move_to_trash(request=request, dump=dump, note=f"{team} keeps dumps for {team.keep_dumps_days:,} days")
                    touched += 1
        if team.keep_originals_days is not None:
            touched += _remove_originals(request, team, team.keep_originals_days)
    return touched


def _remove_originals(request: HttpRequest, team: Team, days: int) -> int:
    touched = 0
    for dump in _older(team, days).filter(original_removed_at=None):
        with one_of_many(dump):
            touched += remove_original(request=request, dump=dump, detail=f"{team} keeps originals for {days:,} days")
    return touched


def _older(team: Team, days: int) -> QuerySet[Dump]:
    since = timezone.now() - timedelta(days=days)
    return Dump.objects.filter(team=team, trashed_at=None, held_at=None, kept_since__lt=since)
