"""What teams may keep, how many uploads one person may begin, and how full the disk may be."""

from __future__ import annotations

import io
import threading
from collections import namedtuple
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from explorer.models import AuditEntry, Dump, SymbolFile, Team, Upload, User
from explorer.services import disk as disks
from explorer.services import quotas, trash
from explorer.services.audit import by_the_server
from explorer.services.symbols import SymbolsRefused, add_symbols
from explorer.services.uploads import Labels, UploadRefused, append, create_upload
from tests.explorer.elf_cores import core_bytes
from tests.explorer.test_teams import signed_in
from tests.explorer.tus_client import Tus
from tests.stored_dumps import analysed_dump, content_of

_Usage = namedtuple("_Usage", "total used free")


@pytest.fixture
def tus(bob: User) -> Tus:
    return Tus(bob)


@pytest.fixture
def disk(monkeypatch, settings):
    """A disk of a thousand million bytes, so full in percent."""
    settings.FREE_DISK_PERCENT, settings.DISK_WATERMARK_PERCENT = 5, 85

    def fill(percent: float) -> None:
        used = int(percent * 10_000_000)
        monkeypatch.setattr(disks.shutil, "disk_usage", lambda path: _Usage(10**9, used, 10**9 - used))

    return fill


def test_a_team_that_is_full_is_told_how_full(tus: Tus, team: Team, settings) -> None:
    settings.TEAM_QUOTA_BYTES = 10_000
    Dump.objects.filter(pk=analysed_dump(team, tus.user).pk).update(stored_bytes=7_000)
    SymbolFile.objects.create(team=team, pdb_id="x,1", file_name="x", size_bytes=1_000)
    tus.new(1_500)
    refused = tus.create(501)
    told = refused.json()
    assert refused.status_code == 507
    assert told["what"] == "Shop uses 9,500 of 10,000 bytes; this file has 501."
    assert "empty the team's trash" in told["remedy"]
    assert tus.create(500).status_code == 201


def test_what_is_in_the_trash_counts_until_it_is_gone(tus: Tus, team: Team, settings, django_capture_on_commit_callbacks) -> None:
    settings.TEAM_QUOTA_BYTES = 10_000
    dump = analysed_dump(team, tus.user)
    Dump.objects.update(stored_bytes=9_999)
    trash.move_to_trash(request=by_the_server(), dump=dump)
    assert tus.create(100).status_code == 507
    trash.empty(request=by_the_server(), team=team)
    assert tus.create(100).status_code == 201


def test_an_administrator_gives_one_team_more(tus: Tus, team: Team, other_team: Team, ada: User, settings) -> None:
    settings.TEAM_QUOTA_BYTES = 10
    path = reverse("team-quota", args=[team.pk])
    signed_in(ada).post(path, {"gigabytes": "5"})
    assert tus.create(100).status_code == 201
    assert quotas.usage_of(other_team).limit_bytes == 10
    assert "5.00" in signed_in(ada).get(reverse("team")).content.decode()
    signed_in(ada).post(path, {"gigabytes": ""})
    assert tus.create(100).status_code == 507
    signed_in(ada).post(path, {"gigabytes": "-3"})
    assert Team.objects.get(pk=team.pk).quota_bytes is None
    assert [row.detail for row in AuditEntry.objects.all()] == ["as the server says", "5,000,000,000 bytes"]


def test_pdbs_count_and_are_refused_too(team: Team, bob: User, settings, monkeypatch, tmp_path) -> None:
    from explorer.services import symbols

    settings.TEAM_QUOTA_BYTES = 10
    original, lines = tmp_path / "original", tmp_path / "lines"
    taken = symbols._Taken(original, lines, "0" * 8 + "-0000" * 3 + "-" + "0" * 12 + ",1", 11, "x")
    monkeypatch.setattr(symbols, "_taken", lambda directory, content: taken)
    with pytest.raises(SymbolsRefused, match="uses 0 of 10 bytes"):
        add_symbols(team=team, user=bob, name="x", content=[])
    assert not SymbolFile.objects.exists()


def test_too_many_under_way(tus: Tus, alice: User, settings) -> None:
    settings.UPLOADS_UNDER_WAY = 2
    first = tus.new(100)
    tus.new(100)
    refused = tus.create(100)
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    assert "2 uploads under way" in refused.json()["what"] and refused.json()["remedy"]
    assert Tus(alice).create(100).status_code == 201, "each person for themselves"
    tus.delete(first)
    assert tus.create(100).status_code == 201


