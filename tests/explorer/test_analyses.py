"""Analyses: legal and illegal steps, one holder at a time, lost workers, and whatever an engine may do."""

from __future__ import annotations

import gzip
import io
import json
import resource
import threading
import time
import zipfile
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import zstandard
from django.db import connection
from django.utils import timezone

from explorer.models import Analysis, Dump, IllegalTransition, State
from explorer.models.analysis import OPEN_STATES
from explorer.services import analyses
from explorer.services.analyses import Lease, LeaseLost
from tests.explorer.elf_cores import core_bytes


def received(team, user, content: bytes | None = None) -> Analysis:
    content = core_bytes() if content is None else content
    dump = Dump.objects.create(
        team=team, name="shop.dmp", original_name="shop.dmp", sha256=uuid4().hex * 2, size_bytes=len(content), uploaded_by=user
    )
    dump.directory.mkdir(parents=True)
    dump.original.write_bytes(content)
    return Analysis.objects.create(dump=dump)


@pytest.fixture
def analysis(team, alice) -> Analysis:
    return received(team, alice)


def again(analysis: Analysis) -> Analysis:
    return Analysis.objects.select_related("dump").get(pk=analysis.pk)


def expire(analysis: Analysis) -> None:
    Analysis.objects.filter(pk=analysis.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


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
        Lease(uuid4(), uuid4()).renew()


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
        leavings += [settings.SCRATCH_DIR / f"{analysis.pk}-{lease.token}", analysis.dump.directory / f"unpacked-{lease.token}"]
        leavings[-2].mkdir(parents=True)
        leavings[-1].write_bytes(b"half")
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
    assert analyses.index_of(row).rows["types"] == 5
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


def test_a_refusal_is_told_in_its_words(analysis: Analysis, engine) -> None:
    engine("refused")
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.error_code, row.attempts) == (State.FAILED, "not_a_dump", 1)
    assert (row.error_what, row.error_where, row.error_remedy) == ("no runtime here", "byte 7", "Take it again.")


def test_an_engine_that_dies_three_times_is_given_up(analysis: Analysis, engine, rung: list) -> None:
    engine("crash")
    for start in (1, 2):
        analyses.run(analysis.pk)
        assert (again(analysis).state, again(analysis).attempts) == (State.QUEUED, start)
    assert rung == [analysis.pk] * 2
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.error_code) == (State.FAILED, "engine_crashed")
    assert "signal 11" in row.error_what
    assert row.error_where == "after 3 starts"
    assert "last words" in row.log


def test_an_engine_that_hangs_meets_its_deadline(analysis: Analysis, engine, settings) -> None:
    engine("hang")
    settings.ANALYSIS_SECONDS = 1
    began = time.monotonic()
    analyses.run(analysis.pk)
    row = again(analysis)
    assert time.monotonic() - began < 10
    assert row.state == State.FAILED
    assert "longer than 1 seconds" in row.error_what
    assert "still thinking" in row.log


def test_an_engine_may_not_use_more_memory_than_allowed(analysis: Analysis, engine, settings) -> None:
    engine("out_of_memory")
    settings.ANALYSIS_MEMORY_BYTES = 512 << 20
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.attempts) == (State.FAILED, 1)
    assert "out of memory" in row.error_what


def test_an_engine_may_not_use_more_processor_time_than_allowed(analysis: Analysis, engine, settings, monkeypatch) -> None:
    engine("spin")
    settings.ANALYSIS_SECONDS = 30
    monkeypatch.setattr(resource, "setrlimit", _with_one_second(resource.setrlimit))
    analyses.run(analysis.pk)
    assert again(analysis).state == State.FAILED
    assert "processor time" in again(analysis).error_what


def _with_one_second(real):
    def limit(kind: int, values: tuple[int, int]) -> None:
        real(kind, (1, 2) if kind == resource.RLIMIT_CPU else values)

    return limit


def test_nonsense_on_standard_output_is_endured(analysis: Analysis, engine, django_assert_max_num_queries) -> None:
    engine("chatter")
    with django_assert_max_num_queries(60):
        analyses.run(analysis.pk)
    assert again(analysis).state == State.DONE


@pytest.mark.parametrize("mode", ["torn", "wordless", "linked", "nothing"])
def test_a_broken_result_is_never_published(analysis: Analysis, engine, mode: str) -> None:
    engine(mode)
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.error_code) == (State.FAILED, "corrupt")
    assert "the analysis wrote a result" in row.error_what
    assert not row.index_directory.exists()


