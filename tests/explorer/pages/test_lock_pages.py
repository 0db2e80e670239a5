"""Locks: deadlocks in words, the graph of who waits for whom, its twin the table, and one lock."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from analysis.index.columns import DataClass
from analysis.index.store import open_index
from explorer.models import Dump, Team, User
from explorer.pages.deadlocks import MOST_IN_TEXT, MOST_ON_PAGE
from explorer.pages.lock_graph import MOST_NODES, lock_graph
from explorer.pages.references import References
from tests.execution_builder import LOCKS_AT, Execution
from tests.explorer.pages.visits import address, body_of, broken_links, dump_of, threads


def graph_of(dump: Dump) -> dict[str, Any]:
    index = open_index(dump.analysis.index_directory)
    return lock_graph(index, References(index.up_to(DataClass.D1_STRUCTURE), dump.pk))


def red_edges(graph: dict[str, Any]) -> set[tuple[str, str]]:
    return {(edge["source"], edge["target"]) for edge in graph["edges"] if edge["red"]}


def test_a_deadlock_is_told_in_words_with_both_orders(dump: Dump, as_bob: Client, as_carol: Client) -> None:
    words = [
        "Ledger …0000 (Monitor Shop.Ledger at 0x7f1000000000) and waits for Ledger …0018",
        "Ledger …0018 (Monitor Shop.Ledger at 0x7f1000000018) and waits for Ledger …0000",
    ]
    text = body_of(as_bob, address(dump, "dump-locks"), format="text")
    assert all(word in text for word in words)
    assert "Deadlock 1: 2 threads wait for each other." in text
    assert "secret-thread-name (thread 2) holds" in text and "took it in Shop.Program.Main()" in text
    assert "thread 2 holds" in body_of(as_carol, address(dump, "dump-locks"), format="text")


def test_eight_bystanders_stand_behind_a_deadlock_of_two(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(11)))
    body = body_of(as_alice, address(dump, "dump-locks"))
    assert "10 threads stuck" in body and "8 more threads cannot move behind them" in body
    assert re.search(r'threads\?group=1">8 in <code>Checkout.Pay', body)
    assert "8 more threads cannot move: worker 2, worker 3" in body_of(as_alice, address(dump, "dump-locks"), format="text")
    graph = graph_of(dump)
    assert [node["label"] for node in graph["nodes"] if node["kind"] == "crowd"] == ["8 threads"]


def test_two_thousand_waiters_are_one_box(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(2_003)))
    graph = graph_of(dump)
    assert len(graph["nodes"]) == 5 <= MOST_NODES
    assert [node["label"] for node in graph["nodes"] if node["kind"] == "crowd"] == ["2,000 threads"]
    assert red_edges(graph) == {("t0", "l1"), ("l1", "t1"), ("t1", "l0"), ("l0", "t0")}
    body = body_of(as_alice, address(dump, "dump-locks"))
    assert "2\u202f000 more threads cannot move behind them" in body and len(body) < 120_000
    assert len(body_of(as_alice, address(dump, "dump-lock", f"{LOCKS_AT:x}"))) < 200_000


def test_many_deadlocks_are_counted_and_the_first_are_told(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(601), pairs=300))
    body = body_of(as_alice, address(dump, "dump-locks"))
    assert "300 deadlocks" in body and body.count("wait for each other") == MOST_ON_PAGE
    assert f"{300 - MOST_ON_PAGE} more deadlocks" in body and len(body) < 250_000
    text = body_of(as_alice, address(dump, "dump-locks"), format="text")
    assert text.count("wait for each other") == MOST_IN_TEXT and f"{300 - MOST_IN_TEXT} more deadlocks." in text


def test_the_graph_has_room_for_so_many_boxes(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(601), pairs=300))
    graph = graph_of(dump)
    keys = {node["id"] for node in graph["nodes"]}
    assert MOST_NODES - 6 < len(keys) <= MOST_NODES
    assert graph["left_out"] == 600 - sum(node["kind"] == "lock" for node in graph["nodes"]) > 400
    assert all({edge["source"], edge["target"]} <= keys for edge in graph["edges"])
    assert f"{graph['left_out']} locks are left out" in body_of(as_alice, address(dump, "dump-locks"))


def test_of_many_readers_the_one_in_the_deadlock_is_drawn(team: Team, alice: User) -> None:
    graph = graph_of(dump_of(team, alice, Execution(threads(503), readers=400)))
    holders = [edge["target"] for edge in graph["edges"] if edge["source"] == "l0"]
    assert holders[0] == "t0" and len(holders) == 3
    assert ("l0", "t0") in red_edges(graph)


def test_a_task_leads_on_to_what_it_needs(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(11), task=True))
    graph = graph_of(dump)
    needs = [(edge["source"], edge["target"], edge["red"]) for edge in graph["edges"] if edge["label"] == "needs"]
    assert needs == [("l2", "l0", False)]
    path = address(dump, "dump-lock", f"{LOCKS_AT + 48:x}")
    body = body_of(as_alice, path)
    assert "Waits in turn for" in body and "the task awaits what needs the lock" in body and "likely" in body
    assert "Nobody who can be named." in body
    assert broken_links(as_alice, [path]) == []


def test_the_boxes_of_the_graph_lead_somewhere(team: Team, alice: User, as_alice: Client) -> None:
    for node in graph_of(dump_of(team, alice, Execution(threads(11), task=True)))["nodes"]:
        assert as_alice.get(node["url"]).status_code == 200, node


def test_the_page_holds_the_graph_as_data_only(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-locks"))
    data = body.split('<script id="lock-graph" type="application/json">')[1].split("</script>")[0]
    assert len(json.loads(data)["nodes"]) == 4
    assert not re.search(r"<script(?![^>]*( src=|application/json))", body)


def test_a_lock_has_its_page(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-lock", f"{LOCKS_AT:x}"))
    for words in ("Ledger …0000", "sync block", "the runtime&#x27;s note of what blocks the thread", "the lock&#x27;s own state"):
        assert words in body, words
    for nonsense in ("0", "zzz", "f" * 40, "-1"):
        assert as_alice.get(address(dump, "dump-lock", nonsense)).status_code == 404


def test_waiters_stand_in_line(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(6)))
    body = body_of(as_alice, address(dump, "dump-lock", f"{LOCKS_AT:x}"))
    rows = re.findall(r'<tr><td class="num">([^<]*)</td><td>.*?threads/(\d+)"', body)
    assert rows == [("1", "2"), ("1", "3"), ("2", "4"), ("3", "5")]


@pytest.mark.parametrize(("only", "rows"), [("", 2), ("waited", 2), ("held", 2), ("cycle", 2), ("orphaned", 0), ("nonsense", 2)])
def test_locks_are_filtered(only: str, rows: int, dump: Dump, as_alice: Client) -> None:
    def found(**parameters: str) -> int:
        return len(json.loads(body_of(as_alice, address(dump, "dump-locks"), format="json", **parameters))["rows"])

    assert (found(only=only), found(q="nothing like it")) == (rows, 0)


def test_a_lock_is_found_by_type_owner_and_address(dump: Dump, as_alice: Client) -> None:
    def found(text: str) -> list[str]:
        rows = json.loads(body_of(as_alice, address(dump, "dump-locks"), format="json", q=text))["rows"]
        return [row["address"] for row in rows]

    assert len(found("ledger monitor")) == 2
    assert found("secret-thread") == found("0x7f1000000018") == ["0x7f1000000018"]


def test_the_table_says_what_the_graph_says(dump: Dump, as_alice: Client) -> None:
    lines = body_of(as_alice, address(dump, "dump-locks"), format="csv").splitlines()
    assert lines[0].split(",")[:6] == ["lock", "kind", "form", "owner", "recursion", "waiters"]
    assert "deadlock" in lines[1] and "secret-thread-name (thread 2)" in "\n".join(lines)
