"""The archive for a team: filters and columns, saved views, the page of the search, and that none of it is an oracle."""

from __future__ import annotations

import html
import json
import re
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from explorer.archive_filters import KEPT
from explorer.archive_list import COLUMNS
from explorer.models import Dump, Finding, SavedView, Tag, Team, User
from explorer.services.saved_views import kept_parameters
from tests.explorer.pages.conftest import client_of
from tests.explorer.pages.visits import body_of
from tests.explorer.searchable import dump_with_names, searchable_dump
from tests.goals import Goals
from tests.stored_dumps import analysed_dump

TICKET = "https://tickets.example.com/browse/OPS-1"


def listed(client: Client, **parameters: str) -> list[dict[str, Any]]:
    """The rows of the archive, in their order."""
    return json.loads(body_of(client, reverse("archive"), format="json", **parameters))["rows"]


def names(client: Client, **parameters: str) -> list[str]:
    return [row["name"] for row in listed(client, **parameters)]


@pytest.fixture
def three(team: Team, alice: User, bob: User) -> None:
    first = dump_with_names(team, alice, "first", {"type": ["Shop.Order"]}, service="orders", environment="live")
    second = analysed_dump(team, alice, "second", service="billing", assignee=bob, ticket_url=TICKET)
    third = analysed_dump(team, alice, "third", signature="0011223344556677", assignee=alice)
    Dump.objects.filter(pk=second.pk).update(signature="0011223344556677", status="resolved", build="2")
    Tag.objects.create(dump=first, name="leak")
    Finding.objects.create(dump=third, number=1, rule="deadlock", severity="critical", confidence="certain", title="t")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"service": "orders"}, "first"), ({"build": "2"}, "second"), ({"environment": "live"}, "first"),
        ({"tag": "leak"}, "first"),
        ({"status": "resolved"}, "second"), ({"status": "open"}, "first third"), ({"owner": "me"}, "third"),
        ({"owner": "nobody"}, "first"), ({"owner": "bob"}, "second"), ({"ticket": "yes"}, "second"),
        ({"ticket": "no"}, "first third"), ({"signature": "0011223344556677"}, "second third"), ({"rule": "deadlock"}, "third"),
        ({"q": "order"}, "first"), ({"q": "shop.order"}, "first"), ({"q": "OPS-1"}, "second"), ({"q": "leak"}, "first"),
        ({"q": "nobody-has-this"}, ""), ({"q": "order", "status": "resolved"}, ""), ({"team": "Shop"}, "first second third"),
        ({"team": "Others"}, ""),
    ],
)  # fmt: skip
def test_filters(parameters: dict[str, str], expected: str, three: None, as_alice: Client) -> None:
    assert sorted(names(as_alice, **parameters)) == sorted(expected.split())


def test_the_archive_exports_what_people_said(three: None, as_alice: Client) -> None:
    row = next(row for row in listed(as_alice) if row["name"] == "second")
    wanted = {"status": "resolved", "owner": "bob", "ticket": TICKET, "seen": "×2", "signature": "0011223344556677", "notes": 0}
    assert wanted.items() <= {"notes": 0, **row}.items()
    assert TICKET in body_of(as_alice, reverse("archive"), format="csv")


def test_the_page_shows_what_people_said(three: None, as_alice: Client) -> None:
    body = body_of(as_alice, reverse("archive"), q="order")
    assert f'href="{TICKET}" rel="noreferrer' in body_of(as_alice, reverse("archive"))
    assert "1 type" in body and f"{reverse('search')}?q=order&amp;dump=" in body
    body = body_of(as_alice, reverse("archive"))
    assert ">×2</a>" in body and "?signature=0011223344556677" in body
    assert "Found" not in body.split("<thead>")[1].split("</thead>")[0]


def test_the_same_crash_is_counted_over_visible_dumps_only(team: Team, other_team: Team, alice: User, mallory: User) -> None:
    signature = "aaaaaaaaaaaaaaaa"
    for owner, of_team, name in ((alice, team, "own"), (mallory, other_team, "theirs"), (mallory, other_team, "theirs too")):
        Dump.objects.filter(pk=analysed_dump(of_team, owner, name).pk).update(signature=signature)
    narrowed = analysed_dump(team, alice, "narrowed")
    Dump.objects.filter(pk=narrowed.pk).update(signature=signature)
    bob = User.objects.create_user("bo")
    team.memberships.create(user=bob, role="analyst")
    narrowed.only_people.set([alice])
    assert {row["name"]: row.get("seen", "") for row in listed(client_of(alice))} == {"own": "×2", "narrowed": "×2"}
    assert {row["name"]: row.get("seen", "") for row in listed(client_of(bob))} == {"own": ""}


