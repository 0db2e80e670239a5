"""Roles that nobody uses are taken away, by a clock that is moved: never the last lead's, and the server says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from explorer import tasks
from explorer.models import ApiToken, AuditEntry, Dump, Membership, Role, Team, User
from explorer.services import notices, unused_roles
from explorer.services.audit_names import Names
from tests.explorer.test_authentication import PASSWORD
from tests.explorer.test_teams import signed_in
from tests.stored_dumps import analysed_dump

Clock = Callable[[int], None]


@pytest.fixture
def days_later(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Move the clock so many days ahead of today."""
    real = timezone.now

    def move(days: int) -> None:
        monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(days=days))

    return move


@pytest.fixture
def dump(team: Team, alice: User) -> Dump:
    return analysed_dump(team, alice)


def role_of(user: User) -> str:
    return Membership.objects.get(user=user).role


def look(user: User, dump: Dump) -> None:
    assert signed_in(user).get(reverse("dump-overview", args=[dump.pk])).status_code == 200


def test_who_uses_nothing_becomes_a_viewer(dump: Dump, alice: User, bob: User, days_later: Clock) -> None:
    days_later(90)
    assert unused_roles.drop() == 0
    days_later(91)
    assert (unused_roles.drop(), role_of(bob)) == (1, Role.VIEWER)
    row = AuditEntry.objects.get()
    assert (row.action, row.actor_id, row.actor_name, row.team_key) == ("drop_role", None, "the server", dump.team_id)
    assert Names([row]).detail(row) == f"bob: analyst to viewer, not used since {date.today()}"
    assert unused_roles.drop() == 0 and role_of(alice) == Role.LEAD


def test_who_opens_a_dump_keeps_the_role_as_long_again(dump: Dump, bob: User, days_later: Clock) -> None:
    days_later(60)
    look(bob, dump)
    days_later(150)
    assert (unused_roles.drop(), role_of(bob)) == (0, Role.ANALYST)
    days_later(151)
    assert unused_roles.drop() == 1


def test_use_is_written_once_a_day(dump: Dump, bob: User, days_later: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    look(bob, dump)
    written: list[object] = []
    update = type(Membership.objects.all()).update
    monkeypatch.setattr(type(Membership.objects.all()), "update", lambda self, **v: (written.append(v), update(self, **v))[1])
    noted = lambda: [one for one in written if "last_used_on" in one]  # noqa: E731
    look(bob, dump)
    assert not noted(), "it was today already"
    days_later(1)
    for _ in range(3):
        look(bob, dump)
    assert len(noted()) == 1


@pytest.mark.parametrize("page", ["archive", "audit", "account"])
def test_being_signed_in_is_no_use(dump: Dump, bob: User, days_later: Clock, page: str) -> None:
    days_later(91)
    signed_in(bob).get(reverse(page))
    assert unused_roles.drop() == 1


def test_another_teams_dumps_are_no_use_of_ones_own(
    team: Team, other_team: Team, bob: User, mallory: User, days_later: Clock
) -> None:
    Membership.objects.create(team=other_team, user=bob, role=Role.ANALYST)
    theirs = analysed_dump(other_team, mallory)
    days_later(91)
    look(bob, theirs)
    look(mallory, theirs)
    unused_roles.drop()
    assert dict(Membership.objects.filter(user=bob).values_list("team__name", "role")) == {"Shop": "viewer", "Others": "analyst"}


def test_a_protected_reader_loses_values_first(dump: Dump, erin: User, days_later: Clock) -> None:
    days_later(91)
    assert (unused_roles.drop(), role_of(erin)) == (1, Role.ANALYST)
    days_later(181)
    assert (unused_roles.drop(), role_of(erin)) == (0, Role.ANALYST)
    days_later(182)
    assert (unused_roles.drop(), role_of(erin)) == (1, Role.VIEWER)


def test_the_last_lead_stays(team: Team, alice: User, bob: User, days_later: Clock) -> None:
    """Of two the one who used the team later; one whose account is closed leads nobody."""
    Membership.objects.filter(user=bob).update(role=Role.LEAD, last_used_on=date.today() + timedelta(days=1))
    days_later(100)
    assert unused_roles.drop() == 1
    assert (role_of(alice), role_of(bob)) == (Role.VIEWER, Role.LEAD)
    Membership.objects.filter(user=alice).update(role=Role.LEAD)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert (unused_roles.drop(), role_of(bob)) == (0, Role.LEAD)


def test_uploading_is_use(team: Team, bob: User, days_later: Clock) -> None:
    days_later(80)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "100", "Upload-Metadata": ""}
    assert signed_in(bob).post(reverse("uploads"), headers=headers).status_code == 201
    days_later(100)
    assert (unused_roles.drop(), role_of(bob)) == (0, Role.ANALYST)


