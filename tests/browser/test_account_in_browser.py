"""Accounts in a real browser: security keys, and that every page of signing in fits, reads well and keeps the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.urls import reverse
from playwright.sync_api import Page, expect

from explorer import tasks
from explorer.models import Role, Team, User
from explorer.services import password_reset
from explorer.services.invitations import invite
from tests.browser.conftest import Screen
from tests.browser.test_pages_in_browser import BOTH_THEMES, BOTH_WIDTHS, check_with_axe
from tests.explorer.oidc_provider import Provider
from tests.explorer.test_authentication import code_of
from tests.explorer.test_single_sign_on import provider as provider
from tests.explorer.test_teams import request_by


@pytest.fixture
def security_key(screen: Screen) -> Iterator[None]:
    """A key that is plugged in and touched by itself."""
    devtools = screen.page.context.new_cdp_session(screen.page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True, "isUserVerified": True}
    key = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": {**options, "automaticPresenceSimulation": True}})
    yield
    devtools.send("WebAuthn.removeVirtualAuthenticator", key)


def sign_out(page: Page) -> None:
    page.context.clear_cookies()


def give_password(screen: Screen) -> None:
    """Sign in by the form, up to the second factor."""
    page = screen.go(reverse("account_login"))
    page.fill("[name=login]", "alice")
    page.fill("[name=password]", "correct horse battery staple")
    page.click("button.primary")
    page.wait_for_url("**/login/second-factor")


def test_a_security_key_is_added_asked_for_and_removed(screen: Screen, security_key: None, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(reverse("mfa_add_webauthn"))
    page.fill("[name=name]", "blue key")
    page.click("button.primary")
    page.wait_for_url("**/codes")
    assert Authenticator.objects.filter(user=alice, type="webauthn").count() == 1
    sign_out(page)

    give_password(screen)
    page.click("text=Use a security key")
    page.wait_for_selector("nav.rail")
    assert "blue key" in screen.go(reverse("mfa_list_webauthn")).content()

    screen.go(f"{reverse('mfa_reauthenticate_webauthn')}?next={reverse('upload')}")
    page.click("text=Use a security key")
    page.wait_for_url(f"{screen.base}/upload")

    screen.go(reverse("mfa_list_webauthn"))
    page.click("a:text('Remove')")
    page.click("button:text('Remove')")
    page.wait_for_selector("text=None yet")
    assert not Authenticator.objects.exists()
    assert screen.complaints == []


def test_an_answer_of_a_key_works_once(screen: Screen, security_key: None, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(reverse("mfa_add_webauthn"))
    page.click("button.primary")
    page.wait_for_url("**/codes")
    confirm = f"{reverse('mfa_reauthenticate_webauthn')}?next={reverse('upload')}"
    screen.go(confirm)
    with page.expect_request(lambda request: request.method == "POST") as posted:
        page.click("text=Use a security key")
    page.wait_for_url(f"{screen.base}/upload")
    answer = parse_qs(posted.value.post_data)["credential"][0]
    screen.go(confirm)
    page.evaluate("answer => { document.forms[0].elements.credential.value = answer; document.forms[0].submit(); }", answer)
    expect(page.locator(".messages .error")).to_contain_text("Incorrect")


def pages_of(screen: Screen, team: Team, alice: User) -> Iterator[str]:
    """Every page of accounts in turn, on the way of a person through them."""
    _, secret = invite(request=request_by(alice), team=team, role=Role.VIEWER, email=f"{'long' * 12}@{'x' * 60}.example")
    screen.go(reverse("account_login"))
    yield reverse("account_login")
    screen.go(reverse("invitation-open", args=[secret]))
    yield reverse("invitation")
    screen.sign_in(alice)
    yield from ("/account", "/team", "/account/sessions", "/account/second-factors", "/account/second-factors/keys")
    yield from ("/account/second-factors/keys/add", "/account/confirm", "/account/confirm/again", "/account/password")
    page = screen.go("/account")
    page.click("text=Make a token")
    page.wait_for_selector("text=Your new token")
    yield "made token"
    screen.go("/team")
    page.click("button:text('Invite')")
    page.wait_for_selector("text=Give this link")
    yield "made invitation"
    page = screen.go(reverse("mfa_activate_totp"))
    yield reverse("mfa_activate_totp")
    secret = re.search(r"<code>([A-Z2-7]{16,})</code>", page.content())[1]
    page.fill("[name=code]", code_of(secret))
    page.click("button.primary")
    page.wait_for_url("**/codes")
    yield from ("/account/second-factors/codes", "/account/second-factors", "/account/second-factors/codes/new")
    yield from ("/account/second-factors/app/remove", "/account/confirm/code")
    sign_out(page)
    give_password(screen)
    yield "second factor"
    yield from ("/login/inactive", "/single-sign-on/cancelled")


@BOTH_WIDTHS
def test_pages_of_accounts_fit_and_the_console_is_silent(screen: Screen, provider: Provider, team: Team, alice: User) -> None:
    for path in pages_of(screen, team, alice):
        if path.startswith("/"):
            screen.go(path)
        assert screen.overflow() <= 0, path
    assert screen.complaints == []


@BOTH_THEMES
def test_pages_of_accounts_are_accessible(screen: Screen, provider: Provider, team: Team, alice: User) -> None:
    for path in pages_of(screen, team, alice):
        if path.startswith("/"):
            screen.go(path)
        check_with_axe(screen, path)


@pytest.mark.parametrize("screen", [(390, "dark"), (1280, "light")], indirect=True, ids=["narrow and dark", "wide and light"])
def test_an_address_is_confirmed_and_a_password_chosen_by_mail(screen: Screen, alice: User, settings, monkeypatch) -> None:
    """The whole way, each page read by axe."""
    settings.MAIL_IS_SET_UP, settings.PUBLIC_URL = True, screen.base
    monkeypatch.setattr(tasks.mail_password_link, "delay", password_reset.mail_link)

    def reads_well(place: str) -> None:
        check_with_axe(screen, place)
        assert screen.overflow() <= 0, place

    def mailed_link() -> str:
        return re.search(r"https?://[^/\s]+(/\S+)", mail.outbox[-1].body)[1]

    screen.sign_in(alice)
    page = screen.go(reverse("account_email"))
    page.fill("[name=email]:visible", "alice-with-a-name-that-is-long@a-domain-that-is-long-too.shop.test")
    page.click("[name=action_add]")
    page.wait_for_selector("text=waits for you")
    reads_well("an address that waits")
    screen.go(mailed_link())
    reads_well("confirming an address")
    page.click("button.primary")
    page.wait_for_url("**/account")
    screen.go(reverse("account_email"))
    reads_well("a confirmed address")
    sign_out(page)

    screen.go(reverse("account_login"))
    page.click("text=Forgotten your password?")
    reads_well("a forgotten password")
    page.fill("[name=email]", "alice")
    page.click("button.primary")
    page.wait_for_url("**/sent")
    reads_well("a link is on its way")
    screen.go(mailed_link())
    reads_well("choosing a password")
    for field in ("password1", "password2"):
        page.fill(f"[name={field}]", "another horse battery staple")
    page.click("button.primary")
    page.wait_for_url("**/done")
    reads_well("a password was chosen")
    assert screen.complaints == []


@pytest.mark.parametrize(
    "made", ["document.createElement('script').src = '/login'", "document.createElement('script').text = '1'"]
)
def test_no_text_becomes_a_script(screen: Screen, made: str, alice: User) -> None:
    page = screen.go(reverse("account_login"))
    told = page.evaluate(f"() => {{ try {{ {made}; return 'made'; }} catch (error) {{ return error.name; }} }}")
    assert told == "TypeError"


def test_the_provider_is_reached_from_the_form(screen: Screen, provider: Provider, settings, team: Team) -> None:
    """The policy holds a form's redirect to ``form-action`` too: the provider's origin must be in it."""
    policy = {**settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]}
    policy["form-action"] = [*policy["form-action"], provider.issuer]
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": policy}
    page = screen.go(reverse("account_login"))
    page.click("text=Sign in with Shop")
    page.wait_for_selector("nav.rail")
    assert User.objects.get().username == "dora"
    assert screen.complaints == []
