"""Files that a process which was killed, or a disk that failed, left behind; removed when nobody can want them any more.

Only what is known to be left over goes: a file without a row is kept where a restored database could still ask for it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from explorer.models import Analysis, Dump, State, Upload
from explorer.models.analysis import OPEN_STATES

#: Says that the directory of a dump is to go; written before its row is deleted.
DELETED = "deleted"
_OLD_SECONDS = 3600
_ENDED_WITHIN = timedelta(days=2)


def sweep() -> int:
    """Remove what is left over; how many files or directories went."""
    found = [*_scratch(), *_parts(), *_deleted_dumps(), *_indexes()]
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(found)


def _scratch() -> Iterator[Path]:
    """Of analyses that nobody does any more under that token, and of requests that ended long ago."""
    held = {f"{pk}-{token}" for pk, token in Analysis.objects.filter(state__in=OPEN_STATES).values_list("pk", "token")}
    for path in _listed(Path(settings.SCRATCH_DIR)):
        of_analysis = _is_id(path.name[:36]) and _is_id(path.name[37:])
        if path.name not in held if of_analysis else _is_old(path):
            yield path


def _parts() -> Iterator[Path]:
    for path in _listed(Path(settings.UPLOAD_DIR)):
        if _is_old(path) and not (_is_id(path.stem) and Upload.objects.filter(pk=path.stem).exists()):
            yield path


def _deleted_dumps() -> Iterator[Path]:
    for path in _listed(Path(settings.STORE_DIR)):
        if (path / DELETED).exists() and not (_is_id(path.name) and Dump.objects.filter(pk=path.name).exists()):
            yield path


def _indexes() -> Iterator[Path]:
    """Of dumps whose analysis ended lately: every index but that of the latest result and of an analysis under way."""
    for dump in Dump.objects.filter(analyses__finished_at__gte=timezone.now() - _ENDED_WITHIN).distinct():
        latest = dump.analyses.filter(state=State.DONE).order_by("-created_at").first()
        kept = {one.index_directory for one in (latest, *dump.analyses.filter(state__in=OPEN_STATES)) if one}
        yield from (path for path in dump.directory.glob("index-*") if path not in kept)


def _listed(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.exists() else []


def _is_old(path: Path) -> bool:
    with suppress(FileNotFoundError):  # it has just ended
        return path.lstat().st_mtime < time.time() - _OLD_SECONDS
    return False


def _is_id(text: str) -> bool:
    with suppress(ValueError):
        return str(UUID(text)) == text
    return False
