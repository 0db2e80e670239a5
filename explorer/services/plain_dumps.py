"""The plain file of a dump, for a child of the engine that must map it: decrypted, unpacked where the upload was compressed.

An analysis has it in its scratch directory, which goes with it. Everybody else shares one working copy, which is made when it is
first needed and goes some minutes after its last use (``sweep``), or at once with the dump. Nothing of it is in the store.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from analysis.archives import is_archive
from analysis.errors import Corrupt
from explorer.models import Dump
from explorer.sealed_files import private_file, write_all
from explorer.services.disk import disk
from explorer.services.engine import Progress, unpack_archive
from explorer.services.vault import Original, OriginalGone, open_original

_REPORT_SECONDS = 1.0
_WORKING_COPIES = "working"


def _nobody_listens(**changes: Any) -> None:
    pass


@contextmanager
def plain_dump(dump: Dump, *, scratch: Path | None = None, progress: Progress = _nobody_listens) -> Iterator[Path]:
    """The plain file of a dump, as long as the context lasts; with ``scratch`` a file in there, which the caller removes.
    Raises OriginalGone, KeyGone, Damaged, Corrupt, OSError, and as ``run_engine`` where it is unpacked."""
    original = open_original(dump)
    if not original.key and not is_archive(original.head()):
        yield original.path  # stored before originals were encrypted
    elif scratch is not None:
        yield _made(original, scratch, progress, lambda: disk().room_bytes)
    else:
        with _shared(dump, original, progress) as path:
            yield path


def working_copies() -> Path:
    """Where they all lie."""
    return Path(settings.SCRATCH_DIR) / _WORKING_COPIES


def working_copy(dump_id: UUID) -> Path:
    """The directory of one."""
    return working_copies() / str(dump_id)


def sweep(unused_seconds: float | None = None) -> int:
    """Remove working copies that nobody has used for some time, and those of originals that are gone; how many went."""
    unused_seconds = settings.WORKING_COPY_SECONDS if unused_seconds is None else unused_seconds
    found = list(working_copies().iterdir()) if working_copies().exists() else []
    wanted = {str(pk) for pk in Dump.objects.filter(original_removed_at=None).values_list("pk", flat=True)} if found else set()
    removed = 0
    for directory in found:
        if directory.name not in wanted:
            shutil.rmtree(directory, ignore_errors=True)
            removed += 1
            continue
        removed += _removed_unless_used(directory, time.time() - unused_seconds)
    return removed


def _removed_unless_used(directory: Path, since: float) -> bool:
    """Remove a working copy that nobody uses now or has used ``since`` (seconds since 1970)."""
    with suppress(OSError), _locked(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
        if directory.stat().st_mtime <= since:
            shutil.rmtree(directory, ignore_errors=True)
            return True
    return False


def _room_for_copies() -> int:
    """Half of what the disk offers, less what is taken: the other half is for uploads and analyses."""
    taken = sum(file.lstat().st_blocks * 512 for file in working_copies().glob("*/dump"))
    return max(0, (disk().room_bytes + taken) // 2 - taken)


def _make_room(wanted_bytes: int) -> None:
    """Remove working copies that nobody uses, those of the longest ago first, until there is room for another one."""
    with suppress(FileNotFoundError):
        for directory in sorted(working_copies().iterdir(), key=lambda one: one.stat().st_mtime):
            if _room_for_copies() >= wanted_bytes:
                return
            _removed_unless_used(directory, time.time())


@contextmanager
def _shared(dump: Dump, original: Original, progress: Progress) -> Iterator[Path]:
    """The working copy, which nobody sweeps away while it is used."""
    directory = working_copy(dump.pk)
    copy = directory / "dump"
    with _entered(directory) as lock:
        if not copy.exists():
            fcntl.flock(lock, fcntl.LOCK_EX)  # one makes it, the others wait
            if not copy.exists():
                _make(original, directory, copy, progress)
            if not original.path.exists():  # removed meanwhile, perhaps before there was a copy to be removed with it
                shutil.rmtree(directory, ignore_errors=True)
                raise OriginalGone("the dump was deleted at this moment")
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(directory)
        yield copy
        with suppress(FileNotFoundError):
            os.utime(directory)


@contextmanager
def _entered(directory: Path) -> Iterator[int]:
    """The directory, there and shared; its lock. One that was swept away before the lock was there is made again."""
    while True:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(directory, fcntl.LOCK_SH) as lock:
            if _is_at(directory, lock):
                yield lock
                return


def _is_at(directory: Path, lock: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(directory.stat(), os.fstat(lock))
    return False


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[int]:
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, how)
        yield lock
    finally:
        os.close(lock)


def _make(original: Original, directory: Path, copy: Path, progress: Progress) -> None:
    making = directory / "making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    _make_room(original.size_bytes)
    try:
        _made(original, making, progress, _room_for_copies).rename(copy)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _made(original: Original, scratch: Path, progress: Progress, room: Callable[[], int]) -> Path:
    """The plain file, made somewhere in ``scratch``, as far as there is ``room`` in bytes."""
    packed = is_archive(original.head())
    source = _decrypted(original, scratch / "original", progress, room()) if original.key else original.path
    if not packed:
        return source
    limit_bytes = min(settings.MAXIMUM_UNPACKED_BYTES, room())
    made = scratch / "unpacked" / "dump"
    made.parent.mkdir(mode=0o700)
    unpack_archive(source, made, limit_bytes, progress)
    _require_plain_file(made, limit_bytes)
    if original.key:
        source.unlink()
    progress()
    return made


def _decrypted(original: Original, target: Path, progress: Progress, room_bytes: int) -> Path:
    if room_bytes < original.size_bytes:
        raise OSError(errno.ENOSPC, "no space left for a working copy of the dump")
    told, done = time.monotonic(), 0
    with private_file(target) as file:
        for piece in original.pieces():
            write_all(file, piece)
            done += len(piece)
            if time.monotonic() - told >= _REPORT_SECONDS:
                told = time.monotonic()
                progress(detail=f"{done >> 20:,} of {original.size_bytes >> 20:,} MiB decrypted")
    return target


def _require_plain_file(made: Path, limit_bytes: int) -> None:
    """A file of its own: a link in its place would lead the next reader to another file."""
    try:
        found = made.lstat()
    except OSError as error:
        raise Corrupt(f"unpacking left no file: {error.strerror}", remedy="Please report it; the dump is kept.") from error
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size > limit_bytes:
        raise Corrupt("unpacking left something else than a plain file", remedy="Please report it; the dump is kept.")
