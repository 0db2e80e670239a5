"""Signed-in clients of the cast, and a dump whose analysis is done."""

from __future__ import annotations

import pytest
from django.test import Client

from explorer.models import Dump, Team, User
from tests.stored_dumps import analysed_dump


@pytest.fixture
def dump(team: Team, alice: User) -> Dump:
    return analysed_dump(team, alice)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def as_alice(alice: User) -> Client:
    return client_of(alice)


@pytest.fixture
def as_bob(bob: User) -> Client:
    return client_of(bob)


@pytest.fixture
def as_carol(carol: User) -> Client:
    return client_of(carol)


@pytest.fixture
def as_mallory(mallory: User) -> Client:
    return client_of(mallory)
