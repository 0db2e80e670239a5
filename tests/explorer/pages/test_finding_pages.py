"""Findings and crashes: cards, evidence, what passed, chains of exceptions, and what a page says that has nothing to show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analysis.index.store import open_index
from explorer.models import Analysis, Dump, Finding, Team, User
from explorer.services import analyses
from explorer.services.findings import findings_of, replace_findings
from tests.execution_builder import SECRET_MESSAGE, Execution
from tests.explorer.pages.visits import PAGES, address, body_of, dump_of, everything, threads
from tests.explorer.waiting_analyses import received
from tests.index_builder import HOSTILE_NAMES, hostile_index, mini_index
from tests.stored_dumps import analysed_dump


def test_findings_are_cards_and_rules_that_passed_are_listed(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-findings"))
    assert all(words in body for words in ("critical", "Stack overflow", "5 frames in the deepest stack", "could not run"))
    one = body_of(as_alice, address(dump, "dump-finding", 1))
    for words in (
        "Take the locks in the same order.",
        "Each holds what the other needs.",
        "When a wait has a timeout.",
        "took it",
    ):
        assert words in one, words
    assert [as_alice.get(address(dump, "dump-finding", number)).status_code for number in (0, 2, 10**30)] == [404, 404, 404]


def test_the_overview_begins_with_the_verdict(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-overview"))
    verdict = re.sub("<[^>]+>", "", body.split('<p class="verdict">')[1].split("</p>")[0])
    assert verdict == "thread 1 and secret-thread-name wait for each other."
    assert body.index("verdict") < body.index("Biggest types")


def test_the_verdict_of_a_healthy_dump_says_what_was_looked_at(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(5), pairs=0))
    assert "None of the 1 rules found anything wrong" in body_of(as_alice, address(dump, "dump-overview"))
    assert "No deadlock was found." in body_of(as_alice, address(dump, "dump-locks"), format="text")


def test_the_archive_knows_the_top_finding(dump: Dump, as_bob: Client) -> None:
    index = open_index(dump.analysis.index_directory)
    for _ in range(2):
        replace_findings(dump, findings_of(dump, index))
    (finding,) = Finding.objects.all()
    assert (finding.number, finding.rule, finding.title) == (1, "deadlock", "thread 1 and thread 2 wait for each other")
    assert "thread 1 and thread 2 wait for each other" in body_of(as_bob, reverse("archive"))
    assert dump.name in body_of(as_bob, reverse("archive"), rule="deadlock")
    assert dump.name not in body_of(as_bob, reverse("archive"), rule="lock-convoy")
    assert dump.name in body_of(as_bob, reverse("archive"), q="thread 2 wait", sort="-finding")


def test_the_archive_asks_no_more_often_for_more_findings(team: Team, alice: User, as_alice: Client) -> None:
    asked = []
    for upto in (2, 12):
        for number in range(upto):
            dump = dump_of(team, alice, Execution(), f"{upto}-{number}.dmp")
            replace_findings(dump, findings_of(dump, open_index(dump.analysis.index_directory)))
        with CaptureQueriesContext(connection) as queries:
            body_of(as_alice, reverse("archive"))
        asked.append(len(queries))
    assert asked[1] <= asked[0]


# From the analysis to the rows


def test_a_finished_analysis_stores_its_findings_and_the_next_one_replaces_them(team: Team, alice: User, engine) -> None:
    analysis = received(team, alice)
    analyses.run(analysis.pk)
    assert [(row.rule, row.severity) for row in Finding.objects.filter(dump=analysis.dump)] == [("deadlock", "critical")]
    first = Finding.objects.get().pk
    Finding.objects.create(dump=analysis.dump, number=7, rule="gone", severity="notice", confidence="certain", title="gone")
    following = analyses.rerun(dump=analysis.dump)
    assert Finding.objects.count() == 2  # until there is a newer result, the old one stands
    analyses.run(following.pk)
    (row,) = Finding.objects.all()
    assert (row.rule, row.pk == first) == ("deadlock", False)


def test_findings_go_with_their_dump_and_a_failed_analysis_changes_none(team: Team, alice: User, engine) -> None:
    analysis = received(team, alice)
    analyses.run(analysis.pk)
    engine("refused")
    following = analyses.rerun(dump=analysis.dump)
    analyses.run(following.pk)
    assert Analysis.objects.get(pk=following.pk).state == "failed"
    assert Finding.objects.count() == 1
    analysis.dump.delete()
    assert not Finding.objects.exists()


# Crash


def test_a_dump_on_demand_is_not_called_a_crash(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-crash"))
    assert "Not a crash" in body and "never thrown" in body and "COR_E_INVALIDOPERATION" in body
    assert "Signature" not in body


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("unhandled exception", "an unhandled exception"),
        ("stack overflow", "a stack overflow"),
        ("fail fast", "Environment.FailFast"),
        ("signal", "the signal SIGABRT (6)"),
        ("out of memory", "an OutOfMemoryException that nobody caught"),
    ],
)
def test_a_crash_says_how_and_where(kind: str, words: str, team: Team, alice: User, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump_of(team, alice, Execution(crash=kind)), "dump-crash"))
    verdict = re.sub("<[^>]+>", "", body.split('<p class="verdict">')[1].split("</p>")[0])
    assert verdict == f"The process ended by {words} on secret-thread-name, in Checkout.Pay."
    assert "0123456789abcdef" in body and "Stack of the faulting thread" in body


def test_a_chain_of_exceptions_is_shown_once_and_in_order(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(crash="unhandled exception"))
    body = body_of(as_alice, address(dump, "dump-crash"))
    cards = re.findall(r'id="exception-(\d+)">\s*<header><h2>([^<]+)', body)
    assert cards == [("0", "Unhandled exception"), ("1", "Inner exception"), ("2", "Was being handled when that was thrown")]
    on_thread = body_of(as_alice, address(dump, "dump-thread", 2))
    assert re.findall(r'id="exception-\d+">\s*<header><h2>([^<]+)', on_thread)[0] == "Current exception"


def test_exceptions_are_grouped_by_type_and_throw_site(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(30), throwing_threads=20))
    rows = json.loads(body_of(as_alice, address(dump, "dump-crash"), format="json"))["rows"]
    assert [(row["count"], row["site"], row["own"]) for row in rows] == [
        (21, "Checkout.Pay", "Checkout.Pay"), (2, "never thrown", ""),
    ]  # fmt: skip
    assert {row["message"] for row in rows} == {SECRET_MESSAGE}


def test_thousands_of_exceptions_are_bounded_and_said(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(3_003), throwing_threads=3_000))
    body = body_of(as_alice, address(dump, "dump-crash"))
    assert "2\u202f980 more threads" in body and len(body) < 150_000


def test_a_message_keeps_its_lines_and_is_bounded(team: Team, alice: User, as_alice: Client) -> None:
    message = "One or more errors.\r\n<i>first</i>\n\u202esecond" + "x" * 100_000
    body = body_of(as_alice, address(dump_of(team, alice, Execution(message=message)), "dump-thread", 2))
    assert "One or more errors.<br>&lt;i&gt;first&lt;/i&gt;<br>⟨U+202E⟩secondxxx" in body
    assert len(body) < 30_000


# Nothing to show, and too much


def test_a_dump_without_threads_says_so(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution([]))
    expected = {
        "dump-threads": "This dump holds no managed threads.", "dump-stacks": "No managed stacks",
        "dump-locks": "No thread holds a lock or waits for one.", "dump-findings": "No rule found anything wrong.",
        "dump-crash": "There are no exceptions in this dump.",
    }  # fmt: skip
    for name, words in expected.items():
        assert words in body_of(as_alice, address(dump, name)), name


def test_a_mini_dump_has_threads_stacks_and_a_reason(team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, "mini.dmp", build=mini_index)
    assert "This dump holds no heap" in body_of(as_alice, address(dump, "dump-locks"))
    assert "Checkout.Pay" in body_of(as_alice, address(dump, "dump-stacks"))
    assert "not in the dump" in body_of(as_alice, address(dump, "dump-thread", 2))


def test_hostile_text_is_text(team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, "hostile.dmp", build=hostile_index)
    for page in everything(dump):
        for parameters in ({}, {"view": "groups"}, {"q": HOSTILE_NAMES[1]}):
            body = body_of(as_alice, page, **parameters)
            assert "<script>alert" not in body and "<img src=x" not in body, page
            assert not any(mark in body for mark in ("\u202e", "\x1b", "\x00")), page
            assert len(body) < 3_000_000, page
        for form in ("csv", "json", "text"):
            assert "\x00" not in body_of(as_alice, page, format=form), (page, form)


def test_texts_for_a_ticket_hold_no_line_that_a_name_made(team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, "hostile.dmp", build=hostile_index)
    for name, arguments in (("dump-thread", [1]), ("dump-thread", [2]), ("dump-locks", []), ("dump-stacks", [])):
        response = as_alice.get(address(dump, name, *arguments), {"format": "text"})
        assert response["Content-Type"].startswith("text/plain")
        assert "nosniff" in response["X-Content-Type-Options"]
        text = response.content.decode()
        assert not [mark for mark in ("\r", "\x1b", "\x00", "\u202e") if mark in text], name
        assert "\nline" not in text


def test_a_cell_of_an_export_is_no_formula(team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, "hostile.dmp", build=hostile_index)
    for name in ("dump-threads", "dump-locks", "dump-crash"):
        text = body_of(as_alice, address(dump, name), format="csv")
        assert not re.search(r'(^|,)"?[=+@]', text, re.MULTILINE), name


def test_a_thousand_threads_cost_no_more_queries(
    team: Team, alice: User, as_alice: Client, django_assert_max_num_queries
) -> None:
    dump = dump_of(team, alice, Execution(threads(1_003), throwing_threads=500, task=True))
    for page in (*everything(dump), *(f"{address(dump, name)}?format=json" for name in PAGES)):
        with django_assert_max_num_queries(14):
            body_of(as_alice, page)


def test_a_directory_that_is_gone_leads_to_the_overview(dump: Dump, as_alice: Client) -> None:
    directory: Path = dump.analysis.index_directory
    directory.rename(directory.with_name("away"))
    for page in everything(dump)[1:]:
        assert as_alice.get(page).status_code == 302, page
