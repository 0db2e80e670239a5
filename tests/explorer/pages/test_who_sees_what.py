"""Context (thread names, messages, paths) and values (registers): in nothing that a person gets who may not see them.

No index holds values; an engine that answers with a known register stands in for the one that reads the dump."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from analysis.index.store import open_index
from explorer.models import AuditEntry, Dump, Finding, Team, User
from explorer.services import reveals
from explorer.services.audit_names import Names
from explorer.services.findings import findings_of, replace_findings
from tests.execution_builder import SECRET_MESSAGE, SECRET_SOURCE, Execution
from tests.explorer.pages.visits import WHY, address, body_of, dump_of, everything
from tests.explorer.test_authentication import sign_in
from tests.secrets_builder import SECRET_KIND, SECRET_VARIABLE

SECRETS = (
    "secret-thread-name",
    SECRET_MESSAGE,
    "secret-source",
    "secret-place",
    SECRET_VARIABLE,
    SECRET_KIND,
)
SECRET_REGISTER = 0x5EC2E75EC2E7
#: Everything that can be asked of a page: formats, views, filters, orders, and searches for what is not to be seen.
QUESTIONS: tuple[dict[str, str], ...] = (
    {},
    {"format": "csv"},
    {"format": "json"},
    {"format": "text"},
    {"view": "groups"},
    {"view": "groups", "format": "csv"},
    {"only": "exception"},
    {"only": "waited", "format": "json"},
    {"unfolded": "1"},
    {"group": "0"},
    {"node": "1"},
    {"sort": "-name"},
    {"sort": "message"},
)


@pytest.fixture
def crashed(team: Team, alice: User) -> Dump:
    return dump_of(team, alice, Execution(crash="unhandled exception", task=True))


@pytest.mark.parametrize("secret", SECRETS)
def test_a_viewer_gets_no_context_and_no_values(secret: str, crashed: Dump, as_carol: Client) -> None:
    for page, question in product(everything(crashed), QUESTIONS):
        assert secret not in body_of(as_carol, page, **question), (page, question)


@pytest.mark.parametrize("secret", SECRETS[:3])
def test_an_analyst_gets_context(secret: str, crashed: Dump, as_bob: Client) -> None:
    assert any(secret in body_of(as_bob, page) for page in everything(crashed))


def test_an_analyst_reads_names_messages_and_lines_where_they_belong(crashed: Dump, as_bob: Client) -> None:
    line = f"{SECRET_SOURCE} @ 17"
    expected = {
        "dump-threads": ["secret-thread-name"],
        "dump-locks": ["secret-thread-name"],
        "dump-findings": ["secret-thread-name"],
        "dump-crash": ["secret-thread-name", SECRET_MESSAGE, line],
    }
    for name, words in expected.items():
        body = body_of(as_bob, address(crashed, name))
        assert all(word in body for word in words), name
    thread = address(crashed, "dump-thread", 2)
    assert line in body_of(as_bob, thread) and SECRET_MESSAGE in body_of(as_bob, thread)
    assert f"[{line}]" in body_of(as_bob, thread, format="text")
    assert SECRET_MESSAGE in body_of(as_bob, address(crashed, "dump-crash"), format="csv")


def test_a_viewer_cannot_search_for_what_she_may_not_see(dump: Dump, as_bob: Client, as_carol: Client) -> None:
    def found(client: Client, name: str) -> int:
        return len(json.loads(body_of(client, address(dump, name), q="secret-thread-name", format="json"))["rows"])

    assert (found(as_bob, "dump-threads"), found(as_carol, "dump-threads")) == (1, 0)
    assert (found(as_bob, "dump-locks"), found(as_carol, "dump-locks")) == (1, 0)


def test_a_viewers_order_says_nothing_about_names(team: Team, alice: User, as_bob: Client, as_carol: Client) -> None:
    dump = dump_of(team, alice, Execution(["m", "z", "a", "k"]))

    def order(client: Client, sort: str) -> list[str]:
        rows = json.loads(body_of(client, address(dump, "dump-threads"), sort=sort, format="json"))["rows"]
        return [row["managed_id"] for row in rows]

    assert order(as_bob, "name") == ["3", "4", "1", "2"]
    assert order(as_carol, "name") == order(as_carol, "-name") == order(as_carol, "managed_id")


def test_lists_of_dumps_name_threads_by_id(dump: Dump, as_bob: Client) -> None:
    replace_findings(dump, findings_of(dump, open_index(dump.analysis.index_directory)))
    assert Finding.objects.get().title == "thread 1 and thread 2 wait for each other"
    assert dump.name not in body_of(as_bob, reverse("archive"), q="secret-thread-name")


@pytest.mark.parametrize("path", ["threads/99", "locks/zzz", "findings/9", "threads/os-1", "nowhere"])
def test_an_error_page_holds_nothing_of_the_dump(path: str, dump: Dump, as_carol: Client) -> None:
    response = as_carol.get(f"{dump.get_absolute_url()}/{path}")
    assert response.status_code == 404
    assert not [secret for secret in (*SECRETS, "Shop", dump.name) if secret in response.content.decode()]


# Registers


@pytest.fixture
def answering(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dump of which a child process reads registers."""

    def read(path: Path, os_id: int, result: Path) -> None:
        result.write_text(json.dumps({"rip": SECRET_REGISTER}))

    monkeypatch.setattr(reveals, "read_registers", read)
    dump.original.write_bytes(b"registers")


