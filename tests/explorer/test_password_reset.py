"""A forgotten password: a link by mail to a confirmed address, once and not for long, which tells nobody who is here."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from unittest.mock import patch

import pytest
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from explorer import tasks
from explorer.models import AuditEntry, User
from explorer.services import password_reset
from tests.explorer.test_authentication import PASSWORD, age_proofs, code_of, set_up_app, sign_in
from tests.goals import Goals

NEW = "another horse battery staple"
FORGOTTEN = reverse("account_reset_password")


@pytest.fixture(autouse=True)
def mailing(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MAIL_IS_SET_UP, settings.PUBLIC_URL = True, "http://dumps.shop.test"
    monkeypatch.setattr(tasks.mail_password_link, "delay", password_reset.mail_link)


@pytest.fixture
def bobs(bob: User) -> User:
    """Bob, who has confirmed an address."""
    EmailAddress.objects.create(user=bob, email="bob@shop.test", verified=True, primary=True)
    return bob


def asked(named: str, client: Client | None = None) -> str:
    """What the person sees who asks, without what is different each time."""
    answer = (client or Client()).post(FORGOTTEN, {"email": named}, follow=True)
    assert answer.redirect_chain[-1:] == [(reverse("account_reset_password_done"), 302)], answer.content
    return re.sub(r'value="[^"]*"', "", answer.content.decode())


def link_for(named: str) -> str:
    asked(named)
    found = re.search(r"http://dumps\.shop\.test(/\S+)", mail.outbox.pop().body)
    cache.clear()
    return found[1]


def choose(link: str, password: str = NEW) -> Client:
    client = Client()
    page = client.get(link, follow=True)
    action = page.redirect_chain[-1][0] if page.redirect_chain else link
    client.post(action, {"password1": password, "password2": password})
    return client


def comes_in(password: str, name: str = "bob") -> bool:
    cache.clear()
    return sign_in(name, password).get(reverse("archive")).status_code == 200


@pytest.mark.parametrize("named", ["bob", "bob@shop.test", "BOB@shop.test"])
def test_a_new_password_by_a_link(bobs: User, named: str) -> None:
    link = link_for(named)
    choose(link)
    assert comes_in(NEW) and not comes_in(PASSWORD)
    row = AuditEntry.objects.get()
    assert (row.action, row.actor_id) == ("reset_password", bobs.pk)


def test_nobody_learns_who_is_here(bobs: User, alice: User, carol: User, oscar: User, goals: Goals) -> None:
    """Known, unknown, without an address, with one that is not confirmed, of a provider, closed: one answer, one mail."""
    EmailAddress.objects.create(user=alice, email="alice@shop.test", verified=False, primary=True)
    for user, name in ((carol, "carol"), (oscar, "oscar")):
        EmailAddress.objects.create(user=user, email=f"{name}@shop.test", verified=True, primary=True)
    carol.set_unusable_password()
    carol.save()
    User.objects.filter(pk=oscar.pk).update(is_active=False)
    names = [
        "nobody",
        "nobody@shop.test",
        "alice",
        "alice@shop.test",
        "carol",
        "carol@shop.test",
        "oscar",
        "\u202enobody",
        "x" * 254,
    ]
    wanted = asked("bob")
    assert [one.to for one in mail.outbox] == [["bob@shop.test"]]
    same = sum(asked(name) == wanted for name in names)
    goals.count("names that the page for a forgotten password tells nothing of", same, len(names))
    assert same == len(names) and len(mail.outbox) == 1


def test_looking_and_writing_are_the_work_of_a_task(bobs: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the time that an answer takes would tell: each rings once, with an id and nothing else."""
    rung: list[int] = []
    monkeypatch.setattr(tasks.mail_password_link, "delay", rung.append)
    for named in ("bob", "nobody"):
        asked(named)
    assert rung == [bobs.pk, 0] and not mail.outbox


def test_a_link_works_once(bobs: User) -> None:
    first, second = link_for("bob"), link_for("bob")
    choose(first)
    for link in (first, second):
        assert "This link does not work" in Client().get(link, follow=True).content.decode()
        choose(link, "a third horse battery staple")
    assert comes_in(NEW)


@pytest.mark.parametrize(("minutes", "works"), [(29, True), (31, False)])
def test_a_link_works_for_half_an_hour(bobs: User, minutes: int, works: bool) -> None:
    link = link_for("bob")
    later = datetime.now() + timedelta(minutes=minutes)  # as the generator reads it
    with patch.object(type(default_token_generator), "_now", lambda _: later):
        choose(link)
    assert comes_in(NEW) is works


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!none"}])
def test_a_link_of_before_opens_no_closed_account(bobs: User, change: dict[str, object]) -> None:
    link = link_for("bob")
    User.objects.filter(pk=bobs.pk).update(**change)
    choose(link)
    assert not User.objects.get(pk=bobs.pk).check_password(NEW)


def test_every_other_session_ends(bobs: User) -> None:
    there = sign_in("bob")
    assert there.get(reverse("archive")).status_code == 200
    choose(link_for("bob"))
    assert there.get(reverse("archive"))["Location"].startswith(reverse("account_login"))


