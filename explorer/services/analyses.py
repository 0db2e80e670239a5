"""Analyses: started by one compare-and-set, kept by a lease, ended by whoever holds the token.

The database says what work exists; a message is only a doorbell. A worker that dies stops renewing its lease; the
reaper rings again, at most three times (docs/architecture.md).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from analysis.errors import AnalysisError, Corrupt
from analysis.index import open_index
from explorer.models import Analysis, Dump, Finding, IllegalTransition, State
from explorer.models.analysis import OPEN_STATES
from explorer.services.engine import EngineCrashed, EngineRefused, run_engine
from explorer.services.findings import findings_of, replace_findings
from explorer.services.plain_text import plain, without_nul
from explorer.services.unpacking import plain_dump

log = structlog.get_logger()
_LOG_CHARACTERS = 20_000
_WORDS = 4_000


class LeaseLost(Exception):
    """Another worker, a cancellation or the reaper took the analysis away."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one Analysis row, as long as the token in the row is this one."""

    analysis_id: UUID
    token: UUID

    def renew(self, **changes: Any) -> None:
        """Write changes and lengthen the lease. Raises LeaseLost when the row is no longer ours."""
        rows = Analysis.objects.filter(pk=self.analysis_id, token=self.token, state__in=OPEN_STATES)
        if not rows.update(lease_until=_lease_end(), **changes):
            raise LeaseLost

    def end(self, state: State, **changes: Any) -> None:
        """Write the outcome and give the lease up. Raises LeaseLost when the row is no longer ours."""
        rows = Analysis.objects.filter(pk=self.analysis_id, token=self.token, state__in=OPEN_STATES)
        if not rows.update(state=state, token=None, lease_until=None, finished_at=timezone.now(), **changes):
            raise LeaseLost


def enqueue(analysis_id: UUID) -> None:
    """Ring the bell. Without a broker nothing is lost: the reaper rings again."""
    from explorer.tasks import analyse  # tasks import services

    try:
        analyse.delay(str(analysis_id))
    except OperationalError as error:
        log.warning("broker_unreachable", analysis=str(analysis_id), error=str(error))


def claim(analysis_id: UUID) -> Lease | None:
    """Start an analysis that waits, or one whose lease ran out. None when somebody else has it or it has ended."""
    token = uuid4()
    waiting = Q(state__in=(State.RECEIVED, State.QUEUED)) | Q(
        state__in=(State.CHECKING, State.RUNNING), lease_until__lt=timezone.now()
    )
    started = Analysis.objects.filter(waiting, pk=analysis_id, attempts__lt=settings.MAXIMUM_STARTS).update(
        state=State.CHECKING, token=token, lease_until=_lease_end(), attempts=F("attempts") + 1, started_at=timezone.now(),
        stage="", fraction=0.0, detail="",
    )  # fmt: skip
    return Lease(analysis_id, token) if started else None


