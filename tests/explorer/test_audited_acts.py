"""No act without its row (G21): every address is driven as everybody with what its form sends, and whatever was written down is
tried again while the audit cannot be written: then nothing was done, and no value is told."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, get_emailconfirmation_model
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings as current
from django.core.cache import cache
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone

from explorer.models import AuditEntry, Dump, Membership, OriginalRequest, Role, ScrubbedCopy, Team, User
from explorer.services import keeping, removal, trash, unused_roles
from explorer.services.audit import AuditUnavailable, by_the_operator
from explorer.services.invitations import invite
from tests.explorer.pages.visits import WHY
from tests.explorer.test_access import ADDRESSES, GUESTS_SECRET, PEOPLE, TABLE, address_of
from tests.explorer.test_access import world as world
from tests.explorer.test_authentication import PASSWORD, sign_in
from tests.explorer.test_teams import request_by
from tests.explorer.told_values import held, tell_at_once
from tests.explorer.tus_client import BODY
from tests.goals import Goals
from tests.stored_dumps import keep_original

Action = AuditEntry.Action
Row = tuple[str, str]
Down = Callable[[], AbstractContextManager[None]]
#: Who asks: everybody of the cast, each with a second factor shown just now, and nobody.
WHO = ("anonymous", *PEOPLE)
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
#: Stands in every value that the dump gives here, and in its files; as long as a line of memory.
VALUE = "hunter2-the-dump"
NEW_PASSWORD = "another horse battery staple"
_NEW = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
_TUS = {"Tus-Resumable": "1.0.0"}

#: What a form sends, or what stands behind the address of a GET.
SENT: dict[str, dict[str, str]] = {
    "account_login": {"login": "bob", "password": PASSWORD},
    "account_reset_password": {"email": "bob"},
    "account_reset_password_from_key": _NEW,
    "account_email": {"action_add": "", "email": "new@shop.test"},
    "account_reauthenticate": {"password": PASSWORD},
    "audit": {"format": "csv"},
    "password-change": {"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD},
    "token-create": {"name": "build", "days": "7", "may_upload": "on"},
    "invitation-create": {"role": "viewer", "email": "dora@shop.test"},
    "invitation": {"username": "dora", **_NEW},
    "team-create": {"name": "Another"},
    "team-archive": {"open": "on"},
    "team-keeping": {"originals": "7", "dumps": "30"},
    "team-quota": {"gigabytes": "5"},
    "team-remove": {"name": "Shop"},
    "member-add": {"username": "bob", "role": "viewer"},
    "member-propose": {"role": "protected"},
    "access-ask": {"explanation": "the shop is down and they called"},
    "hold-set": {"note": "the court wants to see it"},
    "share-create": {"scope": "summary", "days": "7"},
    "view-save": {"name": "mine", "query": "q=shop"},
    "dump-query-save": {"name": "mine", "q": "help"},
    "dump-note-add": {"text": "look here"},
    "dump-note-edit": {"text": "look there"},
    "dump-case": {"status": "investigating"},
    "dump-registers": {**WHY, "window": "on"},
    "dump-object-values": WHY,
    "dump-memory": {**WHY, "address": "1000", "length": "64"},
    "dump-strings-search": {**WHY, "text": "hunter"},
    "dump-original": WHY,
    "dump-original-ask": WHY,
    "dump-original-grant": WHY,
}
HEADERS = {
    ("uploads", "POST"): {**_TUS, "Upload-Length": "100"},
    ("upload-one", "PATCH"): {**_TUS, "Upload-Offset": "0"},
    ("upload-one", "DELETE"): _TUS,
}
#: Addresses that change something and leave no row: ways to sign in, and what shows nothing, takes nothing from anybody and
#: gives nobody more than they had. One that is new writes a row, or is put here.
WITHOUT_A_ROW = {
    "account_email", "account_login", "account_logout", "account_reauthenticate", "account_reset_password", "dump-cancel",
    "dump-case", "dump-note-add", "dump-note-edit", "dump-query-delete", "dump-query-save", "dump-rerun",
    "mfa_activate_totp", "mfa_add_webauthn", "mfa_authenticate", "mfa_deactivate_totp", "mfa_generate_recovery_codes",
    "mfa_reauthenticate", "mfa_reauthenticate_webauthn", "mfa_remove_webauthn", "mfa_view_recovery_codes",
    "openid_connect_login", "password-change", "sample", "symbols-delete", "symbols-upload", "upload-one", "uploads",
    "usersessions_list", "view-delete", "view-save",
}  # fmt: skip
#: Those of them that ask for more than a form has: a provider, a file with symbols, a second factor that was set up.
NOT_BY_A_FORM = {
    "openid_connect_login", "symbols-upload", "mfa_deactivate_totp", "mfa_remove_webauthn", "mfa_view_recovery_codes",
}  # fmt: skip
#: Where values leave the server.
OF_VALUES = {"dump-object-values", "dump-registers", "dump-memory", "dump-original", "dump-scrubbed"}
#: Kinds of acts that no page does; ``BY_THE_SERVER`` does them.
NOT_BY_VIEWS = {Action.DELETE_ORIGINAL, Action.REMOVE_ACCOUNT, Action.DROP_ROLE}
#: Sessions are no act; keys of people are made before their first row, and say nothing of an act.
_NOT_COMPARED = {"django_session", "usersessions_usersession", "explorer_auditperson"}


class Server:
    """The world, who asks in it, and what there is at a moment: in tables and in files."""

    def __init__(self, world: dict[str, Any], clients: dict[str, Client], kept: Path) -> None:
        self.world, self._clients, self._kept = world, clients, kept
        self._tables = sorted({*connection.introspection.table_names()} - _NOT_COMPARED)
        shutil.copytree(current.DATA_DIR, kept)
        self._files_kept = _files()

    def ask(self, pattern: URLPattern, method: str, who: str) -> HttpResponse:
        """One request by a browser of its own; the limits of others do not count."""
        cache.clear()
        client, data = Client(), SENT.get(pattern.name, {})
        client.cookies.update(self._clients[who].cookies)
        address = address_of(pattern, {**self.world, **self.world["own"].get(pattern.name, {})})
        headers = HEADERS.get((pattern.name, method), {})
        if method in ("GET", "POST"):
            return getattr(client, method.lower())(address, data, headers=headers)
        return client.generic(method, address, b"x", BODY, headers=headers)

    def state(self) -> dict[str, object]:
        found: dict[str, object] = {}
        with connection.cursor() as cursor:
            for table in self._tables:
                cursor.execute(f'SELECT * FROM "{table}"')
                found[table] = sorted(map(repr, cursor.fetchall()))
        return {**found, **_files()}

    @contextmanager
    def taken_back(self) -> Iterator[None]:
        """Whatever happens inside: rows and files are as before afterwards."""
        files = _files(of_indexes=False)
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
        if _files(of_indexes=False) != files:
            self._put_back()

    def _put_back(self) -> None:
        wanted, found = self._files_kept, _files()
        for path in [one for one in {**wanted, **found} if wanted.get(one) != found.get(one)]:
            if path not in wanted:
                os.unlink(path)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                shutil.copy2(self._kept / Path(path).relative_to(current.DATA_DIR), path)


def _files(of_indexes: bool = True) -> dict[str, object]:
    """Size and time of every file of the data directory; an index is hundreds of files, which no act changes one by one."""
    found: dict[str, object] = {}
    for directory, below, files in os.walk(current.DATA_DIR):
        for path in (os.path.join(directory, name) for name in files):
            about = os.stat(path)
            found[path] = (about.st_size, about.st_mtime_ns)
        if not of_indexes:
            below[:] = [name for name in below if not name.startswith("index-")]
    return found


@pytest.fixture
def server(
    world: dict[str, Any], team: Team, alice: User, bob: User, erin: User, settings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Server:  # fmt: skip
    """Everything that an act needs: files, grants, links that were opened, proofs; the dump's values are read at once."""
    settings.MAIL_IS_SET_UP, settings.PUBLIC_URL = True, "http://dumps.shop.test"
    dump = Dump.objects.get(pk=world["dump_id"])
    keep_original(dump, VALUE.encode())
    now = timezone.now()
    for asked_by, granted_by in ((alice, erin), (erin, alice)):
        OriginalRequest.objects.create(
            dump=dump, asked_by=asked_by, explanation="x", granted_by=granted_by, expires_at=now + timedelta(hours=1)
        )
    copy = ScrubbedCopy.objects.create(dump=dump, asked_by=bob, asked_at=now, state=ScrubbedCopy.State.DONE)
    copy.file.write_text(VALUE)
    tell_at_once(monkeypatch, {
        "read_registers": {VALUE: 1},
        "read_values": {"rows": [held("f", VALUE)], "more": False},
        "read_memory": {"hex": VALUE.encode().hex()},
        "search_texts": {"rows": [], "lengths": [], "total": 0, "read": 1, "cut": 0},
    })  # fmt: skip

    _, invitation = invite(request=request_by(alice), team=team, role=Role.VIEWER)
    addresses = {"bob": True, "alice": False}
    mail = {name: EmailAddress.objects.create(user=User.objects.get(username=name), email=f"{name}@shop.test", verified=done,
                                              primary=True) for name, done in addresses.items()}  # fmt: skip
    clients = {who: _client(who) for who in WHO}
    link = {"uidb36": user_pk_to_url_str(bob), "key": default_token_generator.make_token(User.objects.get(pk=bob.pk))}
    for client in clients.values():
        client.get(reverse("share-open", args=[GUESTS_SECRET]))
        client.get(reverse("invitation-open", args=[invitation]))
        client.get(reverse("account_reset_password_from_key", kwargs=link))
    own = {
        "share-open": {"secret": GUESTS_SECRET},
        "invitation-open": {"secret": invitation},
        "account_reset_password_from_key": {**link, "key": "set-password"},
        "account_confirm_email": {"key": get_emailconfirmation_model().create(mail["alice"]).key},
    }
    return Server({**world, "own": own}, clients, tmp_path / "kept")


