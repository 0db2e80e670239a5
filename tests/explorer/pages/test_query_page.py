"""The page Query: commands and SQL, what goes wrong, files, saved queries."""

from __future__ import annotations

import pytest
from django.test import Client

from explorer.models import Dump, SavedQuery, Team, User
from explorer.pages.query_help import EXAMPLES
from tests.explorer.pages.visits import address, body_of
from tests.index_builder import HEAP_START, hostile_index
from tests.stored_dumps import analysed_dump


def test_without_a_question_it_shows_what_can_be_asked(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-query"))
    assert "dumpheap" in body and "<code>edges</code>" in body and EXAMPLES[0].question in body


def test_a_command_is_answered_with_links(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-query"), q="dumpheap -stat")
    answer = body.split('class="answer"')[1].split("</pre>")[0]
    assert "Class Name" in answer and "/types/0" in answer and "Total" in answer


def test_sql_is_answered_as_a_table_with_links(dump: Dump, as_alice: Client) -> None:
    text = "SELECT address, type, size FROM heap ORDER BY address LIMIT 3"
    body = body_of(as_alice, address(dump, "dump-query"), q=text)
    table = body.split('id="table-result"')[1]
    assert f"/objects/{HEAP_START:x}" in table and "/types/" in table and "3 rows" in table
    answer = as_alice.get(address(dump, "dump-query"), {"q": text, "format": "csv", "table": "result"})
    lines = b"".join(answer).decode().splitlines()
    assert lines[0] == "address,type,size" and lines[1].startswith(f"0x{HEAP_START:x},") and len(lines) == 4


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.question)
def test_every_example_runs(example: object, dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-query"), q=example.text)  # type: ignore[attr-defined]
    # The made-up dump holds no graph: what asks for live objects says so.
    assert 'role="alert"' not in body or "nobody knows what lives" in body


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dumpheep", "Did you mean dumpheap?"),
        ("SELECT nothing FROM nowhere", "does not exist"),
        ("SELECT * FROM read_csv('/etc/passwd')", "out of reach"),
        ("DROP TABLE types", "There is no command DROP"),
        ("<script>alert(1)</script>", "There is no command &lt;script&gt;"),
        ("select '", "Unterminated quoted string"),
    ],
)
def test_errors_say_what_is_wrong(text: str, said: str, dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-query"), q=text)
    alert = body.split('role="alert"')[1].split("</p>")[0]
    assert said.removesuffix("does not exist") in alert and "<script>alert" not in body


def test_an_answer_as_text(dump: Dump, as_alice: Client) -> None:
    answer = as_alice.get(address(dump, "dump-query"), {"q": "dumpheap -stat", "format": "text"})
    assert answer["Content-Type"].startswith("text/plain") and b"Class Name" in answer.content
    assert answer["Content-Disposition"].startswith("attachment")


def test_context_is_for_those_who_may_see_it(dump: Dump, as_alice: Client, as_carol: Client) -> None:
    text = "SELECT name FROM threads"
    assert 'id="table-result"' in body_of(as_alice, address(dump, "dump-query"), q=text)
    body = body_of(as_carol, address(dump, "dump-query"), q=text)
    assert 'role="alert"' in body and 'id="table-result"' not in body


def test_hostile_names_are_text(team: Team, alice: User, as_alice: Client) -> None:
    hostile = analysed_dump(team, alice, "hostile.dmp", hostile_index)
    for text in ("dumpheap -stat", 'SELECT name, name AS "<b>x" FROM types'):
        body = body_of(as_alice, address(hostile, "dump-query"), q=text)
        assert "<script>alert(1)" not in body and "<b>x" not in body and "\u202e" not in body and len(body) < 2_000_000


def test_queries_are_kept_shared_and_forgotten(dump: Dump, as_alice: Client, as_bob: Client, as_mallory: Client) -> None:
    def save(client: Client, name: str, **more: str) -> int:
        return client.post(address(dump, "dump-query-save"), {"q": "dumpheap -stat", "name": name, **more}).status_code

    assert save(as_bob, "own") == 302 and save(as_bob, "for <all>", shared="1") == 302 and save(as_bob, "own") == 302
    assert SavedQuery.objects.count() == 2
    assert save(as_mallory, "no") == 404
    assert ">own</a>" in body_of(as_bob, address(dump, "dump-query"))
    body = body_of(as_alice, address(dump, "dump-query"))
    assert "for &lt;all&gt;" in body and ">own</a>" not in body
    own = SavedQuery.objects.get(name="own")
    assert as_alice.post(address(dump, "dump-query-delete", own.pk)).status_code == 404
    assert as_bob.post(address(dump, "dump-query-delete", own.pk)).status_code == 302
    assert SavedQuery.objects.count() == 1


def test_an_open_archive_opens_no_saved_queries(dump: Dump, bob: User, as_carol: Client, as_mallory: Client) -> None:
    Team.objects.update(opens_archive=True)
    SavedQuery.objects.create(team=dump.team, owner=bob, name="shared words", text="SELECT 'a value'", shared=True)
    body = body_of(as_mallory, address(dump, "dump-query"), q="help")
    assert "shared words" not in body and "a value" not in body and "Save this query" not in body
    assert as_mallory.post(address(dump, "dump-query-save"), {"q": "help", "name": "x", "shared": "1"}).status_code == 403
    assert SavedQuery.objects.count() == 1
    body = body_of(as_carol, address(dump, "dump-query"), q="help")
    assert "shared words" in body and "Save this query" in body


def test_a_query_without_a_name_is_not_kept(dump: Dump, as_alice: Client) -> None:
    assert as_alice.post(address(dump, "dump-query-save"), {"q": "help", "name": " \x00"}).status_code == 302
    assert not SavedQuery.objects.exists()
