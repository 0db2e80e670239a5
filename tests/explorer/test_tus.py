"""The upload protocol as clients speak it, and what becomes of complete uploads."""

from __future__ import annotations

import fcntl
import hashlib
import io
import threading
from datetime import timedelta
from uuid import UUID

import pytest
import zstandard
from django.db import connection
from django.test import Client
from django.utils import timezone

from explorer.models import Analysis, Dump, State, Upload, User
from explorer.services import uploads
from explorer.services.audit import by_the_server
from explorer.services.removal import purge
from explorer.services.trash import move_to_trash
from explorer.services.uploads import Labels, UploadRefused, append, create_upload, expire_uploads
from tests.explorer.elf_cores import core_bytes
from tests.explorer.tus_client import Tus
from tests.stored_dumps import content_of

MEGABYTE = 1 << 20


@pytest.fixture
def tus(bob: User) -> Tus:
    return Tus(bob)


def row(address: str) -> Upload:
    return Upload.objects.get(pk=UUID(address.rpartition("/")[2]))


def test_options_needs_nobody_and_tells_the_extensions(client: Client, settings) -> None:
    response = client.options("/api/uploads/")
    assert response.status_code == 204
    assert response["Tus-Version"] == response["Tus-Resumable"] == "1.0.0"
    assert set(response["Tus-Extension"].split(",")) == {"creation", "expiration", "termination", "checksum"}
    assert response["Tus-Checksum-Algorithm"] == "sha1,sha256"
    assert int(response["Tus-Max-Size"]) == settings.MAXIMUM_UPLOAD_BYTES


