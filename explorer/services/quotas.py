"""What teams may keep and how much one person may upload at a time, asked when an upload begins.

A team's bytes are what its dumps take on the disk (file, indexes, copies; the trash too), its PDBs, and what its
uploads under way were announced with. What an analysis makes is counted after it was made: it stops the next upload, not itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone

from explorer.models import AuditEntry, Dump, SymbolFile, Team, Upload, User
from explorer.services.audit import write_down

_HOUR = timedelta(hours=1)


class OverLimit(Exception):
    """More than somebody may have; ``status`` is the HTTP status, ``retry_seconds`` when it is worth another try (0: not by
    waiting), the texts are for the person."""

    def __init__(self, status: int, what: str, remedy: str, *, retry_seconds: int = 0) -> None:
        super().__init__(f"{what} {remedy}")
        self.status, self.what, self.remedy, self.retry_seconds = status, what, remedy, retry_seconds


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of a team: what is kept, what of that is in the trash, what is announced, and the limit (0: none)."""

    kept_bytes: int
    trash_bytes: int
    announced_bytes: int
    limit_bytes: int

    @property
    def used_bytes(self) -> int:
        return self.kept_bytes + self.announced_bytes

    @property
    def is_full(self) -> bool:
        return bool(self.limit_bytes) and self.used_bytes >= self.limit_bytes


def usage_of(team: Team) -> Usage:
    dumps = Dump.objects.filter(team=team)
    symbols = SymbolFile.objects.filter(team=team)
    kept = _sum(dumps.aggregate(n=Sum("stored_bytes"))) + _sum(symbols.aggregate(n=Sum("size_bytes")))
    announced = _sum(Upload.objects.filter(team=team, dump=None).aggregate(n=Sum("length")))
    limit = settings.TEAM_QUOTA_BYTES if team.quota_bytes is None else team.quota_bytes
    return Usage(kept, _sum(dumps.exclude(trashed_at=None).aggregate(n=Sum("stored_bytes"))), announced, limit)


def _sum(found: dict[str, int | None]) -> int:
    return found["n"] or 0


@contextmanager
def admitted(*, user: User, team: Team, length: int) -> Iterator[None]:
    """What is made inside of this is one more upload of a person into a team, which one after the other may. Raises OverLimit."""
    with transaction.atomic():
        person = User.objects.select_for_update().get(pk=user.pk)
        _require_few_uploads(person)
        require_room(team=team, length=length)
        yield
        person.save(update_fields=["uploads_counted_from", "uploads_counted"])


def _require_few_uploads(person: User) -> None:
    """Not too many under way, and not too many begun within the hour; counts one more."""
    under_way, now = Upload.objects.filter(user=person, dump=None).count(), timezone.now()
    if under_way >= settings.UPLOADS_UNDER_WAY:
        raise OverLimit(429, f"You have {under_way:,} uploads under way; {settings.UPLOADS_UNDER_WAY:,} at a time are allowed.",
                        "Finish or cancel some; what nobody goes on with is forgotten by itself.", retry_seconds=60)  # fmt: skip
    if person.uploads_counted_from is None or person.uploads_counted_from <= now - _HOUR:
        person.uploads_counted_from, person.uploads_counted = now, 0
    if person.uploads_counted >= settings.UPLOADS_PER_HOUR:
        wait = int((person.uploads_counted_from + _HOUR - now).total_seconds()) + 1
        raise OverLimit(429, f"You began {person.uploads_counted:,} uploads within an hour; more are not allowed.",
                        f"Go on in {wait // 60 + 1} minutes.", retry_seconds=wait)  # fmt: skip
    person.uploads_counted += 1


def require_room(*, team: Team, length: int) -> None:
    """Inside of a transaction: the team may keep so many bytes more, and nobody else's come before. Raises OverLimit."""
    usage = usage_of(Team.objects.select_for_update().get(pk=team.pk))
    if usage.limit_bytes and usage.used_bytes + length > usage.limit_bytes:
        raise OverLimit(507, f"{team} uses {usage.used_bytes:,} of {usage.limit_bytes:,} bytes; this file has {length:,}.",
                        "Delete dumps and empty the team's trash, let originals go after some days (page Team), or ask an "
                        "administrator for more.")  # fmt: skip


def change_quota(*, request: HttpRequest, team: Team, limit_bytes: int | None) -> None:
    """Say how much a team may keep; None is what the server's settings say, 0 no limit."""
    words = "as the server says" if limit_bytes is None else f"{limit_bytes:,} bytes" if limit_bytes else "no limit"
    write_down(request, AuditEntry.Action.CHANGE_QUOTA, team=team, detail=words)
    Team.objects.filter(pk=team.pk).update(quota_bytes=limit_bytes)


def measure(dump: Dump) -> None:
    """Note what a dump's files take."""
    Dump.objects.filter(pk=dump.pk).update(stored_bytes=_bytes_under(dump.directory))


def measure_all() -> None:
    """The same for all of them: copies and indexes come and go."""
    for dump in Dump.objects.iterator():
        found = _bytes_under(dump.directory)
        if found != dump.stored_bytes:
            Dump.objects.filter(pk=dump.pk).update(stored_bytes=found)


def _bytes_under(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.lstat().st_size
    return total
