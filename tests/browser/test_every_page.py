"""Every address that answers with a page, found through the resolver: readable by all, no wider than a phone, no complaint."""

from __future__ import annotations

import pytest
from django.urls import URLPattern

from explorer.models import ServerRole, User
from tests.browser.conftest import Screen
from tests.browser.test_pages_in_browser import found_by_axe
from tests.explorer.test_access import ADDRESSES, TABLE, address_of
from tests.explorer.test_access import world as world
from tests.goals import Goals

#: Pages of signing in, which somebody who is signed in does not get to see.
OUTSIDE = ("account_login", "account_inactive", "socialaccount_login_cancelled", "share-open", "invitation-open")
#: For programs, and parts that another page asks for.
NO_PAGES = ("healthz", "dump-object-masked", "search-names")


def _pages(names_of: str) -> list[URLPattern]:
    def is_page(pattern: URLPattern) -> bool:
        answer = getattr(TABLE[pattern.name], names_of).get("GET")
        return answer in (200, 302, 404) and pattern.name not in NO_PAGES

    return [pattern for pattern in ADDRESSES if is_page(pattern)]


@pytest.mark.parametrize("screen", [(390, "dark")], indirect=True, ids=["narrow and dark"])
def test_every_page_can_be_read_by_all(screen: Screen, world: dict[str, object], alice: User, goals: Goals) -> None:
    """As a lead who also audits the server; a refusal is a page too."""
    User.objects.filter(pk=alice.pk).update(server_role=ServerRole.AUDITOR)
    outside = [pattern for pattern in ADDRESSES if pattern.name in OUTSIDE]
    inside = [pattern for pattern in _pages("lead") if pattern not in outside]
    problems = {pattern.name: _problems(screen, address_of(pattern, world)) for pattern in outside}
    screen.sign_in(alice)
    problems |= {pattern.name: _problems(screen, address_of(pattern, world)) for pattern in inside}
    goals.count("axe: pages without a finding", sum(not found for found in problems.values()), len(problems))
    assert {name: found for name, found in problems.items() if found} == {}


def _problems(screen: Screen, address: str) -> list[object]:
    screen.complaints.clear()
    screen.go(address)
    return [one for one in problems_of(screen) if "status of 404" not in str(one)]


def problems_of(screen: Screen) -> list[object]:
    """Of the page that is open: what axe finds, how much wider it is than the window, what the console says."""
    too_wide = [f"{screen.overflow()} pixels too wide"] if screen.overflow() > 0 else []
    complaints, screen.complaints = screen.complaints, []
    return [*found_by_axe(screen), *too_wide, *complaints]