def test_too_many_within_the_hour(tus: Tus, bob: User, settings) -> None:
    settings.UPLOADS_PER_HOUR = 3
    for _ in range(3):
        tus.delete(tus.new(100))
    refused = tus.create(100)
    assert refused.status_code == 429
    assert 3500 < int(refused["Retry-After"]) <= 3601
    assert "3 uploads within an hour" in refused.json()["what"]
    User.objects.filter(pk=bob.pk).update(uploads_counted_from=timezone.now() - timedelta(hours=1))
    assert tus.create(100).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_many_at_once_do_not_pass_the_limits_together(bob: User, team: Team, settings) -> None:
    settings.TEAM_QUOTA_BYTES, settings.UPLOADS_UNDER_WAY = 1_000, 3
    barrier, made = threading.Barrier(6), list[int]()

    def work() -> None:
        try:
            barrier.wait(20)
            made.append(create_upload(user=bob, team=team, name="x", length=400, labels=Labels()).length)
        except UploadRefused as refused:
            made.append(-refused.status)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(made) == [-507] * 4 + [400] * 2


def test_new_uploads_are_refused_above_the_watermark(tus: Tus, disk) -> None:
    disk(84.9)
    assert tus.create(1_000).status_code == 201
    disk(85.1)
    refused = tus.create(1_000)
    assert refused.status_code == 507
    assert "85 % full" in refused.json()["what"] and refused.json()["remedy"]


def test_a_file_that_leaves_too_little_is_refused(tus: Tus, disk) -> None:
    disk(80)
    assert tus.create(76_000_000).status_code == 507, "it is there twice while it is encrypted"
    assert tus.create(74_000_000).status_code == 201


def test_an_upload_under_way_goes_on_until_the_reserve(tus: Tus, disk) -> None:
    content = core_bytes(3 << 20)
    disk(50)
    address = tus.new(len(content))
    disk(94)
    assert tus.patch(address, 0, content[: 1 << 20]).status_code == 204
    disk(95)
    refused = tus.patch(address, 1 << 20, content[1 << 20 :])
    assert refused.status_code == 507
    assert tus.head(address)["Upload-Offset"] == str(1 << 20), "what arrived is kept"
    disk(94)
    assert tus.patch(address, 1 << 20, content[1 << 20 :]).status_code == 204
    assert content_of(Dump.objects.get()) == content


def test_symbols_stop_at_the_watermark(team: Team, bob: User, disk) -> None:
    disk(86)
    with pytest.raises(SymbolsRefused, match="too little free disk"):
        add_symbols(team=team, user=bob, name="x", content=[b"x"])


def test_the_doctor_says_how_full_the_disk_is(disk, monkeypatch, db) -> None:
    found = [{"attempt": "read another dump", "problem": ""}]
    monkeypatch.setattr("explorer.management.commands.doctor.attempts_from_inside", lambda: iter(found))
    said = StringIO()
    disk(40)
    call_command("doctor", stdout=said, no_color=True)
    assert "40 % full, 0.6 GB free" in said.getvalue()
    disk(90)
    with pytest.raises(CommandError, match="disk is too full"):
        call_command("doctor", stdout=said, no_color=True)
    assert "90 % full" in said.getvalue() and "new uploads are refused" in said.getvalue()


def test_what_is_measured(team: Team, bob: User, carol: User, settings) -> None:
    content = core_bytes(5000)
    upload = create_upload(user=bob, team=team, name="x", length=5000, labels=Labels())
    assert quotas.usage_of(team).announced_bytes == 5000
    append(upload=upload, offset=0, body=io.BytesIO(content), length=5000)
    dump = Dump.objects.get()
    assert dump.stored_bytes == 5000
    usage = quotas.usage_of(team)
    assert (usage.kept_bytes, usage.announced_bytes, usage.trash_bytes) == (5000, 0, 0)
    (dump.directory / "copy").write_bytes(content)
    quotas.measure_all()
    assert quotas.usage_of(team).kept_bytes == 10_000 + dump.original.stat().st_size - len(content)
    with CaptureQueriesContext(connection) as asked:
        quotas.measure_all()
    assert len(asked) == 1, "nothing is written where nothing changed"
    body = signed_in(carol).get(reverse("team")).content.decode()
    assert "10.0" in body and "Dumps and PDBs" not in body
    assert Upload.objects.count() == 1
