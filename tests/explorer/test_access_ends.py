"""What is taken from somebody is gone at the next request, whatever the way, and in the middle of a download."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from explorer import long_answers
from explorer.long_answers import AccessEnded
from explorer.models import ApiToken, Dump, LentAccess, Membership, OriginalRequest, Role, Team, User
from tests.explorer.pages.visits import WHY
from tests.explorer.test_api_tokens import bearer
from tests.explorer.test_authentication import sign_in
from tests.explorer.test_originals import with_second_factor
from tests.explorer.test_shares import shared
from tests.goals import Goals
from tests.index_builder import HEAP_START, IndexSpec, TypeSpec, small_index
from tests.stored_dumps import analysed_dump, keep_original

GOAL = "G20 ways in that are closed at the next request, by what was taken away"
TYPES = 12_000
#: It goes out in several pieces.
CONTENT = b"\x7fELF" + bytes(3 << 20)


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    dump = analysed_dump(team, bob)
    keep_original(dump, CONTENT)
    return dump


@pytest.fixture
def long(team: Team, bob: User) -> Dump:
    """Its list of types takes several chunks."""
    types = [TypeSpec(f"Shop.Type{number}", 1, 24) for number in range(TYPES)]
    return analysed_dump(team, bob, "long.dmp", lambda directory: small_index(directory, IndexSpec(types=types)))


def ways(dump: Dump) -> dict[str, Callable[[Client], int]]:
    """Ways to a dump; each gives the status of one request."""

    def got(name: str, *arguments: object, **headers: str) -> Callable[[Client], int]:
        path, _, query = name.partition("?")
        return lambda client: client.get(f"{reverse(path, args=[dump.pk, *arguments])}?{query}", headers=headers).status_code

    return {
        "page": got("dump-types"),
        "overview": got("dump-overview"),
        "part": got("dump-types?view=tree", hx_request="true"),
        "masked part": got("dump-object-masked", f"{HEAP_START:x}", hx_request="true"),
        "CSV": got("dump-types?format=csv"),
        "JSON": got("dump-threads?format=json"),
        "command": got("dump-query?q=dumpheap -stat&format=text"),
        "chart": got("dump-retained"),
        "access": got("dump-access"),
        "values": lambda client: client.post(reverse("dump-object-values", args=[dump.pk, f"{HEAP_START:x}"]), WHY).status_code,
        "archive": lambda client: 200 if dump.name in client.get("/").content.decode() else 404,
    }


#: What a viewer keeps: structure.
OF_A_VIEWER = {"page", "overview", "part", "CSV", "JSON", "command", "chart", "access", "archive"}
PROGRAM = OF_A_VIEWER - {"access"}


def role_removed(user: User, dump: Dump) -> None:
    Membership.objects.filter(user=user).delete()


def role_narrowed(user: User, dump: Dump) -> None:
    Membership.objects.filter(user=user).update(role=Role.VIEWER)


def dump_narrowed(user: User, dump: Dump) -> None:
    dump.uploaded_by = None
    dump.save()
    dump.only_people.add(User.objects.get(username="alice"))


def session_revoked(user: User, dump: Dump) -> None:
    for session in UserSession.objects.filter(user=user):
        session.end()
    Session.objects.all().delete()


def account_disabled(user: User, dump: Dump) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def deleted(user: User, dump: Dump) -> None:
    Dump.objects.filter(pk=dump.pk).delete()


ENDS = (role_removed, role_narrowed, dump_narrowed, session_revoked, account_disabled, deleted)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_session_reaches_nothing_more(dump: Dump, bob: User, alice: User, end, goals: Goals) -> None:
    client, doors = sign_in("bob"), ways(dump)
    before = {name: way(client) for name, way in doors.items()}
    assert set(before.values()) == {200}, before
    end(bob, dump)
    left = OF_A_VIEWER if end is role_narrowed else set()
    open_now = {name for name, way in doors.items() if way(client) == 200}
    goals.count(GOAL, len(doors) - len(open_now ^ left), len(doors))
    assert open_now == left


def password_changed(user: User, dump: Dump) -> None:
    user.set_password("another long secret")
    user.save()


def token_revoked(user: User, dump: Dump) -> None:
    ApiToken.objects.all().delete()


def token_expired(user: User, dump: Dump) -> None:
    ApiToken.objects.update(expires_at=timezone.now())


@pytest.mark.parametrize(
    "end", [role_removed, account_disabled, token_revoked, token_expired, deleted], ids=lambda end: end.__name__
)
def test_a_token_reaches_nothing_more(dump: Dump, bob: User, end, goals: Goals) -> None:
    client = bearer(ApiToken.issue(bob, "x", may_upload=True, may_read=True)[1])
    doors = {name: way for name, way in ways(dump).items() if name in PROGRAM}
    doors["API"] = lambda client: 200 if client.post(
        reverse("uploads"), headers={"Upload-Length": "9", "Tus-Resumable": "1.0.0"}).status_code == 201 else 401  # fmt: skip
    before = {name: way(client) for name, way in doors.items()}
    assert set(before.values()) == {200}, before
    end(bob, dump)
    left = {"API"} if end is deleted else set()
    open_now = {name for name, way in doors.items() if way(client) == 200}
    goals.count(GOAL, len(doors) - len(open_now ^ left), len(doors))
    assert open_now == left


@pytest.mark.parametrize("end", [role_removed, role_narrowed, account_disabled, deleted], ids=lambda end: end.__name__)
def test_a_link_ends_with_its_makers_right(dump: Dump, bob: User, end, goals: Goals) -> None:
    clients = {scope: Client() for scope in ("summary", "stacks", "heap-shape", "thread:1")}
    links = {scope: shared(bob, dump, scope=scope) for scope in clients}
    pages = {scope: clients[scope].get(link)["Location"] for scope, link in links.items()}
    assert {clients[scope].get(page).status_code for scope, page in pages.items()} == {200}
    end(bob, dump)
    statuses = [clients[scope].get(page).status_code for scope, page in pages.items()]
    statuses += [Client().get(link).status_code for link in links.values()]
    goals.count(GOAL, statuses.count(404), len(statuses))
    assert set(statuses) == {404}


def test_lent_access_ends_with_its_hours(dump: Dump, alice: User, ada: User, goals: Goals) -> None:
    hour = timezone.now() + timedelta(hours=1)
    LentAccess.objects.create(team=dump.team, user=ada, explanation="an incident", granted_by=alice, expires_at=hour)
    client, doors = sign_in("ada"), ways(dump)
    assert {doors[name](client) for name in OF_A_VIEWER - {"archive"}} == {200}
    LentAccess.objects.update(expires_at=timezone.now())
    closed = sum(way(client) != 200 for way in doors.values())
    goals.count(GOAL, closed, len(doors))
    assert closed == len(doors)


def rest_of(chunks: Iterator[bytes], end: Callable[[], None]) -> bytes:
    """What still comes after the first chunk when ``end`` happens then."""
    next(chunks)
    end()
    found = b""
    with pytest.raises(AccessEnded):
        for chunk in chunks:
            found += chunk
    return found


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_download_under_way_is_cut(long: Dump, bob: User, alice: User, end, goals: Goals, monkeypatch) -> None:
    monkeypatch.setattr(long_answers, "_SECONDS", 0.0)
    client = sign_in("bob")
    answer = client.get(reverse("dump-types", args=[long.pk]), {"format": "csv"})
    rest = rest_of(iter(answer), lambda: end(bob, long))
    goals.count(GOAL, int(not rest), 1)
    assert rest == b""
    other = client.get(reverse("dump-types", args=[long.pk]), {"format": "csv"})
    assert (other.status_code == 200) == (end is role_narrowed)


@pytest.mark.parametrize("end", [role_removed, session_revoked, account_disabled, password_changed], ids=lambda end: end.__name__)
@pytest.mark.parametrize("path", ["archive", "audit"])
def test_a_list_under_way_is_cut(path: str, long: Dump, bob: User, alice: User, end, goals: Goals, monkeypatch) -> None:
    monkeypatch.setattr(long_answers, "_SECONDS", 0.0)
    answer = sign_in("bob").get(reverse(path), {"format": "csv"})
    rest = rest_of(iter(answer), lambda: end(bob, long))
    goals.count(GOAL, int(not rest), 1)
    assert rest == b""


def test_a_scrubbed_copy_is_cut_off_in_the_middle(dump: Dump, bob: User, goals: Goals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_answers, "_SECONDS", 0.0)
    monkeypatch.setattr("explorer.views.scrubbed._PIECE_BYTES", len(CONTENT) // 4)
    copy = dump.directory / "copy"
    copy.write_bytes(CONTENT)
    monkeypatch.setattr("explorer.services.scrubbed.take", lambda **_: copy)
    client, take = sign_in("bob"), reverse("dump-scrubbed", args=[dump.pk])
    assert b"".join(client.post(take)) == CONTENT
    rest = rest_of(iter(client.post(take)), lambda: role_removed(bob, dump))
    goals.count(GOAL, int(not rest), 1)
    assert rest == b""


def test_a_program_is_cut_off_in_the_middle(long: Dump, bob: User, goals: Goals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_answers, "_SECONDS", 0.0)
    client = bearer(ApiToken.issue(bob, "x", may_upload=True, may_read=True)[1])
    answer = client.get(reverse("dump-types", args=[long.pk]), {"format": "csv"})
    rest = rest_of(iter(answer), lambda: token_revoked(bob, long))
    goals.count(GOAL, int(not rest), 1)
    assert rest == b""


@pytest.mark.parametrize("end", [*ENDS, None], ids=lambda end: end.__name__ if end else "grant_ended")
def test_the_original_is_cut_off_in_the_middle(dump: Dump, alice: User, erin: User, end, goals: Goals, monkeypatch) -> None:
    monkeypatch.setattr(long_answers, "_SECONDS", 0.0)
    client, hour = with_second_factor("erin"), timezone.now() + timedelta(hours=1)
    OriginalRequest.objects.create(dump=dump, asked_by=erin, explanation="x", granted_by=alice, expires_at=hour)
    take = reverse("dump-original", args=[dump.pk])
    assert b"".join(client.post(take, WHY)) == CONTENT
    rest = rest_of(iter(client.post(take, WHY)), lambda: end(erin, dump) if end else dump.original_requests.all().delete())
    goals.count(GOAL, int(not rest), 1)
    assert rest == b""
