"""Share links: what they show, and everything that ends them at the next request."""

from __future__ import annotations

import html
import logging
import re
import secrets
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from explorer.models import Analysis, AuditEntry, Dump, Membership, Role, ShareLink, State, Team, User
from explorer.models.team import keyed_hash
from explorer.services import shares
from explorer.services.shares import exchange
from tests.explorer.pages.test_who_sees_what import SECRETS
from tests.explorer.pages.test_who_sees_what import crashed as crashed
from tests.explorer.test_teams import request_by, signed_in
from tests.goals import Goals
from tests.stored_dumps import analysed_dump

GUESSES = 10_000
_MORE_GUESSES, _LOOKED_UP_AT_ONCE = 1_000_000, 10_000


#: Each scope, and one page of those that are many.
SHARED = ("summary", "stacks", "heap-shape", "finding:1", "thread:1")


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    return analysed_dump(team, bob)


def shared(user: User, dump: Dump, **wanted: str) -> str:
    """The path of a new link."""
    sent = {"scope": "summary", "days": "7", **wanted}
    page = signed_in(user).post(reverse("share-create", args=[dump.pk]), sent).content.decode()
    return re.search(r"http://testserver(/s/[\w-]{43})", page)[1]


def visit(path: str, client: Client | None = None) -> tuple[int, str]:
    response = (client or Client()).get(path, follow=True)
    return response.status_code, response.content.decode()


@pytest.mark.parametrize("scope", SHARED)
def test_a_link_shows_structure_to_whoever_has_it(crashed: Dump, alice: User, scope: str) -> None:
    path = shared(alice, crashed, scope=scope)
    client = Client()
    first = client.get(path)
    assert first.status_code == 302 and "/s/" not in first["Location"]
    page = client.get(first["Location"])
    link = ShareLink.objects.get()
    assert f"{link.scope}:{link.part}" == scope or (link.part, link.scope) == (None, scope)
    body = page.content.decode()
    assert page.status_code == 200 and crashed.name in body
    assert page["Referrer-Policy"] == first["Referrer-Policy"] == "no-referrer"
    assert "noindex" in page["X-Robots-Tag"] and "no-store" in page["Cache-Control"]
    assert "dumps/" not in body and str(crashed.pk) not in body, "no way on"
    assert not [secret for secret in SECRETS if secret in body]
    assert client.get(reverse("dump-overview", args=[crashed.pk])).status_code == 302, "the link signs nobody in"


@pytest.mark.parametrize(("page", "what"), [("dump-finding", "finding:1"), ("dump-thread", "thread:1")])
def test_one_page_is_shared_from_where_it_is(crashed: Dump, alice: User, carol: User, page: str, what: str) -> None:
    address = reverse(page, args=[crashed.pk, 1])
    body = signed_in(alice).get(address).content.decode()
    assert "share=" not in signed_in(carol).get(address).content.decode(), "viewers share nothing"
    form = signed_in(alice).get(html.unescape(re.search(r'href="([^"]*share=[^"]*)#shares"', body)[1])).content.decode()
    assert re.search(rf'<option value="{what}" selected>', form)


def revoke(link: ShareLink, dump: Dump, bob: User) -> None:
    signed_in(bob).post(reverse("share-end", args=[dump.pk, link.pk]))


def expire(link: ShareLink, dump: Dump, bob: User) -> None:
    ShareLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def lose_the_right(link: ShareLink, dump: Dump, bob: User) -> None:
    Membership.objects.filter(user=bob).update(role=Role.VIEWER)


def leave(link: ShareLink, dump: Dump, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)


def analyse_again(link: ShareLink, dump: Dump, bob: User) -> None:
    Analysis.objects.create(dump=dump, state=State.DONE)


def narrow(link: ShareLink, dump: Dump, bob: User) -> None:
    Dump.objects.update(uploaded_by=None)
    dump.only_people.add(User.objects.exclude(pk=bob.pk).first())


def delete(link: ShareLink, dump: Dump, bob: User) -> None:
    dump.delete()


