"""Files that a process which was killed, or a disk that failed, left behind; removed when nobody can want them any more.

Only what is known to be left over goes: a dump without a row is kept for some days in which a restored database could still
ask for it, unless its directory says that it was deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from explorer.models import Analysis, Dump, Held, State, Team, Upload
from explorer.models.analysis import OPEN_STATES
from explorer.services.plain_dumps import working_copies
from explorer.services.removal import DELETED, SET_ASIDE, remove, shred, unheld
from explorer.services.vault import destroy_key

_OLD_SECONDS = 3600
#: For as long nobody may have noticed that a restored database lacks what is in the store.
_LOST_SECONDS = 14 * 24 * 3600
_ENDED_WITHIN = timedelta(days=2)


def sweep() -> int:
    """Remove what is left over; how many files or directories went."""
    keys, lost = list(_keys()), list(_dumps_without_row())
    for key in keys:
        destroy_key(key)
    for directory in lost:
        shred(Dump(id=UUID(directory.name)).key, [directory])
    found = [*_scratch(), *_parts(), *_symbols_without_team(), *_indexes()]
    remove(found)
    return len(keys) + len(lost) + len(found) + sum(_finish_removal(dump) for dump in Dump.objects.iterator())


def destroy_keys() -> int:
    """Destroy keys of what was deleted by a server that was killed before it came to that; how many went."""
    found = [path for path in _listed(Path(settings.KEY_DIR)) if _is_to_go(path.name)]
    for key in found:
        destroy_key(key)
    return len(found)


def _is_to_go(name: str) -> bool:
    """Its dump was deleted and no row speaks against it, or it was set aside and the row says that the original is gone."""
    dump_id = name.removeprefix(SET_ASIDE)
    if not _is_id(dump_id):
        return False
    if name == dump_id:
        return (Path(settings.STORE_DIR) / dump_id / DELETED).exists() and not _is_known(dump_id)
    with suppress(Dump.DoesNotExist):
        try:
            with unheld(UUID(dump_id)) as row:
                return row.original_removed_at is not None
        except Held:
            return False
    return True


def _is_known(dump_id: str) -> bool:
    """Where an upload still is, the server was killed while it made a dump of it: it becomes one yet."""
    return Dump.objects.filter(pk=dump_id).exists() or Upload.objects.filter(pk=dump_id).exists()


def _keys() -> Iterator[Path]:
    """Without a dump, and those that were being written when their server was killed."""
    for path in _listed(Path(settings.KEY_DIR)):
        is_key = _is_id(path.name)
        if _is_old(path, _LOST_SECONDS) and not _is_known(path.name) if is_key else path.suffix and _is_old(path):
            yield path


def settle_database() -> None:
    """Overwrite the log of changes that SQLite keeps beside the database: it still shows rows that were deleted. PostgreSQL
    looks after its own."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _scratch() -> Iterator[Path]:
    """Of analyses that nobody does any more under that token, and of requests that ended long ago."""
    held = {f"{pk}-{token}" for pk, token in Analysis.objects.filter(state__in=OPEN_STATES).values_list("pk", "token")}
    for path in _listed(Path(settings.SCRATCH_DIR)):
        of_analysis = _is_id(path.name[:36]) and _is_id(path.name[37:])
        if path != working_copies() and (path.name not in held if of_analysis else _is_old(path)):
            yield path


def _parts() -> Iterator[Path]:
    for path in _listed(Path(settings.UPLOAD_DIR)):
        if _is_old(path) and not (_is_id(path.stem) and Upload.objects.filter(pk=path.stem, dump=None).exists()):
            yield path


def _dumps_without_row() -> Iterator[Path]:
    for path in _listed(Path(settings.STORE_DIR)):
        if ((path / DELETED).exists() or _is_old(path, _LOST_SECONDS)) and _is_id(path.name) and not _is_known(path.name):
            yield path


def _symbols_without_team() -> Iterator[Path]:
    for path in _listed(Path(settings.DATA_DIR) / "symbols"):
        if _is_old(path, _LOST_SECONDS) and _is_id(path.name) and not Team.objects.filter(pk=path.name).exists():
            yield path


def _finish_removal(dump: Dump) -> int:
    """An original whose removal was interrupted: put back where the row does not know of it, removed where it does; how many
    files went."""
    key = dump.key.with_name(f"{SET_ASIDE}{dump.key.name}")
    aside = [path for path in (key, *dump.directory.glob(f"{SET_ASIDE}*")) if _is_old(path)]
    if dump.original_removed_at is None:
        for path in aside:
            path.rename(path.with_name(path.name.removeprefix(SET_ASIDE)))
        return 0
    left = [*aside, *(path for path in (dump.key, dump.original) if _is_old(path))]
    with suppress(Held, Dump.DoesNotExist), unheld(dump.pk) as row:
        if left and row.original_removed_at is not None:
            for path in left:
                destroy_key(path) if path.parent == dump.key.parent else remove([path])
            return len(left)
    return 0


def _indexes() -> Iterator[Path]:
    """Of dumps whose analysis ended lately: every index but that of the latest result and of an analysis under way."""
    for dump in Dump.objects.filter(analyses__finished_at__gte=timezone.now() - _ENDED_WITHIN).distinct():
        latest = dump.analyses.filter(state=State.DONE).order_by("-created_at").first()
        kept = {one.index_directory for one in (latest, *dump.analyses.filter(state__in=OPEN_STATES)) if one}
        yield from (path for path in dump.directory.glob("index-*") if path not in kept)


def _listed(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.exists() else []


def _is_old(path: Path, seconds: int = _OLD_SECONDS) -> bool:
    with suppress(FileNotFoundError):  # it has just ended
        return path.lstat().st_mtime < time.time() - seconds
    return False


def _is_id(text: str) -> bool:
    with suppress(ValueError):
        return str(UUID(text)) == text
    return False
