"""Uploads under a thousand faults: nothing is lost, nothing damaged is taken, one file becomes one dump."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection
from pytest_django import Settings

from explorer import sealed_files
from explorer.models import Analysis, Dump, Membership, Role, Team, Upload, User
from explorer.sealed_files import Sealed
from explorer.services import uploads, vault
from explorer.services.checksums import Checksum
from explorer.services.uploads import Labels, UploadRefused, append, create_upload, settle
from tests.explorer.elf_cores import core_bytes
from tests.explorer.tus_client import Tus
from tests.goals import Goals
from tests.stored_dumps import content_of

_FAULTS, _FAULTS_EACH = 1_000, 10
_DOUBLE_FINALISES = 400
#: Where a server is killed while it makes a dump of a complete upload.
_FINALISING = (
    (uploads, "finish"), (uploads, "seal"), (uploads, "_adopt"), (uploads, "_discard"), (vault, "keep"), (vault, "_write_key"),
    (vault, "_sync"), (sealed_files, "_bound"),
)  # fmt: skip


class Killed(BaseException):
    """Nothing in the server catches it, as nothing catches a signal."""


@pytest.fixture
def tus(bob: User) -> Tus:
    return Tus(bob)


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


@dataclass
class Sender:
    """A client that sends one file in pieces, and whose way to the server is bad."""

    tus: Tus
    content: bytes
    chance: random.Random
    monkeypatch: pytest.MonkeyPatch
    address: str = ""
    at: int = 0

    def piece(self) -> bytes:
        return self.content[self.at : self.at + self.chance.randint(1, 700)]

    def send(self, offset: int, body: bytes, meant: bytes | None = None) -> int:
        """By the service behind the address: the way of a header into it has a test of its own."""
        said = Checksum(checksum(body if meant is None else meant))
        try:
            append(upload=self.upload(), offset=offset, body=io.BytesIO(body), length=len(body), checksum=said)
        except UploadRefused as refused:
            return refused.status
        return 204

    def upload(self) -> Upload:
        return Upload.objects.get(pk=UUID(self.address.rpartition("/")[2]))

    def flip(self) -> None:
        meant = self.piece()
        body = bytearray(meant)
        body[self.chance.randrange(len(body))] ^= 1 << self.chance.randrange(8)
        assert self.send(self.at, bytes(body), meant) == 460

    def cut(self) -> None:
        meant = self.piece()
        assert self.send(self.at, meant[: len(meant) // 2], meant) == 460

    def repeat(self) -> None:
        start = max(0, self.at - 300)
        assert self.send(start, self.content[start : self.at]) == 409

    def reorder(self) -> None:
        ahead = self.at + self.chance.randint(1, 200)
        assert self.send(ahead, self.content[ahead : ahead + 100]) in (409, 413)

    def stale(self) -> None:
        wrong = self.chance.choice([self.at + 1, self.at - 1, len(self.content), 0, 10**17])
        if wrong in (self.at, -1):
            wrong = self.at + 1
        assert self.send(wrong, self.piece()) in (409, 413)

    def progress(self) -> None:
        body = self.piece()
        assert self.send(self.at, body) == 204
        self.at += len(body)

    def killed_in_finalise(self) -> None:
        """The last piece arrives, and the server dies at some place of making a dump of the file."""
        place = self.chance.choice(_FINALISING)
        body = self.content[self.at :]

        def die(*arguments: object, **more: object) -> None:
            raise Killed

        with self.monkeypatch.context() as patched, suppress(Killed):
            patched.setattr(*place, die)
            self.send(self.at, body)
        # What did not get so far as to be saved is sent again; else asking for the offset finishes the work.
        if int(self.tus.head(self.address)["Upload-Offset"]) < len(self.content):
            assert self.send(self.at, body) == 204


_ON_THE_WAY = ("flip", "cut", "repeat", "reorder", "stale")


def test_a_thousand_faults_lose_nothing_and_let_nothing_damaged_in(tus: Tus, monkeypatch, goals: Goals) -> None:
    chance, suffered, same = random.Random(6), 0, 0
    files = _FAULTS // _FAULTS_EACH
    for number in range(files):
        sender = Sender(tus, core_bytes(6000, seed=number), chance, monkeypatch)
        sender.address = tus.new(len(sender.content))
        sender.progress()
        for _ in range(_FAULTS_EACH - 1):
            getattr(sender, chance.choice(_ON_THE_WAY))()
            suffered += 1
            assert sender.upload().offset == sender.at
            if chance.random() < 0.6 and sender.at < 4500:
                sender.progress()
        sender.killed_in_finalise()
        suffered += 1
        dump = Dump.objects.get(pk=UUID(sender.address.rpartition("/")[2]))
        digest = hashlib.sha256(sender.content).hexdigest()
        same += dump.sha256 == digest == hashlib.sha256(content_of(dump)).hexdigest()
    goals.count("G2 faults in uploads that lost nothing and let nothing damaged in", suffered if same == files else 0, _FAULTS)
    assert (suffered, same) == (_FAULTS, files)
    assert Dump.objects.count() == Analysis.objects.count() == files
    assert not list(Upload.objects.first().part.parent.iterdir())


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_checksum_holds_for_each_request(tus: Tus, algorithm: str) -> None:
    content = core_bytes(5000)
    address = tus.new(len(content))
    assert tus.patch(address, 0, content[:2000], **{"Upload-Checksum": checksum(content[:2000], algorithm)}).status_code == 204
    refused = tus.patch(address, 2000, content[2000:], **{"Upload-Checksum": checksum(b"else", algorithm)})
    assert refused.status_code == 460
    assert refused.json()["remedy"] == "Send them again."
    assert tus.head(address)["Upload-Offset"] == "2000"
    for header in ("md4 xx", "sha1", "sha256 ?", "sha1 " + "A" * 28, "sha256 " + base64.b64encode(b"short").decode()):
        assert tus.patch(address, 2000, content[2000:], **{"Upload-Checksum": header}).status_code in (400, 460)
    assert tus.head(address)["Upload-Offset"] == "2000"
    assert tus.patch(address, 2000, content[2000:]).status_code == 204
    assert content_of(Dump.objects.get()) == content


def test_damage_in_the_first_bytes_does_not_make_a_dump_something_else(tus: Tus) -> None:
    """Without the checksum it would be judged by bytes that were never sent, and the upload closed."""
    content = core_bytes(5000)
    address = tus.new(len(content))
    damaged = b"MZ" + content[2:]
    assert tus.patch(address, 0, damaged, **{"Upload-Checksum": checksum(content)}).status_code == 460
    assert tus.patch(address, 0, content, **{"Upload-Checksum": checksum(content)}).status_code == 204
    assert content_of(Dump.objects.get()) == content


@pytest.mark.django_db(transaction=True)
def test_two_finalisers_make_one_dump(bob: User, team, settings: Settings, goals: Goals) -> None:
    """Half of the time two requests finish one upload, half of the time two uploads of the same file are finished."""
    one, barrier = 0, threading.Barrier(2)
    settings.UPLOADS_PER_HOUR = 2 * _DOUBLE_FINALISES

    def finish(upload: Upload) -> None:
        barrier.wait(30)
        with suppress(UploadRefused):
            settle(upload=upload)

    def complete(content: bytes) -> Upload:
        upload = create_upload(user=bob, team=team, name="x", length=len(content), labels=Labels())
        upload.part.write_bytes(content)
        Upload.objects.filter(pk=upload.pk).update(offset=len(content))
        upload.offset = len(content)
        return upload

    with ThreadPoolExecutor(2) as both:
        for number in range(_DOUBLE_FINALISES):
            content = core_bytes(200, seed=number)
            first = complete(content)
            second = Upload.objects.get(pk=first.pk) if number % 2 else complete(content)
            list(both.map(finish, (first, second)))
            for upload in (first, second):
                with suppress(UploadRefused):
                    settle(upload=Upload.objects.get(pk=upload.pk))
            dumps = Dump.objects.filter(sha256=hashlib.sha256(content).hexdigest())
            one += dumps.count() == 1 and content_of(dumps[0]) == content and dumps[0].analyses.count() == 1
        list(both.map(lambda _: connection.close(), range(2)))
    goals.count("G2 files finished twice at once that became one dump", one, _DOUBLE_FINALISES)
    assert one == _DOUBLE_FINALISES
    assert Dump.objects.count() == _DOUBLE_FINALISES
    assert not list(first.part.parent.iterdir())


@pytest.mark.django_db(transaction=True)
def test_an_upload_cancelled_while_it_becomes_a_dump_leaves_the_dump(tus: Tus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and the file are there, the row is not yet: whoever cancels at that moment waits for it."""
    content = core_bytes(5000)
    address = tus.new(len(content))
    upload = Upload.objects.get()
    keep, tried = vault.keep, threading.Event()

    def cancel() -> None:
        tried.set()
        uploads.cancel_upload(upload=upload)
        connection.close()

    other = threading.Thread(target=cancel)

    def keep_slowly(*arguments: object) -> None:
        keep(*arguments)
        other.start()
        tried.wait(10)
        other.join(0.5)

    monkeypatch.setattr(vault, "keep", keep_slowly)
    assert tus.patch(address, 0, content).status_code == 204
    other.join(30)
    assert content_of(Dump.objects.get()) == content


