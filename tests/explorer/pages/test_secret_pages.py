"""Texts that look like secrets: shown by kind and place to those who may see context, and to nobody else, not even as a count."""

from __future__ import annotations

import json
from itertools import product

import pytest
from django.test import Client
from django.urls import reverse

from analysis.index.columns import D1, D2
from analysis.index.described import described_tables
from analysis.index.store import open_index
from analysis.query import QueryRefused, run_query
from explorer.models import Dump, Team, User
from explorer.pages.secrets import secret_hints
from tests.explorer.pages.visits import address, body_of, broken_links
from tests.graph_builder import GraphSpec
from tests.index_builder import IndexSpec, hostile_index, mini_index, small_index
from tests.secrets_builder import SECRET_KIND, SECRET_VARIABLE
from tests.stored_dumps import analysed_dump

_PAGES = ("dump-overview", "dump-strings", "dump-access", "dump-findings", "dump-query", "dump-coverage")
_QUESTIONS: tuple[dict[str, str], ...] = (
    {}, {"format": "csv"}, {"format": "json", "table": "secrets"}, {"format": "csv", "table": "secret-kinds"}, {"secret": "0"},
)  # fmt: skip
#: Words that stand nowhere but where secrets are told of.
_TOLD = (SECRET_KIND, SECRET_VARIABLE, "secret-looking", "looks like a secret", "data of persons", "secret_holders")


@pytest.fixture
def dump(team: Team, alice: User) -> Dump:
    spec = IndexSpec(graph=GraphSpec(), variables=(SECRET_VARIABLE, "OTHER"))
    return analysed_dump(team, alice, build=lambda directory: small_index(directory, spec))


def test_the_overview_warns_before_the_dump_is_shared(dump: Dump, as_bob: Client) -> None:
    body = body_of(as_bob, address(dump, "dump-overview"))
    assert "This dump holds 3 secret-looking texts of 1 kind and data of persons in 80 texts." in body
    assert f"{address(dump, 'dump-strings')}#secrets" in body
    assert "This dump holds 3 secret-looking texts" in body_of(as_bob, address(dump, "dump-access"))


def test_the_page_of_strings_tells_kinds_places_and_holders(dump: Dump, as_bob: Client) -> None:
    body = body_of(as_bob, address(dump, "dump-strings"))
    for words in (
        SECRET_KIND,
        f"environment variable {SECRET_VARIABLE}",
        "command line",
        "certain",
        "for 86 kinds",
        "Not looked at",
    ):
        assert words in body, words
    of_kind = json.loads(body_of(as_bob, address(dump, "dump-strings"), secret="0", format="json", table="secrets"))
    assert of_kind["total"] == 3 and {row["kind"] for row in of_kind["rows"]} == {SECRET_KIND}
    listed = json.loads(body_of(as_bob, address(dump, "dump-strings"), format="json", table="secrets"))
    assert listed["total"] == 83 and listed["rows"][-1]["held_by"]
    assert broken_links(as_bob, [address(dump, "dump-strings")]) == []


def test_the_table_says_how_many_are_not_listed(team: Team, alice: User, as_bob: Client) -> None:
    spec = IndexSpec(graph=GraphSpec(), secrets_left_out=234)
    many = analysed_dump(team, alice, "many.dmp", build=lambda directory: small_index(directory, spec))
    assert "texts, 234 more are not listed" in body_of(as_bob, address(many, "dump-strings"))
    assert "more are not listed" not in body_of(as_bob, address(many, "dump-strings"), secret="0")


def test_a_viewer_learns_nothing_not_even_that_there_are_any(dump: Dump, as_carol: Client) -> None:
    for name, question in product(_PAGES, _QUESTIONS):
        body = body_of(as_carol, address(dump, name), **question)
        assert not [word for word in _TOLD if word in body], (name, question)


def test_a_viewers_pages_are_the_same_with_and_without_secrets(team: Team, alice: User, dump: Dump, as_carol: Client) -> None:
    without = analysed_dump(
        team, alice, "other.dmp", build=lambda directory: small_index(directory, IndexSpec(graph=GraphSpec(), variables=()))
    )
    for name in ("dump-strings", "dump-coverage"):
        one, other = (body_of(as_carol, address(each, name)) for each in (dump, without))
        assert len(one.replace(str(dump.pk), "").replace("shop.dmp", "")) == len(
            other.replace(str(without.pk), "").replace("other.dmp", "")
        ), name


def test_sql_knows_the_tables_only_for_those_who_may_see_them(dump: Dump) -> None:
    index = open_index(dump.analysis.index_directory)
    assert {table.name for table in described_tables(D2)} - {table.name for table in described_tables(D1)} == {
        "secrets", "secret_holders", "string_groups", "string_holders",
    }  # fmt: skip
    assert run_query(index.up_to(D2), f"SELECT count(*) FROM secrets WHERE kind = '{SECRET_KIND}'").rows == [[3]]
    for text in ("SELECT count(*) FROM secrets", "SELECT id FROM secret_holders"):
        with pytest.raises(QueryRefused, match="does not exist"):
            run_query(index.up_to(D1), text)


def test_nothing_found_is_said_with_what_was_looked_at(team: Team, alice: User, as_bob: Client) -> None:
    clean = analysed_dump(team, alice, build=lambda directory: small_index(directory, IndexSpec(graph=GraphSpec(), variables=())))
    assert "No text in this dump looks like a secret." in body_of(as_bob, address(clean, "dump-overview"))
    body = body_of(as_bob, address(clean, "dump-strings"))
    assert "628 strings and 26 arrays" in body and "6 environment variables and 4 arguments" in body
    assert "secret-kinds" not in body and "looks like a secret" not in body_of(as_bob, address(clean, "dump-access"))


def test_a_dump_without_a_heap_tells_of_its_environment(team: Team, alice: User, as_bob: Client, as_carol: Client) -> None:
    mini = analysed_dump(team, alice, build=mini_index)
    body = body_of(as_bob, address(mini, "dump-strings"))
    assert SECRET_VARIABLE in body and "There is no heap in this dump." in body
    assert SECRET_VARIABLE not in body_of(as_carol, address(mini, "dump-strings"))


def test_what_was_left_out_makes_counts_lower_bounds(dump: Dump) -> None:
    index = open_index(dump.analysis.index_directory)
    facts = {**index.facts("secrets"), "places_left_out": 7}
    hints = secret_hints(index.up_to(D2))
    assert hints is not None and secret_hints(index.up_to(D1)) is None
    assert type(hints)(facts).title.startswith("This dump holds at least 3 ")
    assert "7 more places were too many to look at" in type(hints)(facts).looked_at


def test_hostile_names_of_variables_are_text(team: Team, alice: User, as_bob: Client) -> None:
    hostile = analysed_dump(team, alice, build=hostile_index)
    for parameters in ({}, {"format": "csv", "table": "secrets"}):
        body = body_of(as_bob, address(hostile, "dump-strings"), **parameters)
        assert not [character for character in body if character in "\x00\x1b\u202e\u2066\u200b\ufeff"]
        assert parameters or "<script>alert" not in body
    assert "⟨U+202E⟩" in body_of(as_bob, address(hostile, "dump-strings"))


@pytest.mark.parametrize("name", ["dump-overview", "dump-strings"])
def test_a_stranger_gets_404(name: str, dump: Dump, as_mallory: Client) -> None:
    assert as_mallory.get(reverse(name, args=[dump.pk])).status_code == 404