def run(analysis_id: UUID) -> None:
    """Do the whole work of one analysis, or nothing when it is not ours to do. Ends in done or failed with a reason."""
    lease = claim(analysis_id)
    if lease is None:
        return
    analysis = Analysis.objects.select_related("dump").get(pk=analysis_id)
    scratch = Path(settings.SCRATCH_DIR) / f"{analysis_id}-{lease.token}"
    _sweep(analysis)
    try:
        scratch.mkdir(parents=True)
        path = plain_dump(analysis.dump, scratch, lease.renew)
        lease.renew(state=State.RUNNING)
        engine_log = run_engine(path, scratch / "index", lease.renew)
        _publish(analysis, lease, scratch / "index", engine_log)
    except LeaseLost:
        log.warning("lease_lost", analysis=str(analysis_id))
    except EngineRefused as refusal:
        _fail(lease, refusal.code, refusal.what, refusal.where, refusal.remedy, refusal.log)
    except AnalysisError as error:
        _fail(lease, error.code, error.what, error.where, error.remedy, "")
    except EngineCrashed as crash:
        _crashed(lease, analysis, crash)
    except OSError as error:
        _fail(
            lease, "io_error", f"The server could not read or write a file: {error.strerror}.", "", "Check free disk space.", ""
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sweep(analysis: Analysis) -> None:
    """Remove what starts that were killed left behind."""
    for left in Path(settings.SCRATCH_DIR).glob(f"{analysis.pk}-*"):
        shutil.rmtree(left, ignore_errors=True)


def _publish(analysis: Analysis, lease: Lease, made: Path, engine_log: str) -> None:
    """Check the index, put it in place by one rename, then say so in the row."""
    columns, findings = _checked_result(analysis.dump, made)
    lease.renew(stage="publish", fraction=1.0)
    shutil.rmtree(analysis.index_directory, ignore_errors=True)
    made.replace(analysis.index_directory)
    lease.end(State.DONE, stage="", fraction=1.0, log=without_nul(engine_log, _LOG_CHARACTERS), **columns)
    replace_findings(analysis.dump, findings)
    for directory in analysis.dump.directory.glob("index-*"):
        if directory != analysis.index_directory:
            shutil.rmtree(directory, ignore_errors=True)


def _checked_result(dump: Dump, made: Path) -> tuple[dict[str, Any], list[Finding]]:
    """Columns and findings of a result that is complete. Raises Corrupt: the engine read a file that nobody vouches for."""
    remedy = "Please report it with the log below; the dump is kept."
    if any(path.is_symlink() for path in made.rglob("*")):
        raise Corrupt("the analysis wrote a result with links in it", remedy=remedy)
    try:
        index = open_index(made).structure  # nothing above goes into the database
        if not isinstance(index.facts("coverage").get("items"), list):
            raise TypeError("coverage has no items")
        return summary_columns(index.facts("summary")), findings_of(dump, index)
    except AnalysisError as error:
        raise Corrupt(f"the analysis wrote a result that cannot be read: {error.what}", remedy=remedy) from error
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise Corrupt(f"the analysis wrote a result that cannot be read: {error!r}"[:300], remedy=remedy) from error


def summary_columns(summary: dict[str, Any]) -> dict[str, Any]:
    """What lists show of an analysis without opening its index."""
    heap = summary.get("heap") or {}
    return {
        "dump_kind": plain(str(summary["dump"]["kind"]), 20),
        "runtime_version": plain(str(summary["runtime"]["version"]), 40),
        "process_name": plain(str(summary["process"]["name"]), 100),
        "object_count": heap.get("objects"),
        "heap_bytes": heap.get("bytes"),
        "thread_count": summary["threads"]["managed"],
    }


def _fail(lease: Lease, code: str, what: str, where: str, remedy: str, engine_log: str) -> None:
    try:
        lease.end(
            State.FAILED, error_code=plain(code, 40), error_what=plain(what, _WORDS), error_where=plain(where, _WORDS),
            error_remedy=plain(remedy, _WORDS), log=without_nul(engine_log, _LOG_CHARACTERS),
        )  # fmt: skip
    except LeaseLost:
        log.warning("lease_lost", analysis=str(lease.analysis_id))


def _crashed(lease: Lease, analysis: Analysis, crash: EngineCrashed) -> None:
    """A crash may be the machine's fault: try again, but a file that kills its reader three times is given up."""
    attempts = Analysis.objects.values_list("attempts", flat=True).get(pk=analysis.pk)
    if not crash.retry or attempts >= settings.MAXIMUM_STARTS:
        _fail(lease, "engine_crashed", f"The analysis stopped unexpectedly: {crash}.", f"after {attempts} starts",
              "Please report it with the log below; the dump is kept.", crash.log)  # fmt: skip
        return
    try:
        lease.renew(state=State.QUEUED, token=None, log=without_nul(crash.log, _LOG_CHARACTERS))
        enqueue(analysis.pk)
    except LeaseLost:
        log.warning("lease_lost", analysis=str(analysis.pk))


def cancel(*, analysis: Analysis) -> None:
    """Stop an analysis that has not ended; its worker notices within seconds. Raises IllegalTransition when it has."""
    analysis.check_transition(State.CANCELLED)
    rows = Analysis.objects.filter(pk=analysis.pk, state__in=OPEN_STATES)
    if not rows.update(state=State.CANCELLED, token=None, lease_until=None, finished_at=timezone.now()):
        raise IllegalTransition("the analysis ended at the same moment")


def rerun(*, dump: Dump) -> Analysis:
    """A new analysis of a dump; the one that is under way when there is one."""
    with transaction.atomic():
        Dump.objects.select_for_update().get(pk=dump.pk)
        latest = dump.analysis
        if latest and latest.is_open:
            return latest
        analysis = Analysis.objects.create(dump=dump)
        transaction.on_commit(lambda: enqueue(analysis.pk))
    return analysis


def reap() -> int:
    """Ring again for analyses nobody holds, and end those that were started too often. How many were touched."""
    now = timezone.now()
    unheld = Q(lease_until__lt=now) | Q(lease_until=None, created_at__lt=now - timedelta(seconds=settings.LEASE_SECONDS))
    found = list(Analysis.objects.filter(unheld, state__in=OPEN_STATES).values_list("pk", "attempts", "lease_until"))
    for analysis_id, attempts, lease_until in found:
        row = Analysis.objects.filter(pk=analysis_id, lease_until=lease_until, state__in=OPEN_STATES)
        if attempts >= settings.MAXIMUM_STARTS:
            row.update(
                state=State.FAILED, token=None, lease_until=None, finished_at=now, error_code="gave_up",
                error_what=f"The analysis was started {attempts} times and its worker was lost each time.",
                error_remedy="The dump is kept. Check the server's memory and its logs, then run the analysis again.",
            )  # fmt: skip
            _sweep(Analysis.objects.select_related("dump").get(pk=analysis_id))
        elif row.update(state=State.QUEUED, token=None, lease_until=_lease_end()):
            enqueue(analysis_id)
    return len(found)


def delete_dump(*, dump: Dump) -> None:
    """Remove a dump: rows first, so that no page leads to missing files, then everything on disk."""
    directory = dump.directory
    dump.delete()
    shutil.rmtree(directory, ignore_errors=True)


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
