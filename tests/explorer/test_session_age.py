"""Sessions end by themselves: after hours without use, and after days however much they are used."""

from __future__ import annotations

import time

import pytest
from django.test import Client
from django.urls import reverse

from explorer import middleware
from explorer.models import User
from tests.explorer.test_authentication import sign_in

HOUR, DAY = 3600, 86_400


def aged(client: Client, *, idle: float = 0, old: float = 0) -> Client:
    """As if the last request had been made, and the session begun, that many seconds ago."""
    session = client.session
    session.update({middleware._SEEN: time.time() - idle, middleware._BEGAN: time.time() - max(idle, old)})
    session.save()
    return client


@pytest.mark.parametrize(
    ("idle", "old", "status"), [(7 * HOUR, 0, 200), (9 * HOUR, 0, 302), (0, 13 * DAY, 200), (0, 15 * DAY, 302)]
)
def test_a_session_ends(bob: User, idle: float, old: float, status: int) -> None:
    client = sign_in("bob")
    assert client.get("/").status_code == 200
    key = client.session.session_key
    aged(client, idle=idle, old=old)
    answer = client.get("/")
    assert answer.status_code == status
    if status == 302:
        assert answer["Location"].startswith(reverse("account_login"))
        assert not client.session.exists(key), "it is of no use to anybody any more"


def test_use_keeps_a_session_but_does_not_make_it_younger(bob: User) -> None:
    client = aged(sign_in("bob"), idle=7 * HOUR, old=13 * DAY)
    began = client.session[middleware._BEGAN]
    assert client.get("/").status_code == 200
    assert time.time() - client.session[middleware._SEEN] < HOUR and client.session[middleware._BEGAN] == began
    assert aged(client, idle=7 * HOUR).get("/").status_code == 200


def test_the_server_may_be_stricter(bob: User, settings) -> None:
    settings.SESSION_IDLE_SECONDS = HOUR
    assert aged(sign_in("bob"), idle=2 * HOUR).get("/").status_code == 302
