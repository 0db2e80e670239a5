"""A real browser against a live server: Debian's chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django import Settings

from explorer.models import Dump, Team, User
from tests.stored_dumps import analysed_dump

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Playwright runs an event loop in this thread; the ORM calls of a test are no danger to it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert executable, "the browser tests need chromium: install it or name it in CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def analyse_at_once(settings: Settings) -> None:
    """No worker runs beside these tests: the request that ends an upload also analyses it."""
    settings.CELERY_TASK_ALWAYS_EAGER = True


@pytest.fixture
def dump(team: Team, alice: User) -> Dump:
    return analysed_dump(team, alice)


class Screen:
    """A page of the browser that remembers every complaint of the console."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base, self.complaints = page, base, []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def go(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def sign_in(self, user: User) -> Page:
        page = self.go("/login")
        page.fill("[name=login]", user.username)
        page.fill("[name=password]", "correct horse battery staple")
        page.click("button.primary")
        page.wait_for_selector("nav.rail")
        return page

    def take_session(self, client: Client) -> None:
        """Go on as the person of another browser, with what they proved there."""
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]
        self.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": self.base}])

    def send(self, action: str, **values: str) -> Page:
        """Fill in the form of the open page that goes to ``action``, with a reason where it asks for one, and send it."""
        self.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        form = self.page.locator(f'form[action="{action}"]')
        if form.locator("[name=reason]").count():
            form.locator("[name=reason]").select_option("incident")
            form.locator("[name=explanation]").fill("looking for what leaks")
        for name, value in values.items():
            field = form.locator(f"[name={name}]")
            field.select_option(value) if field.evaluate("one => one.tagName") == "SELECT" else field.fill(value)
        with self.page.expect_navigation():
            form.locator("button[type=submit]").click()
        return self.page

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def wait_for_charts(self) -> None:
        self.page.wait_for_function(
            "[...document.querySelectorAll('[data-chart]')].every(chart => chart.dataset.drawn)", timeout=20000
        )


@pytest.fixture
def screen(request, browser: Browser, live_server) -> Iterator[Screen]:
    """A fresh window; parametrise indirectly with (width, colour scheme)."""
    width, scheme = getattr(request, "param", (1280, "light"))
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield Screen(context.new_page(), live_server.url)
    context.close()
