"""Signed-in clients of the cast, a dump whose analysis is done, and real ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.test import Client

from analysis.index.store import Index, open_index
from analysis.pipeline import analyse
from explorer.models import Dump, Team, User
from tests.analysis.bundled_dumps import bundled_dumps
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


def _analysed(name: str, directory: Path) -> Path:
    (path,) = [path for path in bundled_dumps() if path.name.startswith(name)]
    analyse(path, directory / "index", lambda stage, fraction, detail: None)
    return directory / "index"


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _analysed("zoo-net8", tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def finalizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _analysed("finalizer-net9", tmp_path_factory.mktemp("finalizer"))


@pytest.fixture
def real(zoo: Path, team: Team, alice: User) -> Dump:
    return analysed_dump(team, alice, "zoo.dmp", lambda directory: Path(shutil.copytree(zoo, directory)))


@pytest.fixture
def index(zoo: Path) -> Index:
    return open_index(zoo)