@pytest.mark.usefixtures("answering")
def test_registers_are_shown_after_they_are_written_down(dump: Dump, bob: User) -> None:
    path = address(dump, "dump-registers", 1)
    response = sign_in("bob").post(path, WHY)
    assert f"{SECRET_REGISTER:x}" in response.content.decode()
    assert response["Cache-Control"] == "private, no-store"
    (entry,) = AuditEntry.objects.all()
    names = Names([entry])
    assert (entry.actor_id, names.actor(entry), entry.dump_key, entry.team_key) == (bob.pk, "bob", dump.pk, dump.team_id)
    assert (entry.reason, entry.explanation, entry.data_class, entry.outcome) == (WHY["reason"], WHY["explanation"], 3, "done")
    assert (entry.action, entry.detail, names.address(entry)) == ("reveal_registers", "thread 1", "127.0.0.1")


@pytest.mark.parametrize("person", ["as_alice", "as_bob", "as_carol"])
def test_registers_are_only_given_to_those_who_post(person: str, dump: Dump, request: pytest.FixtureRequest) -> None:
    client: Client = request.getfixturevalue(person)
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert client.generic(method, address(dump, "dump-registers", 1)).status_code == 405
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(("person", "status"), [("as_carol", 403), ("as_mallory", 404)])
def test_refused_registers_leave_no_row_that_says_otherwise(
    person: str, status: int, dump: Dump, request: pytest.FixtureRequest
) -> None:
    client: Client = request.getfixturevalue(person)
    response = client.post(address(dump, "dump-registers", 1))
    assert response.status_code == status
    assert f"{SECRET_REGISTER:x}" not in response.content.decode()
    assert [row.outcome for row in AuditEntry.objects.all()] == ["denied"] * (status == 403)


def test_registers_without_the_dump_say_why(dump: Dump, bob: User) -> None:
    body = sign_in("bob").post(address(dump, "dump-registers", 1), WHY).content.decode()
    assert "no longer kept" in body and "holds no registers" not in body


def test_registers_of_no_thread_are_no_look(dump: Dump, bob: User) -> None:
    assert sign_in("bob").post(address(dump, "dump-registers", 77), WHY).status_code == 404
    assert not AuditEntry.objects.exists()


@pytest.mark.usefixtures("answering")
def test_registers_that_cannot_be_written_down_are_not_shown(dump: Dump, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DatabaseError("the disk is full")

    client = sign_in("bob")
    monkeypatch.setattr(AuditEntry, "save", full)
    response = client.post(address(dump, "dump-registers", 1), WHY)
    assert response.status_code == 503 and f"{SECRET_REGISTER:x}" not in response.content.decode()
    assert "could not write it down" in response.content.decode()


def test_a_post_from_elsewhere_reveals_nothing(dump: Dump, bob: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    assert client.post(address(dump, "dump-registers", 1)).status_code == 403
    assert not AuditEntry.objects.exists()


def test_an_audit_row_outlives_its_dump(dump: Dump, bob: User) -> None:
    sign_in("bob").post(address(dump, "dump-registers", 1), WHY)
    name, key = dump.name, dump.pk
    dump.delete()
    assert (AuditEntry.objects.get().dump_key, AuditEntry.objects.get().dump_name) == (key, name)
