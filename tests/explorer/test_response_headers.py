"""Headers of every answer; and that settings for an https:// server are the strict ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from explorer.models import User
from tests.explorer.served import clean_environment, run_python

SECURE = """
from django.conf import settings as s
from django.test import Client
answer = Client().get("/login", secure=True, headers={"host": "dumps.example.com"})
print(answer["Strict-Transport-Security"])
print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE)
print(Client().get("/login", headers={"host": "dumps.example.com"})["Location"])
print("https://login.example.com" in answer["Content-Security-Policy"].split("form-action")[1].split(";")[0])
"""


@pytest.mark.parametrize("path", ["/login", "/nowhere", "/healthz", "/"])
def test_every_answer_closes_what_browsers_leave_open(client: Client, db, path: str) -> None:
    answer = client.get(path)
    policy = dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";") if part.strip())
    assert (policy["default-src"], policy["script-src"], policy["base-uri"]) == ("'none'", "'self'", "'none'")
    assert (policy["frame-ancestors"], policy["form-action"]) == ("'none'", "'self'")
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "default")
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert (
        answer["Referrer-Policy"]
        == answer["Cross-Origin-Opener-Policy"]
        == answer["Cross-Origin-Resource-Policy"]
        == "same-origin"
    )
    assert {"camera=()", "usb=()", "publickey-credentials-get=(self)"} <= set(answer["Permissions-Policy"].split(", "))


def test_pages_of_a_person_are_not_kept(client: Client, bob: User) -> None:
    client.force_login(bob)
    for name in ("archive", "account", "team", "mfa_index"):
        assert "no-store" in client.get(reverse(name))["Cache-Control"]


def test_a_public_server_is_strict(tmp_path: Path) -> None:
    environment = clean_environment(
        tmp_path,
        EXPLORER_PUBLIC_URL="https://dumps.example.com",
        EXPLORER_ALLOWED_HOSTS="dumps.example.com",
        EXPLORER_OIDC_ISSUER="https://login.example.com/tenant",
        EXPLORER_OIDC_CLIENT_ID="x",
    )
    run_python("from django.core.management import call_command; call_command('migrate', verbosity=0)", environment)
    transport, cookies, redirected, provider = run_python(SECURE, environment).splitlines()
    assert transport == "max-age=31536000; includeSubDomains; preload"
    assert cookies == "True True True Lax"
    assert redirected == "https://dumps.example.com/login"
    assert provider == "True"