ENDS: list[Callable[[ShareLink, Dump, User], None]] = [revoke, expire, lose_the_right, leave, analyse_again, narrow, delete]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_link_ends_at_the_next_request(dump: Dump, alice: User, bob: User, end, goals: Goals) -> None:
    """For those who opened it already, and for those who come with it."""
    path, client = shared(bob, dump), Client()
    status, _ = visit(path, client)
    link = ShareLink.objects.get()
    page = reverse("share", args=[link.pk])
    assert (status, client.get(page).status_code) == (200, 200)
    end(link, dump, bob)
    found = (client.get(page), Client().get(path), Client().get("/s/" + "x" * 43))
    goals.count("G17 share links that end at the next request", [one.status_code for one in found] == [404] * 3, 1)
    assert [one.status_code for one in found] == [404] * 3
    assert found[1].content == found[2].content, "gone looks like never been"


def test_the_number_of_views_is_kept(dump: Dump, bob: User) -> None:
    path = shared(bob, dump, most_views="2")
    first = Client()
    assert [visit(path, first)[0] for _ in range(3)] == [200, 200, 200], "one person who looks again is one view"
    assert [visit(path)[0] for _ in range(3)] == [200, 404, 404]
    assert ShareLink.objects.get().views == 2
    assert visit(reverse("share", args=[ShareLink.objects.get().pk]), first)[0] == 200
    assert AuditEntry.objects.filter(action="open_share").count() == 2


def test_a_link_may_ask_for_an_account(dump: Dump, bob: User, mallory: User) -> None:
    path = shared(bob, dump, sign_in_only="on")
    assert visit(path)[0] == 404
    assert visit(path, signed_in(mallory))[0] == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "values"},
        {"scope": "finding"},
        {"scope": "finding:99"},
        {"scope": "finding:0"},
        {"scope": "thread:-1"},
        {"scope": "thread:1x"},
        {"scope": "summary:1"},
        {"days": "8"},
        {"days": ""},
        {"most_views": "0"},
        {"most_views": "-1"},
        {"most_views": "9" * 12},
    ],
)
def test_odd_wishes_make_no_link(dump: Dump, bob: User, wrong: dict[str, str]) -> None:
    sent = {"scope": "summary", "days": "7", **wrong}
    assert signed_in(bob).post(reverse("share-create", args=[dump.pk]), sent).status_code == 302
    assert not ShareLink.objects.exists()


def test_the_secret_is_kept_nowhere(dump: Dump, bob: User, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        path = shared(bob, dump)
        client = Client()
        visit(path, client)
    secret, rows = path.removeprefix("/s/"), []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += map(str, cursor.fetchall())
    assert not [row for row in rows if secret in row]
    assert secret not in caplog.text.replace(f'"GET {path}', "")
    assert secret not in str(dict(client.session))


def test_guessing_finds_nothing(dump: Dump, bob: User, goals: Goals) -> None:
    secret = shared(bob, dump).removeprefix("/s/")
    request = request_by(bob)
    request.session = {}
    near = [secret[:-1] + ("A" if secret[-1] != "A" else "B"), secret[:-1], secret + "A", secret.swapcase(), ""]
    hits = sum(exchange(request, guess) is not None for guess in [*near, *(secrets.token_urlsafe(32) for _ in range(GUESSES))])
    goals.count("G17 guesses that found no link", GUESSES - hits, GUESSES)
    assert hits == 0
    assert exchange(request, secret) is not None


def test_a_million_guesses_meet_no_link(dump: Dump, bob: User, goals: Goals) -> None:
    """As the server looks them up, without the request around."""
    for _ in range(20):
        shared(bob, dump)
    hits = 0
    for _ in range(0, _MORE_GUESSES, _LOOKED_UP_AT_ONCE):
        digests = [keyed_hash("share", secrets.token_urlsafe(32)) for _ in range(_LOOKED_UP_AT_ONCE)]
        hits += ShareLink.objects.filter(digest__in=digests).count()
    goals.count("G17 guesses whose keyed hash is no link's", _MORE_GUESSES - hits, _MORE_GUESSES)
    assert hits == 0
    known = keyed_hash("share", shared(bob, dump).removeprefix("/s/"))
    assert ShareLink.objects.filter(digest__in=[known]).count() == 1


def test_links_of_others_are_not_ended(dump: Dump, bob: User, mallory: User, carol: User) -> None:
    shared(bob, dump)
    link = ShareLink.objects.get()
    theirs = analysed_dump(mallory.memberships.get().team, mallory)
    assert signed_in(mallory).post(reverse("share-end", args=[theirs.pk, link.pk])).status_code == 404
    assert signed_in(carol).post(reverse("share-end", args=[dump.pk, link.pk])).status_code == 403
    assert shares.DAYS[-1] <= 30
    assert ShareLink.objects.get().revoked_at is None
