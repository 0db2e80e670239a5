"""The cast of the page tests: alice leads, bob analyses, carol only views, mallory is of another team."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from explorer.models import Dump, Role, Team, User
from tests.stored_dumps import analysed_dump, person


@pytest.fixture(autouse=True)
def plain_storage(settings, tmp_path: Path) -> None:
    """Dumps of one test in its own directory, static files by their plain names, passwords hashed fast."""
    settings.STORE_DIR = tmp_path / "store"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def team(db) -> Team:
    return Team.objects.create(name="Shop")


@pytest.fixture
def alice(team: Team) -> User:
    return person("alice", team, Role.LEAD)


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
def as_bob(team: Team) -> Client:
    return client_of(person("bob", team, Role.ANALYST))


@pytest.fixture
def as_carol(team: Team) -> Client:
    return client_of(person("carol", team, Role.VIEWER))


@pytest.fixture
def as_mallory(db) -> Client:
    return client_of(person("mallory", Team.objects.create(name="Others"), Role.LEAD))
