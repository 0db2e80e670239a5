"""The trash: who puts dumps there and takes them out, that nobody else sees them, and when they are gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from explorer.models import AuditEntry, Dump, Membership, Role, ShareLink, Team, Upload, User
from explorer.services import removal, trash
from explorer.services.audit import by_the_server
from explorer.services.audit_names import Names
from tests.explorer.elf_cores import core_bytes
from tests.explorer.test_shares import shared, visit
from tests.explorer.test_teams import request_by, signed_in
from tests.explorer.tus_client import Tus
from tests.stored_dumps import analysed_dump, content_of


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    return analysed_dump(team, bob)


def put(user: User, dump: Dump) -> None:
    assert signed_in(user).post(reverse("dump-delete", args=[dump.pk])).status_code == 302


def trash_page(user: User, team: Team) -> str:
    return signed_in(user).get(reverse("trash", args=[team.pk])).content.decode()


def acts() -> list[tuple[str, str]]:
    rows = list(AuditEntry.objects.order_by("sequence"))
    names = Names(rows)
    return [(names.actor(row), row.action) for row in rows]


def test_deleting_can_be_undone(team: Team, dump: Dump, alice: User, bob: User) -> None:
    client, page = signed_in(bob), reverse("dump-overview", args=[dump.pk])
    answer = client.post(reverse("dump-delete", args=[dump.pk]), follow=True)
    body = answer.content.decode()
    assert "shop.dmp is in the trash" in body and "bob" in body and "Delete now" not in body
    assert client.get(page).status_code == 404
    archive = client.get(reverse("archive")).content.decode()
    assert reverse("trash", args=[team.pk]) in archive and reverse("dump-overview", args=[dump.pk]) not in archive
    assert "Delete now" in trash_page(alice, team)
    assert client.post(reverse("trash-restore", args=[dump.pk])).status_code == 302
    assert client.get(page).status_code == 200
    assert client.post(reverse("trash-restore", args=[dump.pk])).status_code == 404
    assert acts() == [("bob", "trash_dump"), ("bob", "restore_dump")]


def test_an_analyst_does_not_undo_what_a_lead_deleted(team: Team, dump: Dump, alice: User, bob: User) -> None:
    put(alice, dump)
    assert "The trash is empty" in trash_page(bob, team)
    assert signed_in(bob).post(reverse("trash-restore", args=[dump.pk])).status_code == 404
    assert "shop.dmp" in trash_page(alice, team)


def test_who_lost_the_role_sees_no_trash(team: Team, dump: Dump, bob: User) -> None:
    put(bob, dump)
    Membership.objects.filter(user=bob).update(role=Role.VIEWER)
    assert signed_in(bob).get(reverse("trash", args=[team.pk])).status_code == 403
    assert signed_in(bob).post(reverse("trash-restore", args=[dump.pk])).status_code == 404


def test_share_links_end_with_the_deletion_and_stay_ended(dump: Dump, alice: User, bob: User) -> None:
    path, client = shared(bob, dump), Client()
    assert visit(path, client)[0] == 200
    put(alice, dump)
    assert visit(path)[0] == visit(path, client)[0] == 404
    trash.restore(request=request_by(alice), dump=dump)
    assert visit(path)[0] == 404
    assert ShareLink.objects.get().revoked_at is not None


def test_a_link_made_in_the_same_moment_is_dead_too(dump: Dump, alice: User, bob: User) -> None:
    path = shared(bob, dump)
    put(alice, dump)
    ShareLink.objects.update(revoked_at=None)
    assert visit(path)[0] == 404


def test_deleting_now_and_emptying_are_for_leads(
    team: Team, dump: Dump, alice: User, bob: User, django_capture_on_commit_callbacks: Callable
) -> None:
    put(bob, dump)
    other = analysed_dump(team, bob, "other.dmp", trashed_at=timezone.now())
    assert signed_in(bob).post(reverse("trash-purge", args=[dump.pk])).status_code == 403
    with django_capture_on_commit_callbacks(execute=True):
        signed_in(alice).post(reverse("trash-purge", args=[dump.pk]))
    assert Dump.objects.get() == other and not dump.directory.exists() and other.directory.exists()
    with django_capture_on_commit_callbacks(execute=True):
        body = signed_in(alice).post(reverse("trash-empty", args=[team.pk]), follow=True).content.decode()
    assert "1 dump is gone for good" in body and not other.directory.exists()
    assert acts() == [("bob", "trash_dump"), ("alice", "delete_dump"), ("alice", "delete_dump")]


def test_the_clock_empties_after_the_days(team: Team, dump: Dump, bob: User, settings) -> None:
    settings.TRASH_DAYS = 7
    put(bob, dump)
    Dump.objects.update(trashed_at=timezone.now() - timedelta(days=7) + timedelta(minutes=1))
    assert trash.expire() == 0
    Dump.objects.update(trashed_at=timezone.now() - timedelta(days=7, minutes=1))
    live = analysed_dump(team, bob, "live.dmp")
    assert trash.expire() == 1
    assert Dump.objects.get() == live
    assert acts()[-1] == ("the server", "delete_dump")


def test_a_hold_keeps_a_dump_in_the_trash(team: Team, dump: Dump, alice: User, bob: User, oscar: User) -> None:
    put(bob, dump)
    body = signed_in(oscar).get(reverse("holds")).content.decode()
    assert "in the trash" in body
    signed_in(oscar).post(reverse("hold-set", args=[dump.pk]), {"note": "a case at court"})
    assert "held" in trash_page(alice, team) and "Delete now" not in trash_page(alice, team)
    assert signed_in(alice).post(reverse("trash-purge", args=[dump.pk])).status_code == 403
    body = signed_in(alice).post(reverse("trash-empty", args=[team.pk]), follow=True).content.decode()
    assert "0 dumps are gone for good. 1 with a hold stay." in body
    assert signed_in(alice).post(reverse("trash-restore", args=[dump.pk])).status_code == 302


@pytest.fixture
def uploaded(bob: User) -> tuple[bytes, Dump]:
    content = core_bytes(9000)
    Tus(bob).upload(content)
    return content, Dump.objects.get()


def test_the_number_of_queries_does_not_grow_with_the_trash(team: Team, bob: User, alice: User) -> None:
    client = signed_in(alice)

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(reverse("trash", args=[team.pk])).status_code == 200
        return len(asked)

    trash.move_to_trash(request=by_the_server(), dump=analysed_dump(team, bob, "first"))
    queries()
    before = queries()
    for name in "abc":
        trash.move_to_trash(request=by_the_server(), dump=analysed_dump(team, bob, name))
    assert queries() == before


def test_the_same_file_again_comes_out_of_the_trash(uploaded: tuple[bytes, Dump], alice: User, bob: User) -> None:
    content, dump = uploaded
    put(alice, dump)
    answer = Tus(bob).upload(content)
    assert answer["Dump-Location"] == dump.get_absolute_url()
    row = Dump.objects.get()
    assert row.trashed_at is None and content_of(row) == content
    assert acts() == [("alice", "trash_dump"), ("bob", "restore_dump")]
    assert AuditEntry.objects.first().detail == "uploaded again"


def test_another_team_learns_nothing_of_what_is_there_or_in_the_trash(
    uploaded: tuple[bytes, Dump], alice: User, mallory: User
) -> None:
    """The same file is answered with the same words and a dump of their own, whatever the first team did with it."""
    content, dump = uploaded

    def answers() -> list[tuple[int, object]]:
        tus = Tus(mallory)
        address = tus.new(len(content), filename="x")
        done = tus.patch(address, 0, content)
        own = Dump.objects.get(team__name="Others")
        assert own.pk != dump.pk and done["Dump-Location"] == own.get_absolute_url()
        names = sorted(name for name, _ in done.items())
        removal.purge(request=by_the_server(), dump=own)
        return [(done.status_code, names), (len(done.content), done["Upload-Offset"])]

    there = answers()
    put(alice, dump)
    in_the_trash = answers()
    removal.purge(request=by_the_server(), dump=dump)
    assert there == in_the_trash == answers()


def test_an_upload_whose_dump_is_in_the_trash_starts_again(uploaded: tuple[bytes, Dump], alice: User, bob: User) -> None:
    _, dump = uploaded
    put(alice, dump)
    assert Tus(bob).head(f"/api/uploads/{Upload.objects.get().pk}").status_code == 410
