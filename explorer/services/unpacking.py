"""What is inside a compressed upload, unpacked by the engine behind its walls and put in place by one rename."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from django.conf import settings

from analysis.archives import is_archive
from analysis.errors import Corrupt
from explorer.models import Dump
from explorer.services.disk import disk
from explorer.services.engine import Progress, unpack_archive

_MAGIC_BYTES = 4


def plain_dump(dump: Dump, scratch: Path, progress: Progress) -> Path:
    """The plain dump file: the original, or what is inside it. Raises as ``run_engine``, and Corrupt."""
    if dump.unpacked.exists():
        return dump.unpacked
    with dump.original.open("rb") as file:
        if not is_archive(file.read(_MAGIC_BYTES)):
            return dump.original
    limit_bytes = min(settings.MAXIMUM_UNPACKED_BYTES, disk().room_bytes)
    made = scratch / "unpacked" / "dump"
    made.parent.mkdir()
    unpack_archive(dump.original, made, limit_bytes, progress)
    _keep(made, limit_bytes)
    progress()
    made.replace(dump.unpacked)
    return dump.unpacked


def _keep(made: Path, limit_bytes: int) -> None:
    """Safely on disk, and a file of its own: a link in its place would lead the next reader to another file."""
    try:
        file = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Corrupt(f"unpacking left no file: {error.strerror}", remedy="Please report it; the dump is kept.") from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size > limit_bytes:
            raise Corrupt("unpacking left something else than a plain file", remedy="Please report it; the dump is kept.")
        os.fsync(file)
    finally:
        os.close(file)
