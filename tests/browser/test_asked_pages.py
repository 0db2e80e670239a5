"""Pages that no address alone opens: what a share link shows, what is made or told once, values, and answers that refuse. Each
is reached as a person does, then read by axe, and fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from explorer.models import AuditEntry, Dump, Team, User
from explorer.services import reveals
from tests.browser.conftest import Screen
from tests.browser.test_every_page import problems_of
from tests.execution_builder import Execution
from tests.explorer.pages.visits import threads
from tests.explorer.test_originals import with_second_factor
from tests.explorer.test_shares import SHARED
from tests.explorer.told_values import held, tell_at_once
from tests.goals import Goals
from tests.graph_builder import GraphSpec
from tests.index_builder import HEAP_START, IndexSpec, small_index
from tests.stored_dumps import analysed_dump, keep_original

GENERIC = "System.Collections.Generic.Dictionary`2[[System.String, System.Private.CoreLib],[Shop.Orders.Order[], Shop]]"
LONG = "a value that goes on without an end, " * 20 + "x" * 300
_REGISTERS = (*(f"r{number}" for number in range(8, 16)), "rax", "rbp", "rbx", "rcx", "rdi", "rdx", "rip", "rsi", "rsp")


def _index(directory: Path) -> Path:
    return small_index(directory, IndexSpec(execution=Execution(threads(5)), graph=GraphSpec()))


@pytest.fixture
def kept(team: Team, alice: User, monkeypatch: pytest.MonkeyPatch) -> Dump:
    """A dump with its file, whose values are as long as values are."""
    dump = analysed_dump(team, alice, f"{'shop-orders-' * 8}production.dmp", _index)
    keep_original(dump, b"x")
    rows = [held("_name", LONG), held("<Items>k__BackingField", "", GENERIC, "not in the dump"), held("", "12", "System.Int32")]
    tell_at_once(monkeypatch, {
        "read_registers": {name: 0x7F3A_0000_1000 + number for number, name in enumerate(_REGISTERS)},
        "read_values": {"rows": rows, "more": True},
        "read_memory": {"hex": bytes(range(256)).hex()},
        "search_texts": {"rows": [0, 5, 9], "lengths": [12, 40_000, 7], "total": 1234, "read": 56_789, "cut": 3},
    })  # fmt: skip
    return dump


class Reader:
    """Notes what is wrong with each page that is open."""

    def __init__(self, screen: Screen) -> None:
        self.screen, self.problems = screen, dict[str, list[object]]()

    def reads(self, name: str, status: int = 200) -> None:
        """The page that is open; an answer of another status stands in the console, and that is no complaint."""
        self.problems[name] = [one for one in problems_of(self.screen) if f"status of {status}" not in str(one)]

    def count(self, goals: Goals) -> None:
        goals.count("axe: pages without a finding", sum(not found for found in self.problems.values()), len(self.problems))
        assert {name: found for name, found in self.problems.items() if found} == {}


EACH = pytest.mark.parametrize(
    "screen", [(390, "dark"), (1280, "light")], indirect=True, ids=["narrow and dark", "wide and light"]
)


@EACH
def test_shared_pages_can_be_read_by_all(screen: Screen, kept: Dump, alice: User, goals: Goals) -> None:
    """The link is made on the page of the dump; whoever opens it has no account."""
    reader, links = Reader(screen), []
    screen.sign_in(alice)
    for scope in SHARED:
        screen.go(f"{reverse('dump-access', args=[kept.pk])}?share={scope}")
        page = screen.send(reverse("share-create", args=[kept.pk]), scope=scope)
        links.append(page.get_by_label("The link").input_value())
    reader.reads("a link that was made")
    screen.page.context.clear_cookies()
    for scope, link in zip(SHARED, links, strict=True):
        screen.go(link.removeprefix(screen.base))
        assert "Shared by alice" in screen.page.content()
        reader.reads(f"shared {scope}")
    reader.count(goals)


@EACH
def test_values_can_be_read_by_all(
    screen: Screen, kept: Dump, alice: User, goals: Goals, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(screen)
    screen.take_session(with_second_factor("alice"))
    at = f"{HEAP_START:x}"
    one = reverse("dump-object", args=[kept.pk, at])
    screen.go(one)
    screen.page.click("text=Show them masked")
    screen.page.wait_for_selector("text=Masked values", state="attached")
    reader.reads("masked values")
    for name, start, action, values in (
        ("values of an object", one, reverse("dump-object-values", args=[kept.pk, at]), {}),
        ("raw memory", one, reverse("dump-memory", args=[kept.pk]), {}),
        ("registers", reverse("dump-thread", args=[kept.pk, 1]), reverse("dump-registers", args=[kept.pk, 1]), {}),
        ("strings found", reverse("dump-strings", args=[kept.pk]), reverse("dump-strings-search", args=[kept.pk]),
         {"text": "hunter2"}),
    ):  # fmt: skip
        screen.go(start)
        page = screen.send(action, **values)
        assert "was written down" in page.content() and "note bad" not in page.content(), name
        reader.reads(name)
    reader.count(goals)


def _audit_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(AuditEntry, "save", full)


def _looked_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reveals, "MOST_IN_AN_HOUR", 0)


REFUSALS: dict[int, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    503: (_audit_down, "Nothing was done"),
    429: (_looked_enough, "Too many looks"),
}


@EACH
def test_answers_that_refuse_can_be_read_by_all(
    screen: Screen, kept: Dump, alice: User, goals: Goals, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(screen)
    screen.sign_in(alice)
    for status, (spoil, says) in REFUSALS.items():
        screen.go(reverse("dump-thread", args=[kept.pk, 1]))
        with monkeypatch.context() as patch:
            spoil(patch)
            page = screen.send(reverse("dump-registers", args=[kept.pk, 1]))
        assert says in page.content()
        reader.reads(f"{status}: {says}", status)
    settings.MAIL_IS_SET_UP, settings.PUBLIC_URL = True, screen.base
    page.context.clear_cookies()
    forgotten = reverse("account_reset_password")
    for _ in range(3):
        Client().post(forgotten, {"email": "nobody"})
    page = screen.go(forgotten)
    page.fill("[name=email]", "nobody")
    with page.expect_navigation():
        page.click("button.primary")
    assert "Too many tries" in page.content()
    reader.reads("429: Too many tries", 429)
    reader.count(goals)
