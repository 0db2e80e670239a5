"""Who gets what at every address: a new address without a line in the table fails."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from django.http import HttpRequest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from explorer import permissions
from explorer.access import subject_of, viewer_of
from explorer.models import ApiToken, Dump, Membership, Role, SavedQuery, SymbolFile, Team, Upload, User
from explorer.queries import dumps_visible_to, teams_for_upload
from explorer.services.invitations import invite
from explorer.services.uploads import Labels, create_upload
from tests.execution_builder import LOCKS_AT
from tests.index_builder import HEAP_START
from tests.stored_dumps import analysed_dump

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SIGN_IN, REFUSED, FORBIDDEN, ABSENT, WRONG_METHOD, UNKNOWN_PERSON = "sign in", 400, 403, 404, 405, 401


@dataclass(frozen=True)
class Line:
    """Expected answers of one address by person; methods not named are not allowed for those who may come in."""

    anonymous: dict[str, object]
    alice: dict[str, object]
    bob: dict[str, object]
    carol: dict[str, object]
    mallory: dict[str, object]


def same(**answers: object) -> Line:
    """For everybody who is signed in."""
    return Line({}, answers, answers, answers, answers)


READ = Line({}, {"GET": 200}, {"GET": 200}, {"GET": 200}, {"GET": ABSENT})
ACT = Line({}, {"POST": 302}, {"POST": 302}, {"POST": FORBIDDEN}, {"POST": ABSENT})
LEADS = Line({}, {"POST": 302}, {"POST": FORBIDDEN}, {"POST": FORBIDDEN}, {"POST": ABSENT})
UNKNOWN = dict.fromkeys(METHODS, UNKNOWN_PERSON)
#: The upload is bob's; a POST without a length is refused before anything else is looked at.
OWN_UPLOAD = Line(
    UNKNOWN,
    {"HEAD": ABSENT, "PATCH": ABSENT, "DELETE": ABSENT},
    {"HEAD": 200, "PATCH": 415, "DELETE": 204},
    {"HEAD": ABSENT, "PATCH": ABSENT, "DELETE": ABSENT},
    {"HEAD": ABSENT, "PATCH": ABSENT, "DELETE": ABSENT},
)
TO_SIGN_IN = dict.fromkeys(METHODS, 302)
#: To another way of confirming who one is: these people have no second factor, and their sign-in is not on record.
LED_AWAY = same(**TO_SIGN_IN)
TABLE: dict[str, Line] = {
    "archive": same(GET=200),
    "upload": same(GET=200),
    "sample": same(POST=302),
    "account_login": Line({"GET": 200, "HEAD": 200, "POST": 200, "PUT": 200}, *[dict.fromkeys(METHODS, 302)] * 4),
    "account_logout": Line({"POST": 302}, *[{"POST": 302}] * 4),
    "mfa_authenticate": Line(TO_SIGN_IN, *[TO_SIGN_IN] * 4),
    "account_inactive": Line({"GET": 200, "HEAD": 200}, *[{"GET": 200, "HEAD": 200}] * 4),
    "openid_connect_login": Line({"POST": ABSENT}, *[{"POST": ABSENT}] * 4),
    "openid_connect_callback": Line({"GET": ABSENT}, *[{"GET": ABSENT}] * 4),
    "socialaccount_login_cancelled": Line({"GET": 200, "HEAD": 200}, *[{"GET": 200, "HEAD": 200}] * 4),
    "account_reauthenticate": same(GET=200, HEAD=200, POST=200, PUT=200),
    "sign-in-again": same(GET=200),
    "mfa_reauthenticate": LED_AWAY,
    "mfa_reauthenticate_webauthn": LED_AWAY,
    "mfa_index": same(GET=200, HEAD=200),
    "mfa_activate_totp": LED_AWAY,
    "mfa_deactivate_totp": LED_AWAY,
    "mfa_view_recovery_codes": LED_AWAY,
    "mfa_generate_recovery_codes": LED_AWAY,
    "mfa_list_webauthn": same(GET=200, HEAD=200),
    "mfa_add_webauthn": LED_AWAY,
    "mfa_remove_webauthn": LED_AWAY,
    "usersessions_list": same(GET=200, HEAD=200, POST=302, PUT=302),
    "account": same(GET=200),
    "password-change": same(GET=200, POST=200),
    "token-create": same(POST=302),
    "invitation-create": Line({}, {"POST": 302}, {"POST": FORBIDDEN}, {"POST": FORBIDDEN}, {"POST": ABSENT}),
    "invitation-revoke": LEADS,
    "invitation": Line({"GET": ABSENT, "POST": ABSENT}, *[{"GET": ABSENT, "POST": ABSENT}] * 4),
    "invitation-open": Line({"GET": ABSENT}, *[{"GET": ABSENT}] * 4),
    "token-revoke": Line({}, {"POST": ABSENT}, {"POST": 302}, {"POST": ABSENT}, {"POST": ABSENT}),
    "team": same(GET=200),
    "member-add": LEADS,
    "member-remove": LEADS,
    "symbols": READ,
    "symbols-upload": ACT,
    "symbols-delete": ACT,
    "healthz": Line({"GET": 200}, *[{"GET": 200}] * 4),
    "dump-overview": READ,
    "dump-coverage": READ,
    "dump-types": READ,
    "dump-type": READ,
    "dump-gc": READ,
    "dump-object": READ,
    "dump-object-values": Line({}, {"POST": 200}, {"POST": 200}, {"POST": FORBIDDEN}, {"POST": ABSENT}),
    "dump-retained": READ,
    "dump-roots": READ,
    "dump-strings": READ,
    "dump-compare-choose": READ,
    "dump-compare": READ,
    "dump-query": READ,
    "dump-query-save": Line({}, {"POST": 302}, {"POST": 302}, {"POST": 302}, {"POST": ABSENT}),
    "dump-query-delete": Line({}, {"POST": 302}, {"POST": 302}, {"POST": FORBIDDEN}, {"POST": ABSENT}),
    "dump-modules": READ,
    "dump-threads": READ,
    "dump-thread": READ,
    "dump-native-thread": Line({}, *[{"GET": ABSENT}] * 4),
    "dump-registers": Line({}, {"POST": 200}, {"POST": 200}, {"POST": FORBIDDEN}, {"POST": ABSENT}),
    "dump-stacks": READ,
    "dump-locks": READ,
    "dump-lock": READ,
    "dump-findings": READ,
    "dump-finding": READ,
    "dump-crash": READ,
    "dump-rerun": ACT,
    "dump-cancel": ACT,
    "dump-delete": ACT,
    "uploads": Line(UNKNOWN, *[{"POST": REFUSED}] * 4),
    "upload-one": OWN_UPLOAD,
}  # fmt: skip
ADDRESSES: list[URLPattern] = list(get_resolver().url_patterns)
EXEMPT = {
    "account_login", "account_logout", "mfa_authenticate", "account_inactive",
    "openid_connect_login", "openid_connect_callback", "socialaccount_login_cancelled",
    "invitation", "invitation-open", "healthz", "uploads", "upload-one",
}  # fmt: skip


@pytest.fixture
def world(team, other_team, alice: User, bob: User, carol: User, mallory: User) -> dict[str, object]:
    dump = analysed_dump(team, bob)
    upload = create_upload(user=bob, team=team, name="x", length=100, labels=Labels())
    token, _ = ApiToken.issue(bob, "x")
    return {
        "dump_id": dump.pk,
        "upload_id": upload.pk,
        "token_id": token.pk,
        "team_id": team.pk,
        "symbols_id": SymbolFile.objects.create(team=team, pdb_id="x,1", file_name="x", size_bytes=1, uploaded_by=bob).pk,
        "membership_id": Membership.objects.get(user=carol).pk,
        "type_id": 0,
        "managed_id": 1,
        "os_id": 1,
        "address": f"{LOCKS_AT:x}",
        "other_id": dump.pk,
        "object_address": f"{HEAP_START:x}",
        "number": 1,
        "invitation_id": invite(team=team, by=alice, role=Role.VIEWER)[0].pk,
        "secret": "none",
        "provider_id": "none",
        "pk": 1,
        "query_id": SavedQuery.objects.create(team=team, owner=bob, name="x", text="help", shared=True).pk,
    }


def address_of(pattern: URLPattern, world: dict[str, object]) -> str:
    return reverse(pattern.name, kwargs={name: world[name] for name in pattern.pattern.converters})


def test_every_address_has_a_line() -> None:
    assert all(isinstance(pattern, URLPattern) for pattern in ADDRESSES)
    assert {pattern.name for pattern in ADDRESSES} == set(TABLE)


@pytest.mark.parametrize("person", ["anonymous", "alice", "bob", "carol", "mallory"])
@pytest.mark.parametrize("pattern", ADDRESSES, ids=lambda pattern: pattern.name)
def test_the_table(pattern: URLPattern, person: str, world: dict[str, object]) -> None:
    address = address_of(pattern, world)
    expected, found = {}, {}
    for method in METHODS:
        client = Client()
        if person != "anonymous":
            client.force_login(User.objects.get(username=person))
        response = client.generic(method, address)
        led_to_sign_in = response.status_code == 302 and response["Location"] == f"{reverse('account_login')}?next={address}"
        found[method] = SIGN_IN if led_to_sign_in else response.status_code
        closed = SIGN_IN if person == "anonymous" and pattern.name not in EXEMPT else WRONG_METHOD
        expected[method] = getattr(TABLE[pattern.name], person).get(method, closed)
    assert found == expected


def test_only_signing_in_health_and_uploads_are_open() -> None:
    assert {pattern.name for pattern in ADDRESSES if not getattr(pattern.callback, "login_required", True)} == EXEMPT


@pytest.mark.parametrize("pattern", [p for p in ADDRESSES if "dump_id" in p.pattern.converters], ids=lambda p: p.name)
def test_a_stranger_cannot_tell_a_dump_from_none(pattern: URLPattern, mallory: User, world: dict[str, object]) -> None:
    client = Client()
    client.force_login(mallory)
    method = "POST" if "POST" in TABLE[pattern.name].alice else "GET"
    there = client.generic(method, address_of(pattern, world))
    absent = client.generic(method, address_of(pattern, {**world, "dump_id": uuid.uuid4()}))
    assert there.status_code == absent.status_code == 404
    assert there.content.replace(str(world["dump_id"]).encode(), b"") == absent.content.replace(
        absent.request["PATH_INFO"].split("/")[2].encode(), b""
    )
    assert Dump.objects.count() == 1


def test_an_analyst_deletes_only_own_dumps(team, alice: User, bob: User) -> None:
    dump = analysed_dump(team, alice)
    client = Client()
    client.force_login(bob)
    assert client.post(reverse("dump-delete", args=[dump.pk])).status_code == 403
    client.force_login(alice)
    assert client.post(reverse("dump-delete", args=[dump.pk])).status_code == 302
    assert not Dump.objects.exists()
    assert not dump.directory.exists()


@pytest.mark.parametrize("pattern", ADDRESSES, ids=lambda pattern: pattern.name)
def test_a_one_time_password_opens_only_its_page(pattern: URLPattern, bob: User, world: dict[str, object]) -> None:
    User.objects.update(must_change_password=True)
    client = Client()
    client.force_login(bob)
    for method in METHODS:
        response = client.generic(method, address_of(pattern, world))
        if pattern.name not in ("password-change", "account_logout"):
            assert (response.status_code, response["Location"]) == (302, reverse("password-change"))
        else:
            assert response.status_code in (200, 302, 405)
    assert Upload.objects.count() == Dump.objects.count() == 1


def test_an_analyst_deletes_only_own_pdbs(team, alice: User, bob: User, world: dict[str, object]) -> None:
    SymbolFile.objects.update(uploaded_by=alice)
    client = Client()
    client.force_login(bob)
    address = reverse("symbols-delete", args=[team.pk, world["symbols_id"]])
    assert client.post(address).status_code == 403
    client.force_login(alice)
    assert client.post(address).status_code == 302
    assert not SymbolFile.objects.exists()


memberships = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(Role)), max_size=9)


class RulesAgree(TestCase):
    """What one dump's rule says is what lists show."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows=memberships, owners=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=4))
    def test_on_any_memberships(self, rows: list, owners: list) -> None:
        people = [User.objects.create(username=f"p{n}") for n in range(3)]
        teams = [Team.objects.create(name=f"t{n}") for n in range(3)]
        for person, team, role in {(person, team): (person, team, role) for person, team, role in rows}.values():
            Membership.objects.create(user=people[person], team=teams[team], role=role)
        for number, (team, person) in enumerate(owners):
            fields = {"name": "d", "original_name": "d", "sha256": str(number), "size_bytes": 1}
            Dump.objects.create(team=teams[team], uploaded_by=people[person], **fields)
        for person in people:
            viewer = viewer_of(person)
            visible = list(dumps_visible_to(person))
            assert len(visible) == len(set(visible))
            for dump in Dump.objects.all():
                subject = subject_of(dump)
                seen = permissions.can_view(viewer, subject)
                assert seen == (dump in visible)
                assert seen or not (permissions.can_analyse(viewer, subject) or permissions.can_delete(viewer, subject))
            for team in teams:
                assert permissions.can_upload(viewer, team.pk) == teams_for_upload(person).filter(pk=team.pk).exists()
                assert permissions.can_upload(viewer, team.pk) or not permissions.can_manage_members(viewer, team.pk)


def test_nobody_signed_in_sees_nothing(client: Client, world: dict[str, object]) -> None:
    from django.contrib.auth.models import AnonymousUser

    request = HttpRequest()
    request.user = AnonymousUser()
    assert not dumps_visible_to(request.user).exists()
    assert not teams_for_upload(request.user).exists()
    assert viewer_of(request.user).roles == {}
