"""Values of an object: who may look, what is written down, what is shown, and that nothing of it stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.test import Client

from analysis.index.store import Index, open_index
from analysis.pipeline import analyse
from explorer.models import AuditEntry, Dump, Team, User
from tests.analysis.bundled_dumps import bundled_dumps
from tests.explorer.pages.visits import address, body_of
from tests.stored_dumps import analysed_dump

(ZOO,) = [path for path in bundled_dumps() if path.name.startswith("zoo-net8")]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("zoo") / "index"
    analyse(ZOO, directory, lambda stage, fraction, detail: None)
    return directory


@pytest.fixture
def real(zoo: Path, team: Team, alice: User) -> Dump:
    dump = analysed_dump(team, alice, "zoo.dmp", lambda directory: Path(shutil.copytree(zoo, directory)))
    dump.directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ZOO, dump.original)
    return dump


@pytest.fixture
def primitives(zoo: Path) -> str:
    return _first(open_index(zoo), "Scenarios.Primitives")


def _first(index: Index, name: str) -> str:
    kind = index.text("types", "name").all.index(name)
    row = int(index.column("instances", "by_address")[int(index.column("types", "first_instance")[kind])])
    return f"{int(index.column('objects', 'address')[row]):x}"


def test_an_analyst_sees_the_values_and_is_written_down(real: Dump, primitives: str, as_alice: Client, alice: User) -> None:
    answer = as_alice.post(address(real, "dump-object-values", primitives))
    body = answer.content.decode()
    assert "-123456789" in body and "2024-02-29 12:34:56" in body and "written down" in body
    assert answer["Cache-Control"] == "private, no-store"
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.dump, entry.action) == (alice, real, AuditEntry.Action.REVEAL_OBJECT)
    assert primitives in entry.detail and "Scenarios.Primitives" in entry.detail and "-123456789" not in entry.detail


def test_the_page_of_the_object_holds_no_value(real: Dump, primitives: str, as_alice: Client, as_carol: Client) -> None:
    body = body_of(as_alice, address(real, "dump-object", primitives))
    assert "Show values" in body and "-123456789" not in body
    body = body_of(as_carol, address(real, "dump-object", primitives))
    assert "Show values" not in body and "Analysts and leads" in body


def test_others_see_nothing_and_leave_no_row(real: Dump, primitives: str, as_carol: Client, as_mallory: Client) -> None:
    assert as_carol.post(address(real, "dump-object-values", primitives)).status_code == 403
    assert as_mallory.post(address(real, "dump-object-values", primitives)).status_code == 404
    assert not AuditEntry.objects.exists()


def test_what_cannot_be_read_says_why(real: Dump, primitives: str, as_alice: Client) -> None:
    real.original.write_bytes(b"\x7fELF" + bytes(100))
    body = as_alice.post(address(real, "dump-object-values", primitives)).content.decode()
    assert 'class="note bad"' in body and "Traceback" not in body
    real.original.unlink()
    body = as_alice.post(address(real, "dump-object-values", primitives)).content.decode()
    assert "no longer kept" in body
    for place in ("zz", "10", f"{int(primitives, 16) + 8:x}"):
        assert as_alice.post(address(real, "dump-object-values", place)).status_code == 404
