"""What uploads refuse: no dumps, too much, hostile names, strangers."""

from __future__ import annotations

import struct
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import zstandard
from django.test import Client
from django.utils import timezone

from explorer.models import Analysis, ApiToken, Dump, Membership, Role, Upload, User
from tests.explorer.elf_cores import core_bytes
from tests.explorer.tus_client import BODY, Tus

MEGABYTE = 1 << 20


@pytest.fixture
def tus(bob: User) -> Tus:
    return Tus(bob)


def row(address: str) -> Upload:
    return Upload.objects.get(pk=UUID(address.rpartition("/")[2]))


def minidump() -> bytes:
    return b"MDMP" + struct.pack("<HHIIIIQ", 0xA793, 0, 0, 32, 0, 0, 0) + bytes(2 * MEGABYTE)


def executable() -> bytes:
    core = bytearray(core_bytes(2 * MEGABYTE))
    core[16:18] = b"\x02\x00"
    return bytes(core)


REFUSED = {
    "text": (b"2026-11-23 12:00:00 INFO started\n" * 70_000, "text"),
    "executable": (executable(), "program"),
    "minidump": (minidump(), "minidump"),
    "gcdump": (b"\x14\0\0\0!FastSerialization.1" + bytes(2 * MEGABYTE), "gcdump"),
    "zeros": (bytes(2 * MEGABYTE), "zero"),
    "compressed text": (zstandard.compress(b"only words\n" * 100_000), "text"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_dump_is_refused_at_its_first_megabyte(tus: Tus, kind: str) -> None:
    content, word = REFUSED[kind]
    announced = len(content) if len(content) < MEGABYTE else 50 << 30
    address = tus.new(min(announced, 1 << 31), filename="wrong.file")
    part = row(address).part
    response = tus.patch(address, 0, content[: MEGABYTE + 10])
    told = response.json()
    assert response.status_code == 415
    assert word in told["what"].lower()
    assert told["where"] == "wrong.file"
    assert told["remedy"]
    assert not part.exists()
    assert tus.head(address).status_code == 404
    assert not Dump.objects.exists()


def test_too_large_is_refused_before_the_first_byte(tus: Tus, settings) -> None:
    settings.MAXIMUM_UPLOAD_BYTES = 1000
    response = tus.create(1001, filename="big.dmp")
    assert response.status_code == 413
    assert "1,001" in response.json()["what"]
    assert response.json()["remedy"]
    assert not Upload.objects.exists()


def test_too_little_disk_is_told_before_the_first_byte(tus: Tus, settings) -> None:
    settings.FREE_DISK_BYTES = 1 << 60
    response = tus.create(1000, filename="big.dmp")
    assert response.status_code == 507
    assert response.json()["remedy"]
    assert not Upload.objects.exists()


HOSTILE = {
    "../../../etc/passwd": "passwd",
    "C:\\Windows\\evil.dmp": "evil.dmp",
    "nul\0in\0it.dmp": "nulinit.dmp",
    "right\u202eto\u2066left.dmp": "righttoleft.dmp",
    "two\r\nlines\x1b[31m": "two  lines[31m",
    "a" * 10_240: "a" * 255,
    "": "unnamed dump",
    "   ": "unnamed dump",
    "../": "..",
    "<script>alert(1)<.dmp": "<script>alert(1)<.dmp",
    "Zürich 你好.dmp": "Zürich 你好.dmp",
}


@pytest.mark.parametrize(("sent", "kept"), HOSTILE.items())
def test_hostile_names_are_only_labels(tus: Tus, sent: str, kept: str, settings) -> None:
    content = core_bytes()
    response = tus.upload(content, filename=sent, service=sent, build=sent)
    assert response.status_code == 204
    dump = Dump.objects.get()
    assert dump.original_name == kept
    assert len(dump.service) <= 100
    assert "\0" not in dump.service
    assert [str(path.relative_to(settings.STORE_DIR)) for path in settings.STORE_DIR.rglob("*") if path.is_file()] == [
        f"{dump.pk}/original"
    ]


@pytest.mark.parametrize("header", ["filename", "filename ****", "filename ÿÿ", ",,, ,", "= =", "filename /////w=="])
def test_metadata_that_is_no_base64_is_passed_over(tus: Tus, header: str) -> None:
    headers = {**tus.authorization, "Upload-Length": "100", "Upload-Metadata": header}
    assert tus.client.post("/api/uploads/", headers=headers).status_code == 201


def test_a_stranger_finds_no_upload(tus: Tus, alice: User, mallory: User) -> None:
    address = tus.new(1000)
    for person in (alice, mallory):
        other = Tus(person)
        answers = other.head(address), other.patch(address, 0, b"x"), other.delete(address)
        assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert tus.head(address)["Upload-Offset"] == "0"


def test_only_into_teams_one_may_upload_to(tus: Tus, carol: User, mallory: User, team, other_team) -> None:
    assert Tus(carol).create(100, team=str(team.pk)).status_code == 403
    assert Tus(carol).create(100).status_code == 403
    assert Tus(mallory).create(100, team=str(team.pk)).status_code == 403
    assert Tus(mallory).create(100, team=str(uuid4())).status_code == 403
    assert tus.create(100, team="nonsense").status_code == 403
    Membership.objects.create(team=other_team, user=tus.user, role=Role.ANALYST)
    tus.new(100, team=str(other_team.pk))
    assert Upload.objects.get().team == other_team


def test_who_left_the_team_cannot_go_on(tus: Tus) -> None:
    address = tus.new(1000)
    Membership.objects.filter(user=tus.user).update(role=Role.VIEWER)
    assert tus.patch(address, 0, core_bytes(1000)).status_code == 404
    assert not Dump.objects.exists()


def test_a_session_needs_the_token_of_its_page(bob: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    headers = {"Upload-Length": "64", "Tus-Resumable": "1.0.0"}
    refused = client.post("/api/uploads/", headers=headers)
    assert refused.status_code == 403
    assert "Reload" in refused.json()["remedy"]
    token = client.get("/upload").cookies["csrftoken"].value
    created = client.post("/api/uploads/", headers={**headers, "X-CSRFToken": token})
    assert created.status_code == 201
    address = created["Location"]
    assert client.head(address).status_code == 200
    patch = {"Upload-Offset": "0", "Tus-Resumable": "1.0.0"}
    assert client.patch(address, core_bytes(64), BODY, headers=patch).status_code == 403
    override = {**patch, "X-CSRFToken": token, "X-HTTP-Method-Override": "PATCH"}
    assert client.post(address, core_bytes(64), BODY, headers=override).status_code == 204
    assert Dump.objects.get().uploaded_by == bob


def test_without_session_or_token_nothing_is_told(client: Client, tus: Tus, bob: User) -> None:
    address = tus.new(64)
    assert client.post("/api/uploads/", headers={"Upload-Length": "64"}).status_code == 401
    for header in ("Bearer wrong", "Bearer ", "Basic Ym9iOmJvYg==", ""):
        assert client.head(address, headers={"Authorization": header}).status_code == 401
        assert client.patch(address, b"x", BODY, headers={"Authorization": header}).status_code == 401
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert tus.head(address).status_code == 401
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    bob.is_active = False
    bob.save()
    assert tus.head(address).status_code == 401


def test_a_complete_upload_rings_for_its_analysis(tus: Tus, monkeypatch, django_capture_on_commit_callbacks) -> None:
    from explorer.services import analyses

    rung: list = []
    monkeypatch.setattr(analyses, "enqueue", rung.append)
    with django_capture_on_commit_callbacks(execute=True):
        tus.upload(core_bytes())
    assert rung == [Analysis.objects.get().pk]
