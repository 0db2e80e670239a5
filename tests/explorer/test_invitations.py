"""Invitations: made by leads, accepted once, taken back, and gone with the right of whoever made them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from explorer.models import AuditEntry, Invitation, Membership, Role, Team, User
from explorer.services import invitations
from tests.explorer.oidc_provider import Provider
from tests.explorer.test_authentication import PASSWORD, sign_in
from tests.explorer.test_single_sign_on import provider as provider
from tests.explorer.test_single_sign_on import sign_in as sign_in_with_the_provider
from tests.explorer.test_teams import request_by

NEWCOMER = {"username": "dora", "password1": PASSWORD, "password2": PASSWORD}


def invite(team: Team, by: str = "alice", **sent: str) -> str:
    """The path of a new invitation's link, as the lead sees it."""
    page = sign_in(by).post(reverse("invitation-create", args=[team.pk]), {"role": "analyst", **sent}).content.decode()
    return re.search(r"<code>http://testserver(/invitation/[\w-]{40,})</code>", page)[1]


def roles_of(user: User) -> dict[str, str]:
    return {row.team.name: row.role for row in user.memberships.all()}


def test_a_newcomer_gets_an_account_and_joins(team: Team, alice: User) -> None:
    link = invite(team)
    client = Client()
    opened = client.get(link)
    assert opened["Location"] == reverse("invitation"), "the secret stays in no address bar"
    page = client.get(reverse("invitation"))
    assert "Join Shop" in page.content.decode()
    assert "alice" in page.content.decode()
    assert client.post(reverse("invitation"), {**NEWCOMER, "password1": "short", "password2": "short"}).status_code == 200
    assert client.post(reverse("invitation"), NEWCOMER).status_code == 302
    dora = User.objects.get(username="dora")
    assert roles_of(dora) == {"Shop": "analyst"}
    assert client.get(reverse("archive")).status_code == 200
    assert Client().get(link).status_code == 404, "used"
    assert link.rpartition("/")[2] not in str(list(Invitation.objects.values()))


def test_somebody_with_an_account_joins_with_it(team: Team, alice: User, mallory: User) -> None:
    link = invite(team, role="viewer")
    client = sign_in("mallory")
    client.get(link)
    assert "Join as mallory" in client.get(reverse("invitation")).content.decode()
    client.post(reverse("invitation"))
    assert roles_of(mallory) == {"Shop": "viewer", "Others": "lead"}
    assert client.get(reverse("invitation")).status_code == 404


def test_opening_the_link_uses_nothing(team: Team, alice: User) -> None:
    link = invite(team)
    for _ in range(3):  # a mail scanner, a chat preview
        assert Client().get(link).status_code == 302
    assert Invitation.objects.get().accepted_at is None