def _client(who: str) -> Client:
    """Signed in just now, and with a second factor."""
    if who == "anonymous":
        return Client()
    cache.clear()
    client = sign_in(PEOPLE[who])
    session = client.session
    session["account_authentication_methods"] += [{"method": "mfa", "type": "totp", "at": time.time()}]
    session.save()
    return client


@pytest.fixture
def audit_down(monkeypatch: pytest.MonkeyPatch) -> Down:
    """While it lasts no row can be written."""

    def full(*_: object, **__: object) -> None:
        raise DatabaseError("the disk is full")

    @contextmanager
    def down() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(AuditEntry, "save", full)
            yield

    return down


def _ways() -> list[tuple[URLPattern, str]]:
    """Every address with each method that changes something, and every page."""
    found = []
    for pattern in ADDRESSES:
        line = TABLE[pattern.name]
        allowed = {method for one in vars(line).values() for method in one or ()}
        found += [(pattern, method) for method in ("GET", *UNSAFE) if method in allowed]
    return found


def _rows_since(sequence: int) -> tuple[Row, ...]:
    return tuple(AuditEntry.objects.filter(sequence__gt=sequence).order_by("sequence").values_list("action", "outcome"))


def _changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def _told(response: HttpResponse) -> bytes:
    return b"".join(response) if response.streaming else response.content


