"""Analyses: legal and illegal steps, one holder at a time, lost workers, archives, a broker that is away."""

from __future__ import annotations

import gzip
import io
import threading
import time
import zipfile
from datetime import timedelta
from uuid import uuid4

import pytest
import zstandard
from django.db import connection
from django.utils import timezone

from analysis.index import open_index
from explorer.models import Analysis, IllegalTransition, State
from explorer.models.analysis import OPEN_STATES
from explorer.services import analyses, plain_dumps
from explorer.services.disk import Disk
from explorer.services.leases import Lease, LeaseLost
from explorer.services.plain_dumps import plain_dump
from tests.explorer.elf_cores import core_bytes
from tests.explorer.waiting_analyses import again, expire, received


@pytest.fixture
def analysis(team, alice) -> Analysis:
    return received(team, alice)


LEGAL = {
    ("received", "checking"), ("received", "failed"), ("received", "cancelled"),
    ("queued", "checking"), ("queued", "failed"), ("queued", "cancelled"),
    ("checking", "running"), ("checking", "queued"), ("checking", "failed"), ("checking", "cancelled"),
    ("running", "done"), ("running", "queued"), ("running", "failed"), ("running", "cancelled"),
}  # fmt: skip


@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("following", State.values)
def test_every_step_is_legal_or_refused(state: str, following: str) -> None:
    analysis = Analysis(state=state)
    if (state, following) in LEGAL:
        analysis.check_transition(State(following))
    else:
        with pytest.raises(IllegalTransition):
            analysis.check_transition(State(following))


@pytest.mark.parametrize("state", State.values)
def test_cancel_ends_what_is_open_and_refuses_what_has_ended(analysis: Analysis, state: str) -> None:
    Analysis.objects.filter(pk=analysis.pk).update(state=state)
    if state in OPEN_STATES:
        analyses.cancel(analysis=again(analysis))
        assert again(analysis).state == State.CANCELLED
    else:
        with pytest.raises(IllegalTransition):
            analyses.cancel(analysis=again(analysis))
        assert again(analysis).state == state


def test_cancel_that_comes_a_moment_late_is_refused(analysis: Analysis) -> None:
    seen = again(analysis)
    Analysis.objects.filter(pk=analysis.pk).update(state=State.DONE)
    with pytest.raises(IllegalTransition):
        analyses.cancel(analysis=seen)


def test_only_one_worker_gets_an_analysis(analysis: Analysis) -> None:
    assert analyses.claim(analysis.pk) is not None
    assert analyses.claim(analysis.pk) is None
    assert again(analysis).attempts == 1


@pytest.mark.django_db(transaction=True)
def test_of_eight_workers_at_once_one_gets_it(analysis: Analysis) -> None:
    leases = []

    def work() -> None:
        leases.append(analyses.claim(analysis.pk))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leases) == 8
    assert sum(lease is not None for lease in leases) == 1


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED])
def test_what_has_ended_is_not_started(analysis: Analysis, engine, state: State) -> None:
    Analysis.objects.filter(pk=analysis.pk).update(state=state)
    analyses.run(analysis.pk)
    assert again(analysis).state == state
    assert again(analysis).attempts == 0


def test_renewing_lengthens_the_lease(analysis: Analysis, settings) -> None:
    lease = analyses.claim(analysis.pk)
    expire(analysis)
    lease.renew(stage="heap")
    row = again(analysis)
    assert row.stage == "heap"
    assert row.lease_until > timezone.now() + timedelta(seconds=settings.LEASE_SECONDS - 5)


def test_a_worker_whose_lease_was_taken_writes_nothing_more(analysis: Analysis) -> None:
    first = analyses.claim(analysis.pk)
    expire(analysis)
    second = analyses.claim(analysis.pk)
    assert second is not None
    with pytest.raises(LeaseLost):
        first.renew(stage="heap")
    with pytest.raises(LeaseLost):
        first.end(State.DONE)
    assert again(analysis).token == second.token
    assert again(analysis).state == State.CHECKING


def test_cancelled_and_deleted_analyses_cannot_be_renewed(analysis: Analysis) -> None:
    lease = analyses.claim(analysis.pk)
    analyses.cancel(analysis=again(analysis))
    with pytest.raises(LeaseLost):
        lease.renew()
    with pytest.raises(LeaseLost):
        Lease(Analysis, uuid4(), uuid4()).renew()


def test_the_reaper_leaves_alone_what_is_held(analysis: Analysis) -> None:
    analyses.claim(analysis.pk)
    assert analyses.reap() == 0
    assert again(analysis).state == State.CHECKING


@pytest.fixture
def rung(monkeypatch) -> list:
    calls: list = []
    monkeypatch.setattr(analyses, "enqueue", calls.append)
    return calls


def test_the_reaper_queues_again_what_lost_its_worker(analysis: Analysis, rung: list, engine) -> None:
    analyses.claim(analysis.pk)
    expire(analysis)
    assert analyses.reap() == 1
    assert again(analysis).state == State.QUEUED
    assert rung == [analysis.pk]
    analyses.run(analysis.pk)
    assert again(analysis).state == State.DONE
    assert again(analysis).attempts == 2


