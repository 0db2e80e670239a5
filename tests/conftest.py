"""A data directory for every test, real dumps analysed once, and the cast.

Alice leads, bob analyses, carol only views, erin is a protected reader, mallory leads another team; oscar audits and ada
administers the server, and belong to no team.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from pytest_django import Settings
from xdist.scheduler import LoadScopeScheduling

from analysis.index.store import Index, open_index
from analysis.pipeline import analyse
from explorer.models import Dump, Role, ServerRole, Team, User
from tests.analysis.bundled_dumps import bundled_dumps
from tests.analysis.fresh_dumps import LAB
from tests.stored_dumps import analysed_dump

_PASSWORD = "correct horse battery staple"
_DATABASE = frozenset({"db", "transactional_db", "live_server"})
pytest_plugins = ["tests.goals"]
FAKE_ENGINE = Path(__file__).parent / "explorer" / "fake_engine.py"


class OneProcessForWhatIsShared(LoadScopeScheduling):
    """A file of tests shares what is costly to make, and so do all that read dumps made during the run: one process runs
    them. Tests that share nothing go where there is room."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if "fresh" in Path(file).stem:
            return "fresh dumps"
        return nodeid if "/browser/" in file or file.endswith("test_access.py") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneProcessForWhatIsShared:
    return OneProcessForWhatIsShared(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a database server only what uses the database of this process: anything else would run a second time as it did."""
    if not os.environ.get("EXPLORER_DATABASE_URL", "").startswith("postgres"):
        return
    used = [bool(_DATABASE & {*getattr(item, "fixturenames", ())} or item.get_closest_marker("django_db")) for item in items]
    config.hook.pytest_deselected(items=[item for item, uses in zip(items, used, strict=True) if not uses])
    items[:] = [item for item, uses in zip(items, used, strict=True) if uses]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not LAB.exists():
        terminalreporter.write_line("no dumps were made to be compared: the lab (../shared/lab) is not beside the project")


@pytest.fixture(autouse=True)
def own_data_directory(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files of one test in its own directory, static files by their plain names, passwords hashed fast, nothing counted yet."""
    data = tmp_path_factory.mktemp("data")
    settings.DATA_DIR = data
    settings.STORE_DIR, settings.UPLOAD_DIR, settings.SCRATCH_DIR = data / "store", data / "uploads", data / "scratch"
    settings.KEY_DIR, settings.STATIC_ROOT = data / "keys", data / "static"
    settings.STATIC_ROOT.mkdir()
    settings.FREE_DISK_BYTES, settings.FREE_DISK_PERCENT, settings.DISK_WATERMARK_PERCENT = 1 << 20, 0, 100
    cache.clear()  # sign-ins and requests that an earlier test made count toward a limit
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SQLite in a file, as the product has it: in memory, threads would share one connection's locks."""
    database = connections["default"].settings_dict
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Shop")


@pytest.fixture
def other_team(db: None) -> Team:
    return Team.objects.create(name="Others")


@pytest.fixture
def alice(team: Team) -> User:
    return _member("alice", team, Role.LEAD)


@pytest.fixture
def bob(team: Team) -> User:
    return _member("bob", team, Role.ANALYST)


@pytest.fixture
def carol(team: Team) -> User:
    return _member("carol", team, Role.VIEWER)


@pytest.fixture
def erin(team: Team) -> User:
    return _member("erin", team, Role.PROTECTED)


@pytest.fixture
def oscar(db: None) -> User:
    return User.objects.create_user("oscar", password=_PASSWORD, server_role=ServerRole.AUDITOR)


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada", password=_PASSWORD, server_role=ServerRole.ADMINISTRATOR)


@pytest.fixture
def mallory(other_team: Team) -> User:
    return _member("mallory", other_team, Role.LEAD)


def _member(name: str, team: Team, role: Role) -> User:
    user = User.objects.create_user(name, password=_PASSWORD)
    team.memberships.create(user=user, role=role)
    return user


@pytest.fixture
def engine(settings: Settings):
    """Choose how the fake engine behaves."""

    def choose(mode: str, *arguments: str) -> None:
        settings.ENGINE_COMMAND = [sys.executable, str(FAKE_ENGINE), mode, *arguments]

    choose("done")
    return choose


def engine_command(mode: str, *arguments: str) -> str:
    """The same as the environment variable EXPLORER_ENGINE_COMMAND gives it."""
    parts = [sys.executable, str(FAKE_ENGINE), mode, *arguments]
    assert not any("," in part or shlex.quote(part) != part for part in parts)
    return ",".join(parts)


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
