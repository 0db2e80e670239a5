"""Deleting leaves nothing: marks out of a dump are looked for in every file, table, message and cache, before and after."""

from __future__ import annotations

import base64
import os
import pickle
import secrets
import sys
import time
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu import Connection

from explorer import tasks
from explorer.models import Analysis, AuditEntry, Dump, Held, State, SymbolFile, Team, Upload, User
from explorer.pages import opened
from explorer.services import analyses, leftovers, removal, uploads
from explorer.services.audit import by_the_server
from explorer.services.sql import SqlRefused, ask
from tests.explorer.elf_cores import core_bytes
from tests.explorer.pages.visits import WHY, address
from tests.explorer.test_authentication import sign_in
from tests.explorer.test_shares import shared, visit
from tests.explorer.test_teams import signed_in
from tests.explorer.tus_client import Tus
from tests.goals import Goals
from tests.index_builder import HEAP_START
from tests.stored_dumps import analysed_dump, content_of, keep_original, received_dump

ENGINE = Path(__file__).parent / "leaking_engine.py"


def mark() -> str:
    return f"Nightingale{secrets.token_hex(12)}"


def forms(text: str) -> list[bytes]:
    """Spellings in which a text survives: as it is, as .NET and JSON write it, packed into base64 at any place, in hex."""
    raw = text.encode()
    packed = [base64.b64encode(bytes(shift) + raw)[4:-4] for shift in range(3)]
    return [raw, text.encode("utf-16-le"), raw.hex().encode(), *packed]


