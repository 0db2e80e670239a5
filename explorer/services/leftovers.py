"""Files that a process which was killed, or a disk that failed, left behind; removed when nobody can want them any more.

Only what is known to be left over goes: a directory without a row is kept for two weeks after the row was first missed, in
which a restored database could still ask for it, unless it says itself that it was deleted. A key goes with its directory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from explorer.models import Analysis, Dump, Held, ScrubbedCopy, State, Team, Upload
from explorer.models.analysis import OPEN_STATES
from explorer.services.plain_dumps import working_copies
from explorer.services.removal import DELETED, SET_ASIDE, keys_of, remove, shred, unheld
from explorer.services.vault import destroy_key

log = structlog.get_logger()
_OLD_SECONDS = 3600
#: In a directory, since when the database has no row of it. For two weeks nobody may have noticed that a restored one lacks it.
_LOST = "lost"
_LOST_SECONDS = 14 * 24 * 3600
_ENDED_WITHIN = timedelta(days=2)


def sweep() -> int:
    """Remove what is left over; how many files or directories went."""
    _forget_marks()
    lost = list(_dumps_without_row())
    for directory in lost:
        shred(keys_of(Dump(id=UUID(directory.name))), [directory])
    keys = [path for path in _listed(Path(settings.KEY_DIR)) if path.suffix and _is_old(path)]  # their writer was killed
    for key in keys:
        destroy_key(key)
    found = [*_scratch(), *([] if _is_another_database() else _parts()), *_symbols_without_team(), *_indexes()]
    remove(found)
    return len(lost) + len(keys) + len(found) + sum(_finish_removal(dump_id) for dump_id in _interrupted_removals())


def destroy_keys() -> int:
    """Destroy keys of what was deleted by a server that was killed before it came to that; how many went."""
    found = [path for path in _listed(Path(settings.KEY_DIR)) if _is_to_go(path.name)]
    for key in found:
        destroy_key(key)
    return len(found)


def _is_to_go(name: str) -> bool:
    """Its dump was deleted and no row speaks against it, or it was set aside and the row says that the original is gone. That
    there is no row says nothing: the database may be another one."""
    dump_id = name.removeprefix(SET_ASIDE)
    if not _is_id(dump_id):
        return False
    deleted = (Path(settings.STORE_DIR) / dump_id / DELETED).exists()
    if name == dump_id:
        return deleted and dump_id not in _known()
    try:
        with unheld(UUID(dump_id)) as row:
            return row.original_removed_at is not None
    except Dump.DoesNotExist:
        return deleted
    except Held:
        return False


def _known() -> set[str]:
    """Ids of dumps, and of uploads: where one still is, the server was killed while it made a dump of it, and it becomes one
    yet. Uploads first, as they become dumps."""
    uploads = {str(pk) for pk in Upload.objects.values_list("pk", flat=True)}
    return uploads | {str(pk) for pk in Dump.objects.values_list("pk", flat=True)}


def settle_database() -> None:
    """Overwrite the log of changes that SQLite keeps beside the database: it still shows rows that were deleted. PostgreSQL
    looks after its own."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _scratch() -> Iterator[Path]:
    """Of analyses and scrubbed copies that nobody makes any more under that token, and of requests that ended long ago."""
    analyses = Analysis.objects.filter(state__in=OPEN_STATES).values_list("pk", "token")
    copies = ScrubbedCopy.objects.exclude(token=None).values_list("dump_id", "token")
    held = {f"{row_id}-{token}" for row_id, token in (*analyses, *copies)}
    for path in _listed(Path(settings.SCRATCH_DIR)):
        of_a_lease = _is_id(path.name[:36]) and _is_id(path.name[37:])
        if path != working_copies() and (path.name not in held if of_a_lease else _is_old(path)):
            yield path


def _parts() -> Iterator[Path]:
    for path in _listed(Path(settings.UPLOAD_DIR)):
        if _is_old(path) and not (_is_id(path.stem) and Upload.objects.filter(pk=path.stem, dump=None).exists()):
            yield path


def _stored() -> list[Path]:
    """Directories of dumps."""
    return [path for path in _listed(Path(settings.STORE_DIR)) if _is_id(path.name)]


def _dumps_without_row() -> Iterator[Path]:
    """Those that were deleted, and those whose row has been missed for long."""
    stored, known, another = _stored(), _known(), _is_another_database()
    for path in stored:
        if path.name not in known and ((path / DELETED).exists() or (not another and _is_lost(path))):
            yield path