def test_a_second_factor_is_asked_for_as_ever(bobs: User) -> None:
    secret = set_up_app(sign_in("bob"))
    client = choose(link_for("bob"))
    assert client.get(reverse("archive")).status_code == 302, "a link signs nobody in"
    cache.clear()
    answer = client.post(reverse("account_login"), {"login": "bob", "password": NEW})
    assert answer["Location"] == reverse("mfa_authenticate")
    assert client.get(reverse("archive")).status_code == 302
    client.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert client.get(reverse("archive")).status_code == 200


def test_a_weak_password_is_refused(bobs: User) -> None:
    choose(link_for("bob"), "short")
    assert comes_in(PASSWORD)


def test_the_key_stays_in_no_address(bobs: User) -> None:
    link = link_for("bob")
    shown = Client().get(link, follow=True)
    assert link.rpartition("/")[2] not in shown.redirect_chain[-1][0] + shown.content.decode()


def test_asking_is_limited(bobs: User) -> None:
    for _ in range(3):
        asked("bob")
    assert Client().post(FORGOTTEN, {"email": "bob"}).status_code == 429
    asked("bob@shop.test")  # the same person by another name: the answer is the same, but no mail goes out
    assert len(mail.outbox) == 3
    for number in range(20):
        Client().post(FORGOTTEN, {"email": f"person {number}"})
    assert Client().post(FORGOTTEN, {"email": "somebody else"}).status_code == 429


@pytest.mark.parametrize("missing", ["MAIL_IS_SET_UP", "PUBLIC_URL"])
def test_without_mail_an_administrator_helps(bobs: User, settings, missing: str) -> None:
    setattr(settings, missing, "")
    for method in ("get", "post"):
        body = getattr(Client(), method)(FORGOTTEN, {"email": "bob"}).content.decode()
        assert "Ask an administrator" in body and 'name="email"' not in body
    assert not mail.outbox


def confirmation() -> str:
    """The way to the page on which the address of the last mail is confirmed."""
    return re.search(r"http://testserver(/account/address/\S+)", mail.outbox[-1].body)[1]


def test_a_person_sets_and_confirms_an_address(bob: User) -> None:
    client, page = sign_in("bob"), reverse("account_email")
    assert "have confirmed none" in client.get(page).content.decode()
    client.post(page, {"action_add": "", "email": "Bob@shop.test"})
    assert mail.outbox[-1].to == ["bob@shop.test"] and "waits for you" in client.get(page).content.decode()
    asked("bob")
    assert len(mail.outbox) == 1, "it is not confirmed yet"
    link = confirmation()
    assert client.get(link).status_code == 200 and not EmailAddress.objects.get().verified, "looking confirms nothing"
    assert client.post(link)["Location"] == reverse("account")
    assert client.get(link).status_code == 404
    bob.refresh_from_db()
    assert bob.email == "bob@shop.test" and "is confirmed" in client.get(page).content.decode()
    asked("bob")
    assert mail.outbox[-1].to == ["bob@shop.test"]
    row = AuditEntry.objects.get()
    assert (row.action, row.detail) == ("change_mail", "")


def test_another_address_counts_once_it_is_confirmed(bobs: User) -> None:
    client = sign_in("bob")
    client.post(reverse("account_email"), {"action_add": "", "email": "new@shop.test"})
    first = confirmation()
    assert EmailAddress.objects.get(verified=True).email == "bob@shop.test"
    cache.clear()
    client.post(reverse("account_email"), {"action_add": "", "email": "newer@shop.test"})
    assert client.post(first).status_code == 404, "a link confirms the address that it was sent to and no later one"
    client.post(confirmation())
    assert [one.email for one in EmailAddress.objects.all()] == ["newer@shop.test"]


def test_an_address_is_confirmed_by_its_person_alone(bob: User, alice: User) -> None:
    sign_in("bob").post(reverse("account_email"), {"action_add": "", "email": "alice@shop.test"})
    link = confirmation()
    assert sign_in("alice").post(link).status_code == 404
    assert Client().post(link)["Location"].startswith(reverse("account_login"))
    assert not EmailAddress.objects.get().verified


def test_the_address_of_another_is_not_taken(bobs: User, alice: User) -> None:
    client = sign_in("alice")
    client.post(reverse("account_email"), {"action_add": "", "email": "bob@shop.test"})
    client.post(confirmation())
    assert EmailAddress.objects.get(verified=True).user == bobs


def test_an_address_needs_a_fresh_sign_in_and_a_mail_server(bob: User, settings) -> None:
    client = sign_in("bob")
    age_proofs(client, 31 * 60)
    assert client.get(reverse("account_email"))["Location"].startswith(reverse("account_reauthenticate"))
    settings.MAIL_IS_SET_UP = False
    body = sign_in("bob").post(reverse("account_email"), {"action_add": "", "email": "x@shop.test"}).content.decode()
    assert "sends no mail" in body and not EmailAddress.objects.exists()


def test_a_mail_server_that_is_away_is_in_nobodys_way(bobs: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", away)
    asked("bob")
    assert sign_in("bob").post(reverse("account_email"), {"action_add": "", "email": "x@shop.test"}).status_code == 302
