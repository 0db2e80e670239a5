"""A dump full of values that stand nowhere else, its analysis, and everybody who might get at them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client

from analysis.pipeline import analyse
from explorer.models import Dump, Team, User
from tests.analysis.fresh_dumps import LAB
from tests.explorer.canaries.planted import PlantedDump, plant, with_equal_values, with_other_values
from tests.explorer.test_api_tokens import program
from tests.explorer.test_authentication import sign_in
from tests.explorer.test_shares import shared
from tests.stored_dumps import analysed_dump

collect_ignore = [] if LAB.exists() else ["test_canaries.py"]


@dataclass(frozen=True)
class Analysed:
    """A planted dump and its index."""

    planted: PlantedDump
    index: Path


def _analysed(planted: PlantedDump) -> Analysed:
    index = planted.path.with_suffix(".index")
    analyse(planted.path, index, lambda stage, fraction, detail: None)
    return Analysed(planted, index)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    return _analysed(plant(tmp_path_factory.mktemp("planted")))


@pytest.fixture(scope="module")
def otherwise(planted: Analysed) -> Analysed:
    """The same process with other values (D3) in it; the context is the same."""
    made, path = planted.planted, planted.planted.path.with_name("otherwise.dmp")
    return _analysed(with_other_values(made, path, made.values))


@pytest.fixture(scope="module")
def with_a_pair(planted: Analysed) -> Analysed:
    """The same process in which two of the texts are equal."""
    return _analysed(with_equal_values(planted.planted, planted.planted.path.with_name("pair.dmp")))


def put(analysed: Analysed, dump: Dump) -> None:
    """Make this the content of a dump and of its finished analysis."""
    dump.directory.mkdir(parents=True, exist_ok=True)
    dump.original.unlink(missing_ok=True)
    os.link(analysed.planted.path, dump.original)
    shutil.rmtree(dump.analysis.index_directory, ignore_errors=True)
    shutil.copytree(analysed.index, dump.analysis.index_directory)


@pytest.fixture
def stored(planted: Analysed, team: Team, bob: User) -> Dump:
    dump = analysed_dump(team, bob, "planted.dmp", lambda directory: Path(shutil.copytree(planted.index, directory)))
    put(planted, dump)
    Dump.objects.filter(pk=dump.pk).update(created_at=dump.created_at - timedelta(days=3, hours=1))  # the same age all along
    return dump


def _guest(dump: Dump, scope: str) -> Client:
    client = Client()
    assert client.get(shared(dump.uploaded_by, dump, scope=scope), follow=True).status_code == 200
    return client


def _in_an_open_archive(dump: Dump, name: str) -> Client:
    Team.objects.filter(pk=dump.team_id).update(opens_archive=True)
    return sign_in(name)


#: Everybody of the table of roles, and what they may see at most by GET: context or structure.
CONTEXT, STRUCTURE = "context", "structure"
PRINCIPALS: dict[str, tuple[str, Callable[[Dump], Client]]] = {
    "anonymous": (STRUCTURE, lambda dump: Client()),
    "guest by link: summary": (STRUCTURE, lambda dump: _guest(dump, "summary")),
    "guest by link: stacks": (STRUCTURE, lambda dump: _guest(dump, "stacks")),
    "guest by link: heap": (STRUCTURE, lambda dump: _guest(dump, "heap-shape")),
    "guest by link: thread": (STRUCTURE, lambda dump: _guest(dump, "thread:1")),
    "reader of an open archive": (STRUCTURE, lambda dump: _in_an_open_archive(dump, "mallory")),
    "viewer": (STRUCTURE, lambda dump: sign_in("carol")),
    "program": (STRUCTURE, lambda dump: program(dump.uploaded_by)),
    "auditor": (STRUCTURE, lambda dump: sign_in("oscar")),
    "administrator": (STRUCTURE, lambda dump: sign_in("ada")),
    "other team": (STRUCTURE, lambda dump: sign_in("mallory")),
    "analyst": (CONTEXT, lambda dump: sign_in("bob")),
    "protected reader": (CONTEXT, lambda dump: sign_in("erin")),
    "team lead": (CONTEXT, lambda dump: sign_in("alice")),
}