class Stores:
    """Everything that the server keeps, store by store."""

    def __init__(self, data: Path, database: Path | None) -> None:
        self._data, self._database = data, database

    def files(self) -> Iterator[tuple[str, bytes]]:
        for path in self._data.rglob("*"):
            yield str(path.relative_to(self._data)), path.name.encode() + (path.read_bytes() if path.is_file() else b"")

    def tables(self) -> Iterator[tuple[str, bytes]]:
        """All rows of all tables, as the database has them: also those of other programs and of relations."""
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
                for row in cursor.fetchall():
                    yield f"table {table}", repr(row).encode("utf-8", "backslashreplace")

    def sessions(self) -> Iterator[tuple[str, bytes]]:
        for row in Session.objects.all():
            yield "sessions", repr(row.get_decoded()).encode()

    def database(self) -> Iterator[tuple[str, bytes]]:
        """The files of SQLite: free pages and the log hold what no table shows."""
        if self._database:
            for path in self._database.parent.glob(f"{self._database.name}*"):
                yield f"database {path.name[len(self._database.name) :]}", path.read_bytes()

    def caches(self) -> Iterator[tuple[str, bytes]]:
        for key, value in getattr(cache, "_cache", {}).items():
            yield "cache", key.encode() + repr(pickle.loads(value)).encode()

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Bodies of messages are packed once more."""
        for path in (self._data / "broker").rglob("*.msg"):
            body = path.read_bytes()
            yield "broker", body + b"".join(base64.b64decode(part + b"==") for part in body.split(b'"') if len(part) > 40)

    def holding(self, text: str) -> set[str]:
        """Where the text is."""
        wanted, found = forms(text), set()
        for store in (self.files, self.tables, self.sessions, self.database, self.caches, self.messages):
            for name, content in store():
                seen = content + _unpacked(content)
                found |= {name} if any(form in seen for form in wanted) else set()
        return found


def _unpacked(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return b""


@pytest.fixture
def stores(settings, monkeypatch) -> Stores:
    """With messages going to a broker of files, as the smallest installation has it."""
    broker = settings.DATA_DIR / "broker"
    (broker / "control").mkdir(parents=True)
    folders = {"data_folder_in": str(broker), "data_folder_out": str(broker), "control_folder": str(broker / "control")}
    messages = Connection("filesystem://", transport_options=folders)
    monkeypatch.setattr(tasks.analyse, "delay", lambda which: tasks.analyse.apply_async((which,), connection=messages))
    name = connection.settings_dict["NAME"]
    return Stores(settings.DATA_DIR, Path(str(name)) if connection.vendor == "sqlite" else None)


def uploaded(user: User, text: str, name: str) -> Dump:
    """A dump with a mark in its bytes and another one in its name, sent in two pieces."""
    header = core_bytes(64)
    content = header + text.encode() + core_bytes(5000)[64:]
    tus = Tus(user)
    half = tus.new(len(content), filename=f"{name}.dmp", service=name, build=name)
    tus.patch(half, 0, content[:2000])
    tus.patch(half, 2000, content[2000:])
    return Dump.objects.get(original_name=f"{name}.dmp")


@pytest.mark.django_db(transaction=True)
def test_a_dump_that_went_through_everything_leaves_nothing(
    team: Team, alice: User, bob: User, stores: Stores, settings, capfd, goals: Goals
) -> None:
    text, name = mark(), mark()
    settings.ENGINE_COMMAND = [sys.executable, str(ENGINE), str(len(text)), "refused"]
    dump = uploaded(bob, text, name)
    analyses.run(dump.analysis.pk)
    assert text in dump.analysis.log and text in dump.analysis.error_what
    settings.ENGINE_COMMAND[-1] = "done"
    analyses.run(analyses.rerun(dump=dump).pk)
    assert dump.analysis.state == State.DONE, dump.analysis.error_what
    (dump.directory / "scrubbed.dmp").write_text(text)
    (settings.SCRATCH_DIR / f"{dump.analysis.pk}-{uuid4()}").mkdir(parents=True)
    (settings.SCRATCH_DIR / f"{dump.analysis.pk}-{uuid4()}" / "x").parent.mkdir()
    client = sign_in("alice")
    for page in ("dump-overview", "dump-types", "dump-threads", "dump-stacks", "dump-locks", "dump-findings", "dump-crash"):
        assert client.get(address(dump, page)).status_code == 200
    assert text in client.get(address(dump, "dump-types")).content.decode()
    assert text in client.post(address(dump, "dump-object-values", f"{HEAP_START:x}"), {**WHY, "window": "on"}).content.decode()
    assert visit(shared(alice, dump, scope="heap-shape"))[0] == 200
    with pytest.raises(SqlRefused):
        ask(dump.analysis.index_directory, "SELECT 1", 1)
    before = stores.holding(text)
    assert {part for part in before if "/" in part} >= {f"scratch/working/{dump.pk}/dump", f"store/{dump.pk}/scrubbed.dmp"}
    assert f"store/{dump.pk}/original" not in before, "it lies encrypted"
    assert {"table explorer_analysis", "table explorer_finding"} <= before
    assert any("/index-" in part for part in before)
    assert stores.holding(name) >= {"table explorer_dump", "table explorer_upload", "table explorer_auditentry"}
    assert stores.holding(str(dump.analysis.pk)) & {"broker"}, "messages are looked into"
    ids = [str(pk) for pk in Analysis.objects.values_list("pk", flat=True)]

    client.post(address(dump, "dump-delete"))
    assert stores.holding(text) >= before - {"cache"}, "the trash gives everything back"
    client.post(reverse("trash-purge", args=[dump.pk]))
    client.get(reverse("archive"))
    tasks.sweep_leftovers()
    assert not list(settings.KEY_DIR.iterdir())
    left = stores.holding(text)
    goals.count("G23 stores that hold nothing of a deleted dump any more", len(before - left), len(before))
    assert left == set()
    assert not [one for one in ids if any(part.startswith("scratch") for part in stores.holding(one))]
    assert {part for part in stores.holding(name) if not part.startswith("database")} == {"table explorer_auditentry"}
    assert set(AuditEntry.objects.filter(dump_name__contains=name).values_list("dump_key", flat=True)) == {dump.pk}
    assert opened._opened.cache_info().currsize == 0
    captured = capfd.readouterr()
    assert text not in captured.out + captured.err and name not in captured.out + captured.err


def test_what_is_looked_for_would_be_found(settings, db) -> None:
    """Each spelling in each kind of store."""
    text = mark()
    stores = Stores(settings.DATA_DIR, None)
    for number, form in enumerate(forms(text)):
        (settings.DATA_DIR / f"file {number}").write_bytes(b"....." + form + b"....")
    assert len(stores.holding(text)) == len(forms(text))
    Team.objects.create(name=text)
    cache.set("x", {"y": text})
    client = Client()
    session = client.session
    session["x"] = text * 20
    session.save()
    assert {"table explorer_team", "cache", "sessions"} <= stores.holding(text)


@pytest.fixture
def aged(settings):
    """Make files look as if nobody had touched them for so many seconds."""

    def age(path: Path, seconds: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(b"x")
        then = time.time() - seconds
        os.utime(path, (then, then))
        return path

    return age


def test_orphans_go_and_nothing_else(team: Team, alice: User, settings, aged, django_capture_on_commit_callbacks) -> None:
    days, minutes = 15 * 24 * 3600, 30 * 60
    dump = analysed_dump(team, alice)
    upload = Upload.objects.create(user=alice, team=team, original_name="x", length=5, expires_at=timezone.now())
    moved = Upload.objects.create(user=alice, team=team, original_name="x", length=5, expires_at=timezone.now())
    running = Analysis.objects.create(dump=dump, state=State.RUNNING, token=uuid4())
    failed = Analysis.objects.create(dump=dump, state=State.FAILED, finished_at=timezone.now())
    symbols = SymbolFile.objects.create(team=team, pdb_id="x,1", file_name="x", size_bytes=1)
    store, parts, scratch = settings.STORE_DIR, settings.UPLOAD_DIR, settings.SCRATCH_DIR
    kept = [
        dump.original, dump.directory / "scrubbed.dmp", upload.part, store / str(moved.pk) / "original",
        scratch / f"{running.pk}-{running.token}" / "index", store / "lost+found",
        settings.DATA_DIR / "explorer.sqlite3", settings.DATA_DIR / "worker.log", symbols.original,
        dump.directory / f"index-{running.pk}" / "manifest.json", *dump.directory.glob("index-*/**/*"),
    ]  # fmt: skip
    gone = [
        store / str(uuid4()) / "lost", store / str(uuid4()) / "deleted", parts / f"{uuid4()}.part",
        scratch / f"{running.pk}-{uuid4()}" / "x", scratch / f"{uuid4()}-{uuid4()}" / "x", scratch / "tmpabc" / "x",
        scratch / "symbols-old" / "original",
        settings.DATA_DIR / "symbols" / str(uuid4()) / "lost", dump.directory / f"index-{failed.pk}" / "manifest.json",
    ]  # fmt: skip
    young = [parts / f"{uuid4()}.part", scratch / "tmpyoung" / "x", scratch / "symbols-young" / "original"]
    symbols_directory = settings.DATA_DIR / "symbols" / str(uuid4())
    unnoticed = [store / str(uuid4()) / "original", symbols_directory / "x" / "original"]
    noticed = [store / str(uuid4()) / "lost", settings.DATA_DIR / "symbols" / str(uuid4()) / "lost"]
    for files, age in ((kept, days), (gone, days), (young, minutes), (unnoticed, 400 * days), (noticed, 13 * 24 * 3600)):
        for file in files:
            aged(file, age)
            for parent in file.parents:
                if parent in (store, parts, scratch, settings.DATA_DIR / "symbols", settings.DATA_DIR):
                    break
                aged(parent, age)
    with django_capture_on_commit_callbacks(execute=True):
        assert leftovers.sweep() == len(gone)
    assert [path for path in (*kept, *young, *unnoticed, *noticed) if not path.exists()] == []
    assert [path for path in gone if path.exists()] == []


def kept_dump(team: Team, user: User, name: str = "shop.dmp", **fields: object) -> Dump:
    dump = received_dump(team, user, name, **fields)
    keep_original(dump, name.encode())
    return dump


def swept(seconds: int = 0) -> None:
    """All that the clock does, with every file and mark made ``seconds`` older before."""
    for directory in (settings.STORE_DIR, settings.KEY_DIR, settings.UPLOAD_DIR):
        for path in directory.rglob("*"):
            then = path.stat().st_mtime - seconds
            os.utime(path, (then, then))
    leftovers.destroy_keys()
    leftovers.sweep()


def test_the_days_of_a_missed_row_count_from_when_it_is_missed(team: Team, alice: User) -> None:
    """An older database: what it does not know stays readable for two weeks, its key too, and comes back with its row."""
    day, known = 24 * 3600, kept_dump(team, alice, "known")
    missed, found_again = kept_dump(team, alice, "missed"), kept_dump(team, alice, "found again")
    missed.key.rename(missed.key.with_name(f"removed-{missed.key.name}"))
    for dump in (missed, found_again):
        Dump.objects.filter(pk=dump.pk)._raw_delete(using="default")
    swept(400 * day)
    swept(13 * day)
    assert missed.original.exists() and len(list(settings.KEY_DIR.iterdir())) == 3
    found_again.save(force_insert=True)
    swept(2 * day)
    assert not missed.directory.exists()
    assert content_of(known) == b"known" and content_of(found_again) == b"found again"
    assert {path.name for path in settings.KEY_DIR.iterdir()} == {str(known.pk), str(found_again.pk)}
    Dump.objects.filter(pk=found_again.pk)._raw_delete(using="default")
    swept(13 * day)
    assert found_again.original.exists(), "it is missed anew"


def test_a_database_without_any_dump_is_another_one(team: Team, alice: User, aged) -> None:
    dump, deleted = kept_dump(team, alice), kept_dump(team, alice, "deleted")
    Dump.objects.all()._raw_delete(using="default")
    (deleted.directory / "deleted").touch()
    part = aged(settings.UPLOAD_DIR / f"{uuid4()}.part", 7200)
    for _ in range(3):
        swept(400 * 24 * 3600)
    assert part.exists() and not deleted.directory.exists()
    dump.save(force_insert=True)
    assert content_of(dump) == b"shop.dmp"


def test_a_deletion_that_was_taken_back_leaves_no_mark(team: Team, alice: User) -> None:
    """A hold on one dump of a team keeps the others; a database restored a day before they came does not delete them."""
    _, dump = kept_dump(team, alice, "held", held_at=timezone.now()), kept_dump(team, alice, "first to go")
    with pytest.raises(Held):
        removal.remove_team(request=by_the_server(), team=team)
    assert (dump.directory / "deleted").exists()
    swept()
    assert not (dump.directory / "deleted").exists()
    Dump.objects.filter(pk=dump.pk)._raw_delete(using="default")
    swept(400 * 24 * 3600)
    assert dump.original.exists() and dump.key.exists()


def test_what_was_set_aside_never_takes_the_place_of_what_was_uploaded_since(team: Team, alice: User, aged) -> None:
    dump = kept_dump(team, alice)
    aside = [aged(dump.directory / "removed-original", 7200), aged(dump.key.with_name(f"removed-{dump.pk}"), 7200)]
    leftovers.sweep()
    assert content_of(dump) == b"shop.dmp"
    assert not any(path.exists() for path in aside)


def test_a_removal_under_way_is_not_undone(team: Team, alice: User, aged) -> None:
    """The sweep sees what was set aside, and the row as it is when the other one has let it go."""
    dump = kept_dump(team, alice)
    aside = [aged(dump.directory / "removed-original", 7200), aged(dump.key.with_name(f"removed-{dump.pk}"), 7200)]
    for path in (dump.original, dump.key):
        path.unlink()
    found = leftovers._interrupted_removals()
    Dump.objects.update(original_removed_at=timezone.now())
    assert [leftovers._finish_removal(dump_id) for dump_id in found] == [2]
    assert not any(path.exists() for path in (*aside, dump.original, dump.key))


def test_an_older_database_does_not_take_what_was_uploaded_again(team: Team, alice: User) -> None:
    """Its row says that the original went; the file that lies there came later."""
    dump = kept_dump(team, alice, original_removed_at=timezone.now() - timedelta(days=10))
    swept(5 * 24 * 3600)
    assert dump.original.exists() and dump.key.exists()


def test_nothing_is_locked_where_nothing_is_left(team: Team, alice: User, django_assert_max_num_queries) -> None:
    for number in range(20):
        kept_dump(team, alice, str(number), original_removed_at=timezone.now() if number % 2 else None)
        if number % 2:
            removal.remove([Dump.objects.latest("created_at").original, Dump.objects.latest("created_at").key])
    with django_assert_max_num_queries(15):
        leftovers.sweep()


def test_what_was_set_aside_comes_back_or_goes(team: Team, alice: User, aged, django_capture_on_commit_callbacks) -> None:
    """A server that was killed while it removed an original: before its row said so nothing happened, after that all did."""
    before, after, held = (analysed_dump(team, alice, name) for name in ("before", "after", "held"))
    Dump.objects.filter(pk__in=[after.pk, held.pk]).update(original_removed_at=timezone.now())
    Dump.objects.filter(pk=held.pk).update(held_at=timezone.now())
    for dump in (before, after, held):
        aged(dump.directory / "removed-original", 7200)
    with django_capture_on_commit_callbacks(execute=True):
        leftovers.sweep()
    assert before.original.exists()
    assert [path.name for path in after.directory.glob("*o*")] == []
    assert (held.directory / "removed-original").exists(), "a hold keeps what is there"


def test_a_removal_that_fails_leaves_the_file(team: Team, alice: User, monkeypatch) -> None:
    dump = analysed_dump(team, alice)
    dump.original.write_bytes(b"original")
    monkeypatch.setattr(removal.transaction, "on_commit", lambda act: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        removal.remove_original(request=by_the_server(), dump=dump, detail="")
    assert dump.original.read_bytes() == b"original"
    assert Dump.objects.get().original_removed_at is None


def test_an_upload_that_is_cancelled_or_forgotten_leaves_nothing(bob: User, team: Team, stores: Stores, settings) -> None:
    text, name = mark(), mark()
    for end in ("cancel", "forget", "person"):
        tus = Tus(bob)
        place = tus.new(5000, filename=f"{name}.dmp")
        tus.patch(place, 0, core_bytes(64) + text.encode())
        assert stores.holding(text) and stores.holding(name)
        if end == "cancel":
            tus.delete(place)
        elif end == "forget":
            Upload.objects.update(expires_at=timezone.now())
            uploads.expire_uploads()
        else:
            Upload.objects.get().delete()
        left = stores.holding(text) if end != "person" else set()
        assert {part for part in left if not part.startswith("database")} == set()


def test_a_page_of_another_process_lets_go_of_a_deleted_index(team: Team, alice: User) -> None:
    first, second = analysed_dump(team, alice, "first"), analysed_dump(team, alice, "second")
    client = signed_in(alice)
    opened._opened.cache_clear()
    for dump in (first, second):
        assert client.get(address(dump, "dump-types")).status_code == 200
    assert opened._opened.cache_info().currsize == 2
    removal.remove([first.directory])  # as a worker or the clock does it
    assert client.get(address(second, "dump-types")).status_code == 200
    assert opened._opened.cache_info().currsize == 1
