"""Dumps with finished, running and failed analyses, stored as the product stores them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.index.store import open_index
from explorer.models import Analysis, Dump, State, Team, User
from explorer.sealed_files import seal
from explorer.services.analyses import summary_columns
from explorer.services.vault import keep, open_original
from tests.index_builder import small_index


def received_dump(team: Team, user: User, name: str = "shop.dmp", **fields: Any) -> Dump:
    """A dump without an analysis."""
    digest = hashlib.sha256(f"{team.pk}{name}".encode()).hexdigest()
    return Dump.objects.create(
        team=team, name=name, original_name=name, sha256=digest, size_bytes=95_166_464, uploaded_by=user, **fields
    )


def keep_original(dump: Dump, content: bytes) -> None:
    """Give a dump its file, as an upload does: encrypted, with its key."""
    dump.directory.mkdir(parents=True, exist_ok=True)
    plain, sealed = (dump.directory.with_name(f"{dump.pk}.{name}") for name in ("part", "sealed"))
    plain.write_bytes(content)
    keep(dump, sealed, seal(plain, sealed))
    plain.unlink()


def content_of(dump: Dump) -> bytes:
    """The file of a dump, decrypted."""
    return b"".join(open_original(dump).pieces())


def analysed_dump(
    team: Team, user: User, name: str = "shop.dmp", build: Callable[[Path], Path] = small_index, **fields: Any
) -> Dump:
    """A dump whose analysis is done, with an index made by ``build``."""
    dump = received_dump(team, user, name, **fields)
    analysis = Analysis.objects.create(dump=dump, state=State.DONE, attempts=1)
    build(analysis.index_directory)
    for key, value in summary_columns(open_index(analysis.index_directory).facts("summary")).items():
        setattr(analysis, key, value)
    analysis.save()
    return dump
