"""A scrubbed copy by the pages: asked for, made by a worker, shown with what it still tells, its download written down."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import ChannelError, OperationalError
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from explorer import tasks
from explorer.models import AuditEntry, Dump, ScrubbedCopy, Team, User
from explorer.services import leftovers, removal, scrubbed
from explorer.services.audit import by_the_server
from explorer.services.engine import EngineCrashed, EngineRefused, EngineStopped
from explorer.services.leases import claim
from tests.analysis.bundled_dumps import bundled_dump
from tests.explorer.test_authentication import sign_in
from tests.stored_dumps import analysed_dump, content_of, keep_original

_CERTIFICATE = {
    "kept_bytes": 4, "wiped_bytes": 6, "result": {"size_bytes": 10, "sha256": "ab"}, "rules": [], "residual_leaks": ["lengths"],
}  # fmt: skip


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    dump = analysed_dump(team, bob)
    keep_original(dump, b"0123456789")
    return dump


def _asked(dump: Dump, **fields: object) -> ScrubbedCopy:
    return ScrubbedCopy.objects.create(dump=dump, asked_at=timezone.now(), **fields)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    calls: list[UUID] = []
    monkeypatch.setattr(scrubbed, "enqueue", calls.append)
    return calls


def _made(dump: Dump) -> ScrubbedCopy:
    copy = _asked(dump, state=ScrubbedCopy.State.DONE)
    copy.file.write_bytes(b"0000000000")
    copy.certificate.write_text(json.dumps(_CERTIFICATE))
    return copy


def _page(client: Client, dump: Dump) -> str:
    return client.get(reverse("dump-access", args=[dump.pk])).content.decode()


def test_the_real_engine_makes_it(
    dump: Dump, settings: Settings, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True
    keep_original(dump, bundled_dump("zoo-mini-net10").read_bytes())
    client = sign_in("bob")
    with django_capture_on_commit_callbacks():
        assert client.post(reverse("dump-scrubbed-make", args=[dump.pk])).status_code == 302
    scrubbed.run(dump.pk)
    copy = ScrubbedCopy.objects.get(dump=dump)
    assert (copy.state, copy.problem, copy.token) == (ScrubbedCopy.State.DONE, "", None)
    assert sorted(path.name for path in dump.directory.iterdir() if path.name.startswith("scrub")) == [
        "scrubbed",
        "scrubbed.json",
    ]
    assert "What it still tells" in _page(client, dump)
    told = client.get(reverse("dump-scrubbed-certificate", args=[dump.pk])).json()
    taken = client.post(reverse("dump-scrubbed", args=[dump.pk]))
    assert b"".join(taken.streaming_content) == copy.file.read_bytes() != content_of(dump)
    assert told["result"]["size_bytes"] == copy.file.stat().st_size
    acts = AuditEntry.objects.filter(dump_key=dump.pk).order_by("sequence").values_list("action", flat=True)
    assert list(acts) == ["make_scrubbed", "download_scrubbed"]


@pytest.mark.parametrize(
    "failure", [EngineRefused({"what": "the heap has gaps"}, ""), EngineCrashed("out of memory", "", retry=False)]
)
def test_a_failure_is_told_and_leaves_nothing(dump: Dump, failure: Exception, monkeypatch: pytest.MonkeyPatch, bob: User) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(scrubbed, "scrub_dump", fail)
    _asked(dump)
    scrubbed.run(dump.pk)
    copy = ScrubbedCopy.objects.get(dump=dump)
    assert copy.state == ScrubbedCopy.State.FAILED
    assert str(failure)[1:] in copy.problem
    assert not list(dump.directory.glob("scrub*"))
    client = sign_in("bob")
    assert copy.problem in _page(client, dump)
    assert client.post(reverse("dump-scrubbed", args=[dump.pk])).status_code == 404


def test_one_worker_at_a_time_makes_it(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(scrubbed, "scrub_dump", lambda *_: asked.append(1))
    _asked(dump, state=ScrubbedCopy.State.RUNNING, lease_until=timezone.now() + timedelta(minutes=1))
    scrubbed.run(dump.pk)
    assert not asked


def _lost(copy: ScrubbedCopy) -> None:
    ScrubbedCopy.objects.filter(pk=copy.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_copy_whose_worker_is_lost_waits_for_another_one(dump: Dump, bob: User, rung: list[UUID], settings: Settings) -> None:
    """As an analysis does, and is given up like one."""
    copy = _asked(dump)
    for losses in range(1, settings.MAXIMUM_LOSSES + 1):
        assert claim(ScrubbedCopy, copy.pk, scrubbed._startable(), state=ScrubbedCopy.State.RUNNING)
        assert scrubbed.reap() == 0, "its lease lasts"
        _lost(copy)
        assert scrubbed.reap() == 1
        copy.refresh_from_db()
        given_up = losses == settings.MAXIMUM_LOSSES
        assert (copy.state, copy.token) == (ScrubbedCopy.State.FAILED if given_up else ScrubbedCopy.State.WAITING, None)
    assert rung == [dump.pk] * (settings.MAXIMUM_LOSSES - 1)
    assert "lost 3 times" in copy.problem and "Make it again" in _page(sign_in("bob"), dump)


def test_a_worker_that_is_told_to_end_is_a_lost_one(dump: Dump, monkeypatch: pytest.MonkeyPatch, rung: list[UUID]) -> None:
    def stop(*_: object) -> None:
        raise EngineStopped("ended by signal 15", "", retry=True)

    monkeypatch.setattr(scrubbed, "scrub_dump", stop)
    copy = _asked(dump)
    scrubbed.run(dump.pk)
    _lost(copy)
    assert scrubbed.reap() == 1 and rung == [dump.pk]


def test_what_was_begun_lies_where_it_is_swept(dump: Dump, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """A killed worker leaves it in the scratch directory, under a token that nobody holds any more after that."""
    copy = _asked(dump)

    def die(source: Path, made: Path, *_: object) -> None:
        made.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(scrubbed, "scrub_dump", die)
    monkeypatch.setattr(scrubbed.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        scrubbed.run(dump.pk)
    monkeypatch.undo()
    copy.refresh_from_db()
    half = settings.SCRATCH_DIR / f"{dump.pk}-{copy.token}" / "copy"
    leftovers.sweep()
    assert half.exists() and not list(dump.directory.glob("scrub*"))
    _lost(copy)
    scrubbed.reap()
    leftovers.sweep()
    assert not half.parent.exists()


@pytest.mark.parametrize("writes_on", [False, True])
def test_no_copy_is_kept_of_an_original_that_went_meanwhile(
    dump: Dump, writes_on: bool, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:  # fmt: skip
    """What was begun goes with it, and what an engine that has all it needs writes after that is not kept."""

    def lose(source: Path, made: Path, told: Path, *_: object) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            removal.remove_original(request=by_the_server(), dump=dump, detail="")
        assert not made.parent.exists()
        if writes_on:
            made.parent.mkdir()
            made.write_bytes(b"0000000000")
            told.write_text(json.dumps(_CERTIFICATE))

    monkeypatch.setattr(scrubbed, "scrub_dump", lose)
    _asked(dump)
    scrubbed.run(dump.pk)
    copy = ScrubbedCopy.objects.get()
    assert copy.state == ScrubbedCopy.State.FAILED and copy.problem
    assert not copy.file.exists() and not copy.certificate.exists()


@pytest.mark.parametrize("error", [OperationalError(), ChannelError(), ConnectionError()])
def test_a_broker_that_is_away_keeps_nobody_from_asking(dump: Dump, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(argument: str) -> None:
        raise error

    monkeypatch.setattr(tasks.scrub, "delay", fail)
    scrubbed.enqueue(dump.pk)


def test_without_the_original_none_is_asked_for(dump: Dump, bob: User, rung: list[UUID]) -> None:
    Dump.objects.update(original_removed_at=timezone.now())
    client = sign_in("bob")
    assert "Make a scrubbed copy" not in _page(client, dump)
    body = client.post(reverse("dump-scrubbed-make", args=[dump.pk]), follow=True).content.decode()
    assert "The original file was deleted on" in body and "is being made" not in body
    assert not ScrubbedCopy.objects.exists() and not AuditEntry.objects.exists()


def test_asking_again_while_it_is_made_changes_nothing(dump: Dump, bob: User, rung: list[UUID]) -> None:
    _asked(dump, state=ScrubbedCopy.State.RUNNING, stage="copying", fraction=0.416)
    client = sign_in("bob")
    client.post(reverse("dump-scrubbed-make", args=[dump.pk]))
    assert not AuditEntry.objects.exists()
    assert "copying 42 %" in _page(client, dump)


def test_it_goes_with_the_dump(dump: Dump, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> None:
    copy = _made(dump)
    files = (copy.file, copy.certificate)
    with django_capture_on_commit_callbacks(execute=True):
        dump.delete()
    assert not any(file.exists() for file in files)
    assert not ScrubbedCopy.objects.exists()


def test_a_viewer_does_not_see_it(dump: Dump, carol: User) -> None:
    _made(dump)
    client = sign_in("carol")
    assert "Scrubbed copy" not in _page(client, dump)
    assert client.post(reverse("dump-scrubbed", args=[dump.pk])).status_code == 403


def test_no_download_without_a_row_in_the_audit(dump: Dump, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _made(dump)

    def fail(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(scrubbed, "write_down", fail)
    client = sign_in("bob")
    client.raise_request_exception = False
    assert client.post(reverse("dump-scrubbed", args=[dump.pk])).status_code >= 500
