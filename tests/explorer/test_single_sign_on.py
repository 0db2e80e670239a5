"""The whole way through an OpenID Connect provider, over HTTP; and every answer of it that must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from explorer.authentication import last_login_age, recently_authenticated, to_reauthentication
from explorer.checks import provider_is_reached_safely
from explorer.models import User
from tests.explorer.oidc_provider import ANOTHER_KEY, CLIENT_ID, CLIENT_SECRET, Provider, running_provider
from tests.explorer.test_authentication import age_proofs, code_of, request_of, set_up_app

SIGN_IN = "openid_connect_login"


@pytest.fixture
def provider(settings: Settings, db: None) -> Iterator[Provider]:
    with running_provider() as provider:
        app = {
            "provider_id": "oidc",
            "name": "Shop",
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
            "settings": {"server_url": provider.issuer},
        }
        settings.SOCIALACCOUNT_PROVIDERS = {
            "openid_connect": {**settings.SOCIALACCOUNT_PROVIDERS["openid_connect"], "APPS": [app]}
        }
        settings.OIDC_DOMAINS = ["shop.example"]
        yield provider


def to_the_provider_and_back(client: Client, next_url: str = "") -> str:
    """The address at which the browser comes back with a code."""
    away = client.post(reverse(SIGN_IN, args=["oidc"]), {"next": next_url})
    assert away.status_code == 302
    return requests.get(away["Location"], allow_redirects=False, timeout=10).headers["Location"]


def sign_in(client: Client, next_url: str = ""):
    return client.get(to_the_provider_and_back(client, next_url))


def test_somebody_of_the_domain_gets_an_account(provider: Provider) -> None:
    client = Client()
    assert "Sign in with Shop" in client.get(reverse("account_login")).content.decode()
    assert sign_in(client, reverse("upload"))["Location"] == reverse("upload")
    dora = User.objects.get()
    assert (dora.username, dora.email, dora.has_usable_password()) == ("dora", "dora@shop.example", False)
    assert client.get(reverse("archive")).status_code == 200
    (asked,) = provider.asked
    assert len(asked["nonce"]) >= 40
    assert len(asked["code_challenge"]) == 43
    sign_in(Client())
    assert User.objects.count() == 1, "the same person again"


@pytest.mark.parametrize(
    "person",
    [
        {"email": "dora@shop.example.evil.example"},
        {"email": "dora@other.example"},
        {"email": "dora@shop.example", "email_verified": False},
        {"email": "dora@shop.example", "email_verified": "true"},
        {"email": ""},
    ],
)
def test_nobody_else_does(provider: Provider, person: dict[str, object]) -> None:
    provider.person = {"sub": "3", "email_verified": True, **person}
    client = Client()
    page = sign_in(client)
    assert "no account for you" in page.content.decode()
    assert not User.objects.exists()
    assert client.get(reverse("archive")).status_code == 302


def spoil(**claims: object):
    return lambda given: given.update(claims)


REFUSED = {
    "nonce": lambda provider: setattr(provider, "spoil", spoil(nonce="of another request")),
    "no nonce": lambda provider: setattr(provider, "spoil", lambda claims: claims.pop("nonce")),
    "issuer": lambda provider: setattr(provider, "spoil", spoil(iss="https://elsewhere.example")),
    "issuer described": lambda provider: (
        setattr(provider, "described_issuer", "https://elsewhere.example"),
        setattr(provider, "spoil", spoil(iss="https://elsewhere.example")),
    ),
    "audience": lambda provider: setattr(provider, "spoil", spoil(aud="another client")),
    "expired": lambda provider: setattr(provider, "spoil", spoil(exp=1)),
    "signature": lambda provider: setattr(provider, "signed_by", ANOTHER_KEY),
    "unsigned": lambda provider: setattr(provider, "algorithm", "none"),
    "another key type": lambda provider: (setattr(provider, "algorithm", "HS256"), setattr(provider, "signed_by", "x" * 32)),
    "another person's information": lambda provider: setattr(provider, "userinfo", {"sub": "249"}),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_an_answer_that_is_not_proven_is_refused(provider: Provider, wrong: str) -> None:
    REFUSED[wrong](provider)
    client = Client()
    page = sign_in(client)
    assert "You were not signed in" in page.content.decode()
    assert not User.objects.exists()
    assert client.get(reverse("archive")).status_code == 302


def test_a_code_works_once_and_in_its_own_browser(provider: Provider) -> None:
    back = to_the_provider_and_back(Client())
    assert "You were not signed in" in Client().get(back).content.decode(), "a stolen code, without the state's session"
    client = Client()
    back = to_the_provider_and_back(client)
    client.get(back)
    client.logout()
    assert "You were not signed in" in client.get(back).content.decode()


def test_the_way_back_stays_on_this_server(provider: Provider) -> None:
    assert sign_in(Client(), "https://elsewhere.example/")["Location"] == reverse("archive")


def test_a_silent_provider_is_a_page(provider: Provider, settings: Settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["server_url"] = "http://127.0.0.1:9"
    page = Client().post(reverse(SIGN_IN, args=["oidc"]))
    assert "You were not signed in" in page.content.decode()


def test_a_closed_account_stays_closed(provider: Provider) -> None:
    sign_in(Client())
    User.objects.update(is_active=False)
    client = Client()
    assert sign_in(client)["Location"] == reverse("account_inactive")
    assert client.get(reverse("archive")).status_code == 302


def test_the_provider_confirms_who_one_is(provider: Provider) -> None:
    client = Client()
    sign_in(client)
    age_proofs(client, 3600)
    dora = User.objects.get()
    assert not recently_authenticated(request_of(client, dora))
    asked = to_reauthentication(request_of(client, dora))["Location"]
    assert asked.startswith(reverse("sign-in-again"))
    assert "Sign in with Shop" in client.get(asked).content.decode()
    assert sign_in(client, reverse("upload"))["Location"] == reverse("upload")
    assert (provider.asked[-1]["prompt"], provider.asked[-1]["max_age"]) == ("login", "0")
    assert last_login_age(request_of(client, dora)) < timedelta(minutes=1)


def test_the_second_factor_is_asked_after_the_provider_too(provider: Provider) -> None:
    client = Client()
    sign_in(client)
    secret = set_up_app(client)
    other = Client()
    assert sign_in(other)["Location"].startswith(reverse("mfa_authenticate"))
    assert other.get(reverse("archive")).status_code == 302
    other.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert other.get(reverse("archive")).status_code == 200


@pytest.mark.parametrize(
    ("issuer", "fits"),
    [
        ("https://login.example", True),
        ("http://127.0.0.1:9000", True),
        ("", True),
        ("http://login.example", False),
        ("login.example", False),
    ],
)
def test_a_provider_in_the_clear_is_refused_at_the_start(settings: Settings, issuer: str, fits: bool) -> None:
    settings.OIDC_ISSUER = issuer
    assert (provider_is_reached_safely(None) == []) is fits