@pytest.fixture
def twins(team: Team, alice: User, bob: User) -> tuple[Dump, Dump]:
    """Two dumps that differ in nothing but context: names that are D2, a ticket, a note."""
    plain_names = {"type": ["Shop.Order"]}
    secret = {**plain_names, "message": ["secretmessage"], "thread": ["secretthread"], "path": ["/secretpath/x.dll"]}
    one, other = (
        dump_with_names(team, alice, "twin a", secret, ticket_url=TICKET),
        dump_with_names(team, alice, "twin b", plain_names),
    )
    one.notes.create(author=bob, text="secretnote", data_class=2)
    return one, other


def told(client: Client, parameters: dict[str, str]) -> dict[str, Any]:
    """All that a person learns of the twins by one address: rows, their order, the page with its counts and choices."""
    pages = [html.unescape(body_of(client, reverse(name), **parameters)) for name in ("archive", "search", "search-names")]
    rows = listed(client, **parameters)
    counted = [
        re.findall(r"twin [ab]|secret\w*|tickets\.example\.com|\d+ (?:dumps|types|of)|<option[^>]*>", page) for page in pages
    ]
    return {"rows": [{key: value for key, value in row.items() if key != "uploaded_at"} for row in rows], "pages": counted}


def test_no_parameter_is_an_oracle_for_context(twins: tuple[Dump, Dump], as_carol: Client, as_bob: Client, goals: Goals) -> None:
    """Every filter, word and order, asked by a viewer, answers the same when the context goes from one twin to the other."""
    words = ("secret", "secretmessage", "secretthread", "secretpath", "secretnote", "OPS", "tickets.example.com", "4711", "order")
    asked = [{"q": word} for word in words]
    asked += [{"ticket": value} for value in ("yes", "no")]
    asked += [{"sort": f"{sign}{column.key}"} for sign, column in product(("", "-"), COLUMNS)]
    asked += [{"q": word, "kind": kind} for word, kind in product(("secret", "order"), ("message", "thread", "path", "type"))]
    before = [told(as_carol, parameters) for parameters in asked]
    seen_by_bob = [told(as_bob, parameters) for parameters in asked[:5]]
    exchange(*twins)
    after = [told(as_carol, parameters) for parameters in asked]
    same = [one == two for one, two in zip(before, after, strict=True)]
    goals.count("Archive: parameters by which a viewer learns nothing of context", sum(same), len(same))
    assert [parameters for parameters, equal in zip(asked, same, strict=True) if not equal] == []
    assert seen_by_bob != [told(as_bob, parameters) for parameters in asked[:5]]


def exchange(one: Dump, other: Dump) -> None:
    """Give to the other what was the one's context."""
    Dump.objects.filter(pk=one.pk).update(ticket_url="")
    Dump.objects.filter(pk=other.pk).update(ticket_url=TICKET)
    one.notes.update(dump=other)
    one.postings.filter(data_class=2).update(dump=other)


def test_the_search_groups_hits_by_dump_and_kind(team: Team, alice: User, as_alice: Client) -> None:
    dump = searchable_dump(team, alice, service="orders")
    body = body_of(as_alice, reverse("search"), q="order")
    assert "Shop.Order" in body and "2 types" in body and f'href="/dumps/{dump.pk}/found/type/2"' in body
    assert "orders" in body and "1 dump" in body
    assert "Nothing is found" in body_of(as_alice, reverse("search"), q="order", service="billing")
    assert "Nothing is found" in body_of(as_alice, reverse("search"), q="order", dump="nonsense")
    assert "Shop.Order" in body_of(as_alice, reverse("search"), q="order", dump=str(dump.pk), kind="type")


def test_every_hit_leads_to_a_page(team: Team, alice: User, as_alice: Client) -> None:
    searchable_dump(team, alice)
    asked = ("shop", "system", "worker", "deadlock", "thread", "lib", "srv", "exception", "pay")
    links = {
        link
        for word in asked
        for link in re.findall(r'href="(/dumps/[^"]*/found/[^"]*)"', body_of(as_alice, reverse("search"), q=word))
    }
    kinds = {link.split("/")[-2] for link in links}
    assert {"type", "frame", "module", "path", "thread"} <= kinds
    for link in links:
        response = as_alice.get(link, follow=True)
        assert response.status_code == 200, link
        assert response.redirect_chain, link


