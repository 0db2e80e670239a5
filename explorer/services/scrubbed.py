"""Scrubbed copies of dumps: asked for by a person, made by one worker at a time, downloaded with a row in the audit."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from kombu.exceptions import OperationalError

from analysis.errors import AnalysisError
from explorer.access import dump_for
from explorer.models import AuditEntry, Dump, ScrubbedCopy
from explorer.services.audit import as_person, write_down
from explorer.services.disk import disk
from explorer.services.engine import EngineCrashed, EngineRefused, scrub_dump
from explorer.services.plain_dumps import plain_dump
from explorer.services.plain_text import plain

log = structlog.get_logger()
_State = ScrubbedCopy.State
_CERTIFICATE_BYTES = 1 << 20
_NO_ROOM = "There is not enough free space on the server's disk for a copy of this dump."


class CopyTaken(Exception):
    """The dump was deleted, or another worker makes the copy."""


def ask(*, request: HttpRequest, dump: Dump) -> None:
    """Have the copy made, or made again; nothing when it is being made. Raises PermissionDenied."""
    dump = dump_for(request, dump.pk, "scrub")
    write_down(request, AuditEntry.Action.MAKE_SCRUBBED, dump=dump)
    with transaction.atomic():
        Dump.objects.select_for_update().get(pk=dump.pk)
        known = ScrubbedCopy.objects.filter(dump=dump).first()
        if known and known.is_open:
            return
        fresh = {"asked_by": as_person(request), "asked_at": timezone.now(), "state": _State.WAITING, "token": None,
                 "lease_until": None, "finished_at": None, "stage": "", "fraction": 0.0, "problem": ""}  # fmt: skip
        ScrubbedCopy.objects.update_or_create(dump=dump, defaults=fresh)
        transaction.on_commit(lambda: _ring(dump.pk))


def take(*, request: HttpRequest, dump: Dump) -> Path:
    """The file, after the download was written down. Raises PermissionDenied, or FileNotFoundError when there is none."""
    dump = dump_for(request, dump.pk, "scrub")
    made = ScrubbedCopy.objects.filter(dump=dump, state=_State.DONE).first()
    if made is None or not made.file.exists():
        raise FileNotFoundError
    write_down(request, AuditEntry.Action.DOWNLOAD_SCRUBBED, dump=dump)
    return made.file


def certificate_of(copy: ScrubbedCopy) -> dict[str, Any] | None:
    """What a copy still holds, as the engine wrote it down; None when there is no sound certificate."""
    try:
        with copy.certificate.open("rb") as file:
            found = json.loads(file.read(_CERTIFICATE_BYTES))
    except (OSError, ValueError):
        return None
    sound = isinstance(found, dict) and isinstance(found.get("rules"), list) and isinstance(found.get("result"), dict)
    return found if sound else None


def run(dump_id: UUID) -> None:
    """Make the copy of a dump, or nothing when it is not ours to make. Ends in done or failed with a reason."""
    token = uuid4()
    lost = Q(state=_State.WAITING) | Q(state=_State.RUNNING, lease_until__lt=timezone.now())
    if not ScrubbedCopy.objects.filter(lost, dump=dump_id).update(state=_State.RUNNING, token=token, lease_until=_lease_end()):
        return
    copy = ScrubbedCopy.objects.select_related("dump").get(dump=dump_id)
    _sweep(copy)
    work = copy.dump.directory / f"scrubbing-{token}"
    try:
        _make(copy, token, work)
    except CopyTaken:
        log.warning("lease_lost", scrubbed=str(dump_id))
    except (EngineRefused, AnalysisError) as refusal:
        _end(token, _State.FAILED, problem=plain(" ".join(filter(None, (refusal.what, refusal.remedy))), 1000))
    except EngineCrashed as crash:
        _end(token, _State.FAILED, problem=plain(f"The copy could not be made: {crash}.", 1000))
    except OSError as error:
        _end(token, _State.FAILED, problem=f"The server could not read or write a file: {error.strerror}.")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _make(copy: ScrubbedCopy, token: UUID, work: Path) -> None:
    def renew(stage: str = "", fraction: float = 0.0, **_: Any) -> None:
        changes: dict[str, Any] = {"stage": stage, "fraction": fraction} if stage else {}
        if not ScrubbedCopy.objects.filter(token=token).update(lease_until=_lease_end(), **changes):
            raise CopyTaken

    made, told = work / "copy", work / "certificate.json"
    with plain_dump(copy.dump, progress=renew) as source:
        size = source.stat().st_size
        if disk().room_bytes < size:
            _end(token, _State.FAILED, problem=_NO_ROOM)
            return
        work.mkdir()
        scrub_dump(source, made, told, renew)
    renew()
    # The certificate last: a copy without one is none.
    copy.certificate.unlink(missing_ok=True)
    made.replace(copy.file)
    told.replace(copy.certificate)
    if certificate_of(copy) is None or copy.file.stat().st_size != size:
        copy.file.unlink(missing_ok=True)
        _end(token, _State.FAILED, problem="The engine wrote no sound certificate.")
        return
    _end(token, _State.DONE)


def _end(token: UUID, state: ScrubbedCopy.State, problem: str = "") -> None:
    rows = ScrubbedCopy.objects.filter(token=token)
    rows.update(state=state, problem=problem, token=None, lease_until=None, finished_at=timezone.now())


def reap() -> int:
    """Ring again for copies that nobody makes; how many."""
    now = timezone.now()
    patient = now - timedelta(seconds=settings.LEASE_SECONDS)
    lost = Q(state=_State.RUNNING, lease_until__lt=now) | Q(state=_State.WAITING, asked_at__lt=patient)
    found = list(ScrubbedCopy.objects.filter(lost).values_list("dump_id", "token"))
    for dump_id, token in found:
        row = ScrubbedCopy.objects.filter(dump=dump_id, token=token)
        if token is None:
            _ring(dump_id)
        else:
            # Whoever made it died with it: the next try is a person's to start.
            row.update(state=_State.FAILED, token=None, lease_until=None, finished_at=now, problem="The worker was lost.")
    return len(found)


def _sweep(copy: ScrubbedCopy) -> None:
    """Remove what a worker that was killed left behind."""
    for left in copy.dump.directory.glob("scrubbing-*"):
        shutil.rmtree(left, ignore_errors=True)


def _ring(dump_id: UUID) -> None:
    """Ring the bell. Without a broker nothing is lost: the reaper rings again."""
    from explorer.tasks import scrub  # tasks import services

    try:
        scrub.delay(str(dump_id))
    except OperationalError as error:
        log.warning("broker_unreachable", scrubbed=str(dump_id), error=str(error))


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
