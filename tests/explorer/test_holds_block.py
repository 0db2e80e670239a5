"""A hold beats everything that removes a dump: every path, each seen to remove it without the gate, and both orders of a race."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete
from django.urls import reverse
from django.utils import timezone

from explorer import access, permissions
from explorer.models import Analysis, Dump, Held, Membership, Role, Team, Upload, User
from explorer.queries import dumps_visible_to
from explorer.services import holds, keeping, leftovers, removal, trash
from explorer.services.audit import by_the_server
from tests.explorer.test_teams import request_by, signed_in
from tests.goals import Goals
from tests.stored_dumps import analysed_dump, keep_original

BLOCKED = "G23 ways to remove a dump that a hold blocks"
ROUNDS = 12
OF_ACCOUNTS = "accounts go by the gate"


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    dump = analysed_dump(team, bob)
    keep_original(dump, b"original")
    (dump.directory / "scrubbed.dmp").write_bytes(b"scrubbed")
    return dump


def contents(directory: Path) -> dict[str, int]:
    return {str(path.relative_to(directory)): path.stat().st_size for path in directory.rglob("*") if path.is_file()}


def old(dump: Dump, **fields: object) -> None:
    long_ago = timezone.now() - timedelta(days=400)
    Dump.objects.filter(pk=dump.pk).update(kept_since=long_ago, **fields)


def in_the_trash(dump: Dump) -> None:
    old(dump, trashed_at=timezone.now() - timedelta(days=400))


def by_retention(dump: Dump, **days: int) -> None:
    old(dump)
    Team.objects.filter(pk=dump.team_id).update(**days)
    keeping.enforce()


def purge_in_the_trash(dump: Dump) -> None:
    in_the_trash(dump)
    removal.purge(request=by_the_server(), dump=dump)


def post(dump: Dump, address: str, user: str, **sent: str) -> None:
    to = dump.team_id if address in ("trash-empty", "team-remove") else dump.pk
    signed_in(User.objects.get(username=user)).post(reverse(address, args=[to]), sent)


def from_the_trash(dump: Dump, act: Callable[[], object]) -> None:
    in_the_trash(dump)
    act()


#: Every way there is: what people do, what the clock does, the end of a team and of an account, and code that knows no better.
WAYS: dict[str, Callable[[Dump], object]] = {
    "a lead deletes it": lambda dump: post(dump, "dump-delete", "alice"),
    "its uploader deletes it": lambda dump: post(dump, "dump-delete", "bob"),
    "the service for the trash": lambda dump: trash.move_to_trash(request=by_the_server(), dump=dump),
    "a lead deletes it in the trash": lambda dump: from_the_trash(dump, lambda: post(dump, "trash-purge", "alice")),
    "a lead empties the trash": lambda dump: from_the_trash(dump, lambda: post(dump, "trash-empty", "alice")),
    "its days in the trash are over": lambda dump: from_the_trash(dump, trash.expire),
    "the service that removes for good": purge_in_the_trash,
    "retention of originals": lambda dump: by_retention(dump, keep_originals_days=1),
    "retention of dumps": lambda dump: by_retention(dump, keep_dumps_days=1),
    "the service for originals": lambda dump: removal.remove_original(request=by_the_server(), dump=dump, detail=""),
    "an administrator removes the team": lambda dump: post(dump, "team-remove", "ada", name="Shop"),
    "the service for teams": lambda dump: removal.remove_team(request=by_the_server(), team=dump.team),
    "its uploader's account": lambda dump: removal.remove_account(request=by_the_server(), user=dump.uploaded_by),
    "the command for accounts": lambda dump: call_command("remove_account", "bob", stdout=StringIO()),
    "deleting the row": lambda dump: Dump.objects.get(pk=dump.pk).delete(),
    "deleting rows": lambda dump: Dump.objects.filter(team=dump.team_id).delete(),
    "deleting the uploader": lambda dump: User.objects.get(username="bob").delete(),
    "deleting people": lambda dump: User.objects.filter(username="bob").delete(),
    "deleting the team": lambda dump: Team.objects.get(pk=dump.team_id).delete(),
    "deleting teams": lambda dump: Team.objects.filter(pk=dump.team_id).delete(),
    "sweeping what was set aside": lambda dump: (age_set_aside(dump), leftovers.sweep()),
    "destroying keys that were set aside": lambda dump: (set_key_aside(dump), leftovers.destroy_keys()),
}
FROM_THE_TRASH = (
    "a lead deletes it in the trash", "a lead empties the trash", "its days in the trash are over",
    "the service that removes for good",
)  # fmt: skip
#: A team that has dumps is not deleted by any code that does not ask for them first, with or without a hold.
PROTECTED = ("deleting the team", "deleting teams")


def age_set_aside(dump: Dump) -> None:
    """As if the server was killed after its row said that the original is gone, and before it was."""
    Dump.objects.filter(pk=dump.pk).update(original_removed_at=timezone.now())
    os.utime(dump.original, (0, 0))


def set_key_aside(dump: Dump) -> None:
    """As if the server was killed after that, and before it destroyed the key."""
    Dump.objects.filter(pk=dump.pk).update(original_removed_at=timezone.now())
    dump.key.rename(dump.key.with_name(f"removed-{dump.key.name}"))


def state_of(dump: Dump) -> tuple[object, ...]:
    row = Dump.objects.filter(pk=dump.pk).first()
    if row is None:
        return ()
    keys = [path.read_bytes() for path in dump.key.parent.glob(f"*{dump.pk}*")]
    return row.uploaded_by_id, Analysis.objects.filter(dump=row).count(), contents(row.directory), keys


def left_after(way: str, dump: Dump, commit: Callable) -> tuple[object, ...]:
    """What is left of a dump."""
    with commit(execute=True), suppress(Held, ProtectedError, CommandError), transaction.atomic():
        WAYS[way](dump)
    row = Dump.objects.filter(pk=dump.pk).first()
    went_to_the_trash = row is not None and row.trashed_at is not None and way not in FROM_THE_TRASH
    return ("in the trash",) if went_to_the_trash else state_of(dump)


@pytest.fixture(autouse=True)
def everybody(alice: User, bob: User, ada: User) -> None:
    """Those who try."""


@pytest.mark.parametrize("way", WAYS)
def test_a_hold_blocks_it(way: str, dump: Dump, oscar: User, goals: Goals, django_capture_on_commit_callbacks: Callable) -> None:
    holds.set_hold(request=request_by(oscar), dump=dump, note="a case at court")
    before = state_of(dump)
    after = left_after(way, dump, django_capture_on_commit_callbacks)
    goals.count(BLOCKED, after == before, 1)
    assert after == before
    assert Dump.objects.get().held_at is not None


@pytest.mark.parametrize("way", [way for way in WAYS if way not in PROTECTED])
def test_without_a_hold_it_goes(way: str, dump: Dump, django_capture_on_commit_callbacks: Callable) -> None:
    before = state_of(dump)
    assert left_after(way, dump, django_capture_on_commit_callbacks) != before


@pytest.mark.parametrize("way", [way for way in WAYS if way not in PROTECTED])
def test_without_the_gate_a_hold_is_a_word(
    way: str, dump: Dump, oscar: User, monkeypatch, django_capture_on_commit_callbacks: Callable
) -> None:
    """The gate is what blocks: taken away, with the buttons and lists that leave out what it would refuse, everything goes."""
    holds.set_hold(request=request_by(oscar), dump=dump, note="a case at court")
    before = state_of(dump)
    monkeypatch.setattr(removal, "_require_no_hold", lambda dump: None)
    monkeypatch.setitem(access._ACTS, "delete", lambda viewer, subject: True)
    monkeypatch.setattr(permissions, "can_purge", lambda viewer, subject: True)
    monkeypatch.setattr(keeping, "_older", lambda team, days: Dump.objects.filter(team=team))
    monkeypatch.setattr(trash, "expire", lambda: [purge_in_the_trash(dump) for dump in Dump.objects.all()])
    pre_delete.disconnect(sender=User, dispatch_uid=OF_ACCOUNTS)
    try:
        assert left_after(way, dump, django_capture_on_commit_callbacks) != before
    finally:
        pre_delete.connect(removal._before_an_account_goes, sender=User, dispatch_uid=OF_ACCOUNTS)


@pytest.mark.django_db(transaction=True)
def test_a_hold_set_during_a_removal_finds_nothing_or_keeps_everything(team: Team, bob: User, oscar: User, goals: Goals) -> None:
    """Both at the same time, many times: never a hold on something whose bytes went."""
    sound = 0
    for number in range(ROUNDS):
        dump = analysed_dump(team, bob, f"{number}.dmp")
        dump.original.write_bytes(b"original")
        barrier, outcome = threading.Barrier(2), dict[str, str]()

        def act(name: str, what: Callable[[], object], barrier: threading.Barrier, outcome: dict[str, str]) -> None:
            barrier.wait(20)
            try:
                what()
                outcome[name] = "done"
            except (Held, Dump.DoesNotExist) as refused:
                outcome[name] = type(refused).__name__
            finally:
                connection.close()

        def hold(dump: Dump = dump) -> None:
            holds.set_hold(request=request_by(oscar), dump=dump, note="a case at court")

        def purge(dump: Dump = dump) -> None:
            removal.purge(request=by_the_server(), dump=dump)

        threads = [
            threading.Thread(target=act, args=(name, what, barrier, outcome)) for name, what in (("hold", hold), ("purge", purge))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        kept = dump.original.exists() and Dump.objects.filter(pk=dump.pk).exists()
        sound += outcome in ({"hold": "done", "purge": "Held"} if kept else {"hold": "DoesNotExist", "purge": "done"},)
    goals.count("G23 races of a hold with a removal that end in one or the other", sound, ROUNDS)
    assert sound == ROUNDS


@pytest.mark.django_db(transaction=True)
def test_a_hold_waits_for_the_removal_that_is_under_way(team: Team, bob: User, oscar: User, monkeypatch) -> None:
    """The row is locked from the question to the end: a hold that comes in between does not come in between."""
    dump = analysed_dump(team, bob)
    dump.original.write_bytes(b"original")
    asked, go_on, outcome = threading.Event(), threading.Event(), list[str]()
    written = removal.write_down

    def slowly(*arguments: object, **values: object) -> object:
        asked.set()
        go_on.wait(20)
        return written(*arguments, **values)

    monkeypatch.setattr(removal, "write_down", slowly)

    def remove() -> None:
        removal.remove_original(request=by_the_server(), dump=dump, detail="")
        connection.close()

    def hold() -> None:
        holds.set_hold(request=request_by(oscar), dump=dump, note="a case at court")
        outcome.append("held" if dump.original.exists() else "too late, and it knows")
        connection.close()

    removing, holding = threading.Thread(target=remove), threading.Thread(target=hold)
    removing.start()
    assert asked.wait(20)
    holding.start()
    holding.join(1)
    assert holding.is_alive(), "it waits"
    go_on.set()
    removing.join(30)
    holding.join(30)
    row = Dump.objects.get()
    assert outcome == ["too late, and it knows"]
    assert row.held_at > row.original_removed_at


def test_a_narrowed_dump_does_not_open_when_its_only_reader_goes(team: Team, alice: User, bob: User, carol: User) -> None:
    dump = analysed_dump(team, alice)
    dump.only_people.add(bob)
    assert not dumps_visible_to(carol).exists()
    bob.delete()
    assert not dumps_visible_to(carol).exists(), "with nobody named the whole team would see it"
    assert dumps_visible_to(alice).get() == dump
    Membership.objects.filter(user=alice).update(role=Role.VIEWER)
    dump.only_people.set([carol])
    with pytest.raises(ValueError, match="needs a lead"):
        carol.delete()


def test_an_account_goes_and_its_dumps_stay(team: Team, alice: User, bob: User, settings) -> None:
    dump = analysed_dump(team, bob)
    with pytest.raises(CommandError, match="last lead of Shop"):
        call_command("remove_account", "alice")
    call_command("remove_account", "bob", stdout=StringIO())
    row = Dump.objects.get()
    assert (row.pk, row.uploaded_by) == (dump.pk, None)
    assert not User.objects.filter(username="bob").exists()
    with pytest.raises(CommandError, match="nobody of the name"):
        call_command("remove_account", "bob")


def test_a_team_goes_with_all_it_has(
    team: Team, dump: Dump, alice: User, ada: User, settings, django_capture_on_commit_callbacks: Callable
) -> None:
    upload = Upload.objects.create(user=alice, team=team, original_name="x", length=5, expires_at=timezone.now())
    upload.part.parent.mkdir(parents=True, exist_ok=True)
    upload.part.write_bytes(b"bytes")
    symbols = settings.DATA_DIR / "symbols" / str(team.pk)
    symbols.mkdir(parents=True)
    path = reverse("team-remove", args=[team.pk])
    with django_capture_on_commit_callbacks(execute=True):
        signed_in(ada).post(path, {"name": "shop"})
    assert Team.objects.filter(pk=team.pk).exists(), "the name is typed as it is written"
    with django_capture_on_commit_callbacks(execute=True):
        signed_in(ada).post(path, {"name": "Shop"})
    assert not Team.objects.filter(pk=team.pk).exists()
    assert not (dump.directory.exists() or upload.part.exists() or symbols.exists() or Dump.objects.exists())
