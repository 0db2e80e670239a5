"""Who gets what at every address: a new address without a line in the table fails."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from explorer import permissions
from explorer.models import (
    ApiToken,
    Dump,
    LentAccess,
    Membership,
    Note,
    OriginalRequest,
    Role,
    SavedQuery,
    SavedView,
    ShareLink,
    SymbolFile,
    Team,
    Upload,
    User,
)
from explorer.models.team import keyed_hash
from explorer.queries import dumps_visible_to, teams_for_upload, trash_visible_to
from explorer.services.invitations import invite
from explorer.services.uploads import Labels, create_upload
from explorer.viewers import subject_of, viewer_of
from tests.execution_builder import LOCKS_AT
from tests.explorer.test_teams import request_by
from tests.goals import Goals
from tests.index_builder import HEAP_START
from tests.stored_dumps import analysed_dump

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SIGN_IN, REFUSED, FORBIDDEN, ABSENT, WRONG_METHOD, UNKNOWN_PERSON = "sign in", 400, 403, 404, 405, 401


#: Who asks, and the user of the cast.
PEOPLE = {
    "lead": "alice", "protected": "erin", "analyst": "bob", "viewer": "carol", "stranger": "mallory", "auditor": "oscar",
    "administrator": "ada", "superuser": "sue",
}  # fmt: skip
#: Beside people: nobody, somebody with a share link of the dump, and a program with a token of the analyst.
PRINCIPALS = ("anonymous", "guest", "token", *PEOPLE)
GUESTS_SECRET = "g" * 43
Answers = Mapping[str, object]


@dataclass(frozen=True)
class Line:
    """Expected answers of one address by who asks, status by method; what is not named is not allowed for those who may come in.

    Who is not in the team (``outside``) gets one answer unless the line says otherwise; a superuser is nobody special.
    """

    anonymous: Answers
    lead: Answers
    analyst: Answers
    viewer: Answers
    outside: Answers
    protected: Answers | None = None
    auditor: Answers | None = None
    administrator: Answers | None = None

    def of(self, principal: str) -> Answers:
        if principal in ("stranger", "superuser"):
            return self.outside
        found = getattr(self, principal)
        if found is None:
            return self.analyst if principal == "protected" else self.outside
        return found


def same(**answers: object) -> Line:
    """For everybody who is signed in."""
    return Line({}, answers, answers, answers, answers)


def posted(lead: object, analyst: object, viewer: object, outside: object = ABSENT, **others: object) -> Line:
    """Answers to a POST."""
    return Line(
        {}, *({"POST": one} for one in (lead, analyst, viewer, outside)), **{who: {"POST": one} for who, one in others.items()}
    )


READ = Line({}, {"GET": 200}, {"GET": 200}, {"GET": 200}, {"GET": ABSENT})
ACT = posted(302, 302, FORBIDDEN)
#: What leads do with their team, and administrators with every team.
LEADS = posted(302, FORBIDDEN, FORBIDDEN, administrator=302)
LEADS_OF_THE_DUMP = posted(302, FORBIDDEN, FORBIDDEN)
#: Nobody here has proved lately who they are: who may look is led to where that is done.
VALUES = posted(302, 302, FORBIDDEN)
RAW = posted(302, FORBIDDEN, FORBIDDEN, protected=302)
ADMINISTRATORS = posted(FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, administrator=302)
UNKNOWN = dict.fromkeys(METHODS, UNKNOWN_PERSON)
#: The upload is bob's; a POST without a length is refused before anything else is looked at.
OWN_UPLOAD = Line(
    UNKNOWN,
    {"HEAD": ABSENT, "PATCH": ABSENT, "DELETE": ABSENT},
    {"HEAD": 200, "PATCH": 415, "DELETE": 204},
    {"HEAD": ABSENT, "PATCH": ABSENT, "DELETE": ABSENT},
    {"HEAD": ABSENT, "PATCH": ABSENT, "DELETE": ABSENT},
    protected={"HEAD": ABSENT, "PATCH": ABSENT, "DELETE": ABSENT},
)
TO_SIGN_IN = dict.fromkeys(METHODS, 302)
#: To another way of confirming who one is: these people have no second factor, and their sign-in is not on record.
LED_AWAY = same(**TO_SIGN_IN)
TABLE: dict[str, Line] = {
    "archive": same(GET=200),
    "search": same(GET=200),
    "search-names": same(GET=200),
    "view-save": same(POST=302),
    "view-delete": posted(302, 302, FORBIDDEN, protected=FORBIDDEN),
    "upload": same(GET=200),
    "sample": same(POST=302),
    "account_login": Line({"GET": 200, "HEAD": 200, "POST": 200, "PUT": 200}, *[dict.fromkeys(METHODS, 302)] * 4),
    "account_logout": Line({"POST": 302}, *[{"POST": 302}] * 4),
    "mfa_authenticate": Line(TO_SIGN_IN, *[TO_SIGN_IN] * 4),
    "account_inactive": Line({"GET": 200, "HEAD": 200}, *[{"GET": 200, "HEAD": 200}] * 4),
    "openid_connect_login": Line({"POST": ABSENT}, *[{"POST": ABSENT}] * 4),
    "openid_connect_callback": Line({"GET": ABSENT}, *[{"GET": ABSENT}] * 4),
    "socialaccount_login_cancelled": Line({"GET": 200, "HEAD": 200}, *[{"GET": 200, "HEAD": 200}] * 4),
    "account_reset_password": Line({"GET": 200, "POST": 200}, *[{"GET": 200, "POST": 200}] * 4),
    "account_reset_password_done": Line({"GET": 200}, *[{"GET": 200}] * 4),
    "account_reset_password_from_key": Line({"GET": 200, "POST": 200}, *[{"GET": 200, "POST": 200}] * 4),
    "account_reset_password_from_key_done": Line({"GET": 200}, *[{"GET": 200}] * 4),
    "account_email": same(GET=302, POST=302),
    "account_confirm_email": same(GET=ABSENT, POST=ABSENT),
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
    "invitation-create": LEADS,
    "invitation-revoke": LEADS,
    "invitation": Line({"GET": ABSENT, "POST": ABSENT}, *[{"GET": ABSENT, "POST": ABSENT}] * 4),
    "invitation-open": Line({"GET": ABSENT}, *[{"GET": ABSENT}] * 4),
    "token-revoke": posted(ABSENT, 302, ABSENT, protected=ABSENT),
    "team": same(GET=200),
    "team-create": ADMINISTRATORS,
    "member-add": LEADS,
    "member-propose": LEADS,
    "team-archive": LEADS,
    "access-ask": posted(FORBIDDEN, FORBIDDEN, FORBIDDEN, administrator=302),
    "access-lend": posted(302, FORBIDDEN, FORBIDDEN, administrator=FORBIDDEN),
    "member-remove": LEADS,
    "symbols": READ,
    "symbols-upload": ACT,
    "symbols-delete": posted(302, 302, FORBIDDEN, protected=FORBIDDEN),
    "healthz": Line({"GET": 200}, *[{"GET": 200}] * 4),
    "dump-overview": READ,
    "dump-coverage": READ,
    "dump-types": READ,
    "dump-type": READ,
    "dump-gc": READ,
    "dump-object": READ,
    "dump-object-values": VALUES,
    "dump-object-masked": Line({}, {"GET": 200}, {"GET": 200}, {"GET": FORBIDDEN}, {"GET": ABSENT}),
    "dump-memory": RAW,
    "dump-retained": READ,
    "dump-roots": READ,
    "dump-strings": READ,
    "dump-strings-search": posted(302, FORBIDDEN, FORBIDDEN, protected=302),
    "dump-compare-choose": READ,
    "dump-compare": READ,
    "dump-query": READ,
    "dump-query-save": Line({}, {"POST": 302}, {"POST": 302}, {"POST": 302}, {"POST": ABSENT}),
    "dump-query-delete": posted(302, 302, FORBIDDEN, protected=FORBIDDEN),
    "dump-modules": READ,
    "dump-threads": READ,
    "dump-thread": READ,
    "dump-native-thread": Line({}, *[{"GET": ABSENT}] * 4),
    "dump-registers": VALUES,
    "dump-stacks": READ,
    "dump-locks": READ,
    "dump-lock": READ,
    "dump-findings": READ,
    "dump-finding": READ,
    "dump-crash": READ,
    "dump-rerun": ACT,
    "dump-cancel": ACT,
    "dump-delete": posted(302, 302, FORBIDDEN, protected=FORBIDDEN),
    "dump-found": Line({}, *[{"GET": 302}] * 3, {"GET": ABSENT}),
    "dump-notes": READ,
    "dump-note-add": posted(302, 302, 302),
    "dump-note-edit": posted(FORBIDDEN, 302, FORBIDDEN, protected=FORBIDDEN),
    "dump-note-delete": posted(302, 302, FORBIDDEN, protected=FORBIDDEN),
    "dump-case": ACT,
    "dump-access": READ,
    "dump-narrow": LEADS_OF_THE_DUMP,
    "dump-scrubbed": posted(ABSENT, ABSENT, FORBIDDEN),
    "dump-scrubbed-make": ACT,
    "dump-scrubbed-certificate": Line({}, {"GET": ABSENT}, {"GET": ABSENT}, {"GET": FORBIDDEN}, {"GET": ABSENT}),
    "dump-original": RAW,
    "dump-original-ask": RAW,
    "dump-original-grant": RAW,
    "share-create": ACT,
    "share-end": ACT,
    "share-open": Line({"GET": ABSENT}, *[{"GET": ABSENT}] * 4),
    "share": Line({"GET": ABSENT}, *[{"GET": ABSENT}] * 4),
    "trash": Line({}, {"GET": 200}, {"GET": 200}, {"GET": FORBIDDEN}, {"GET": ABSENT}, protected={"GET": FORBIDDEN}),
    "trash-empty": LEADS_OF_THE_DUMP,
    "trash-restore": posted(302, 302, ABSENT, protected=ABSENT),
    "trash-purge": posted(302, FORBIDDEN, ABSENT, protected=ABSENT),
    "team-keeping": LEADS,
    "team-quota": posted(FORBIDDEN, FORBIDDEN, FORBIDDEN, administrator=302),
    "team-remove": posted(FORBIDDEN, FORBIDDEN, FORBIDDEN, administrator=302),
    "holds": Line({}, *[{"GET": FORBIDDEN}] * 4, auditor={"GET": 200}, administrator={"GET": 200}),
    "hold-set": posted(FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, auditor=302, administrator=302),
    "hold-lift": posted(FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, auditor=302, administrator=FORBIDDEN),
    "audit": same(GET=200),
    "uploads": Line(UNKNOWN, *[{"POST": REFUSED}] * 4),
    "upload-one": OWN_UPLOAD,
}  # fmt: skip
ADDRESSES: list[URLPattern] = list(get_resolver().url_patterns)
OF_DUMPS = [p for p in ADDRESSES if "dump_id" in p.pattern.converters]
#: Those of dumps in the trash; all others are for dumps that are not.
OF_THE_TRASH = ("trash-restore", "trash-purge")
EXEMPT = {
    "account_login", "account_logout", "mfa_authenticate", "account_inactive",
    "openid_connect_login", "openid_connect_callback", "socialaccount_login_cancelled",
    # who has forgotten their password cannot sign in; what they get says nothing about anybody
    "account_reset_password", "account_reset_password_done", "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "invitation", "invitation-open", "healthz", "uploads", "upload-one", "share-open", "share",
}  # fmt: skip


#: The table in so many tests: each makes a world of its own.
PARTS = 8
MATRIX = "G13 cells of who gets what (address, method, person, state of the dump)"


@pytest.fixture
def world(team, other_team, alice, bob: User, carol: User, erin, mallory, oscar, ada: User) -> dict[str, object]:
    User.objects.create_superuser("sue", password="correct horse battery staple")
    dump = analysed_dump(team, bob)
    upload = create_upload(user=bob, team=team, name="x", length=100, labels=Labels())
    token, secret = ApiToken.issue(bob, "x", may_upload=True, may_read=True)
    return {
        "dump_id": dump.pk,
        "trashed_id": trashed_dump(team, bob).pk,
        "others_trashed": trashed_dump(other_team, mallory).pk,
        "upload_id": upload.pk,
        "token_id": token.pk,
        "token": secret,
        "others_dump": analysed_dump(other_team, mallory).pk,
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
        "share_id": ShareLink.objects.create(
            dump=dump,
            analysis=dump.analysis,
            scope="summary",
            digest=keyed_hash("share", GUESTS_SECRET),
            created_by=bob,
            expires_at=timezone.now() + timedelta(days=1),
        ).pk,
        "request_id": OriginalRequest.objects.create(dump=dump, asked_by=erin, explanation="for the vendor").pk,
        "lent_id": LentAccess.objects.create(team=team, user=ada, explanation="somebody called").pk,
        "invitation_id": invite(request=request_by(alice), team=team, role=Role.VIEWER)[0].pk,
        "secret": "none",
        "provider_id": "none",
        "uidb36": "1",
        "key": "none",
        "pk": 1,
        "kind": "type",
        "place": 0,
        "note_id": Note.objects.create(dump=dump, author=bob, text="x", data_class=1).pk,
        "view_id": SavedView.objects.create(owner=bob, team=team, name="x", parameters="q=x").pk,
        "query_id": SavedQuery.objects.create(team=team, owner=bob, name="x", text="help", shared=True).pk,
    }


def trashed_dump(team: Team, user: User) -> Dump:
    return analysed_dump(team, user, "trashed.dmp", trashed_at=timezone.now(), trashed_by=user)


def address_of(pattern: URLPattern, world: dict[str, object]) -> str:
    if pattern.name in OF_THE_TRASH:
        world = {**world, "dump_id": world["trashed_id"]}
    return reverse(pattern.name, kwargs={name: world[name] for name in pattern.pattern.converters})


def test_every_address_has_a_line() -> None:
    assert all(isinstance(pattern, URLPattern) for pattern in ADDRESSES)
    assert {pattern.name for pattern in ADDRESSES} == set(TABLE)


#: What a token for uploads and reading is refused although its person is not: it never sees context, values or people.
NOT_BY_TOKEN = {"dump-object-masked", "dump-access", "dump-notes", "dump-scrubbed-certificate"}


def expected_answer(pattern: URLPattern, principal: str, method: str) -> object:
    line, name = TABLE[pattern.name], pattern.name
    if principal == "guest" and name == "share" and method == "GET":
        return 200
    if principal in ("anonymous", "guest"):
        return line.anonymous.get(method, WRONG_METHOD if name in EXEMPT else SIGN_IN)
    if principal != "token":
        return line.of(principal).get(method, WRONG_METHOD)
    if name in ("uploads", "upload-one"):
        return line.analyst.get(method, WRONG_METHOD)
    if method not in ("GET", "HEAD") or not (name == "archive" or name.startswith("dump-")):
        return FORBIDDEN
    return FORBIDDEN if name in NOT_BY_TOKEN and method == "GET" else line.analyst.get(method, WRONG_METHOD)


def client_of(principal: str, world: dict[str, Any]) -> Client:
    """A browser of its own for each request; its session began before the first."""
    if principal == "token":
        return Client(headers={"Authorization": f"Bearer {world['token']}"})
    sessions = world.setdefault("sessions", {})
    if principal not in sessions:
        first = Client()
        if principal == "guest":
            first.get(reverse("share-open", args=[GUESTS_SECRET]))
        elif principal != "anonymous":
            first.force_login(User.objects.get(username=PEOPLE[principal]))
        sessions[principal] = first.cookies.output(header="", sep="\n")
    client = Client()
    client.cookies.load(sessions[principal])
    return client


def answer(pattern: URLPattern, principal: str, method: str, world: dict[str, object]) -> object:
    """The status of one request, whose changes to the database are taken back."""
    address = address_of(pattern, world)
    cache.clear()  # requests of the others count toward a limit
    if pattern.name == "upload-one":
        Upload.objects.get(pk=world["upload_id"]).part.touch()  # somebody before deleted it
    client = client_of(principal, world)
    with transaction.atomic():
        response = client.generic(method, address)
        transaction.set_rollback(True)
    led_to_sign_in = response.status_code == 302 and response["Location"] == f"{reverse('account_login')}?next={address}"
    return SIGN_IN if led_to_sign_in else response.status_code


@pytest.mark.parametrize("part", range(PARTS))
def test_the_table(part: int, world: dict[str, object], goals: Goals) -> None:
    """Every address by every method for everybody."""
    patterns = ADDRESSES[part::PARTS]
    cells = [(pattern, who, method) for pattern in patterns for who in PRINCIPALS for method in METHODS]
    wrong = {}
    for pattern, who, method in cells:
        expected, found = expected_answer(pattern, who, method), answer(pattern, who, method, world)
        if found != expected:
            wrong[pattern.name, who, method] = (found, expected)
    goals.count(MATRIX, len(cells) - len(wrong), len(cells))
    assert wrong == {}


STATES = ("another team's", "deleted", "trashed", "held", "narrowed", "open to everybody")


def expected_in(state: str, pattern: URLPattern, who: str, method: str) -> object:
    """What the line says, but for what the state of the dump changes; None where the table says nothing of it."""
    said, name = expected_answer(pattern, who, method), pattern.name
    if said == WRONG_METHOD:
        return said
    of_the_server = name.startswith("hold-")
    of_a_program = method == "GET" and name.startswith("dump-")
    comes_in = who not in ("anonymous", "guest") and (who != "token" or of_a_program)
    if state == "deleted" and comes_in and (not of_the_server or who in ("auditor", "administrator")):
        return ABSENT
    if state == "trashed" and comes_in and not of_the_server and name not in OF_THE_TRASH:
        return ABSENT
    if state == "another team's" and comes_in and not of_the_server:
        return None if who == "stranger" else ABSENT  # mallory leads that team; what the table says of alice
    if state == "held" and name in ("dump-delete", "trash-purge") and said == 302:
        return FORBIDDEN
    if state == "narrowed" and who in ("viewer", "protected") and not of_the_server:
        return ABSENT
    if name.startswith("dump-scrubbed") and TABLE[name].lead.get(method) == ABSENT and said == ABSENT:
        return None if state == "open to everybody" else ABSENT  # there is none, or it is no business of theirs
    if state == "open to everybody" and said == ABSENT and name not in ("dump-native-thread", *OF_THE_TRASH):
        if name == "dump-query-delete":
            return ABSENT  # nobody outside the team reads its queries
        return line_of_members(pattern) if method == "GET" and name not in NOT_BY_TOKEN else FORBIDDEN
    return said


def line_of_members(pattern: URLPattern) -> object:
    """What members get who only read."""
    return TABLE[pattern.name].viewer["GET"]


@pytest.mark.parametrize("state", STATES)
def test_the_table_of_other_dumps(state: str, world: dict[str, object], goals: Goals) -> None:
    """The same for a dump of another team, one that is gone, one in the trash, one with a hold, one for bob and leads only,
    and in an open archive."""
    if state == "another team's":
        world = {**world, "dump_id": world["others_dump"], "trashed_id": world["others_trashed"]}
    elif state == "deleted":
        world = {**world, "dump_id": uuid.uuid4(), "trashed_id": uuid.uuid4()}
    elif state == "trashed":
        Dump.objects.update(trashed_at=timezone.now(), trashed_by=User.objects.get(username="bob"))
    elif state == "held":
        Dump.objects.update(held_at=timezone.now())
    elif state == "narrowed":
        Dump.objects.get(pk=world["dump_id"]).only_people.add(User.objects.get(username="bob"))
    else:
        Team.objects.update(opens_archive=True)
    wrong, cells = {}, 0
    for pattern, (who, method) in product(OF_DUMPS, product(PRINCIPALS, METHODS)):
        expected = expected_in(state, pattern, who, method)
        if expected is not None:
            found, cells = answer(pattern, who, method, world), cells + 1
            if found != expected:
                wrong[pattern.name, who, method] = (found, expected)
    goals.count(MATRIX, cells - len(wrong), cells)
    assert wrong == {}


def test_only_signing_in_health_and_uploads_are_open() -> None:
    assert {pattern.name for pattern in ADDRESSES if not getattr(pattern.callback, "login_required", True)} == EXEMPT


def test_a_stranger_cannot_tell_a_dump_from_none(mallory: User, world: dict[str, object]) -> None:
    client = Client()
    client.force_login(mallory)
    for pattern in (one for one in OF_DUMPS if not one.name.startswith("hold-")):
        method = "POST" if "POST" in TABLE[pattern.name].lead else "GET"
        there = client.generic(method, address_of(pattern, world))
        nothing = uuid.uuid4()
        absent = client.generic(method, address_of(pattern, {**world, "dump_id": nothing, "trashed_id": nothing}))
        assert there.status_code == absent.status_code == 404, pattern.name
        wholes = [one.content.replace(one.request["PATH_INFO"].split("/")[2].encode(), b"") for one in (there, absent)]
        assert wholes[0] == wholes[1]
    assert Dump.objects.count() == 4


def test_an_analyst_deletes_only_own_dumps(team, alice: User, bob: User) -> None:
    dump = analysed_dump(team, alice)
    client = Client()
    client.force_login(bob)
    assert client.post(reverse("dump-delete", args=[dump.pk])).status_code == 403
    client.force_login(alice)
    assert client.post(reverse("dump-delete", args=[dump.pk])).status_code == 302
    assert Dump.objects.get().trashed_at is not None


def test_a_one_time_password_opens_only_its_page(bob: User, world: dict[str, object]) -> None:
    User.objects.update(must_change_password=True)
    for pattern in ADDRESSES:
        client = Client()
        client.force_login(bob)
        for method in METHODS:
            response = client.generic(method, address_of(pattern, world))
            if pattern.name not in ("password-change", "account_logout"):
                assert (response.status_code, response["Location"]) == (302, reverse("password-change")), pattern.name
            else:
                assert response.status_code in (200, 302, 405)
    assert (Upload.objects.count(), Dump.objects.count()) == (1, 4)


def test_an_analyst_deletes_only_own_pdbs(team, alice: User, bob: User, world: dict[str, object]) -> None:
    SymbolFile.objects.update(uploaded_by=alice)
    client = Client()
    client.force_login(bob)
    address = reverse("symbols-delete", args=[team.pk, world["symbols_id"]])
    assert client.post(address).status_code == 403
    client.force_login(alice)
    assert client.post(address).status_code == 302
    assert not SymbolFile.objects.exists()


trashers = st.none() | st.integers(0, 2)
memberships = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(Role)), max_size=9)


class RulesAgree(TestCase):
    """What one dump's rule says is what lists show."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows=memberships, owners=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), trashers), max_size=4))
    def test_on_any_memberships(self, rows: list, owners: list) -> None:
        people = [User.objects.create(username=f"p{n}") for n in range(3)]
        teams = [Team.objects.create(name=f"t{n}") for n in range(3)]
        for person, team, role in {(person, team): (person, team, role) for person, team, role in rows}.values():
            Membership.objects.create(user=people[person], team=teams[team], role=role)
        for number, (team, person, trasher) in enumerate(owners):
            fields = {"name": "d", "original_name": "d", "sha256": str(number), "size_bytes": 1}
            if trasher is not None:
                fields |= {"trashed_at": timezone.now(), "trashed_by": people[trasher]}
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
                assert permissions.can_restore(viewer, subject) == trash_visible_to(person).filter(pk=dump.pk).exists()
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