def test_a_missing_engine_fails_with_a_reason(analysis: Analysis, settings) -> None:
    settings.ENGINE_COMMAND = ["/nonexistent/engine"]
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.error_code) == (State.FAILED, "io_error")


@pytest.mark.django_db(transaction=True)
def test_cancelling_kills_the_engine_within_seconds(analysis: Analysis, engine, tmp_path: Path) -> None:
    marker = tmp_path / "started"
    engine("hang", str(marker))

    def work() -> None:
        analyses.run(analysis.pk)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    pid = wait_for_pid(marker)
    analyses.cancel(analysis=again(analysis))
    began = time.monotonic()
    worker.join(timeout=15)
    assert time.monotonic() - began < 6
    assert not is_running(pid)
    assert again(analysis).state == State.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_deleting_a_dump_stops_its_analysis(analysis: Analysis, engine, tmp_path: Path) -> None:
    marker = tmp_path / "started"
    engine("hang", str(marker))

    def work() -> None:
        analyses.run(analysis.pk)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    pid = wait_for_pid(marker)
    directory = analysis.dump.directory
    analyses.delete_dump(dump=analysis.dump)
    worker.join(timeout=15)
    assert not is_running(pid)
    assert not directory.exists()
    assert not Analysis.objects.exists()


def wait_for_pid(marker: Path) -> int:
    for _ in range(200):
        if marker.exists() and (text := marker.read_text()):
            return int(text)
        time.sleep(0.05)
    raise AssertionError("the engine did not start")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_the_engine_sees_no_secrets_and_has_limits(analysis: Analysis, engine, settings, monkeypatch) -> None:
    monkeypatch.setenv("EXPLORER_SECRET_KEY", "very secret")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "explorer.settings")
    settings.ANALYSIS_SECONDS = 100
    engine("report")
    analyses.run(analysis.pk)
    row = again(analysis)
    assert row.state == State.DONE
    seen = json.loads(row.log)
    expected = {"PATH", "HOME", "LANG", "NUMBA_CACHE_DIR", "PYTHONPATH"}
    assert set(seen["environment"]) - {"LC_CTYPE"} == expected
    assert seen["secret_key"] == "ImproperlyConfigured"
    limits = seen["limits"]
    assert limits["RLIMIT_DATA"] == settings.ANALYSIS_MEMORY_BYTES
    assert limits["RLIMIT_CPU"] == 200
    assert (limits["RLIMIT_CORE"], limits["RLIMIT_NOFILE"]) == (0, 256)
    assert limits["RLIMIT_FSIZE"] == 64 << 30
    assert len(seen["files"]) <= 4  # standard streams and the directory being listed
    assert "very secret" not in row.log


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../dump", content)
    return file.getvalue()


PACKED = {"gz": gzip.compress, "zst": zstandard.compress, "zip": zipped}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_compressed_upload_is_unpacked_once(team, alice, engine, pack) -> None:
    content = core_bytes(300_000)
    analysis = received(team, alice, pack(content))
    analyses.run(analysis.pk)
    assert again(analysis).state == State.DONE
    assert analysis.dump.unpacked.read_bytes() == content
    assert analysis.dump.original.exists()


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


def test_unpacking_leaves_the_disk_its_reserve(team, alice, engine, settings) -> None:
    settings.FREE_DISK_BYTES = 1 << 60
    analysis = received(team, alice, gzip.compress(core_bytes(100_000)))
    analyses.run(analysis.pk)
    assert again(analysis).error_code == "over_limit"


def test_unpacking_renews_the_lease_and_stops_when_it_is_lost(team, alice, engine) -> None:
    analysis = received(team, alice, gzip.compress(core_bytes(100_000)))
    lease = analyses.claim(analysis.pk)
    heartbeat = analyses._Heartbeat(lease)
    expire(analysis)
    heartbeat(7 << 20)
    assert again(analysis).detail == "7 MiB unpacked"
    assert again(analysis).lease_until > timezone.now()
    analyses.cancel(analysis=again(analysis))
    with pytest.raises(LeaseLost):
        analyses._prepare(analysis.dump, lease)
    assert [path.name for path in analysis.dump.directory.iterdir()] == ["original"]


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