@pytest.mark.parametrize("newcomer", [True, False], ids=["newcomer", "with an account"])
def test_nobody_joins_whom_the_audit_cannot_name(
    team: Team, alice: User, mallory: User, newcomer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client() if newcomer else sign_in("mallory")
    client.get(invite(team))

    def full(*_: object, **__: object) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(AuditEntry, "save", full)
    assert client.post(reverse("invitation"), NEWCOMER if newcomer else {}).status_code == 503
    assert not team.memberships.exclude(user=alice).exists()
    assert not User.objects.filter(username="dora").exists()


def test_an_invitation_that_is_taken_back_is_written_down(team: Team, alice: User) -> None:
    link = invite(team)
    sign_in("alice").post(reverse("invitation-revoke", args=[team.pk, Invitation.objects.get().pk]))
    assert AuditEntry.objects.order_by("sequence").last().detail == "taken back, as analyst"
    assert Client().get(link).status_code == 404


def test_two_who_opened_the_same_link_do_not_both_join(team: Team, alice: User) -> None:
    link = invite(team)
    first, second = Client(), Client()
    first.get(link)
    second.get(link)
    first.post(reverse("invitation"), NEWCOMER)
    assert second.post(reverse("invitation"), {**NEWCOMER, "username": "eve"}).status_code == 404
    (invitation,) = Invitation.objects.all()
    with pytest.raises(invitations.InvitationUnusable):
        invitations.accept_as_newcomer(request=request_by(alice), invitation=invitation, username="eve", password=PASSWORD)
    assert not User.objects.filter(username="eve").exists()


def test_a_member_keeps_the_role_and_the_link(team: Team, alice: User) -> None:
    link = invite(team, role="viewer")
    client = sign_in("alice")
    client.get(link)
    assert "already" in client.post(reverse("invitation"), follow=True).content.decode()
    assert roles_of(alice) == {"Shop": "lead"}
    assert Client().get(link).status_code == 302


def revoke(invitation: Invitation) -> None:
    sign_in("alice").post(reverse("invitation-revoke", args=[invitation.team_id, invitation.pk]))


ENDS = {
    "revoked": revoke,
    "expired": lambda invitation: Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
    "its maker leads no more": lambda invitation: Membership.objects.filter(user__username="alice").update(role=Role.ANALYST),
    "its maker left": lambda invitation: Membership.objects.filter(user__username="alice").delete(),
    "its maker is closed": lambda invitation: User.objects.filter(username="alice").update(is_active=False),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_invitation_that_ended_is_like_none(team: Team, alice: User, end: str) -> None:
    link = invite(team)
    opened = Client()
    opened.get(link)
    ENDS[end](Invitation.objects.get())
    answers = [Client().get(link), Client().get("/invitation/wrong"), opened.get(reverse("invitation"))]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert opened.post(reverse("invitation"), NEWCOMER).status_code == 404
    assert not User.objects.filter(username="dora").exists()


def test_it_lasts_seven_days(team: Team, alice: User) -> None:
    invite(team)
    left = Invitation.objects.get().expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


def test_leads_invite_and_not_above_analyst(team: Team, alice: User, bob: User, carol: User, mallory: User) -> None:
    address = reverse("invitation-create", args=[team.pk])
    answers = {name: sign_in(name).post(address, {"role": "viewer"}).status_code for name in ("alice", "bob", "carol", "mallory")}
    assert answers == {"alice": 200, "bob": 403, "carol": 403, "mallory": 404}
    assert sign_in("alice").post(address, {"role": "lead"}).status_code == 403
    assert sign_in("alice").post(address, {"role": "owner"}).status_code == 302
    with pytest.raises(PermissionDenied):
        invitations.invite(request=request_by(bob), team=team, role=Role.VIEWER)
    assert Invitation.objects.count() == 1


def test_the_link_goes_by_mail_too(team: Team, alice: User, settings: Settings) -> None:
    link = invite(team, email="dora@shop.example")
    (message,) = mail.outbox
    assert message.to == ["dora@shop.example"]
    assert f"http://testserver{link}" in message.body
    page = sign_in("alice").get(reverse("team")).content.decode()
    assert "dora@shop.example" in page
    assert link not in page
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend",
        "127.0.0.1",
        9,
    )
    page = sign_in("alice").post(reverse("invitation-create", args=[team.pk]), {"role": "viewer", "email": "x@shop.example"})
    assert "could not be sent" in page.content.decode()


@pytest.mark.parametrize("email", ["no address", "a@b.example\nBcc: c@d.example", "x" * 300 + "@b.example"])
def test_what_is_no_address_is_refused(team: Team, alice: User, email: str) -> None:
    response = sign_in("alice").post(reverse("invitation-create", args=[team.pk]), {"role": "viewer", "email": email})
    assert response.status_code == 302
    assert not Invitation.objects.exists()
    assert not mail.outbox


def test_an_invitation_opens_the_provider_to_one_more(provider: Provider, team: Team, alice: User, settings: Settings) -> None:
    settings.OIDC_DOMAINS = []
    link = invite(team)
    assert "no account for you" in sign_in_with_the_provider(Client()).content.decode()
    client = Client()
    client.get(link)
    assert sign_in_with_the_provider(client, reverse("invitation"))["Location"] == reverse("invitation")
    client.post(reverse("invitation"))
    assert roles_of(User.objects.get(username="dora")) == {"Shop": "analyst"}
