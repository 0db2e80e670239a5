"""Uploads: bytes stream to a part file, which becomes a dump when all are here: encrypted in one pass, kept by one rename.

The offset in SQL is the truth a client resumes from. A lock on the part file keeps two writers apart; the row is
locked only for the moment in which the offset moves, so that a slow upload holds nobody up.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import FileIO
from typing import Protocol

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from analysis.sniff import sniff
from explorer.models import Analysis, Dump, Team, Upload, User
from explorer.permissions import can_upload
from explorer.sealed_files import Sealed, seal, write_all
from explorer.services import analyses, quotas, vault
from explorer.services.audit import on_behalf_of
from explorer.services.checksums import Checksum
from explorer.services.disk import disk
from explorer.services.plain_text import file_name, plain
from explorer.services.trash import restore
from explorer.viewers import viewer_of

_PIECE_BYTES = 1 << 20
#: After so many bytes the offset is saved, and the person asked for their role again.
_SEEN_TO_EVERY_BYTES = 64 << 20
_SNIFFED_BYTES = 1 << 20


class UploadRefused(Exception):
    """The upload cannot go on; ``status`` is the HTTP status, the texts are for the person."""

    def __init__(self, status: int, what: str, *, where: str = "", remedy: str = "", retry_seconds: int = 0) -> None:
        super().__init__(what)
        self.status, self.what, self.where, self.remedy, self.retry_seconds = status, what, where, remedy, retry_seconds


class Body(Protocol):
    """Where the bytes of a request come from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Labels:
    """What a person says about a dump."""

    service: str = ""
    build: str = ""
    environment: str = ""


def create_upload(*, user: User, team: Team, name: str, length: int, labels: Labels) -> Upload:
    """Open an upload. Raises UploadRefused when it is too large for a limit or the disk, or one too many."""
    if length <= 0:
        raise UploadRefused(400, "The file is empty.", where=name, remedy="Take the dump again and check free disk space.")
    if length > settings.MAXIMUM_UPLOAD_BYTES:
        limit = settings.MAXIMUM_UPLOAD_BYTES
        raise UploadRefused(413, f"The file has {length:,} bytes; this server takes at most {limit:,}.", where=name,
                            remedy="Compress it with zstd, or ask the operator to raise EXPLORER_MAX_UPLOAD_BYTES.")  # fmt: skip
    _require_disk(name, length)
    upload = Upload(
        user=user, team=team, original_name=file_name(name, 255) or "unnamed dump", length=length,
        service=plain(labels.service, 100), build=plain(labels.build, 100), environment=plain(labels.environment, 100),
        expires_at=_expiry(),
    )  # fmt: skip
    try:
        with quotas.admitted(user=user, team=team, length=length):
            upload.save(force_insert=True)
            upload.part.parent.mkdir(parents=True, exist_ok=True)
            upload.part.touch(mode=0o600)
    except quotas.OverLimit as over:
        seconds = over.retry_seconds
        raise UploadRefused(over.status, over.what, where=name, remedy=over.remedy, retry_seconds=seconds) from over
    except OSError as error:
        raise _not_written(error, 0, upload) from error
    return upload


def _require_disk(name: str, length: int) -> None:
    found = disk()
    if not found.takes_uploads:
        raise UploadRefused(507, f"The server's disk is {found.full_percent:.0f} % full: no new uploads are begun.", where=name,
                            remedy="Delete old dumps and empty the trash, or ask the operator for more disk.")  # fmt: skip
    if 2 * length > found.room_bytes:  # what arrives stays until it is encrypted beside
        raise UploadRefused(507, "The server has too little free disk space for this file.", where=name,
                            remedy="Delete old dumps, or ask the operator for more disk.")  # fmt: skip


def append(*, upload: Upload, offset: int, body: Body, length: int | None, checksum: Checksum | None = None) -> Upload:
    """Write the body of one PATCH at ``offset``. Raises UploadRefused when the offset is wrong, another request writes,
    more arrives than was announced, or the first bytes are no dump. What was written before a cut stays; with a checksum,
    all of the body stays or nothing."""
    if upload.dump_id is not None and offset == upload.length and not length:
        return upload  # the answer to the last request was lost on its way
    with _locked(upload) as file:
        if offset != upload.offset:
            raise UploadRefused(409, f"The upload stands at byte {upload.offset:,}, not {offset:,}.")
        if length is not None and offset + length > upload.length:
            raise UploadRefused(413, "More bytes arrive than the upload was announced with.", where=upload.original_name)
        if file is not None and upload.offset < upload.length:
            file.truncate(upload.offset)  # bytes behind the saved offset come from a request that was cut off
            file.seek(upload.offset)
            _stream(upload, file, body, length, checksum)
        _finish_if_complete(upload)
    return upload


