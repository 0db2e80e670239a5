"""Looking for a value: who may, what is written down, what comes back."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from explorer.models import AuditEntry, Dump, Team, User
from explorer.services import reveals
from tests.analysis.bundled_dumps import bundled_dump
from tests.explorer.pages.visits import WHY, address
from tests.explorer.test_authentication import age_proofs, sign_in
from tests.stored_dumps import analysed_dump

WANTED = "mixed 13"


@pytest.fixture
def real(zoo: Path, team: Team, alice: User) -> Dump:
    dump = analysed_dump(team, alice, "zoo.dmp", lambda directory: Path(shutil.copytree(zoo, directory)))
    dump.directory.mkdir(parents=True, exist_ok=True)
    dump.original.symlink_to(bundled_dump("zoo-net8"))
    return dump


def look(client: Client, dump: Dump, text: str = WANTED, **more: str) -> tuple[int, str]:
    response = client.post(address(dump, "dump-strings-search"), {**WHY, "text": text, **more})
    return response.status_code, response.content.decode()


def found_in(body: str) -> int:
    return int(re.search(r"(\d+) of [\d\u202f]+ strings contain it", body)[1])


@pytest.mark.parametrize("who", ["erin", "alice"])
def test_it_tells_where_the_strings_are_and_not_what_they_hold(real: Dump, who: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(who)
    client = sign_in(who)
    assert reverse("dump-strings-search", args=[real.pk]) in client.get(address(real, "dump-strings")).content.decode()
    status, body = look(client, real)
    assert status == 200
    found = found_in(body)
    assert found > 0 and body.count("/objects/") >= found and WANTED not in body
    assert found_in(look(client, real, WANTED.upper())[1]) == 0
    assert found_in(look(client, real, WANTED.upper(), any_case="on")[1]) == found
    rows = AuditEntry.objects.filter(action="search_values")
    assert [(row.detail, row.outcome, row.data_class) for row in rows][:1] == [
        (f"strings that contain a text of {len(WANTED)} characters", "done", 3)
    ]


def test_the_text_is_kept_nowhere(real: Dump, erin: User, settings) -> None:
    look(sign_in("erin"), real, "Tr0ub4dor&3")
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            assert "Tr0ub4dor" not in repr(cursor.fetchall()), table
    assert not [path for path in Path(settings.DATA_DIR).rglob("*") if path.is_file() and path.name == "wanted"]


@pytest.mark.parametrize(("who", "status"), [("bob", 403), ("carol", 403), ("mallory", 404)])
def test_others_do_not_look(real: Dump, who: str, status: int, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(who)
    client = sign_in(who)
    assert look(client, real)[0] == status
    assert [row.outcome for row in AuditEntry.objects.filter(action="search_values")] == ["denied"] * (status == 403)
    assert "strings/search" not in client.get(address(real, "dump-strings")).content.decode()


def test_it_asks_for_what_every_look_asks_for(real: Dump, erin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client, path = sign_in("erin"), address(real, "dump-strings-search")
    assert client.post(path, {"text": WANTED}).status_code == 302, "a reason"
    assert client.get(path).status_code == 405
    assert [client.post(path, {**WHY, "text": text}).status_code for text in ("", "ab", "x" * 201)] == [302] * 3
    assert not AuditEntry.objects.exists()
    monkeypatch.setattr(reveals, "MOST_IN_AN_HOUR", 0)
    assert look(client, real)[0] == 429
    age_proofs(client, 31 * 60)
    assert look(client, real)[0] == 302, "a fresh sign-in"
