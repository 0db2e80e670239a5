"""Scrubbed copies of dumps: asked for by a person, made by one worker at a time, downloaded with a row in the audit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from analysis.errors import AnalysisError
from explorer.access import dump_for
from explorer.models import AuditEntry, Dump, ScrubbedCopy
from explorer.services import leases
from explorer.services.audit import as_person, write_down
from explorer.services.bell import ring
from explorer.services.disk import disk
from explorer.services.engine import EngineCrashed, EngineRefused, EngineStopped, scrub_dump
from explorer.services.leases import Lease, LeaseLost, claim
from explorer.services.plain_dumps import plain_dump
from explorer.services.plain_text import plain, sentences
from explorer.services.vault import OriginalGone

log = structlog.get_logger()
_State = ScrubbedCopy.State
_CERTIFICATE_BYTES = 1 << 20
_NO_ROOM = "There is not enough free space on the server's disk for a copy of this dump."


def ask(*, request: HttpRequest, dump: Dump) -> None:
    """Have the copy made, or made again; nothing when it is being made. Raises PermissionDenied, and OriginalGone."""
    dump = dump_for(request, dump.pk, "scrub")
    with transaction.atomic():
        row = Dump.objects.select_for_update().get(pk=dump.pk)
        if row.without_original:
            raise OriginalGone(row.without_original)
        known = ScrubbedCopy.objects.filter(dump=dump).first()
        if known and known.is_open:
            return
        write_down(request, AuditEntry.Action.MAKE_SCRUBBED, dump=dump)
        fresh = {
            "asked_by": as_person(request), "asked_at": timezone.now(), "state": _State.WAITING, "attempts": 0, "token": None,
            "lease_until": None, "finished_at": None, "stage": "", "fraction": 0.0, "problem": "",
        }  # fmt: skip
        ScrubbedCopy.objects.update_or_create(dump=dump, defaults=fresh)
        transaction.on_commit(lambda: enqueue(dump.pk))


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


def enqueue(dump_id: UUID) -> None:
    """Ring for a worker."""
    from explorer.tasks import scrub  # tasks import services

    ring(scrub, str(dump_id))


def run(dump_id: UUID) -> None:
    """Make the copy of a dump, or nothing when it is not ours to make. Ends in done or failed with a reason, or in waiting for
    another start."""
    copy = ScrubbedCopy.objects.select_related("dump").filter(dump=dump_id).first()
    lease = claim(ScrubbedCopy, copy.pk, _startable(), state=_State.RUNNING, stage="", fraction=0.0) if copy else None
    if copy is None or lease is None:
        return
    work = Path(settings.SCRATCH_DIR) / f"{dump_id}-{lease.token}"
    try:
        problem = _made(copy, lease, work)
        lease.end(_State.FAILED if problem else _State.DONE, problem=problem)
    except LeaseLost:
        log.warning("lease_lost", scrubbed=str(dump_id))
    except EngineStopped:
        log.warning("engine_stopped", scrubbed=str(dump_id))  # as a lost worker: the reaper brings it back
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _startable() -> Q:
    lost = Q(state=_State.RUNNING, lease_until__lt=timezone.now())
    return (Q(state=_State.WAITING) | lost) & Q(attempts__lt=settings.MAXIMUM_LOSSES)


def _made(copy: ScrubbedCopy, lease: Lease, work: Path) -> str:
    """Make it; why there is none, "" where there is. Raises LeaseLost and EngineStopped."""
    try:
        return _make(copy, lease, work)
    except EngineStopped:
        raise
    except (EngineRefused, AnalysisError) as refusal:
        return plain(sentences(refusal.what, refusal.remedy), 1000)
    except EngineCrashed as crash:
        return plain(f"The copy could not be made: {crash}.", 1000)
    except OSError as error:
        return f"The server could not read or write a file: {error.strerror}."


def _make(copy: ScrubbedCopy, lease: Lease, work: Path) -> str:
    def renew(stage: str = "", fraction: float = 0.0, **_: Any) -> None:
        lease.renew(**({"stage": stage, "fraction": fraction} if stage else {}))

    made, told = work / "copy", work / "certificate.json"
    work.mkdir(parents=True, mode=0o700)
    with plain_dump(copy.dump, progress=renew) as source:
        size = source.stat().st_size
        if disk().room_bytes < size:
            return _NO_ROOM
        scrub_dump(source, made, told, renew)
    with transaction.atomic():  # nobody removes the original at this moment, and the copies with it
        row = Dump.objects.select_for_update().filter(pk=copy.dump_id).first()
        renew()
        if row is None or row.without_original:
            raise OriginalGone(row.without_original if row else "The dump was deleted.")
        # The certificate last: a copy without one is none.
        copy.certificate.unlink(missing_ok=True)
        made.replace(copy.file)
        told.replace(copy.certificate)
    if certificate_of(copy) is None or copy.file.stat().st_size != size:
        copy.file.unlink(missing_ok=True)
        return "The engine wrote no sound certificate."
    return ""


def reap() -> int:
    """Ring again for copies that nobody makes, and end those that were started too often; how many were touched."""
    rows = ScrubbedCopy.objects.filter(state__in=(_State.WAITING, _State.RUNNING))
    return leases.reap(
        rows, since="asked_at", waiting=_State.WAITING, given_up=_given_up, ring=lambda copy: enqueue(copy.dump_id)
    )


def _given_up(copy: ScrubbedCopy) -> dict[str, Any]:
    """What to write where the worker was lost too often, nothing where it was not."""
    if copy.attempts < settings.MAXIMUM_LOSSES:
        return {}
    return {"state": _State.FAILED, "problem": f"The worker that makes it was lost {copy.attempts} times."}