def settle(*, upload: Upload) -> Upload:
    """Finish an upload whose bytes are all here but whose server was killed before it became a dump. Otherwise nothing
    happens. Raises UploadRefused when the bytes are gone, so that the client starts again."""
    if upload.dump_id is None and upload.offset == upload.length:
        with _locked(upload):
            _finish_if_complete(upload)
    elif upload.dump_id is not None:
        upload.part.unlink(missing_ok=True)  # killed after the dump was kept
    if not upload.part.exists() and (upload.dump is None or upload.dump.trashed_at is not None):
        raise _gone(upload)
    return upload


def _finish_if_complete(upload: Upload) -> None:
    if upload.dump_id is not None or upload.offset != upload.length:
        return
    try:
        finish(upload=upload)
    except OSError as error:
        raise _not_written(error, upload.offset, upload) from error


def _stream(upload: Upload, file: FileIO, body: Body, length: int | None, checksum: Checksum | None = None) -> None:
    start = position = seen = upload.offset
    try:
        for piece in _pieces(body, upload.length - start if length is None else length):
            _write(file, piece)
            position += len(piece)
            if checksum:
                checksum.update(piece)  # nothing is judged or kept before all of it is seen to be right
            else:
                _judge(upload, position)
            if position - seen >= _SEEN_TO_EVERY_BYTES:
                seen = position
                if not checksum:
                    _save_offset(upload, file, position)
                _require_role(upload)
    except OSError as error:
        raise _not_written(error, _save_offset(upload, file, start if checksum else position), upload) from error
    if checksum:
        if not checksum.matches():
            file.truncate(start)
            raise UploadRefused(460, "The bytes that arrived are not those that were sent.", where=upload.original_name,
                                remedy="Send them again.")  # fmt: skip
        _judge(upload, position)
    _save_offset(upload, file, position)


def _pieces(body: Body, left: int) -> Iterator[bytes]:
    """What arrives, until the client goes away: it resumes from where the offset then stands."""
    with suppress(OSError):
        while left > 0 and (piece := body.read(min(_PIECE_BYTES, left))):
            left -= len(piece)
            yield piece


def _write(file: FileIO, piece: bytes) -> None:
    """Write at once, so that a full disk is noticed before the bytes count as received."""
    if disk().room_bytes < len(piece):
        raise OSError(errno.ENOSPC, "what must stay free is reached")
    write_all(file, piece)


def _not_written(error: OSError, kept: int, upload: Upload) -> UploadRefused:
    where = f"after {kept:,} bytes of {upload.original_name}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "Free disk space, then go on: what has arrived is kept."
        return UploadRefused(507, "The server's disk is full.", where=where, remedy=remedy)
    remedy = "What has arrived is kept: go on in a moment, and tell the operator if it happens again."
    return UploadRefused(500, f"The server could not write the file: {error.strerror}.", where=where, remedy=remedy)


def _save_offset(upload: Upload, file: FileIO, position: int) -> int:
    os.fdatasync(file.fileno())  # the offset promises bytes that survive a power cut
    with transaction.atomic():
        row = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if row is None:
            raise _gone(upload)
        row.offset, row.format, row.expires_at = position, upload.format, _expiry()
        row.save(update_fields=["offset", "format", "expires_at"])
    upload.offset = position
    return position


def _judge(upload: Upload, position: int) -> None:
    """Refuse a file that is no dump as soon as its first megabyte is here; the upload is closed."""
    if upload.format or position < min(_SNIFFED_BYTES, upload.length):
        return
    with upload.part.open("rb") as written:
        seen = sniff(written.read(_SNIFFED_BYTES), upload.length)
    if not seen.accepted:
        cancel_upload(upload=upload)
        raise UploadRefused(415, f"{seen.title}: {seen.reason}", where=upload.original_name, remedy=seen.remedy)
    upload.format = plain(seen.title or seen.format, 80)


def finish(*, upload: Upload) -> Dump:
    """Turn a complete upload into a dump of its team, or into the dump that is there already for the same bytes. Raises
    UploadRefused where its person may no longer upload.

    Killed in the middle, it can be repeated: what arrived stays until a dump is kept that has it all.
    """
    _require_role(upload)
    try:
        sealed = _sealed(upload)
        known = Dump.objects.filter(team_id=upload.team_id, sha256=sealed.sha256).first()
        if known is None:
            try:
                known = _adopt(upload, sealed)
            except IntegrityError:  # the same file arrived twice at once
                known = Dump.objects.get(team_id=upload.team_id, sha256=sealed.sha256)
        if known.pk != upload.pk:
            _give_back(upload, sealed, known)
    except (OSError, UploadRefused):
        upload.sealed.unlink(missing_ok=True)  # a full disk has no room for half of a file
        raise
    upload.dump = known
    _discard(upload)
    return known


