"""Keys of dumps: what is encrypted opens with its own key alone, and no backup of the rest opens it once that is destroyed."""

from __future__ import annotations

import hashlib
import resource
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core import serializers
from django.core.management import CommandError, call_command
from django.test import override_settings

from explorer.checks import store_key_is_long, store_key_lies_elsewhere
from explorer.models import Analysis, Dump, OriginalRequest, State, Team, User
from explorer.sealed_files import Damaged, is_sealed
from explorer.services import analyses, leftovers, removal, vault
from explorer.services.audit import by_the_server
from explorer.services.removal import purge, remove_original
from explorer.services.vault import KeyGone, OriginalGone, open_original
from tests.explorer.elf_cores import core_bytes
from tests.explorer.pages.visits import WHY, address
from tests.explorer.test_authentication import sign_in
from tests.explorer.test_nothing_is_left import forms, mark
from tests.explorer.test_originals import with_second_factor
from tests.explorer.tus_client import Tus
from tests.goals import Goals
from tests.index_builder import HEAP_START, small_index
from tests.stored_dumps import analysed_dump, content_of, keep_original

GONE = "The key of this dump is gone"
CONTENT = core_bytes(5000)


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    """Uploaded, and analysed."""
    Tus(bob).upload(CONTENT)
    dump = Dump.objects.get()
    analysis = Analysis.objects.get()
    small_index(analysis.index_directory)
    Analysis.objects.update(state=State.DONE)
    return dump


def rows_of(dump: Dump) -> str:
    return serializers.serialize("json", [dump, *Analysis.objects.filter(dump=dump)])


def restore_rows(kept: str) -> None:
    for row in serializers.deserialize("json", kept):
        row.save()


def test_a_restored_backup_opens_nothing_without_the_key(
    dump: Dump, erin: User, alice: User, settings, engine, tmp_path: Path, django_capture_on_commit_callbacks, goals: Goals
) -> None:
    """Store and database are backed up, the dump is deleted for good, both come back: its file stays shut for everybody. With
    the keys restored too it opens: it is the key that was missing."""
    rows, backup = rows_of(dump), tmp_path / "backup"
    shutil.copytree(settings.STORE_DIR, backup / "store")
    shutil.copytree(settings.KEY_DIR, backup / "keys")
    with django_capture_on_commit_callbacks(execute=True):
        purge(request=by_the_server(), dump=dump)
    assert not list(settings.KEY_DIR.iterdir()) and not dump.directory.exists()

    shutil.copytree(backup / "store", settings.STORE_DIR, dirs_exist_ok=True)
    restore_rows(rows)
    row, shut = Dump.objects.get(), 0
    with pytest.raises(KeyGone):
        open_original(row)
    analyst, reader = sign_in("alice"), with_second_factor("erin")
    for said in (
        analyst.post(address(row, "dump-object-values", f"{HEAP_START:x}"), WHY).content.decode(),
        analyst.get(address(row, "dump-access")).content.decode(),
        analyst.post(address(row, "dump-registers", 1), WHY).content.decode(),
        reader.post(address(row, "dump-original-ask"), WHY, follow=True).content.decode(),
    ):
        shut += GONE in said
    with pytest.raises(OriginalGone, match=GONE):
        analyses.rerun(dump=row)
    waiting = Analysis.objects.create(dump=row)
    analyses.run(waiting.pk)
    waiting.refresh_from_db()
    shut += (waiting.state, waiting.error_code) == (State.FAILED, "key_gone") and GONE in waiting.error_what
    assert not OriginalRequest.objects.exists()
    goals.count("G23 ways into a restored backup that stay shut without the key", shut, 5)
    assert shut == 5

    shutil.copytree(backup / "keys", settings.KEY_DIR, dirs_exist_ok=True)
    assert content_of(row) == CONTENT
    assert analyses.rerun(dump=row).state == State.RECEIVED


def test_nothing_of_a_living_dump_can_be_read_in_the_store(bob: User, team: Team, settings, goals: Goals) -> None:
    text = mark()
    content = b"....".join([core_bytes(64), *forms(text), core_bytes(3 << 20)[64:]])
    Tus(bob).upload(content)
    assert content_of(Dump.objects.get()) == content
    hidden = 0
    for form in forms(text):
        hidden += not any(form in path.read_bytes() for path in settings.DATA_DIR.rglob("*") if path.is_file())
    goals.count("G23 spellings of a mark that no file shows while its dump is kept", hidden, len(forms(text)))
    assert hidden == len(forms(text))


def test_a_key_opens_the_dump_it_was_made_for(team: Team, bob: User) -> None:
    first, second = (analysed_dump(team, bob, name) for name in ("first", "second"))
    for dump in (first, second):
        keep_original(dump, core_bytes(3000, seed=len(dump.name)))
    shutil.copyfile(first.original, second.original)
    with pytest.raises(Damaged):
        content_of(second)
    shutil.copyfile(first.key, second.key)
    with pytest.raises(KeyGone):
        content_of(second)
    assert first.key.stat().st_mode & 0o077 == first.key.parent.stat().st_mode & 0o077 == 0


def test_a_plain_file_in_place_of_an_encrypted_one_is_no_original(dump: Dump) -> None:
    dump.original.write_bytes(CONTENT)
    with pytest.raises(Damaged, match="belongs to its key"):
        open_original(dump)


@pytest.mark.parametrize("again", [b"", b"x", bytes(75)])
def test_a_key_that_was_overwritten_is_none(dump: Dump, again: bytes) -> None:
    dump.key.write_bytes(again)
    with pytest.raises(KeyGone):
        open_original(dump)


