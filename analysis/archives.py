"""Unpack a compressed dump (.gz, .zst, or .zip with one file) into a plain file, bounded by the unpacked size.

Names inside archives are never used as paths: the bytes go where the caller says. Memory stays small whatever the
archive claims, and a file that was not finished is removed.
"""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import zstandard

from analysis.errors import Corrupt, NotADump, OverLimit, Unsupported
from analysis.limits import LIMITS

_CHUNK = 1 << 20
# One compressed block of Zstandard can be 4 bytes for 128 KiB, so this many input bytes give at most 16 MiB at a time.
_ZSTANDARD_CHUNK = 512
# What stands behind a member is copied, and members can be 20 bytes: that must not cost the square of the file's length.
_GZIP_CHUNK = 16 << 10
_MAGIC_BYTES = 4
_GZIP_FORMAT = 31  # of zlib: a gzip header, and any window
_GZIP, _ZSTANDARD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_END_OF_DIRECTORY, _END_OF_DIRECTORY_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_COPY_AGAIN = "It was probably cut off or altered while it was copied; pack and copy it again."
_PACK_ONCE = "Pack the dump itself with gzip, zstd or zip and upload that."
_ONE_FILE = "Put only the dump into the zip archive, or upload it as .gz or .zst."

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The plain file that came out. ``member`` is the name the archive gave it, for display only ("" where it gives none)."""

    path: Path
    size_bytes: int
    compression: str
    member: str


def is_archive(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is one that ``unpack`` takes."""
    return head.startswith((_GZIP, _ZSTANDARD, _ZIP, _END_OF_DIRECTORY))


def unpack(source: Path, target: Path, *, limit_bytes: int, progress: Progress | None = None) -> Unpacked:
    """Unpack ``source`` into the new file ``target``. ``progress`` is told the size so far; what it raises stops the work.

    Raises OverLimit when more than ``limit_bytes`` come out or the disk is full, Corrupt for a damaged archive,
    Unsupported for an encrypted one, NotADump for one that holds no file, several files, or is no archive known here.
    """
    with source.open("rb") as file:
        magic = file.read(_MAGIC_BYTES)
        file.seek(0)
        if magic.startswith(_GZIP):
            return _write(target, "gz", "", _gzip_chunks(file), limit_bytes, progress)
        if magic == _ZSTANDARD:
            return _write(target, "zst", "", _zstandard_chunks(file), limit_bytes, progress)
        if magic in (_ZIP, _END_OF_DIRECTORY):
            return _unpack_zip(file, target, limit_bytes, progress)
    raise NotADump("the file is no .gz, .zst or .zip archive", where=f"it begins with {magic.hex(' ') or 'nothing'}")


def _write(
    target: Path, compression: str, member: str, chunks: Iterator[bytes], limit_bytes: int, progress: Progress | None
) -> Unpacked:
    size = 0
    try:
        with target.open("wb") as out:
            for chunk in _no_archive(chunks):
                size += len(chunk)
                if size > limit_bytes:
                    raise OverLimit(
                        f"the archive unpacks to more than {limit_bytes:,} bytes",
                        where=f"{compression} archive",
                        remedy="Take a smaller dump, or ask for a higher limit on unpacked size.",
                    )
                out.write(chunk)
                if progress:
                    progress(size)
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OverLimit(
            "there is not enough disk space to unpack the archive",
            where=f"after {size:,} bytes",
            remedy="Free disk space or take a smaller dump.",
        ) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Unpacked(target, size, compression, member)


