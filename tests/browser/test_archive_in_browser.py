"""The archive, the search and the notes in a real browser: they fit, can be read by all, and words of people stay words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.urls import reverse

from explorer.models import Dump, Note, SavedView, Tag, Team, User
from tests.browser.conftest import Screen
from tests.browser.test_pages_in_browser import BOTH_WIDTHS, check_with_axe
from tests.explorer.searchable import searchable_dump
from tests.index_builder import HEAP_START, hostile_index

WORDS = f"<script>alert(1)</script>\u202e\"' onerror=x https://tickets.example.com/OPS-1 {'long' * 30}"


def filled(team: Team, alice: User, bob: User, words: str) -> Dump:
    """A dump about which people said and noted things, one with hostile names, and views."""
    searchable_dump(team, alice, "hostile.dmp", build=hostile_index)
    dump = searchable_dump(team, alice, service="orders", environment="production", status="investigating", assignee=bob,
                           ticket_url="https://tickets.example.com/browse/OPS-1")  # fmt: skip
    Tag.objects.create(dump=dump, name="after deploy")
    SavedView.objects.create(owner=alice, name=words[:60], parameters="owner=me")
    SavedView.objects.create(owner=bob, team=team, name="Under investigation", parameters="status=investigating")
    Note.objects.create(dump=dump, author=bob, text=words)
    Note.objects.create(dump=dump, author=alice, pin="type", key="Shop.Order", label="Shop.Order", text="grows since 4.18")
    Note.objects.create(dump=dump, author=bob, pin="change", text="status: Open → Investigating", data_class=1)
    return dump


def paths_of(dump: Dump) -> list[tuple[str, str]]:
    pinned = [("dump-type", 2), ("dump-thread", 1), ("dump-finding", 1), ("dump-object", f"{HEAP_START:x}")]
    return [
        ("archive", reverse("archive")), ("archive-view", f"{reverse('archive')}?status=investigating"),
        ("archive-found", f"{reverse('archive')}?q=order"), ("search", f"{reverse('search')}?q=order"),
        ("search-hostile", f"{reverse('search')}?q=onerror"), ("search-empty", reverse("search")),
        ("notes", reverse("dump-notes", args=[dump.pk])),
        *((name, reverse(name, args=[dump.pk, one])) for name, one in pinned),
    ]  # fmt: skip


@BOTH_WIDTHS
def test_the_archive_for_a_team_fits_and_can_be_read_by_all(screen: Screen, team: Team, alice: User, bob: User) -> None:
    dump = filled(team, alice, bob, WORDS)
    screen.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    screen.sign_in(alice)
    for name, path in paths_of(dump):
        screen.go(path)
        screen.wait_for_charts()
        for details in screen.page.query_selector_all("main details"):
            details.evaluate("one => { one.open = true }")
        if directory := os.environ.get("SCREENSHOTS"):
            width = screen.page.viewport_size["width"]
            screen.page.screenshot(path=Path(directory) / f"{name}-{width}.png", full_page=True)
        assert screen.overflow() <= 0, path
        assert "\u202e" not in screen.page.content(), path
        check_with_axe(screen, path)
    assert screen.complaints == []


def test_names_are_offered_while_somebody_types(screen: Screen, team: Team, alice: User) -> None:
    searchable_dump(team, alice)
    screen.sign_in(alice)
    page = screen.go(reverse("search"))
    page.locator("main input[name=q]").press_sequentially("ord")
    page.wait_for_selector("#names option", state="attached")
    assert "Shop.Order" in [option.get_attribute("value") for option in page.query_selector_all("#names option")]
    page.press("main input[name=q]", "Enter")
    page.get_by_role("link", name="Shop.Order", exact=True).click()
    page.wait_for_url(f"**{reverse('dump-type', args=[Dump.objects.get().pk, 2])}")
    assert screen.complaints == []
