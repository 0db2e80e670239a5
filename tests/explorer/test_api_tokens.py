"""Tokens for programs: what they reach, and that they end with their owner's rights."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse
from django.utils import timezone

from explorer.models import ApiToken, Dump, Membership, Role, Team, User
from tests.explorer.test_authentication import age_proofs, sign_in
from tests.stored_dumps import analysed_dump

ALL = {"name": "nightly", "days": "30", "may_upload": "on", "may_read": "on"}


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    return analysed_dump(team, bob)


def program(user: User, **scope: bool) -> Client:
    return bearer(ApiToken.issue(user, "program", **{"may_upload": True, "may_read": True, **scope})[1])


def bearer(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})


def begin_upload(client: Client) -> int:
    return client.post("/api/uploads/", headers={"Upload-Length": "10", "Tus-Resumable": "1.0.0"}).status_code


def test_a_token_is_shown_once_and_kept_as_a_keyed_hash(bob: User) -> None:
    client = sign_in("bob")
    made = client.post(reverse("token-create"), {**ALL, "name": "nightly\0"})
    assert "no-store" in made["Cache-Control"]
    secret = re.search(r"dex_[\w-]{40,}", made.content.decode())[0]
    assert secret not in client.get(reverse("account")).content.decode()
    token = ApiToken.objects.get()
    assert (token.name, token.may_upload, token.may_read) == ("nightly", True, True)
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)
    assert secret.startswith(token.prefix)
    kept = " ".join(map(str, ApiToken.objects.values_list().get()))
    assert secret not in kept
    assert hashlib.sha256(secret.encode()).hexdigest() not in kept, "the database alone would be enough to test a guess"
    assert bearer(secret).get(reverse("archive")).status_code == 200
    token.refresh_from_db()
    assert token.last_used_at is not None


@pytest.mark.parametrize("wrong", [{"days": "4000"}, {"days": ""}, {"may_upload": None, "may_read": None}])
def test_a_token_needs_an_end_and_a_purpose(bob: User, wrong: dict[str, str | None]) -> None:
    sent = {key: value for key, value in {**ALL, **wrong}.items() if value is not None}
    assert sign_in("bob").post(reverse("token-create"), sent)["Location"] == reverse("account")
    assert not ApiToken.objects.exists()


def test_a_token_needs_a_fresh_sign_in(bob: User) -> None:
    client = sign_in("bob")
    age_proofs(client, 31 * 60)
    assert client.post(reverse("token-create"), ALL)["Location"].startswith(reverse("account_reauthenticate"))
    assert not ApiToken.objects.exists()


def test_a_token_does_what_it_is_for(bob: User, dump: Dump) -> None:
    types = f"{reverse('dump-types', args=[dump.pk])}?format=csv"
    both, uploads, reads = program(bob), program(bob, may_read=False), program(bob, may_upload=False)
    assert (begin_upload(both), both.get(types).status_code) == (201, 200)
    assert (begin_upload(uploads), uploads.get(types).status_code) == (201, 403)
    assert (begin_upload(reads), reads.get(types).status_code) == (403, 200)


def test_a_token_reaches_nothing_but_dumps(bob: User, dump: Dump) -> None:
    """Every address, asked with a token that has every scope."""
    client, reached = program(bob), set()
    patterns: list[URLPattern] = get_resolver().url_patterns
    for pattern in patterns:
        values = {name: (dump.pk if name.endswith("_id") else 1) for name in pattern.pattern.converters}
        values |= {
            name: 1 for name in ("type_id", "managed_id", "os_id", "membership_id", "lent_id", "request_id") if name in values
        }
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if client.generic(method, reverse(pattern.name, kwargs=values)).status_code != 403:
                reached.add((method, pattern.name))
    names = {name for _, name in reached}
    assert {name for name in names if not name.startswith("dump-")} == {"archive", "uploads", "upload-one"}
    assert {method for method, name in reached if name.startswith("dump-") or name == "archive"} == {"GET"}
    assert Dump.objects.count() == 1


def test_a_token_never_reaches_more_than_its_owner(carol: User, mallory: User, dump: Dump) -> None:
    page = reverse("dump-types", args=[dump.pk])
    assert program(mallory).get(page).status_code == 404
    assert program(carol).get(page).status_code == 404, "a program sees its person's own uploads only"
    assert begin_upload(program(carol)) == 403


def test_a_program_sees_structure_of_its_own_uploads(bob: User, alice: User, dump: Dump) -> None:
    types, stranger = reverse("dump-modules", args=[dump.pk]), program(alice)
    assert stranger.get(types).status_code == 404 and stranger.get(reverse("archive")).status_code == 200
    assert dump.name not in stranger.get(reverse("archive")).content.decode()
    by_program, by_person = (client.get(types).content.decode() for client in (program(bob), sign_in("bob")))
    assert "/usr/" not in by_program or "/usr/" in by_person


def lose_the_role(bob: User) -> None:
    Membership.objects.get(user=bob).delete()


def close_the_account(bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)


def demand_a_password(bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(must_change_password=True)


@pytest.mark.parametrize(
    ("end", "by_session", "by_token"),
    [(lose_the_role, 404, 404), (close_the_account, 302, 401), (demand_a_password, 302, 401)],
    ids=["role", "account", "password"],
)
def test_what_is_taken_away_is_gone_at_the_next_request(bob: User, dump: Dump, end, by_session: int, by_token: int) -> None:
    page = reverse("dump-types", args=[dump.pk])
    session, token = sign_in("bob"), program(bob)
    assert (session.get(page).status_code, token.get(page).status_code, begin_upload(token)) == (200, 200, 201)
    end(bob)
    assert (session.get(page).status_code, token.get(page).status_code) == (by_session, by_token)
    assert begin_upload(token) in (401, 403)


def test_a_lesser_role_reaches_less_at_the_next_request(bob: User) -> None:
    token = program(bob)
    assert begin_upload(token) == 201
    Membership.objects.filter(user=bob).update(role=Role.VIEWER)
    assert begin_upload(token) == 403


def test_a_revoked_expired_or_unknown_token_is_nobody(alice: User, bob: User) -> None:
    token, secret = ApiToken.issue(bob, "nightly", may_read=True)
    archive = reverse("archive")
    assert bearer(secret).get(archive).status_code == 200
    assert bearer(secret + "x").get(archive).status_code == bearer("").get(archive).status_code == 401
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert bearer(secret).get(archive).status_code == 401
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    assert sign_in("alice").post(reverse("token-revoke", args=[token.pk])).status_code == 404
    assert bearer(secret).get(archive).status_code == 200
    assert sign_in("bob").post(reverse("token-revoke", args=[token.pk])).status_code == 302
    assert bearer(secret).get(archive).status_code == 401


def test_a_bad_token_does_not_fall_back_to_a_session(bob: User) -> None:
    client = sign_in("bob")
    assert client.get(reverse("archive"), headers={"Authorization": "Bearer dex_no"}).status_code == 401