def _is_another_database() -> bool:
    """It has no dump at all, and the store has some that nobody deleted: it is not the one that belongs to this store."""
    if Dump.objects.exists():
        return False
    uploads = {str(pk) for pk in Upload.objects.values_list("pk", flat=True)}
    missed = [path for path in _stored() if path.name not in uploads and not (path / DELETED).exists()]
    if missed:
        log.warning("database_without_dumps", stored=len(missed))
    return bool(missed)


def _symbols_without_team() -> Iterator[Path]:
    known = {str(pk) for pk in Team.objects.values_list("pk", flat=True)}
    for path in _listed(Path(settings.DATA_DIR) / "symbols"):
        if path.name in known:
            (path / _LOST).unlink(missing_ok=True)
        elif _is_id(path.name) and _is_lost(path):
            yield path


def _is_lost(directory: Path) -> bool:
    """Whether its row has been missed for long. The first time is noted."""
    mark = directory / _LOST
    if mark.exists():
        return _is_old(mark, _LOST_SECONDS)
    with suppress(OSError):  # where it cannot be noted nothing goes
        mark.touch()
    return False


def _forget_marks() -> None:
    """What directories say whose rows are there: a deletion that was taken back, a database that was put right."""
    for directory in _stored():
        marks = [mark for mark in (directory / DELETED, directory / _LOST) if mark.exists()]
        if marks:
            with transaction.atomic():  # not while a deletion is under way
                if Dump.objects.select_for_update().filter(pk=directory.name).exists():
                    remove(marks)


def _interrupted_removals() -> set[str]:
    """Ids of dumps of which something was set aside, or which still have the original that their rows call gone."""
    aside = {path.name.removeprefix(SET_ASIDE) for path in _listed(Path(settings.KEY_DIR)) if path.name.startswith(SET_ASIDE)}
    aside |= {path.parent.name for path in Path(settings.STORE_DIR).glob(f"*/{SET_ASIDE}*")}
    bare = Dump.objects.exclude(original_removed_at=None).iterator()
    kept = {str(dump.pk) for dump in bare if dump.original.exists() or dump.key.exists()}
    return {dump_id for dump_id in aside if _is_id(dump_id)} | kept


def _finish_removal(dump_id: str) -> int:
    """An original whose removal was interrupted: put back where the row does not know of it, removed where it does, or where
    it was uploaded again; how many files went. While the row is locked nobody removes or keeps one."""
    with transaction.atomic():
        row = Dump.objects.select_for_update().filter(pk=dump_id).first()
        if row is None:
            return 0
        key, key_aside = keys_of(row)
        aside = [path for path in (key_aside, *row.directory.glob(f"{SET_ASIDE}*")) if _is_old(path)]
        if row.original_removed_at is None:
            left = [path for path in aside if not _put_back(path)]
        else:
            # What is younger was uploaded again, which an older database does not know.
            seconds = time.time() - row.original_removed_at.timestamp()
            left = [*aside, *(path for path in (key, row.original) if _is_old(path, max(seconds, _OLD_SECONDS)))]
        if left:
            with suppress(Held), unheld(row.pk):
                for path in left:
                    destroy_key(path) if path.parent == key.parent else remove([path])
                return len(left)
    return 0


def _put_back(aside: Path) -> bool:
    """False where there is another one by now."""
    target = aside.with_name(aside.name.removeprefix(SET_ASIDE))
    if target.exists():
        return False
    aside.rename(target)
    return True


def _indexes() -> Iterator[Path]:
    """Of dumps whose analysis ended lately: every index but that of the latest result and of an analysis under way."""
    for dump in Dump.objects.filter(analyses__finished_at__gte=timezone.now() - _ENDED_WITHIN).distinct():
        latest = dump.analyses.filter(state=State.DONE).order_by("-created_at").first()
        kept = {one.index_directory for one in (latest, *dump.analyses.filter(state__in=OPEN_STATES)) if one}
        yield from (path for path in dump.directory.glob("index-*") if path not in kept)


def _listed(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.exists() else []


def _is_old(path: Path, seconds: float = _OLD_SECONDS) -> bool:
    with suppress(FileNotFoundError):  # it has just ended
        return path.lstat().st_mtime < time.time() - seconds
    return False


def _is_id(text: str) -> bool:
    with suppress(ValueError):
        return str(UUID(text)) == text
    return False
