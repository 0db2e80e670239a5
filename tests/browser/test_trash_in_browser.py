"""The trash and what a team keeps, as people use them: on a desk and on a phone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect
from pytest_django import Settings

from explorer.models import Dump, ServerRole, Team, User
from tests.browser.conftest import Screen
from tests.browser.test_pages_in_browser import found_by_axe
from tests.stored_dumps import analysed_dump

DATA = Path(__file__).parents[1] / "data"
NAME = "a-long-name-of-a-service-on-a-host-2026-11-30T02-15-33.dmp"


def look(screen: Screen, name: str) -> None:
    assert screen.overflow() <= 0, name
    assert found_by_axe(screen) == [], name
    assert screen.complaints == [], name
    if place := os.environ.get("SCREENSHOTS"):
        screen.page.screenshot(path=f"{place}/{name}-{screen.page.viewport_size['width']}.png", full_page=True)


@pytest.mark.parametrize("screen", [(1280, "light"), (390, "dark")], indirect=True, ids=["wide", "narrow and dark"])
def test_a_dump_goes_to_the_trash_and_comes_back(screen: Screen, team: Team, dump: Dump, alice: User) -> None:
    Dump.objects.filter(pk=dump.pk).update(name=NAME, stored_bytes=95_166_464)
    analysed_dump(
        team, alice, "held.dmp", trashed_at=timezone.now(), held_at=timezone.now(), trash_note="Shop keeps dumps for 30 days"
    )
    screen.sign_in(alice)
    page = screen.go(dump.get_absolute_url())
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Trash")).to_be_visible()
    expect(page.get_by_text("is in the trash. Restore it here to undo that.")).to_be_visible()
    look(screen, "trash")
    page.locator("tr", has_text=NAME).get_by_role("button", name="Restore").click()
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()


@pytest.mark.parametrize("screen", [(1280, "light"), (390, "dark")], indirect=True, ids=["wide", "narrow and dark"])
def test_what_a_team_keeps(screen: Screen, team: Team, dump: Dump, alice: User, settings: Settings) -> None:
    settings.TEAM_QUOTA_BYTES = 500_000_000
    User.objects.filter(pk=alice.pk).update(server_role=ServerRole.ADMINISTRATOR)
    Dump.objects.update(stored_bytes=600_000_000)
    screen.sign_in(alice)
    page = screen.go("/team")
    page.get_by_label("Delete originals after days").fill("30")
    page.locator("form", has_text="Delete originals").get_by_role("button", name="Save").click()
    expect(page.get_by_text("keeps its dumps so from now on")).to_be_visible()
    page.get_by_text("As administrator").click()
    look(screen, "team")
    assert Team.objects.get().keep_originals_days == 30


def test_a_full_team_is_told_so_at_once(screen: Screen, team: Team, alice: User, settings: Settings) -> None:
    settings.TEAM_QUOTA_BYTES = 10
    screen.sign_in(alice)
    page = screen.go("/upload")
    page.set_input_files("input[type=file]", DATA / "zoo-mini-net10.dmp.zst")
    refusal = page.locator("[data-uploads] .refused")
    expect(refusal).to_be_visible(timeout=15000)
    assert "uses 0 of 10 bytes" in refusal.inner_text() and "administrator for more" in refusal.inner_text()


def test_pages_of_a_dump_without_its_original(screen: Screen, dump: Dump, alice: User) -> None:
    Dump.objects.update(original_removed_at=timezone.now())
    screen.sign_in(alice)
    page = screen.go(dump.get_absolute_url())
    expect(page.get_by_text("no original", exact=True)).to_be_visible()
    look(screen, "without-original")
    page = screen.go(f"{dump.get_absolute_url()}/access")
    expect(page.get_by_text("upload it again to have them")).to_be_visible()
