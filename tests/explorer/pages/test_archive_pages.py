"""The archive, the upload page, and the pages around an account."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from explorer.models import Analysis, Dump, State, Team, User
from tests.stored_dumps import analysed_dump, received_dump


def body_of(client: Client, name: str, **parameters: str) -> str:
    response = client.get(reverse(name), parameters)
    assert response.status_code == 200
    return response.content.decode()


def test_an_empty_archive_offers_the_sample_and_says_how_to_take_a_dump(as_alice: Client) -> None:
    body = body_of(as_alice, "archive")
    assert "Look at a sample" in body and reverse("sample") in body
    for words in ("createdump --withheap", "dotnet-dump collect", "DOTNET_DbgEnableMiniDump"):
        assert words in body


def test_a_viewer_is_not_offered_what_is_not_allowed(as_carol: Client) -> None:
    assert "Look at a sample" not in body_of(as_carol, "archive")
    assert "data-upload=" not in body_of(as_carol, "upload")


def test_the_archive_shows_each_dump_with_its_state(team: Team, alice: User, as_alice: Client) -> None:
    analysed_dump(team, alice, "done.dmp", service="orders")
    Analysis.objects.create(dump=received_dump(team, alice, "running.dmp"), state=State.RUNNING, fraction=0.4)
    failed = received_dump(team, alice, "failed.dmp")
    Analysis.objects.create(dump=failed, state=State.FAILED, error_what="Truncated.")
    body = body_of(as_alice, "archive")
    assert "Running 40 %" in body and 'title="Truncated."' in body and "orders" in body
    assert 'hx-trigger="every 3s"' in body
    assert "Environment" not in body.split("<thead>")[1].split("</thead>")[0]


def test_what_nobody_filled_takes_no_room(team: Team, alice: User, as_alice: Client) -> None:
    received_dump(team, alice, "plain.dmp")
    body = body_of(as_alice, "archive")
    assert "Top finding" not in body and 'name="owner"' not in body and 'name="status"' not in body
    assert 'name="owner"' in body_of(as_alice, "archive", owner="me")
    received_dump(team, alice, "owned.dmp", assignee=alice, status="resolved")
    body = body_of(as_alice, "archive")
    assert 'name="owner"' in body and 'name="status"' in body


def test_polling_stops_when_nothing_is_under_way(dump: Dump, as_alice: Client) -> None:
    assert "every 3s" not in body_of(as_alice, "archive")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"q": "first"}, {"first.dmp"}),
        ({"q": "SHOP first"}, {"first.dmp"}),
        ({"state": "failed"}, {"second.dmp"}),
        ({"service": "orders"}, {"first.dmp"}),
        ({"q": "absent"}, set()),
    ],
)
def test_filters_are_in_the_url(
    parameters: dict[str, str], expected: set[str], team: Team, alice: User, as_alice: Client
) -> None:
    analysed_dump(team, alice, "first.dmp", service="orders")
    failed = received_dump(team, alice, "second.dmp", service="billing")
    Analysis.objects.create(dump=failed, state=State.FAILED)
    body = body_of(as_alice, "archive", **parameters)
    assert {name for name in ("first.dmp", "second.dmp") if f">{name}</a>" in body} == expected


@pytest.mark.parametrize("sort", ["name", "-size", "state", "-heap_bytes", "uploaded_by", "-uploaded_at", "nothing"])
def test_every_column_sorts(sort: str, dump: Dump, as_alice: Client) -> None:
    assert "shop.dmp" in body_of(as_alice, "archive", sort=sort)


def test_dumps_of_other_teams_are_neither_listed_nor_counted(dump: Dump, as_mallory: Client) -> None:
    body = body_of(as_mallory, "archive")
    assert "shop.dmp" not in body
    assert "No dump at hand?" in body


def test_the_number_of_queries_does_not_grow_with_the_archive(
    team: Team, alice: User, as_alice: Client, django_assert_max_num_queries
) -> None:
    for number in range(40):
        Analysis.objects.create(dump=received_dump(team, alice, f"{number}.dmp"), state=State.DONE)
    with django_assert_max_num_queries(24):
        body_of(as_alice, "archive")


def test_the_upload_page_names_its_endpoint_and_fields(as_alice: Client) -> None:
    body = body_of(as_alice, "upload")
    assert f'data-upload="{reverse("uploads")}"' in body
    for name in ("service", "build", "environment"):
        assert f'name="{name}"' in body


@pytest.mark.parametrize("name", ["team", "account", "password-change"])
def test_the_pages_of_an_account_draw(name: str, as_alice: Client) -> None:
    assert "alice" in body_of(as_alice, name) or name == "password-change"


def test_the_sign_in_page_draws_for_everybody(db) -> None:
    assert "Sign in" in Client().get(reverse("account_login")).content.decode()