def _no_archive(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Refuse an archive of an archive at its first bytes, and an archive of nothing."""
    head = b""
    for chunk in chunks:
        if len(head) < _MAGIC_BYTES:
            head += chunk[:_MAGIC_BYTES]
            if is_archive(head):
                raise NotADump("the file is compressed twice", where="the archive holds an archive", remedy=_PACK_ONCE)
        yield chunk
    if not head:
        raise NotADump("the archive holds an empty file", remedy="Take the dump again and check free disk space.")


@contextmanager
def _damage(kind: str) -> Iterator[None]:
    """Turn what the decompressors raise on damaged input into Corrupt."""
    try:
        yield
    except (EOFError, zlib.error, zipfile.BadZipFile, struct.error, NotImplementedError) as error:
        raise Corrupt(f"the {kind} archive is damaged or cut off", where=str(error), remedy=_COPY_AGAIN) from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # A directory that points in front of the file makes zipfile seek to a negative place.
        raise Corrupt(f"the {kind} archive points outside itself", where=str(error), remedy=_COPY_AGAIN) from error


def _gzip_chunks(file: BinaryIO) -> Iterator[bytes]:
    with _damage("gzip"):
        member, data = zlib.decompressobj(_GZIP_FORMAT), file.read(_GZIP_CHUNK)
        while data:
            if chunk := member.decompress(data, _CHUNK):
                yield chunk
            if not member.eof:
                data = member.unconsumed_tail or file.read(_GZIP_CHUNK)
            elif data := _next_member(member.unused_data, file):
                member = zlib.decompressobj(_GZIP_FORMAT)
        if not member.eof:
            raise EOFError("its last member does not end")


def _next_member(rest: bytes, file: BinaryIO) -> bytes:
    """What follows the end of a member; zeros, with which some tools fill the last block up, are passed over."""
    rest = rest.lstrip(b"\0")
    while not rest and (more := file.read(_GZIP_CHUNK)):
        rest = more.lstrip(b"\0")
    return rest


def _zstandard_chunks(file: BinaryIO) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=LIMITS.archive_window_bytes)
    frame = decompressor.decompressobj()
    try:
        while data := file.read(_ZSTANDARD_CHUNK):
            while data:
                if frame.eof:
                    frame = decompressor.decompressobj()
                if chunk := frame.decompress(data):
                    yield chunk
                data = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        if "memory" in str(error):
            raise OverLimit(
                "the Zstandard archive needs too much memory to unpack",
                where=f"window above {LIMITS.archive_window_bytes:,} bytes",
                remedy="Compress the dump without zstd's --long or --ultra options.",
            ) from error
        raise Corrupt("the Zstandard archive is damaged", where=str(error), remedy=_COPY_AGAIN) from error
    if not frame.eof:
        raise Corrupt("the Zstandard archive is cut off", where="its last frame does not end", remedy=_COPY_AGAIN)


def _unpack_zip(file: BinaryIO, target: Path, limit_bytes: int, progress: Progress | None) -> Unpacked:
    _check_directory(file)
    with _damage("zip"), zipfile.ZipFile(file) as archive:
        member = _single_member(archive.infolist())
        name = PurePosixPath(member.filename.replace("\\", "/")).name[: LIMITS.name_characters]
        if member.file_size > limit_bytes:
            raise OverLimit(f"the zip archive unpacks to {member.file_size:,} bytes, the limit is {limit_bytes:,}",
                            where=name, remedy="Take a smaller dump, or ask for a higher limit on unpacked size.")  # fmt: skip
        with archive.open(member) as reader:
            return _write(target, "zip", name, iter(lambda: reader.read(_CHUNK), b""), limit_bytes, progress)


def _single_member(members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    """The one file of an archive; folders and what macOS adds do not count."""
    files = [m for m in members if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(files) != 1:
        raise NotADump(f"the zip archive holds {len(files):,} files", where="zip directory", remedy=_ONE_FILE)
    if files[0].flag_bits & 1:
        raise Unsupported("the zip archive is protected by a password", remedy="Upload the dump without a password.")
    if files[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unsupported(
            f"the zip archive uses compression method {files[0].compress_type}",
            remedy="Pack it with the usual method (deflate), or upload the dump as .gz or .zst.",
        )
    return files[0]


def _check_directory(file: BinaryIO) -> None:
    """Refuse a zip whose directory is bigger than one file's could be, before it is read into memory."""
    size = file.seek(0, 2)
    start = max(0, size - (22 + 0xFFFF + 20))
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) - at < 22:
        raise Corrupt("the zip archive has no directory at its end", where=f"{size:,} bytes", remedy=_COPY_AGAIN)
    (directory_bytes,) = struct.unpack_from("<I", tail, at + 12)
    if at >= 20 and tail[at - 20 : at - 16] == _LOCATOR_64:
        file.seek(min(struct.unpack_from("<Q", tail, at - 12)[0], size))
        record = file.read(56)
        if record[:4] != _END_OF_DIRECTORY_64 or len(record) < 56:
            raise Corrupt("the zip archive does not say where its directory is", where="zip64 record", remedy=_COPY_AGAIN)
        directory_bytes = max(directory_bytes if directory_bytes != 0xFFFFFFFF else 0, struct.unpack_from("<Q", record, 40)[0])
    file.seek(0)
    if directory_bytes > LIMITS.archive_directory_bytes:
        raise NotADump(
            "the zip archive holds far more than one file", where=f"directory of {directory_bytes:,} bytes", remedy=_ONE_FILE
        )