def _went_well(response: HttpResponse) -> bool:
    """Neither refused, nor led away to prove who one is, nor told what is wrong."""
    said = getattr(response.wsgi_request, "_messages", None)
    wrong = [one for one in getattr(said, "_queued_messages", ()) if one.level_tag == "error"]
    return response.status_code < 400 and "?next=" not in response.get("Location", "") and not wrong


@dataclass
class Seen:
    """What happened while the audit could be written: who first wrote these rows at an address, with an account and without,
    where somebody did what they came for, where values were told."""

    rows: dict[tuple[str, str, bool, tuple[Row, ...]], tuple[URLPattern, str]] = field(default_factory=dict)
    well: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)


def _drive(server: Server) -> Seen:
    seen, last = Seen(), AuditEntry.objects.count()
    for pattern, method in _ways():
        # Pages differ by the rights of people, at which test_access.py looks.
        for who in ("anonymous", "lead", "auditor") if method == "GET" else WHO:
            with server.taken_back():
                response = server.ask(pattern, method, who)
                if rows := _rows_since(last):
                    seen.rows.setdefault((pattern.name, method, who == "anonymous", rows), (pattern, who))
                if method != "GET" and _went_well(response):
                    seen.well.add(pattern.name)
                if VALUE.encode() in _told(response):
                    seen.values.add(pattern.name)
    return seen


