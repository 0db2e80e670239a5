"""A scrubbed copy by the pages: asked for, made by a worker, shown with what it still tells, its download written down."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from explorer.models import AuditEntry, Dump, ScrubbedCopy, Team, User
from explorer.services import scrubbed
from explorer.services.engine import EngineCrashed, EngineRefused
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
    assert str(failure) in copy.problem
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


def test_a_copy_whose_worker_is_lost_can_be_asked_for_again(dump: Dump, bob: User) -> None:
    copy = _asked(dump, state=ScrubbedCopy.State.RUNNING, lease_until=timezone.now() - timedelta(seconds=1))
    ScrubbedCopy.objects.filter(pk=copy.pk).update(token=dump.pk)
    assert scrubbed.reap() == 1
    copy.refresh_from_db()
    assert (copy.state, copy.token) == (ScrubbedCopy.State.FAILED, None)
    assert "Make it again" in _page(sign_in("bob"), dump)


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
