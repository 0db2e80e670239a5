"""Threads, stacks, locks, findings and crash: what they show, to whom, and what they do with too much of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from analysis.index.columns import DataClass
from analysis.index.store import Index, open_index
from explorer.models import AuditEntry, Dump, Finding, Team, User
from explorer.pages import merged, stacks
from explorer.pages.lock_graph import MOST_NODES, lock_graph
from explorer.pages.references import References, asynchronous_method, method_parts, short_method
from explorer.services.findings import findings_of, replace_findings
from tests.execution_builder import LOCKS_AT, SECRET_MESSAGE, SECRET_REGISTER, Execution
from tests.index_builder import HOSTILE_NAMES, IndexSpec, hostile_index, mini_index, small_index
from tests.stored_dumps import analysed_dump

PAGES = ("dump-overview", "dump-threads", "dump-stacks", "dump-locks", "dump-findings", "dump-crash", "dump-coverage")


def address(dump: Dump, name: str, *arguments: object) -> str:
    return reverse(name, args=[dump.pk, *arguments])


def body_of(client: Client, path: str, **parameters: str) -> str:
    response = client.get(path, parameters)
    assert response.status_code == 200, path
    raw = b"".join(response.streaming_content) if response.streaming else response.content
    return raw.decode()


def everything(dump: Dump) -> list[str]:
    """Every address of a dump that says something about its execution."""
    single = [
        address(dump, "dump-thread", 1),
        address(dump, "dump-thread", 2),
        address(dump, "dump-lock", f"{LOCKS_AT:x}"),
        address(dump, "dump-finding", 1),
    ]
    return [*(address(dump, name) for name in PAGES), *single]


def with_threads(team: Team, user: User, count: int, folded: int = 0) -> Dump:
    spec = IndexSpec(execution=Execution([f"worker {number}" for number in range(count)], folded=folded))
    return analysed_dump(team, user, "many.dmp", build=lambda directory: small_index(directory, spec))


@pytest.fixture
def index(dump: Dump) -> Index:
    return open_index(dump.analyses.get().index_directory)


def test_every_link_on_every_page_leads_somewhere(dump: Dump, as_alice: Client) -> None:
    links: set[str] = set()
    for page in everything(dump):
        found = re.findall(r'href="([^"#]+)', body_of(as_alice, page))
        links |= {page + link.replace("&amp;", "&") if link.startswith("?") else link.replace("&amp;", "&") for link in found}
    for link in sorted(link for link in links if link.startswith("/dumps/")):
        assert as_alice.get(link).status_code == 200, link


# Who may see what


@pytest.mark.parametrize("secret", ["secret-thread-name", SECRET_MESSAGE, f"{SECRET_REGISTER:x}"])
def test_context_and_values_are_in_nothing_a_viewer_gets(secret: str, dump: Dump, as_carol: Client) -> None:
    for page in everything(dump):
        for parameters in ({}, {"format": "csv"}, {"format": "json"}, {"format": "text"}, {"view": "groups"}, {"sort": "-name"}):
            assert secret not in body_of(as_carol, page, **parameters), (page, parameters)


def test_a_viewer_cannot_find_a_thread_by_a_name_she_may_not_see(dump: Dump, as_bob: Client, as_carol: Client) -> None:
    path = address(dump, "dump-threads")
    rows = {person: json.loads(body_of(client, path, q="secret-thread-name", format="json"))["rows"] for person, client in
            (("bob", as_bob), ("carol", as_carol))}  # fmt: skip
    assert (len(rows["bob"]), rows["carol"]) == (1, [])


def test_an_analyst_sees_names_and_messages(dump: Dump, as_bob: Client) -> None:
    assert "secret-thread-name" in body_of(as_bob, address(dump, "dump-locks"))
    assert SECRET_MESSAGE in body_of(as_bob, address(dump, "dump-thread", 2))
    assert SECRET_MESSAGE in body_of(as_bob, address(dump, "dump-crash"))


def test_registers_are_shown_after_they_are_written_down(dump: Dump, as_bob: Client, bob: User) -> None:
    path = address(dump, "dump-registers", 1)
    assert as_bob.get(path).status_code == 405
    assert f"{SECRET_REGISTER:x}" not in body_of(as_bob, address(dump, "dump-thread", 1))
    response = as_bob.post(path)
    assert f"{SECRET_REGISTER:x}" in response.content.decode()
    assert response["Cache-Control"] == "private, no-store"
    (entry,) = AuditEntry.objects.all()
    assert (entry.user, entry.user_name, entry.dump, entry.team) == (bob, "bob", dump, dump.team)
    assert (entry.action, entry.detail, entry.remote_address) == ("reveal_registers", "thread 1", "127.0.0.1")


@pytest.mark.parametrize("person", ["as_carol", "as_mallory"])
def test_refused_registers_leave_no_row_that_says_otherwise(person: str, dump: Dump, request: pytest.FixtureRequest) -> None:
    client: Client = request.getfixturevalue(person)
    response = client.post(address(dump, "dump-registers", 1))
    assert response.status_code in (403, 404)
    assert f"{SECRET_REGISTER:x}" not in response.content.decode()
    assert not AuditEntry.objects.exists()


def test_an_audit_row_outlives_its_dump(dump: Dump, as_bob: Client) -> None:
    as_bob.post(address(dump, "dump-registers", 1))
    name = dump.name
    dump.delete()
    assert (AuditEntry.objects.get().dump, AuditEntry.objects.get().dump_name) == (None, name)


# Stacks


def test_a_recursion_is_one_line_and_opens_page_by_page(team: Team, alice: User, as_alice: Client) -> None:
    dump = with_threads(team, alice, 3, folded=37_000)
    page = address(dump, "dump-thread", 1)
    body = body_of(as_alice, page)
    assert "× 37\u202f001" in body and "37\u202f000 more frames folded" in body
    assert len(body) < 60_000
    last = body_of(as_alice, page, unfolded="1", page="75")
    assert 'id="frame-37004"' in last and len(last) < 400_000
    assert 'id="frame-37004"' in body_of(as_alice, page, unfolded="1", page="9999")
    text = body_of(as_alice, page, format="text")
    assert "the frame above repeats 37,000 more times" in text and len(text.splitlines()) == 8


def test_the_link_of_a_frame_leads_to_the_page_it_is_on(team: Team, alice: User) -> None:
    dump = with_threads(team, alice, 3, folded=2_000)
    references = References(open_index(dump.analyses.get().index_directory), dump.pk, DataClass.D2_CONTEXT)
    assert references.frame_url(3).endswith("/threads/1#frame-3")
    assert references.frame_url(1_300).endswith("/threads/1?unfolded=1&page=3#frame-1300")


def test_native_frames_stand_behind_one_line(index: Index) -> None:
    rows = stacks.grouped([stacks.frame_row(index, 0, 0), stacks.frame_row(index, 0, 1), stacks.frame_row(index, 2, 2)])
    assert [(row.kind, len(row.inner), row.label) for row in rows] == [("natives", 2, "libc.so.6"), ("managed", 0, "")]


def test_a_thread_that_has_ended_says_so(dump: Dump, as_alice: Client) -> None:
    assert "the thread has ended" in body_of(as_alice, address(dump, "dump-thread", 3))
    assert as_alice.get(address(dump, "dump-thread", 77)).status_code == 404


def test_the_merged_tree_is_searched_and_exported(dump: Dump, index: Index, as_alice: Client) -> None:
    references = References(index, dump.pk, DataClass.D1_STRUCTURE)
    lines, total = merged.lines(index, references, "", 0)
    assert [(line.name, line.threads, line.own) for line in lines] == [
        ("Program.Main", 2, True), ("Checkout.Pay", 2, True), ("Monitor.Enter", 2, False),
    ]  # fmt: skip
    assert merged.lines(index, references, "checkout", 0)[1] == total == 3
    assert merged.lines(index, references, "nowhere", 0) == ([], 0)
    text = body_of(as_alice, address(dump, "dump-stacks"), format="text")
    assert text.splitlines()[1].split() == ["2", "Shop.Checkout.Pay(System.String)"]
    assert "No method on any stack holds" in body_of(as_alice, address(dump, "dump-stacks"), q="nowhere")


def test_the_flame_graph_adds_up(dump: Dump, index: Index) -> None:
    figure = merged.flame(index, References(index, dump.pk, DataClass.D1_STRUCTURE))
    assert figure is not None
    (trace,) = figure["data"]
    assert (trace["values"], trace["parents"]) == ([2, 2, 2, 2], ["", "all", "0", "1"])


@pytest.mark.parametrize(
    ("name", "short", "parameters"),
    [
        ("N.S.Outer+Inner.Method(System.Int32)", "Outer+Inner.Method", "(System.Int32)"),
        ("N.List`1[[System.String, System.Private.CoreLib]].Add(System.__Canon)", "List`1.Add", "(System.__Canon)"),
        ("A.B..ctor()", "B..ctor", "()"),
        ("Program.<Main>$(System.String[])", "Program.<Main>$", "(System.String[])"),
        ("Free", "Free", ""),
        ("[[[", "[[[", ""),
    ],
)
def test_methods_are_shortened(name: str, short: str, parameters: str) -> None:
    assert (short_method(name), method_parts(name).parameters) == (short, parameters)


def test_tasks_are_called_by_their_asynchronous_method() -> None:
    box = "System.Runtime.CompilerServices.AsyncTaskMethodBuilder<System.Int32>+AsyncStateMachineBox<{}>"
    assert asynchronous_method(box.format("Shop.Pay+<GoAsync>d__3")) == "Pay.GoAsync"
    assert asynchronous_method(box.format("Program+<<Main>$>d__0")) == "Program.<Main>$"
    assert asynchronous_method("Shop.Pay+<GoAsync>d__3") == ""


# Locks


def test_a_deadlock_is_told_in_words_with_both_orders(dump: Dump, as_bob: Client, as_carol: Client) -> None:
    words = [
        "Ledger …0000 (Monitor Shop.Ledger at 0x7f1000000000) and waits for Ledger …0018",
        "Ledger …0018 (Monitor Shop.Ledger at 0x7f1000000018) and waits for Ledger …0000",
    ]
    text = body_of(as_bob, address(dump, "dump-locks"), format="text")
    assert all(word in text for word in words)
    assert "secret-thread-name (thread 2) holds" in text and "took it in Shop.Program.Main()" in text
    assert "thread 2 holds" in body_of(as_carol, address(dump, "dump-locks"), format="text")


def test_two_thousand_waiters_are_one_box(team: Team, alice: User, as_alice: Client) -> None:
    dump = with_threads(team, alice, 2_003)
    graph = lock_graph(
        open_index(dump.analyses.get().index_directory),
        References(open_index(dump.analyses.get().index_directory), dump.pk, DataClass.D1_STRUCTURE),
    )
    assert len(graph["nodes"]) == 5 <= MOST_NODES
    assert [node["label"] for node in graph["nodes"] if node["kind"] == "crowd"] == ["2,000 threads"]
    red = {(edge["source"], edge["target"]) for edge in graph["edges"] if edge["red"]}
    assert red == {("t0", "l1"), ("l1", "t1"), ("t1", "l0"), ("l0", "t0")}
    body = body_of(as_alice, address(dump, "dump-locks"))
    assert "2\u202f000 more threads cannot move behind them" in body and len(body) < 120_000


def test_a_lock_has_its_page(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-lock", f"{LOCKS_AT:x}"))
    assert "Shop.Ledger" in body and "the runtime&#x27;s note of what blocks the thread" in body
    for nonsense in ("0", "zzz", "f" * 40, "-1"):
        assert as_alice.get(address(dump, "dump-lock", nonsense)).status_code == 404


@pytest.mark.parametrize(("only", "rows"), [("", 2), ("waited", 2), ("cycle", 2), ("orphaned", 0), ("nonsense", 2)])
def test_locks_are_filtered(only: str, rows: int, dump: Dump, as_alice: Client) -> None:
    def found(**parameters: str) -> int:
        return len(json.loads(body_of(as_alice, address(dump, "dump-locks"), format="json", **parameters))["rows"])

    assert (found(only=only), found(q="nothing like it")) == (rows, 0)


# Findings and crash


def test_findings_are_cards_and_rules_that_passed_are_listed(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-findings"))
    assert all(words in body for words in ("critical", "Stack overflow", "5 frames in the deepest stack", "could not run"))
    assert "Take the locks in the same order." in body_of(as_alice, address(dump, "dump-finding", 1))
    assert as_alice.get(address(dump, "dump-finding", 2)).status_code == 404
    assert as_alice.get(address(dump, "dump-finding", 0)).status_code == 404


def test_the_archive_knows_the_top_finding_by_ids(dump: Dump, index: Index, as_bob: Client) -> None:
    replace_findings(dump, findings_of(dump, index))
    replace_findings(dump, findings_of(dump, index))
    (finding,) = Finding.objects.all()
    assert (finding.number, finding.rule, finding.title) == (1, "deadlock", "thread 1 and thread 2 wait for each other")
    assert "thread 1 and thread 2 wait for each other" in body_of(as_bob, reverse("archive"))
    assert dump.name in body_of(as_bob, reverse("archive"), rule="deadlock")
    assert dump.name not in body_of(as_bob, reverse("archive"), rule="lock-convoy")
    assert dump.name in body_of(as_bob, reverse("archive"), q="thread 2 wait", sort="-finding")


def test_a_dump_on_demand_is_not_called_a_crash(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-crash"))
    assert "Not a crash" in body and "never thrown" in body and "COR_E_INVALIDOPERATION" in body


def test_a_dump_without_heap_and_stacks_says_why(team: Team, alice: User, as_alice: Client) -> None:
    def nothing(directory: Path) -> Path:
        return small_index(directory, IndexSpec(execution=Execution([])))

    dump = analysed_dump(team, alice, "empty.dmp", build=nothing)
    expected = {
        "dump-threads": "This dump holds no managed threads.", "dump-stacks": "No managed stacks",
        "dump-locks": "No thread holds a lock or waits for one.", "dump-findings": "No rule found anything wrong.",
        "dump-crash": "There are no exceptions in this dump.",
    }  # fmt: skip
    for name, words in expected.items():
        assert words in body_of(as_alice, address(dump, name)), name
    mini = analysed_dump(team, alice, "mini.dmp", build=mini_index)
    assert "This dump holds no heap" in body_of(as_alice, address(mini, "dump-locks"))


def test_hostile_text_is_text(team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, "hostile.dmp", build=hostile_index)
    for page in everything(dump):
        body = body_of(as_alice, page)
        assert "<script>alert" not in body and "<img src=x" not in body, page
        assert not any(mark in body for mark in ("\u202e", "\x1b", "\x00")), page
        assert len(body) < 3_000_000, page
    assert len(HOSTILE_NAMES) > 10