def test_the_reaper_rings_for_what_nobody_heard(analysis: Analysis, rung: list, settings) -> None:
    assert analyses.reap() == 0  # too young
    long_ago = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS + 1)
    Analysis.objects.filter(pk=analysis.pk).update(created_at=long_ago)
    assert analyses.reap() == 1
    assert analyses.reap() == 0  # the bell rang a moment ago
    assert rung == [analysis.pk]


def test_after_three_lost_workers_the_analysis_is_given_up(analysis: Analysis, rung: list, settings) -> None:
    leavings = []
    for _ in range(3):
        lease = analyses.claim(analysis.pk)
        leavings.append(settings.SCRATCH_DIR / f"{analysis.pk}-{lease.token}")
        leavings[-1].mkdir(parents=True)
        (leavings[-1] / "dump").write_bytes(b"half")
        expire(analysis)
        analyses.reap()
    row = again(analysis)
    assert (row.state, row.error_code, row.attempts) == (State.FAILED, "gave_up", 3)
    assert "started 3 times" in row.error_what
    assert row.error_remedy
    assert analyses.claim(analysis.pk) is None
    assert row.dump.original.exists()
    assert not [left for left in leavings if left.exists()]


def test_a_finished_analysis_has_its_summary_and_its_index(analysis: Analysis, engine, settings) -> None:
    analyses.run(analysis.pk)
    row = again(analysis)
    assert row.state == State.DONE
    assert (row.dump_kind, row.runtime_version, row.process_name) == ("heap", "10.0.12", "shop")
    assert (row.object_count, row.thread_count) == (80, 3)
    assert open_index(row.index_directory).rows["types"] == 5
    assert (row.token, row.lease_until) == (None, None)
    assert row.finished_at >= row.started_at
    assert not list(settings.SCRATCH_DIR.iterdir())


def test_a_second_run_replaces_the_first_index(analysis: Analysis, engine) -> None:
    analyses.run(analysis.pk)
    following = analyses.rerun(dump=analysis.dump)
    assert following.pk != analysis.pk
    assert analyses.rerun(dump=analysis.dump) == following
    analyses.run(following.pk)
    assert again(following).state == State.DONE
    assert [path.name for path in analysis.dump.directory.glob("index-*")] == [f"index-{following.pk}"]


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../dump", content)
    return file.getvalue()


PACKED = {"gz": gzip.compress, "zst": zstandard.compress, "zip": zipped}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_compressed_upload_is_unpacked_where_it_is_read(team, alice, engine, settings, pack) -> None:
    content = core_bytes(300_000)
    analysis = received(team, alice, pack(content))
    analyses.run(analysis.pk)
    assert again(analysis).state == State.DONE
    assert [path.name for path in analysis.dump.directory.iterdir() if path.is_file()] == ["original"]
    assert not list(settings.SCRATCH_DIR.iterdir())
    with plain_dump(analysis.dump) as path:
        assert path.read_bytes() == content


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_bomb_is_bounded(team, alice, engine, settings, pack) -> None:
    settings.MAXIMUM_UNPACKED_BYTES = 5_000_000
    analysis = received(team, alice, pack(core_bytes() + bytes(300_000_000)))
    assert analysis.dump.size_bytes < 400_000
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.error_code) == (State.FAILED, "over_limit")
    assert "5,000,000" in row.error_what
    assert row.error_remedy
    assert [path.name for path in row.dump.directory.iterdir()] == ["original"]


def test_unpacking_leaves_the_disk_its_reserve(team, alice, engine, settings, monkeypatch) -> None:
    monkeypatch.setattr(plain_dumps, "disk", lambda: Disk(0, settings.FREE_DISK_BYTES + 50_000))
    analysis = received(team, alice, gzip.compress(core_bytes() + bytes(100_000)))
    analyses.run(analysis.pk)
    assert again(analysis).error_code == "over_limit"


def test_a_disk_without_room_to_decrypt_is_named(team, alice, engine, settings) -> None:
    settings.FREE_DISK_BYTES = 1 << 60
    analysis = received(team, alice)
    analyses.run(analysis.pk)
    assert again(analysis).error_code == "io_error" and "space" in again(analysis).error_what


def test_an_unreachable_broker_loses_nothing(analysis: Analysis, monkeypatch, engine) -> None:
    from celery import Celery

    from explorer import tasks

    def nobody_hears(analysis_id: str) -> None: ...

    deaf = Celery("deaf", broker="redis://127.0.0.1:1/0", set_as_current=False)
    monkeypatch.setattr(tasks, "analyse", deaf.task(name="deaf.analyse")(nobody_hears))
    began = time.monotonic()
    analyses.enqueue(analysis.pk)
    assert time.monotonic() - began < 5
    assert again(analysis).state == State.RECEIVED
    analyses.run(analysis.pk)
    assert again(analysis).state == State.DONE


def test_tasks_pass_the_work_on(analysis: Analysis, engine) -> None:
    from explorer import tasks

    tasks.analyse(str(analysis.pk))
    tasks.reap()
    tasks.expire_uploads()
    assert again(analysis).state == State.DONE
