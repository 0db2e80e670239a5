"""Signing in, second factors, sessions: over the pages, as a person does it."""

from __future__ import annotations

import re
import time
from datetime import timedelta

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from explorer.authentication import last_login_age, recently_authenticated, second_factor_age, to_reauthentication
from explorer.models import User

PASSWORD = "correct horse battery staple"


def sign_in(name: str, password: str = PASSWORD, **values: str) -> Client:
    client = Client(REMOTE_ADDR=values.pop("address", "127.0.0.1"))
    client.post(reverse("account_login"), {"login": name, "password": password, **values})
    return client


def request_of(client: Client, user: User) -> HttpRequest:
    request = HttpRequest()
    request.method, request.user, request.session = "GET", user, client.session
    return request


def age_proofs(client: Client, seconds: float) -> None:
    """As if everything the person proved in this session was that much longer ago."""
    session = client.session
    session["account_authentication_methods"] = [
        {**record, "at": record["at"] - seconds} for record in session["account_authentication_methods"]
    ]
    session.save()


def code_of(secret: str, steps: int = 0) -> str:
    """The code that an app shows, or will show some steps of 30 seconds later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def set_up_app(client: Client) -> str:
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    secret = re.search(r"<code>([A-Z2-7]{16,})</code>", page)[1]
    assert client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)}).status_code == 302
    cache.clear()  # the same code again within its 30 seconds would be refused
    return secret


def test_a_sign_in_ages(bob: User) -> None:
    client = sign_in("bob")
    request = request_of(client, bob)
    assert last_login_age(request) < timedelta(minutes=1)
    assert recently_authenticated(request)
    assert second_factor_age(request) is None
    age_proofs(client, 31 * 60)
    request = request_of(client, bob)
    assert timedelta(minutes=31) <= last_login_age(request) < timedelta(minutes=32)
    assert not recently_authenticated(request)


def test_nothing_is_known_of_another_session_person_or_a_program(alice: User, bob: User) -> None:
    client = sign_in("bob")
    assert last_login_age(request_of(Client(), bob)) is None
    assert last_login_age(request_of(client, alice)) is None
    request = request_of(client, bob)
    request.api_token = object()
    assert last_login_age(request) is second_factor_age(request) is None


def test_confirming_with_the_password_makes_the_sign_in_fresh(bob: User) -> None:
    client = sign_in("bob")
    age_proofs(client, 31 * 60)
    asked = client.get(reverse("mfa_activate_totp"))
    assert asked["Location"] == f"{reverse('account_reauthenticate')}?next={reverse('mfa_activate_totp').replace('/', '%2F')}"
    assert client.post(asked["Location"], {"password": "wrong"}).status_code == 200
    assert not recently_authenticated(request_of(client, bob))
    assert client.post(asked["Location"], {"password": PASSWORD})["Location"] == reverse("mfa_activate_totp")
    assert recently_authenticated(request_of(client, bob))
    assert client.get(reverse("mfa_activate_totp")).status_code == 200


def test_a_form_leads_back_to_its_page_and_never_elsewhere(bob: User) -> None:
    request = request_of(sign_in("bob"), bob)
    request.method, request.META = "POST", {"HTTP_HOST": "localhost", "HTTP_REFERER": "http://localhost/dumps/1?tab=2"}
    assert to_reauthentication(request)["Location"].endswith("?next=%2Fdumps%2F1%3Ftab%3D2")
    request = request_of(sign_in("bob"), bob)
    request.method, request.META = "POST", {"HTTP_HOST": "localhost", "HTTP_REFERER": "https://elsewhere.example/x"}
    assert to_reauthentication(request, second_factor=True)["Location"] == f"{reverse('mfa_index')}?next=%2F"


def test_an_app_is_set_up_and_asked_for(bob: User) -> None:
    client = sign_in("bob")
    secret = set_up_app(client)
    assert secret not in str(list(Authenticator.objects.values("data")))
    codes = re.findall(r"\b\d{8}\b", client.get(reverse("mfa_view_recovery_codes")).content.decode())
    assert len(codes) == 10

    other = Client()
    asked = other.post(reverse("account_login"), {"login": "bob", "password": PASSWORD})
    assert asked["Location"] == reverse("mfa_authenticate")
    assert other.get(reverse("archive"))["Location"].startswith(reverse("account_login"))
    page = other.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert "Incorrect code" in page.content.decode()
    assert other.post(reverse("mfa_authenticate"), {"code": code_of(secret)}).status_code == 302
    assert other.get(reverse("archive")).status_code == 200
    assert second_factor_age(request_of(other, bob)) < timedelta(minutes=1)

    third = sign_in("bob")
    assert third.post(reverse("mfa_authenticate"), {"code": code_of(secret)}).status_code == 200, "a code works once"
    assert third.post(reverse("mfa_authenticate"), {"code": codes[0]}).status_code == 302
    assert third.get(reverse("archive")).status_code == 200
    fourth = sign_in("bob")
    assert fourth.post(reverse("mfa_authenticate"), {"code": codes[0]}).status_code == 200, "a recovery code works once"


def test_a_second_factor_is_confirmed_when_it_is_asked_for(bob: User) -> None:
    client = sign_in("bob")
    secret = set_up_app(client)
    age_proofs(client, 3600)
    asked = to_reauthentication(request_of(client, bob), second_factor=True)
    assert asked["Location"].startswith(reverse("mfa_reauthenticate"))
    assert client.post(reverse("mfa_reauthenticate"), {"code": code_of(secret)}).status_code == 302
    assert second_factor_age(request_of(client, bob)) < timedelta(minutes=1)


def test_one_signs_out_everywhere_else(bob: User) -> None:
    here, there = sign_in("bob"), sign_in("bob", address="192.0.2.7")
    page = here.get(reverse("usersessions_list")).content.decode()
    assert "192.0.2.7" in page
    assert here.post(reverse("usersessions_list")).status_code == 302
    assert here.get(reverse("archive")).status_code == 200
    assert there.get(reverse("archive"))["Location"].startswith(reverse("account_login"))


def test_another_password_ends_other_sessions(bob: User) -> None:
    here, there = sign_in("bob"), sign_in("bob")
    new = "another horse battery staple"
    here.post(reverse("password-change"), {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert here.get(reverse("archive")).status_code == 200
    assert there.get(reverse("archive")).status_code == 302


def test_a_wrong_name_and_a_wrong_password_look_the_same(bob: User) -> None:
    pages = []
    for name in ("bob", "nobody"):
        page = Client().post(reverse("account_login"), {"login": name, "password": "wrong"})
        text = re.sub(r'(name="csrfmiddlewaretoken" value|value)="[^"]*"', "", page.content.decode())
        pages.append((page.status_code, text))
    assert pages[0] == pages[1]
    assert pages[0][0] == 200


def test_a_closed_account_stays_out_and_out_at_once(bob: User) -> None:
    there = sign_in("bob")
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert there.get(reverse("archive"))["Location"].startswith(reverse("account_login"))
    assert sign_in("bob").get(reverse("archive")).status_code == 302


def test_guessing_is_slowed_down(bob: User) -> None:
    for _ in range(5):
        sign_in("bob", "wrong")
    assert sign_in("bob").get(reverse("archive")).status_code == 302, "the right password comes too late"
    cache.clear()
    assert sign_in("bob").get(reverse("archive")).status_code == 200
