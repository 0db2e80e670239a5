"""The first administrator, members of teams, passwords that must be changed."""

from __future__ import annotations

import re

import pytest
from django.db import IntegrityError
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from explorer.models import Membership, Role, Team, User
from explorer.services import teams

PASSWORD = "correct horse battery staple"


def request_by(user: User) -> HttpRequest:
    request = HttpRequest()
    request.user = user
    return request


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_first_administrator_is_made_once(db) -> None:
    password = teams.first_administrator()
    assert password is not None
    admin = User.objects.get()
    assert admin.check_password(password)
    assert admin.must_change_password
    assert admin.memberships.get().role == Role.LEAD
    assert teams.first_administrator() is None
    assert User.objects.count() == Team.objects.count() == 1


def test_of_two_first_administrators_at_once_one_wins(db, monkeypatch) -> None:
    def beaten(*arguments: object, **values: object) -> None:
        raise IntegrityError

    monkeypatch.setattr(User.objects, "create_superuser", beaten)
    assert teams.first_administrator() is None
    assert not Team.objects.exists()


def test_the_one_time_password_opens_one_door_only(team, alice: User) -> None:
    user, password = teams.add_member(request=request_by(alice), team=team, username="dora", role=Role.ANALYST)
    client = Client()
    response = client.post(reverse("account_login"), {"login": "dora", "password": password}, follow=True)
    assert response.redirect_chain[-1][0] == reverse("password-change")
    assert client.get(reverse("archive"))["Location"] == reverse("password-change")
    wrong = {"old_password": password, "new_password1": "short", "new_password2": "short"}
    assert client.post(reverse("password-change"), wrong).status_code == 200
    right = {"old_password": password, "new_password1": PASSWORD, "new_password2": PASSWORD}
    assert client.post(reverse("password-change"), right)["Location"] == reverse("archive")
    assert client.get(reverse("archive")).status_code == 200
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert not user.must_change_password


def test_a_lead_adds_a_person_and_sees_the_password_once(team, alice: User) -> None:
    client = signed_in(alice)
    add = reverse("member-add", args=[team.pk])
    page = client.post(add, {"username": "dora", "role": "viewer"}, follow=True).content.decode()
    password = re.search(r"shown only here: (\S+?)<?[\s<]", page)[1]
    assert User.objects.get(username="dora").check_password(password)
    assert password not in client.get(reverse("team")).content.decode()
    assert Membership.objects.get(user__username="dora").role == Role.VIEWER


def test_adding_somebody_who_is_there_changes_the_role(team, alice: User, bob: User) -> None:
    _, password = teams.add_member(request=request_by(alice), team=team, username="bob", role=Role.VIEWER)
    assert password is None
    assert Membership.objects.get(user=bob).role == Role.VIEWER
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)


@pytest.mark.parametrize(
    "sent",
    [
        {"username": "dora", "role": "owner"},
        {"username": "dora"},
        {"username": "", "role": "viewer"},
        {"username": "no spaces", "role": "viewer"},
        {"username": "nul\0", "role": "viewer"},
        {"username": "x" * 151, "role": "viewer"},
    ],
)
def test_a_wrong_name_or_role_adds_nobody(team, alice: User, sent: dict[str, str]) -> None:
    response = signed_in(alice).post(reverse("member-add", args=[team.pk]), sent, follow=True)
    assert response.status_code == 200
    assert list(response.context["messages"])
    assert User.objects.count() == 1


def test_the_last_lead_stays_a_lead(team, alice: User, bob: User, ada: User) -> None:
    membership = Membership.objects.get(user=alice)
    client = signed_in(alice)
    client.post(reverse("member-remove", args=[team.pk, membership.pk]))
    client.post(reverse("member-add", args=[team.pk]), {"username": "alice", "role": "viewer"})
    membership.refresh_from_db()
    assert membership.role == Role.LEAD
    with pytest.raises(ValueError, match="needs a lead"):
        teams.add_member(request=request_by(alice), team=team, username="alice", role=Role.VIEWER)
    for by in (alice, ada):
        teams.agree_to_role(request=request_by(by), team=team, user=bob, role=Role.LEAD)
    teams.remove_member(request=request_by(alice), team=team, membership_id=membership.pk)
    assert not Membership.objects.filter(user=alice).exists()


def test_a_removed_member_sees_nothing_more(team, alice: User, bob: User) -> None:
    client = signed_in(bob)
    assert team.name in client.get(reverse("team")).content.decode()
    membership = Membership.objects.get(user=bob)
    assert signed_in(alice).post(reverse("member-remove", args=[team.pk, membership.pk])).status_code == 302
    assert team.name not in client.get(reverse("team")).content.decode()


def test_only_members_of_the_team_are_removed(team, alice: User, mallory: User) -> None:
    other = Membership.objects.get(user=mallory)
    assert signed_in(alice).post(reverse("member-remove", args=[team.pk, other.pk])).status_code == 404
    assert Membership.objects.filter(user=mallory).exists()


def test_healthz_answers_anybody(client: Client, db) -> None:
    assert client.get(reverse("healthz")).json() == {"status": "ok"}