class Losing(io.BytesIO):
    """The bytes of a person who loses their role while they arrive."""

    def read(self, size: int | None = -1, /) -> bytes:
        Membership.objects.update(role=Role.VIEWER)
        return super().read(size)


@pytest.mark.parametrize("algorithm", ["", "sha256"])
def test_who_loses_the_role_during_an_upload_gives_no_dump(bob: User, team: Team, algorithm: str) -> None:
    content = core_bytes(5000)
    upload = create_upload(user=bob, team=team, name="x", length=len(content), labels=Labels())
    sums = Checksum(checksum(content)) if algorithm else None
    with pytest.raises(UploadRefused) as refusal:
        append(upload=upload, offset=0, body=Losing(content), length=len(content), checksum=sums)
    assert refusal.value.status == 403
    uploads.expire_uploads()
    assert not Dump.objects.exists()
    Membership.objects.update(role=Role.ANALYST)
    uploads.expire_uploads()
    assert content_of(Dump.objects.get()) == content


@pytest.mark.parametrize("algorithm", ["", "sha256"])
def test_a_role_that_is_lost_ends_a_large_upload_before_its_end(
    bob: User, team: Team, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    monkeypatch.setattr(uploads, "_SEEN_TO_EVERY_BYTES", 2 << 20)
    content = core_bytes(5 << 20)
    upload = create_upload(user=bob, team=team, name="x", length=len(content), labels=Labels())
    body = Losing(content)
    with pytest.raises(UploadRefused) as refusal:
        append(
            upload=upload, offset=0, body=body, length=len(content), checksum=Checksum(checksum(content)) if algorithm else None
        )
    assert (refusal.value.status, body.tell()) == (403, 2 << 20)


def test_a_role_lost_while_the_file_is_encrypted_gives_no_dump(bob: User, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    content, seal = core_bytes(5000), uploads.seal
    upload = create_upload(user=bob, team=team, name="x", length=len(content), labels=Labels())

    def seal_slowly(*paths: Path) -> Sealed:
        Membership.objects.update(role=Role.VIEWER)
        return seal(*paths)

    monkeypatch.setattr(uploads, "seal", seal_slowly)
    with pytest.raises(UploadRefused):
        append(upload=upload, offset=0, body=io.BytesIO(content), length=len(content))
    assert not Dump.objects.exists() and [path.name for path in upload.part.parent.iterdir()] == [upload.part.name]
