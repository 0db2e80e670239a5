"""Plain copies of dumps: there while somebody reads, shared, gone soon after; never where a deletion would miss them."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection

from explorer import tasks
from explorer.models import Analysis, Dump, Team, User
from explorer.services import analyses, plain_dumps
from explorer.services.audit import by_the_server
from explorer.services.plain_dumps import plain_dump, working_copies, working_copy
from explorer.services.removal import purge, remove_original
from explorer.services.vault import Original, OriginalGone
from tests.explorer.elf_cores import core_bytes
from tests.stored_dumps import analysed_dump, keep_original, received_dump

CONTENT = core_bytes(3 << 20)
MAKE = plain_dumps._make


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    dump = analysed_dump(team, bob)
    keep_original(dump, CONTENT)
    return dump


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Copies that were made."""
    found: list[Path] = []

    def counted(original: Original, directory: Path, copy: Path, progress: Callable) -> None:
        found.append(copy)
        MAKE(original, directory, copy, progress)

    monkeypatch.setattr(plain_dumps, "_make", counted)
    return found


def unused_for(dump: Dump, seconds: int) -> None:
    then = time.time() - seconds
    os.utime(working_copy(dump.pk), (then, then))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
def test_it_is_what_was_dumped_and_made_once(dump: Dump, packed: bool, made: list[Path]) -> None:
    keep_original(dump, gzip.compress(CONTENT) if packed else CONTENT)
    for _ in range(3):
        with plain_dump(dump) as path:
            assert path.read_bytes() == CONTENT
    assert made == [path]
    assert [file.name for file in working_copy(dump.pk).iterdir()] == ["dump"]
    assert path.parent.stat().st_mode & 0o077 == 0, "nobody else on the machine comes to it"


def test_an_analysis_has_its_own_which_goes_with_it(dump: Dump, settings, engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, run = [], analyses.run_engine

    def watched(path: Path, *arguments: object) -> str:
        seen.append((path.read_bytes() == CONTENT, path.is_relative_to(settings.SCRATCH_DIR)))
        return run(path, *arguments)

    monkeypatch.setattr(analyses, "run_engine", watched)
    analyses.run(Analysis.objects.create(dump=dump).pk)
    assert seen == [(True, True)]
    assert not list(settings.SCRATCH_DIR.iterdir())


def test_it_goes_after_its_time_and_not_while_it_is_used(dump: Dump, settings) -> None:
    with plain_dump(dump) as path:
        unused_for(dump, 10_000)
        assert plain_dumps.sweep() == 0 and path.exists()
    assert plain_dumps.sweep() == 0, "its time begins with the end of its use"
    unused_for(dump, settings.WORKING_COPY_SECONDS - 5)
    assert plain_dumps.sweep() == 0
    unused_for(dump, settings.WORKING_COPY_SECONDS + 5)
    tasks.lock_away()
    assert not list(working_copies().iterdir())


def test_working_copies_leave_half_of_the_room_to_others(
    dump: Dump, team: Team, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for one and a half of them: the one that nobody uses goes, one in use does not."""
    other = received_dump(team, alice, "other.dmp")
    keep_original(other, CONTENT)

    def disk() -> SimpleNamespace:
        taken = sum(file.stat().st_blocks * 512 for file in working_copies().glob("*/dump"))
        return SimpleNamespace(room_bytes=3 * len(CONTENT) - taken)

    monkeypatch.setattr(plain_dumps, "disk", disk)
    with plain_dump(dump) as path:
        with pytest.raises(OSError, match="no space left"), plain_dump(other):
            pass
        assert path.exists()
    with plain_dump(other):
        assert not path.exists()


def test_it_goes_when_the_server_starts(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.management.commands.prepare.warm_kernels", lambda: None)
    with plain_dump(dump):
        pass
    call_command("prepare")
    assert not list(working_copies().iterdir())


@pytest.mark.parametrize("act", ["purge", "remove_original"])
def test_it_goes_at_once_with_what_it_was_made_of(act: str, dump: Dump, django_capture_on_commit_callbacks: Callable) -> None:
    with plain_dump(dump) as path, path.open("rb") as file:
        with django_capture_on_commit_callbacks(execute=True):
            if act == "purge":
                purge(request=by_the_server(), dump=dump)
            else:
                remove_original(request=by_the_server(), dump=dump, detail="")
        assert not list(working_copies().iterdir())
        assert file.read() == CONTENT, "who reads it already comes to the end"
    with pytest.raises(OriginalGone), plain_dump(dump):
        pass
    assert not list(working_copies().iterdir())


def test_what_is_made_while_the_dump_is_deleted_does_not_stay(
    dump: Dump, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable
) -> None:
    """The key was read before it was destroyed, and the copy is ready after all was removed."""
    kept = dump.directory.with_name("kept")
    os.link(dump.original, kept)

    def slowly(original: Original, directory: Path, copy: Path, progress: Callable) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            purge(request=by_the_server(), dump=dump)
        directory.mkdir()
        MAKE(replace(original, path=kept), directory, copy, progress)
        assert copy.exists()

    monkeypatch.setattr(plain_dumps, "_make", slowly)
    with pytest.raises(OriginalGone), plain_dump(dump):
        pass
    assert not list(working_copies().iterdir())


def test_of_a_dump_that_is_gone_none_stays(dump: Dump) -> None:
    with plain_dump(dump):
        pass
    Analysis.objects.all().delete()
    Dump.objects.filter(pk=dump.pk)._raw_delete("default")
    assert plain_dumps.sweep() == 1
    assert not list(working_copies().iterdir())


def test_one_that_was_killed_while_it_was_made_is_made_again(dump: Dump) -> None:
    making = working_copy(dump.pk) / "making"
    making.mkdir(parents=True)
    (making / "original").write_bytes(b"half of it")
    with plain_dump(dump) as path:
        assert path.read_bytes() == CONTENT
    assert not making.exists()


def test_a_full_disk_makes_none(dump: Dump, settings) -> None:
    settings.FREE_DISK_BYTES = 1 << 60
    with pytest.raises(OSError, match="no space left"), plain_dump(dump):
        pass
    assert not list(working_copy(dump.pk).iterdir())


@pytest.mark.django_db(transaction=True)
def test_many_who_come_at_once_share_one(dump: Dump, made: list[Path]) -> None:
    barrier = threading.Barrier(6)

    def look(_: int) -> bool:
        barrier.wait(20)
        try:
            with plain_dump(dump) as path:
                return path.read_bytes() == CONTENT
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as people:
        assert all(people.map(look, range(6)))
    assert len(made) == 1