def test_a_file_in_pieces_becomes_a_dump(tus: Tus, team, django_capture_on_commit_callbacks) -> None:
    content = core_bytes(2 * MEGABYTE + 77)
    address = tus.new(len(content), service="shop", build="1.2", environment="staging")
    head = tus.head(address)
    assert (head.status_code, head["Upload-Offset"], head["Upload-Length"]) == (200, "0", str(len(content)))
    assert head["Cache-Control"] == "no-store"
    at = 0
    for size in (10, MEGABYTE - 20, 30, MEGABYTE, 57):
        response = tus.patch(address, at, content[at : at + size])
        at += size
        assert (response.status_code, response["Upload-Offset"]) == (204, str(at))
        assert tus.head(address)["Upload-Offset"] == str(at)
    dump = Dump.objects.get()
    assert response["Dump-Location"] == tus.head(address)["Dump-Location"] == dump.get_absolute_url()
    assert content_of(dump) == content
    assert (dump.sha256, dump.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (dump.team, dump.uploaded_by, dump.labels) == (team, tus.user, ("shop", "1.2", "staging"))
    assert dump.format == "Linux core dump (x64)"
    assert dump.analysis.state == State.RECEIVED
    assert not row(address).part.exists()


def test_a_file_below_a_megabyte_and_one_of_64_bytes(tus: Tus) -> None:
    assert tus.upload(core_bytes(700_000)).status_code == 204
    assert tus.upload(core_bytes(64)).status_code == 204
    assert Dump.objects.count() == 2


def test_a_compressed_file_is_taken_as_it_is(tus: Tus) -> None:
    packed = zstandard.compress(core_bytes(400_000))
    response = tus.upload(packed, filename="shop.dmp.zst")
    assert response.status_code == 204
    assert content_of(Dump.objects.get()) == packed
    assert "packed with Zstandard" in Dump.objects.get().format


def test_a_wrong_offset_is_a_conflict(tus: Tus) -> None:
    address = tus.new(1000)
    tus.patch(address, 0, core_bytes(1000)[:500])
    for offset in (0, 499, 501, 1000):
        response = tus.patch(address, offset, b"x" * 10)
        assert response.status_code == 409
        assert "byte 500" in response.json()["what"]
    assert tus.head(address)["Upload-Offset"] == "500"


@pytest.mark.parametrize("offset", ["", "-1", "1.5", "x", "9" * 5000])
def test_an_offset_that_is_no_number_is_refused(tus: Tus, offset: str) -> None:
    assert tus.patch(tus.new(1000), offset, b"x").status_code == 400


@pytest.mark.parametrize("length", ["", "-1", "x", "9" * 5000, "0"])
def test_a_length_that_is_no_number_or_nothing_is_refused(tus: Tus, length: str) -> None:
    assert tus.create(length).status_code == 400
    assert not Upload.objects.exists()


def test_more_than_announced_is_refused(tus: Tus) -> None:
    address = tus.new(1000)
    assert tus.patch(address, 0, core_bytes(1001)).status_code == 413
    assert tus.head(address)["Upload-Offset"] == "0"


def test_another_type_of_body_and_another_version_are_refused(tus: Tus) -> None:
    address = tus.new(1000)
    assert tus.patch(address, 0, b"x", content_type="text/plain").status_code == 415
    tus.authorization["Tus-Resumable"] = "0.2.2"
    assert tus.patch(address, 0, b"x").status_code == 412


def test_two_writers_at_once_are_kept_apart(tus: Tus) -> None:
    address = tus.new(1000)
    with row(address).part.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert tus.patch(address, 0, core_bytes(1000)).status_code == 423
    assert tus.patch(address, 0, core_bytes(1000)).status_code == 204


class CutOff(io.BytesIO):
    """A request whose client goes away in the middle."""

    def read(self, size: int = -1, /) -> bytes:
        piece = super().read(size)
        if not piece:
            raise OSError("the client went away")
        return piece


def test_what_arrived_before_a_cut_stays(tus: Tus) -> None:
    content = core_bytes(3 * MEGABYTE)
    address = tus.new(len(content))
    append(upload=row(address), offset=0, body=CutOff(content[: MEGABYTE + 5]), length=len(content))
    assert tus.head(address)["Upload-Offset"] == str(MEGABYTE + 5)
    assert tus.patch(address, MEGABYTE + 5, content[MEGABYTE + 5 :]).status_code == 204
    assert content_of(Dump.objects.get()) == content


def test_bytes_behind_the_saved_offset_are_written_anew(tus: Tus) -> None:
    content = core_bytes(5000)
    address = tus.new(len(content))
    tus.patch(address, 0, content[:1000])
    with row(address).part.open("ab") as part:
        part.write(b"of a request that was killed" * 1000)
    tus.patch(address, 1000, content[1000:])
    assert content_of(Dump.objects.get()) == content


def test_a_full_disk_keeps_what_arrived(tus: Tus, monkeypatch) -> None:
    content = core_bytes(1000)
    address = tus.new(len(content))
    tus.patch(address, 0, content[:600])

    class Full(io.FileIO):
        def write(self, piece: bytes) -> int:
            raise OSError(28, "No space left on device")

    upload = row(address)
    with Full(upload.part, "r+b") as file, pytest.raises(UploadRefused) as refusal:
        file.seek(600)
        uploads._stream(upload, file, io.BytesIO(content[600:]), 400)
    assert refusal.value.status == 507
    assert tus.head(address)["Upload-Offset"] == "600"


def test_delete_forgets_the_upload_and_its_bytes(tus: Tus) -> None:
    address = tus.new(1000)
    part = row(address).part
    tus.patch(address, 0, core_bytes(1000)[:10])
    assert tus.delete(address).status_code == 204
    assert not part.exists()
    assert tus.head(address).status_code == tus.patch(address, 10, b"x").status_code == tus.delete(address).status_code == 404


def test_a_finished_upload_cannot_be_deleted(tus: Tus) -> None:
    content = core_bytes()
    address = tus.new(len(content))
    tus.patch(address, 0, content)
    assert tus.delete(address).status_code == 404
    assert Dump.objects.get().original.exists()


def test_an_upload_cancelled_while_bytes_arrive_is_gone(tus: Tus) -> None:
    address = tus.new(5000)

    class Cancelling(io.BytesIO):
        def read(self, size: int = -1, /) -> bytes:
            uploads.cancel_upload(upload=row(address))
            return super().read(size)

    with pytest.raises(UploadRefused) as refusal:
        append(upload=row(address), offset=0, body=Cancelling(core_bytes(64)), length=64)
    assert refusal.value.status == 410


def test_uploads_expire_and_finished_dumps_stay(tus: Tus, settings) -> None:
    settings.UPLOAD_EXPIRY_HOURS = 1
    address = tus.new(1000)
    finished = tus.new(64)
    tus.patch(finished, 0, core_bytes(64))
    assert expire_uploads() == 0
    part = row(address).part
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_uploads() == 2
    assert not part.exists()
    assert tus.head(address).status_code == 404
    assert Dump.objects.get().original.exists()


def test_bytes_that_arrive_put_the_expiry_off(tus: Tus) -> None:
    address = tus.new(1000)
    Upload.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    tus.patch(address, 0, core_bytes(1000)[:100])
    assert row(address).expires_at > timezone.now() + timedelta(hours=40)


@pytest.fixture
def killed(tus: Tus, monkeypatch) -> str:
    """An upload whose server was killed after its last byte, before it became a dump."""

    class Killed(BaseException):
        pass

    def die(*, upload: Upload) -> None:
        raise Killed

    content = core_bytes(5000)
    address = tus.new(len(content))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(uploads, "finish", die)
        tus.patch(address, 0, content)
    assert not Dump.objects.exists()
    return address


def test_asking_for_the_offset_finishes_what_was_killed(tus: Tus, killed: str) -> None:
    head = tus.head(killed)
    assert (head.status_code, head["Upload-Offset"]) == (200, "5000")
    assert head["Dump-Location"] == Dump.objects.get().get_absolute_url()


def test_repeating_the_last_request_finishes_what_was_killed(tus: Tus, killed: str) -> None:
    assert tus.patch(killed, 5000, b"").status_code == 204
    assert tus.patch(killed, 5000, b"").status_code == 204
    assert content_of(Dump.objects.get()) == core_bytes(5000)


def test_the_clock_finishes_what_was_killed(tus: Tus, killed: str) -> None:
    assert expire_uploads() == 0
    assert content_of(Dump.objects.get()) == core_bytes(5000)


def test_killed_after_the_file_was_moved(tus: Tus, killed: str, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    def die(**fields: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Analysis.objects, "create", die)
        tus.head(killed)
    assert Dump(id=row(killed).pk).original.exists() and not Dump.objects.exists()
    assert tus.head(killed).status_code == 200
    assert content_of(Dump.objects.get()) == core_bytes(5000)


def test_an_upload_whose_bytes_are_gone_must_start_again(tus: Tus) -> None:
    address = tus.new(1000)
    row(address).part.unlink()
    assert tus.head(address).status_code == tus.patch(address, 0, b"x").status_code == 410


def test_an_upload_whose_dump_was_deleted_must_start_again(tus: Tus) -> None:
    content = core_bytes()
    address = tus.new(len(content))
    tus.patch(address, 0, content)
    move_to_trash(request=by_the_server(), dump=Dump.objects.get())
    assert tus.head(address).status_code == 410
    purge(request=by_the_server(), dump=Dump.objects.get())
    assert tus.head(address).status_code == 404
    assert expire_uploads() == 0
    assert not Dump.objects.exists()


def test_the_same_file_again_opens_the_dump_that_is_there(tus: Tus, alice: User) -> None:
    content = core_bytes(9000)
    first = tus.upload(content)
    second = Tus(alice).upload(content, filename="another name")
    assert second["Dump-Location"] == first["Dump-Location"]
    assert Dump.objects.count() == Analysis.objects.count() == 1
    store = Dump.objects.get().directory.parent
    assert [path.name for path in store.iterdir()] == [str(Dump.objects.get().pk)]
    assert not list(Upload.objects.first().part.parent.iterdir())


def test_the_same_file_in_another_team_is_another_dump(tus: Tus, mallory: User) -> None:
    content = core_bytes(9000)
    first, second = tus.upload(content), Tus(mallory).upload(content)
    assert second["Dump-Location"] != first["Dump-Location"]
    assert Dump.objects.values("team").distinct().count() == 2
    assert all(content_of(dump) == content for dump in Dump.objects.all())


@pytest.mark.django_db(transaction=True)
def test_the_same_file_finishing_four_times_at_once_is_one_dump(bob: User, team) -> None:
    content = core_bytes(100_000)
    found, failed = [], []
    barrier = threading.Barrier(4)

    def work() -> None:
        try:
            upload = create_upload(user=bob, team=team, name="x", length=len(content), labels=Labels())
            append(upload=upload, offset=0, body=io.BytesIO(content[:-1]), length=len(content) - 1)
            barrier.wait(20)
            found.append(append(upload=upload, offset=len(content) - 1, body=io.BytesIO(content[-1:]), length=1).dump_id)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert set(found) == {Dump.objects.get().pk}
    assert content_of(Dump.objects.get()) == content
    assert Analysis.objects.count() == 1
