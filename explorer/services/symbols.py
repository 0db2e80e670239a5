"""A team's portable PDBs: taken, read by the engine in its own process, kept by id, and asked for lines."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from analysis.errors import AnalysisError
from analysis.index.lines import Lines, load_lines
from explorer.models import SymbolFile, Team, User
from explorer.services.disk import disk
from explorer.services.engine import EngineCrashed, EngineRefused, read_symbols
from explorer.services.plain_text import file_name, plain
from explorer.services.quotas import OverLimit, require_room

_PDB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12},[0-9]{1,10}")
_SCRATCH_PREFIX = "symbols-"
_LINES_KEPT_OPEN = 32


class SymbolsRefused(Exception):
    """The file is not taken; the texts are for the person."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(f"{what}{f' ({where})' if where else ''}. {remedy}".strip())
        self.what, self.where, self.remedy = what, where, remedy


@dataclass(frozen=True, slots=True)
class _Taken:
    """A file that was read: where it and its lines lie for now."""

    original: Path
    lines: Path
    pdb_id: str
    size_bytes: int
    sha256: str


def add_symbols(*, team: Team, user: User, name: str, content: Iterable[bytes]) -> SymbolFile:
    """Keep a portable PDB, or an image with one inside. One of the same id takes the place of that before.
    Raises SymbolsRefused, with nothing kept."""
    scratch = Path(settings.SCRATCH_DIR)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH_PREFIX, dir=scratch) as directory:
        return _keep(team, user, file_name(name, 255) or "unnamed PDB", _taken(Path(directory), content))


def delete_symbols(*, symbols: SymbolFile) -> None:
    """Forget a PDB; its lines disappear from all pages of the team."""
    directory = symbols.directory
    with transaction.atomic():
        _lock(symbols.team_id)
        symbols.delete()
        shutil.rmtree(directory, ignore_errors=True)


class TeamSymbols:
    """What a team's PDBs say; which there are is read once, when it is first asked."""

    def __init__(self, team_id: UUID) -> None:
        self._team_id = team_id

    @cached_property
    def _known(self) -> dict[str, Path]:
        return {row.pdb_id: row.lines for row in SymbolFile.objects.filter(team_id=self._team_id)}

    def __contains__(self, pdb_id: str) -> bool:
        return pdb_id in self._known

    def lines(self, pdb_id: str) -> Lines | None:
        """Source lines of the module whose id this is; None when the team has no PDB of it. Raises Corrupt or OSError."""
        path = self._known.get(pdb_id)
        return _opened(path) if path else None


def _opened(path: Path) -> Lines:
    found = path.stat()
    return _loaded(path, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=_LINES_KEPT_OPEN)
def _loaded(path: Path, changed_at: int, inode: int) -> Lines:
    return load_lines(path)


def _taken(directory: Path, content: Iterable[bytes]) -> _Taken:
    original, lines = directory / "original", directory / "lines.npz"
    size, digest = _write(original, content)
    try:
        said = read_symbols(original, lines)
        pdb_id = str(said.get("pdb_id", ""))
        # The engine read a file that nobody vouches for: what it made is looked at before it is kept.
        if not _PDB_ID.fullmatch(pdb_id) or lines.is_symlink():
            raise SymbolsRefused("The file was read, but what came out makes no sense", remedy="Please report it.")
        load_lines(lines)
    except EngineRefused as refusal:
        raise _refused(refusal.what, refusal.where, refusal.remedy) from refusal
    except EngineCrashed as crash:
        raise SymbolsRefused(f"Reading the file failed: {plain(str(crash), 200)}", remedy="It is not kept.") from crash
    except (AnalysisError, OSError) as error:
        raise SymbolsRefused(f"Reading the file failed: {plain(str(error), 200)}", remedy="It is not kept.") from error
    return _Taken(original, lines, pdb_id, size, digest)


def _refused(what: str, where: str, remedy: str) -> SymbolsRefused:
    sentence = plain(what, 200)
    return SymbolsRefused(f"{sentence[:1].upper()}{sentence[1:]}", where=plain(where, 200), remedy=plain(remedy, 200))


def _write(path: Path, content: Iterable[bytes]) -> tuple[int, str]:
    """Write the file; its size and SHA-256."""
    size, digest = 0, hashlib.sha256()
    room = disk().room_bytes if disk().takes_uploads else 0
    with path.open("xb") as file:
        for piece in content:
            size += len(piece)
            if size > settings.MAXIMUM_SYMBOL_BYTES:
                raise SymbolsRefused(f"The file has more than {settings.MAXIMUM_SYMBOL_BYTES:,} bytes", remedy="It is not kept.")
            if size > room:
                raise SymbolsRefused("The server has too little free disk space", remedy="Ask the operator for more.")
            digest.update(piece)
            file.write(piece)
    return size, digest.hexdigest()


def _keep(team: Team, user: User, name: str, taken: _Taken) -> SymbolFile:
    fields: dict[str, Any] = {
        "file_name": name, "size_bytes": taken.size_bytes, "sha256": taken.sha256, "uploaded_by": user,
    }  # fmt: skip
    with transaction.atomic():
        try:
            require_room(team=team, length=taken.size_bytes)
        except OverLimit as over:
            raise SymbolsRefused(over.what.rstrip("."), remedy=over.remedy) from over
        symbols, _ = SymbolFile.objects.update_or_create(team=team, pdb_id=taken.pdb_id, defaults=fields)
        symbols.directory.mkdir(parents=True, exist_ok=True)
        taken.original.replace(symbols.original)
        taken.lines.replace(symbols.lines)
    return symbols


def _lock(team_id: UUID) -> None:
    """One change of a team's PDBs at a time: the same one may arrive twice at once, or be deleted meanwhile."""
    Team.objects.select_for_update().get(pk=team_id)