def test_nothing_is_done_that_cannot_be_written_down(
    server: Server, audit_down: Down, django_capture_on_commit_callbacks: Callable[..., Any], goals: Goals
) -> None:
    """Of the same address once for each kind of row that it writes: of who may, and of who is refused."""
    seen = _drive(server)
    changing = {pattern.name for pattern, method in _ways() if method != "GET"}
    assert changing - {name for name, *_ in seen.rows} == WITHOUT_A_ROW
    assert changing - seen.well == NOT_BY_A_FORM
    assert seen.values == OF_VALUES

    left: dict[object, object] = {}
    for (name, method, _, rows), (pattern, who) in seen.rows.items():
        with server.taken_back():
            before = server.state()
            # What is to happen after the commit does happen here.
            with audit_down(), django_capture_on_commit_callbacks(execute=True):
                response = server.ask(pattern, method, who)
                told = _told(response)
            changed = _changed(before, server.state())
        if changed or response.status_code != 503 or VALUE.encode() in told:
            left[name, method, who, rows] = (response.status_code, changed)
    goal = "G21 acts that leave nothing behind when the audit cannot be written, by address"
    goals.count(goal, len(seen.rows) - len(left), len(seen.rows))
    kinds = {Action(action) for *_, rows in seen.rows for action, _ in rows}
    goals.count("G21 kinds of acts written down through their views", len(kinds), len(Action) - len(NOT_BY_VIEWS))
    assert {*Action} - kinds == NOT_BY_VIEWS
    assert left == {}


def _expire_trash() -> None:
    Dump.objects.exclude(trashed_at=None).update(trashed_at=timezone.now() - timedelta(days=1000))


def _keep_originals_shortly() -> None:
    Team.objects.update(keep_originals_days=1)
    Dump.objects.update(kept_since=timezone.now() - timedelta(days=2))


def _leave_roles_unused() -> None:
    Membership.objects.update(last_used_on=timezone.localdate() - timedelta(days=1000))


def _remove_bob() -> None:
    removal.remove_account(request=by_the_operator(), user=User.objects.get(username="bob"))


def _make_bob_auditor() -> None:
    call_command("server_role", "bob", "auditor", stdout=StringIO())


#: What the server does by itself and its operator by a command: what lets it happen, and the act.
BY_THE_SERVER: dict[Action, tuple[Callable[[], object], Callable[[], object]]] = {
    Action.DELETE_DUMP: (_expire_trash, trash.expire),
    Action.DELETE_ORIGINAL: (_keep_originals_shortly, keeping.enforce),
    Action.DROP_ROLE: (_leave_roles_unused, unused_roles.drop),
    Action.REMOVE_ACCOUNT: (lambda: None, _remove_bob),
    Action.CHANGE_ROLE: (lambda: None, _make_bob_auditor),
}


def test_the_server_does_nothing_that_it_cannot_write_down(
    server: Server, audit_down: Down, django_capture_on_commit_callbacks: Callable[..., Any], goals: Goals
) -> None:
    last, left = AuditEntry.objects.count(), {}
    assert set(BY_THE_SERVER) >= NOT_BY_VIEWS
    for kind, (prepare, act) in BY_THE_SERVER.items():
        with server.taken_back():
            prepare()
            act()
            assert (kind, "done") in _rows_since(last)
        with server.taken_back():
            prepare()
            before = server.state()
            # An act on one of many is passed over and stands in the log; one that was asked for says so.
            with audit_down(), django_capture_on_commit_callbacks(execute=True), suppress(AuditUnavailable):
                act()
            if changed := _changed(before, server.state()):
                left[kind] = changed
    goal = "G21 acts of the server that leave nothing behind when the audit cannot be written"
    goals.count(goal, len(BY_THE_SERVER) - len(left), len(BY_THE_SERVER))
    assert left == {}
