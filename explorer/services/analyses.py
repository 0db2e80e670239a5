"""Analyses: started by one compare-and-set, kept by a lease, ended by whoever holds the token.

The database says what work exists; a message is only a doorbell. A dump whose reader dies twice is put aside
(docs/architecture.md).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from analysis.errors import AnalysisError, Corrupt
from analysis.index import open_index
from explorer.models import Analysis, Dump, Finding, IllegalTransition, State
from explorer.models.analysis import OPEN_STATES
from explorer.services import leases
from explorer.services.bell import ring
from explorer.services.engine import EngineCrashed, EngineRefused, EngineStopped, run_engine
from explorer.services.findings import findings_of, replace_findings
from explorer.services.leases import Lease, LeaseLost
from explorer.services.plain_dumps import plain_dump
from explorer.services.plain_text import plain, without_nul
from explorer.services.quotas import measure
from explorer.services.search_rows import FoundNames, names_found, replace_postings, signature_of
from explorer.services.turns import next_in_turn, startable
from explorer.services.vault import OriginalGone

log = structlog.get_logger()
_LOG_CHARACTERS = 20_000
_WORDS = 4_000
_REPORT = "Please report it with the log below; the dump is kept."


def enqueue(analysis_id: UUID) -> None:
    """Ring for a worker."""
    from explorer.tasks import analyse  # tasks import services

    ring(analyse, str(analysis_id))


def claim(analysis_id: UUID) -> Lease | None:
    """Start an analysis that waits, or one whose lease ran out. None when somebody else has it or it has ended."""
    changes = {"state": State.CHECKING, "started_at": timezone.now(), "stage": "", "fraction": 0.0, "detail": ""}
    return leases.claim(Analysis, analysis_id, startable(), **changes)


def run_next() -> None:
    """Do the whole work of the analysis whose turn it is, or nothing when none waits."""
    while analysis_id := next_in_turn():
        lease = claim(analysis_id)
        if lease is not None:
            _work(lease)
            return


def run(analysis_id: UUID) -> None:
    """Do the whole work of this one, or nothing when it is not ours to do."""
    lease = claim(analysis_id)
    if lease is not None:
        _work(lease)


def _work(lease: Lease) -> None:
    """Ends in done or failed with a reason, or in waiting for another start."""
    analysis = Analysis.objects.select_related("dump").get(pk=lease.row_id)
    scratch = Path(settings.SCRATCH_DIR) / f"{analysis.pk}-{lease.token}"
    _sweep(analysis)
    try:
        scratch.mkdir(parents=True, mode=0o700)
        with plain_dump(analysis.dump, scratch=scratch, progress=lease.renew) as path:
            lease.renew(state=State.RUNNING)
            engine_log = run_engine(path, scratch / "index", lease.renew)
        _publish(analysis, lease, scratch / "index", engine_log)
    except LeaseLost:
        log.warning("lease_lost", analysis=str(analysis.pk))
    except EngineStopped:
        log.warning("engine_stopped", analysis=str(analysis.pk))  # as a lost worker: the reaper brings it back
    except EngineRefused as refusal:
        _fail(lease, refusal.code, refusal.what, refusal.where, refusal.remedy, refusal.log)
    except AnalysisError as error:
        _fail(lease, error.code, error.what, error.where, error.remedy, "")
    except EngineCrashed as crash:
        _crashed(lease, analysis, crash)
    except OSError as error:
        what = f"The server could not read or write a file: {error.strerror}."
        _fail(lease, "io_error", what, "", "Check free disk space, then run the analysis again.", "")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        measure(analysis.dump)


def _sweep(analysis: Analysis) -> None:
    """Remove what starts that were killed left behind."""
    for left in Path(settings.SCRATCH_DIR).glob(f"{analysis.pk}-*"):
        shutil.rmtree(left, ignore_errors=True)


def _publish(analysis: Analysis, lease: Lease, made: Path, engine_log: str) -> None:
    """Check the index, put it in place by one rename, then say so in the row."""
    columns, of_dump, findings, names = _checked_result(analysis.dump, made)
    lease.renew(stage="publish", fraction=1.0)
    shutil.rmtree(analysis.index_directory, ignore_errors=True)
    made.replace(analysis.index_directory)
    with transaction.atomic():
        lease.end(State.DONE, stage="", fraction=1.0, log=without_nul(engine_log, _LOG_CHARACTERS), **columns)
        replace_findings(analysis.dump, findings)
        Dump.objects.filter(pk=analysis.dump_id).update(**of_dump)
    replace_postings(analysis.dump, names, analysis)
    for directory in analysis.dump.directory.glob("index-*"):
        if directory != analysis.index_directory:
            shutil.rmtree(directory, ignore_errors=True)


def _checked_result(dump: Dump, made: Path) -> tuple[dict[str, Any], dict[str, Any], list[Finding], list[FoundNames]]:
    """Columns of the analysis and the dump, findings and names of a result that is complete.

    Raises Corrupt: the engine read a file that nobody vouches for.
    """
    remedy = "Please report it with the log below; the dump is kept."
    if any(path.is_symlink() for path in (made, *made.rglob("*"))):
        raise Corrupt("the analysis wrote a result with links in it", remedy=remedy)
    try:
        made_index = open_index(made)
        index = made_index.structure  # nothing above goes into the database but what the search keeps under its class
        if not isinstance(index.facts("coverage").get("items"), list):
            raise TypeError("coverage has no items")
        findings = findings_of(dump, index)
        of_dump = {"signature": plain(signature_of(index), 16)}
        return summary_columns(index.facts("summary")), of_dump, findings, names_found(made_index, findings)
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
        log.warning("lease_lost", analysis=str(lease.row_id))


def _crashed(lease: Lease, analysis: Analysis, crash: EngineCrashed) -> None:
    """A crash may be the machine's fault: try again once, but a file that kills its reader twice is put aside."""
    crashes, engine_log = analysis.crashes + 1, without_nul(crash.log, _LOG_CHARACTERS)
    try:
        if not crash.retry:
            _fail(lease, "engine_crashed", f"The analysis stopped unexpectedly: {crash}.", "", _REPORT, engine_log)
        elif crashes >= settings.MAXIMUM_CRASHES:
            lease.renew(crashes=crashes)
            what = f"The dump is put aside: the process that reads it died {crashes} times, at last {crash}."
            _fail(lease, "quarantined", what, "", f"No worker starts it again by itself. {_REPORT}", engine_log)
        else:
            detail = plain(f"The process that reads the dump died ({crash}); it is tried once more.", 200)
            lease.renew(state=State.QUEUED, token=None, crashes=crashes, stage="", detail=detail, log=engine_log)
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
    """A new analysis of a dump; the one that is under way when there is one. Raises OriginalGone."""
    with transaction.atomic():
        row = Dump.objects.select_for_update().get(pk=dump.pk)
        if row.without_original:
            raise OriginalGone(row.without_original)
        latest = dump.analysis
        if latest and latest.is_open:
            return latest
        analysis = Analysis.objects.create(dump=dump)
        transaction.on_commit(lambda: enqueue(analysis.pk))
    return analysis


def reap() -> int:
    """Ring again for analyses nobody holds, and end those that were started too often. How many were touched."""
    rows = Analysis.objects.select_related("dump").filter(state__in=OPEN_STATES)
    return leases.reap(
        rows, since="created_at", waiting=State.QUEUED, given_up=_given_up, ring=lambda analysis: enqueue(analysis.pk)
    )


def _given_up(analysis: Analysis) -> dict[str, Any]:
    """What to write where the worker was lost too often, nothing where it was not."""
    losses = analysis.attempts - analysis.crashes
    if losses < settings.MAXIMUM_LOSSES:
        return {}
    _sweep(analysis)
    return {
        "state": State.FAILED, "error_code": "gave_up",
        "error_what": f"The analysis was started {analysis.attempts} times and its worker was lost {losses} times.",
        "error_remedy": "The dump is kept. Check the server's memory and its logs, then run the analysis again.",
    }  # fmt: skip