@pytest.mark.parametrize("hit", ["type/999999", "nothing/1", "frame/999999", "finding/999", "message/999999"])
def test_a_hit_that_is_not_there_is_absent(hit: str, dump: Dump, as_alice: Client) -> None:
    assert as_alice.get(f"/dumps/{dump.pk}/found/{hit}", follow=True).status_code == 404


def test_names_are_offered_as_text(team: Team, alice: User, as_alice: Client) -> None:
    dump_with_names(team, alice, "a", {"type": ['Evil."><script>alert(1)</script>', "Evil.Twin"]})
    body = body_of(as_alice, reverse("search-names"), q="evil")
    assert body.count("<option") == 2 and "<script" not in body
    assert body_of(as_alice, reverse("search-names"), q="e").strip() == ""


def test_dumps_that_cannot_be_searched_yet_are_counted(dump: Dump, as_alice: Client, as_mallory: Client) -> None:
    assert "1 analysed dump of those you may see is not searched yet" in body_of(as_alice, reverse("search"))
    assert "not searched yet" not in body_of(as_mallory, reverse("search"))


def save(client: Client, **fields: str) -> str:
    return client.post(reverse("view-save"), fields)["Location"]


def test_views_are_kept_shown_and_deleted(three: None, team: Team, as_alice: Client, as_bob: Client, as_mallory: Client) -> None:
    query = urlencode({"status": "open", "q": "order", "page": "3", "evil": "x", "sort": "-size"})
    assert save(as_alice, name="Mine", query=query) == "/?q=order&status=open&sort=-size"
    save(as_alice, name="Ours", query="owner=me", team=str(team.pk))
    assert "Mine" in body_of(as_alice, reverse("archive"))
    here = body_of(as_alice, reverse("archive"), q="order", status="open", sort="-size")
    assert re.search(r'aria-current="true">Mine<', here)
    of_bob = body_of(as_bob, reverse("archive"))
    assert "Ours" in of_bob and "Mine" not in of_bob
    mine, ours = SavedView.objects.get(name="Mine"), SavedView.objects.get(name="Ours")
    assert as_bob.post(reverse("view-delete", args=[mine.pk])).status_code == 404
    assert as_bob.post(reverse("view-delete", args=[ours.pk])).status_code == 403
    assert as_mallory.post(reverse("view-delete", args=[ours.pk])).status_code == 404
    assert as_alice.post(reverse("view-delete", args=[ours.pk])).status_code == 302
    assert [view.name for view in SavedView.objects.all()] == ["Mine"]


def test_leads_delete_views_that_are_shared_with_their_team(three: None, team: Team, as_alice: Client, as_bob: Client) -> None:
    save(as_bob, name="Own", query="owner=me")
    save(as_bob, name="Shared", query="owner=me", team=str(team.pk))
    own, shared = SavedView.objects.get(name="Own"), SavedView.objects.get(name="Shared")
    assert as_alice.post(reverse("view-delete", args=[own.pk])).status_code == 404
    assert as_alice.post(reverse("view-delete", args=[shared.pk])).status_code == 302


def test_a_view_is_shared_with_own_teams_only(three: None, other_team: Team, as_alice: Client) -> None:
    save(as_alice, name="x", query="owner=me", team=str(other_team.pk))
    assert SavedView.objects.get().team is None


@pytest.mark.parametrize("fields", [{"name": "", "query": "q=x"}, {"name": "x", "query": ""}, {"name": "x", "query": "evil=1"}])
def test_a_view_needs_a_name_and_something_to_keep(fields: dict[str, str], three: None, as_alice: Client) -> None:
    save(as_alice, **fields)
    assert not SavedView.objects.exists()


def test_the_same_name_again_replaces_a_view(three: None, as_alice: Client) -> None:
    save(as_alice, name="x", query="q=one")
    save(as_alice, name="x", query="q=two")
    assert SavedView.objects.get().parameters == "q=two"


def test_a_view_keeps_every_filter_there_is() -> None:
    given = {key: "x" for key in KEPT}
    assert kept_parameters(urlencode({**given, "page": "2", "format": "csv"})) == urlencode(given)