def test_the_store_key_is_what_opens_keys(dump: Dump, settings) -> None:
    old, new = "o" * 40, "n" * 40
    assert content_of(dump) == CONTENT, "without one, the secret key stands in"
    settings.STORE_KEY = old
    assert content_of(dump) == CONTENT, "and goes on to open what it wrapped"
    call_command("encrypt_dumps", stdout=StringIO())
    with override_settings(SECRET_KEY="another"):
        assert content_of(dump) == CONTENT, "wrapped anew, it is needed no more"
    settings.STORE_KEY = new
    with pytest.raises(KeyGone, match="does not open with the store key"):
        content_of(dump)
    settings.STORE_KEYS_BEFORE = [old]
    assert content_of(dump) == CONTENT
    call_command("encrypt_dumps", stdout=StringIO())
    settings.STORE_KEYS_BEFORE = []
    assert content_of(dump) == CONTENT


def test_a_store_key_is_asked_for_where_others_come_in(settings) -> None:
    assert [found.id for found in store_key_lies_elsewhere(None)] == ["explorer.W001"]
    settings.STORE_KEY = "short"
    assert [found.id for found in store_key_is_long(None)] == ["explorer.E004"]
    settings.STORE_KEY = "k" * 40
    assert store_key_lies_elsewhere(None) == store_key_is_long(None) == []


def test_a_server_that_crashes_writes_no_memory_to_the_disk() -> None:
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


# Removal


def test_the_key_goes_before_the_files(dump: Dump, monkeypatch, django_capture_on_commit_callbacks: Callable) -> None:
    """A server that dies right after it: what is left is shut."""

    def die(paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(removal, "remove", die)
    with pytest.raises(KeyboardInterrupt), django_capture_on_commit_callbacks(execute=True):
        purge(request=by_the_server(), dump=dump)
    assert dump.original.exists() and not dump.key.exists()


def test_a_key_whose_server_died_first_goes_within_a_minute(dump: Dump, django_capture_on_commit_callbacks: Callable) -> None:
    with django_capture_on_commit_callbacks(execute=False):
        purge(request=by_the_server(), dump=dump)
    assert dump.key.exists()
    assert leftovers.destroy_keys() == 1
    assert not dump.key.exists()


def test_a_deletion_that_failed_leaves_the_key(dump: Dump, monkeypatch) -> None:
    monkeypatch.setattr(removal.transaction, "on_commit", lambda act: 1 / 0)
    for act in (lambda: purge(request=by_the_server(), dump=dump),
                lambda: remove_original(request=by_the_server(), dump=dump, detail="")):  # fmt: skip
        with pytest.raises(ZeroDivisionError):
            act()
        leftovers.destroy_keys()
        assert content_of(Dump.objects.get()) == CONTENT


def test_an_original_goes_with_its_key_and_comes_back_with_another(
    dump: Dump, bob: User, django_capture_on_commit_callbacks: Callable
) -> None:
    key, sealed = dump.key.read_bytes(), dump.original.read_bytes()
    with django_capture_on_commit_callbacks(execute=True):
        assert remove_original(request=by_the_server(), dump=dump, detail="")
    assert not list(dump.key.parent.iterdir())
    with pytest.raises(OriginalGone):
        open_original(Dump.objects.get())
    Tus(bob).upload(CONTENT)
    assert content_of(Dump.objects.get()) == CONTENT and dump.key.read_bytes() != key
    dump.original.write_bytes(sealed)
    with pytest.raises(Damaged):
        content_of(Dump.objects.get())


def test_the_same_file_again_heals_a_dump_without_its_key(dump: Dump, bob: User) -> None:
    vault.destroy_key(dump.key)
    assert GONE in dump.without_original
    Tus(bob).upload(CONTENT)
    assert Dump.objects.get().without_original == "" and content_of(Dump.objects.get()) == CONTENT


def test_an_upload_that_is_not_kept_leaves_no_key(dump: Dump, alice: User, settings) -> None:
    Tus(alice).upload(CONTENT)
    assert [path.name for path in settings.KEY_DIR.iterdir()] == [str(dump.pk)]
    assert not list(settings.UPLOAD_DIR.iterdir())


# What was stored before


def test_what_was_stored_plain_is_read_and_then_encrypted(team: Team, bob: User, capsys) -> None:
    dumps = [analysed_dump(team, bob, name) for name in ("one", "two", "altered", "busy")]
    for dump in dumps:
        dump.original.write_bytes(dump.name.encode() * 1000)
        (dump.directory / "unpacked").write_bytes(b"unpacked")
        assert content_of(dump) == dump.name.encode() * 1000
        digest = "0" * 64 if dump.name == "altered" else hashlib.sha256(content_of(dump)).hexdigest()
        Dump.objects.filter(pk=dump.pk).update(sha256=digest)
    Analysis.objects.create(dump=dumps[3], state=State.RUNNING)
    with pytest.raises(CommandError, match="2 dumps are as they were"):
        call_command("encrypt_dumps")
    said = capsys.readouterr()
    assert "2 originals encrypted" in said.out
    assert "not the one that was uploaded" in said.err and "is under way" in said.err
    for dump in dumps:
        done = dump.name in ("one", "two")
        assert is_sealed(dump.original) == done and content_of(dump) == dump.name.encode() * 1000
        left = {path.name for path in dump.directory.iterdir() if path.is_file()}
        assert left == ({"original"} if done else {"original", "unpacked"})
    Analysis.objects.filter(state=State.RUNNING).delete()
    Dump.objects.filter(pk=dumps[2].pk).delete()
    call_command("encrypt_dumps")
    assert "1 originals encrypted" in capsys.readouterr().out
    call_command("encrypt_dumps")
    assert "0 originals encrypted, 0 keys" in capsys.readouterr().out