def _require_role(upload: Upload) -> None:
    """The person may have lost the role since the request began that brought the bytes."""
    person = User.objects.filter(pk=upload.user_id).first()
    if person is None or not person.is_active or not can_upload(viewer_of(person), upload.team_id):
        raise UploadRefused(403, "You may no longer upload to this team.", where=upload.original_name,
                            remedy="Ask a team lead for the role of analyst.")  # fmt: skip


def _sealed(upload: Upload) -> Sealed:
    if disk().room_bytes < upload.length:
        raise OSError(errno.ENOSPC, "the encrypted file has no room beside what arrived")
    return seal(upload.part, upload.sealed)


def _adopt(upload: Upload, sealed: Sealed) -> Dump:
    with transaction.atomic():
        _require_upload(upload)
        dump = Dump.objects.create(
            id=upload.pk, team_id=upload.team_id, name=upload.original_name[:200], original_name=upload.original_name,
            sha256=sealed.sha256, size_bytes=upload.length, format=upload.format, uploaded_by_id=upload.user_id,
            service=upload.service, build=upload.build, environment=upload.environment, stored_bytes=upload.length,
        )  # fmt: skip
        vault.keep(dump, upload.sealed, sealed)
        Upload.objects.filter(pk=upload.pk).update(dump=dump)
        analysis = Analysis.objects.create(dump=dump)
        transaction.on_commit(lambda: analyses.enqueue(analysis.pk))
    return dump


def _give_back(upload: Upload, sealed: Sealed, known: Dump) -> None:
    """The file is there already: out of the trash with it, and where only its analysis was kept, it is kept again."""
    with transaction.atomic():
        _require_upload(upload)
        row = Dump.objects.select_for_update().get(pk=known.pk)
        restore(request=on_behalf_of(upload.user), dump=row, detail="uploaded again")
        if row.without_original:
            Dump.objects.filter(pk=row.pk).update(original_removed_at=None, kept_since=timezone.now())
            vault.keep(row, upload.sealed, sealed)
            transaction.on_commit(lambda: quotas.measure(row))
        Upload.objects.filter(pk=upload.pk).update(dump=row)


def _discard(upload: Upload) -> None:
    """Forget what arrived, and what was begun to be made of it."""
    upload.part.unlink(missing_ok=True)
    upload.sealed.unlink(missing_ok=True)
    if not Dump.objects.filter(pk=upload.pk).exists():
        begun = Dump(id=upload.pk)
        vault.destroy_key(begun.key)
        shutil.rmtree(begun.directory, ignore_errors=True)


def cancel_upload(*, upload: Upload) -> None:
    """Forget an upload and its bytes, but not a dump that is made of them at this moment."""
    with transaction.atomic():
        for row in Upload.objects.select_for_update().filter(pk=upload.pk):
            row.delete()
    _discard(upload)


def _require_upload(upload: Upload) -> None:
    """Inside of a transaction: nobody has cancelled it, and nobody does before the transaction ends. Raises UploadRefused."""
    if not Upload.objects.select_for_update().filter(pk=upload.pk).exists():
        raise _gone(upload)
    _require_role(upload)  # encrypting it may have taken long


def expire_uploads() -> int:
    """Finish complete uploads whose server was killed, then forget what nobody went on with; how many were forgotten."""
    for upload in Upload.objects.filter(dump=None, offset=F("length")):
        with suppress(UploadRefused):
            settle(upload=upload)
    expired = list(Upload.objects.filter(expires_at__lt=timezone.now()))
    for upload in expired:
        cancel_upload(upload=upload)
    return len(expired)


def _gone(upload: Upload) -> UploadRefused:
    return UploadRefused(410, "The upload is gone; start it again.", where=upload.original_name)


@contextmanager
def _locked(upload: Upload) -> Iterator[FileIO | None]:
    """The part file, while no other request writes to it, or None where it has become a dump meanwhile; ``upload`` is fresh
    from the database."""
    try:
        file = FileIO(upload.part, "r+")
    except FileNotFoundError:
        _refresh(upload)
        if upload.dump_id is None:
            raise _gone(upload) from None
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UploadRefused(423, "Another request is writing to this upload.", where=upload.original_name) from None
        _refresh(upload)
        yield file


def _refresh(upload: Upload) -> None:
    try:
        upload.refresh_from_db()
    except Upload.DoesNotExist:
        raise _gone(upload) from None


def _expiry() -> datetime:
    return timezone.now() + timedelta(hours=settings.UPLOAD_EXPIRY_HOURS)