def test_leading_a_team_is_use(team: Team, alice: User, bob: User, days_later: Clock) -> None:
    Membership.objects.filter(user=bob).update(role=Role.LEAD)
    days_later(80)
    client = signed_in(alice)
    client.post(reverse("team-archive", args=[team.pk]), {"open": "on"})
    days_later(100)
    assert (unused_roles.drop(), role_of(alice), role_of(bob)) == (1, Role.LEAD, Role.VIEWER)


def test_a_program_keeps_what_it_needs_and_no_more(team: Team, alice: User, bob: User, days_later: Clock) -> None:
    Membership.objects.filter(user=bob).update(role=Role.LEAD)
    _, secret = ApiToken.issue(bob, "build", 365)
    days_later(80)
    assert ApiToken.of(secret) is not None
    days_later(100)
    look_only = Membership.objects.get(user=alice)
    Membership.objects.filter(pk=look_only.pk).update(last_used_on=timezone.localdate())
    assert (unused_roles.drop(), role_of(bob)) == (1, Role.ANALYST)
    days_later(300)
    Membership.objects.filter(pk=look_only.pk).update(last_used_on=timezone.localdate())
    assert (unused_roles.drop(), role_of(bob)) == (1, Role.VIEWER)


def test_a_role_that_is_given_again_is_given_for_as_long(team: Team, alice: User, bob: User, days_later: Clock) -> None:
    days_later(91)
    unused_roles.drop()
    signed_in(alice).post(reverse("member-add", args=[team.pk]), {"username": "bob", "role": "analyst"})
    assert (unused_roles.drop(), role_of(bob)) == (0, Role.ANALYST)


@pytest.mark.parametrize("days", [0, 30])
def test_the_server_says_after_how_long(team: Team, alice: User, bob: User, settings, days: int, days_later: Clock) -> None:
    settings.UNUSED_ROLE_DAYS = days
    days_later(31 if days else 3000)
    assert unused_roles.drop() == (1 if days else 0)


def test_the_person_and_the_leads_hear_of_it(
    team: Team, alice: User, bob: User, carol: User, settings, days_later: Clock, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks,
) -> None:  # fmt: skip
    settings.MAIL_IS_SET_UP = True
    monkeypatch.setattr(tasks.tell_leads, "delay", notices.tell_leads)
    for user in (alice, bob, carol):
        User.objects.filter(pk=user.pk).update(email=f"{user}@shop.test")
    days_later(91)
    with django_capture_on_commit_callbacks(execute=True):
        unused_roles.drop()
    assert sorted(one.to[0] for one in mail.outbox) == ["alice@shop.test", "bob@shop.test"]
    assert "bob: analyst to viewer" in mail.outbox[0].body and "team Shop" in mail.outbox[0].body


def test_the_right_is_gone_at_the_next_request(dump: Dump, bob: User, days_later: Clock, client) -> None:
    client.post(reverse("account_login"), {"login": "bob", "password": PASSWORD})
    assert client.post(reverse("dump-rerun", args=[dump.pk])).status_code == 302
    Membership.objects.filter(user=bob).update(last_used_on=date.today() - timedelta(days=91))
    unused_roles.drop()
    assert client.post(reverse("dump-rerun", args=[dump.pk])).status_code == 403
