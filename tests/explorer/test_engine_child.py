"""The engine as a child process: whatever it does, the analysis ends in a state with a reason."""

from __future__ import annotations

import json
import resource
import threading
import time
from pathlib import Path

import pytest
from django.db import connection

from analysis.sandbox.confine import REQUIRED
from explorer.models import Analysis, State
from explorer.services import analyses
from explorer.services.audit import by_the_server
from explorer.services.removal import purge
from tests.explorer.waiting_analyses import again, expire, is_running, received, wait_for_pid


@pytest.fixture
def analysis(team, alice) -> Analysis:
    return received(team, alice)


@pytest.fixture
def rung(monkeypatch) -> list:
    calls: list = []
    monkeypatch.setattr(analyses, "enqueue", calls.append)
    return calls


def test_a_refusal_is_told_in_its_words(analysis: Analysis, engine) -> None:
    engine("refused")
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.error_code, row.attempts) == (State.FAILED, "not_a_dump", 1)
    assert (row.error_what, row.error_where, row.error_remedy) == ("no runtime here", "byte 7", "Take it again.")


def test_a_dump_whose_reader_dies_twice_is_put_aside(analysis: Analysis, engine, rung: list) -> None:
    engine("crash")
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.attempts, row.crashes) == (State.QUEUED, 1, 1)
    assert "signal 11" in row.detail
    assert rung == [analysis.pk]
    for _ in range(3):
        analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.error_code, row.attempts) == (State.FAILED, "quarantined", 2)
    assert "signal 11" in row.error_what
    assert "Please report it" in row.error_remedy
    assert "last words" in row.log
    assert rung == [analysis.pk]


def test_lost_workers_and_dead_readers_are_counted_apart(analysis: Analysis, engine, rung: list) -> None:
    engine("crash")
    analyses.run(analysis.pk)
    for losses in (1, 2):
        assert analyses.claim(analysis.pk) is not None
        expire(analysis)
        analyses.reap()
        assert (again(analysis).state, again(analysis).attempts) == (State.QUEUED, 1 + losses)
    engine("done")
    analyses.run(analysis.pk)
    assert (again(analysis).state, again(analysis).attempts, again(analysis).crashes) == (State.DONE, 4, 1)


def test_a_reader_that_was_asked_to_end_says_nothing_about_the_dump(analysis: Analysis, engine, rung: list) -> None:
    engine("ended")
    analyses.run(analysis.pk)
    assert (again(analysis).state, again(analysis).crashes) == (State.RUNNING, 0)
    expire(analysis)
    analyses.reap()
    assert again(analysis).state == State.QUEUED


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
    with django_assert_max_num_queries(150):
        analyses.run(analysis.pk)
    assert again(analysis).state == State.DONE


@pytest.mark.parametrize("mode", ["torn", "wordless", "linked", "elsewhere", "nothing"])
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
    purge(request=by_the_server(), dump=analysis.dump)
    worker.join(timeout=15)
    assert not is_running(pid)
    assert not directory.exists()
    assert not Analysis.objects.exists()


def test_the_engine_sees_no_secrets_and_has_limits(analysis: Analysis, engine, settings, monkeypatch) -> None:
    monkeypatch.setenv("EXPLORER_SECRET_KEY", "very secret")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "explorer.settings")
    settings.ANALYSIS_SECONDS = 100
    engine("report")
    analyses.run(analysis.pk)
    row = again(analysis)
    assert row.state == State.DONE
    seen = json.loads(row.log)
    expected = {"PATH", "HOME", "LANG", "NUMBA_CACHE_DIR", "PYTHONPATH", "OPENBLAS_NUM_THREADS", REQUIRED}
    assert set(seen["environment"]) - {"LC_CTYPE"} == expected
    assert seen["secret_key"] == "ImproperlyConfigured"
    limits = seen["limits"]
    assert limits["RLIMIT_DATA"] == settings.ANALYSIS_MEMORY_BYTES
    assert limits["RLIMIT_CPU"] == 200
    assert (limits["RLIMIT_CORE"], limits["RLIMIT_NOFILE"]) == (0, 256)
    assert limits["RLIMIT_FSIZE"] == 64 << 30
    assert len(seen["files"]) <= 4  # standard streams and the directory being listed
    assert "very secret" not in row.log
