"""Values of an object: who may look, what is written down, what is shown, and that nothing of it stays."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from analysis.index import DataClass
from analysis.index.store import Index, open_index
from analysis.memory.elf_core import open_elf_core
from analysis.memory.reader import Memory
from analysis.pipeline import analyse
from explorer.models import AuditEntry, Dump, Team, User
from explorer.services import reveals
from explorer.services.audit import acts_within
from explorer.services.audit_names import Names
from explorer.services.reveals import TooManyReveals, _mark
from tests.analysis.bundled_dumps import bundled_dumps
from tests.explorer.pages.visits import WHY, address, body_of
from tests.explorer.test_authentication import age_proofs, code_of, set_up_app, sign_in
from tests.explorer.test_teams import request_by
from tests.stored_dumps import analysed_dump, keep_original

(ZOO,) = [path for path in bundled_dumps() if path.name.startswith("zoo-net8")]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("zoo") / "index"
    analyse(ZOO, directory, lambda stage, fraction, detail: None)
    return directory


@pytest.fixture
def real(zoo: Path, team: Team, alice: User) -> Dump:
    dump = analysed_dump(team, alice, "zoo.dmp", lambda directory: Path(shutil.copytree(zoo, directory)))
    keep_original(dump, ZOO.read_bytes())
    return dump


@pytest.fixture
def primitives(zoo: Path) -> str:
    return _first(open_index(zoo), "Scenarios.Primitives")


def _first(index: Index, name: str) -> str:
    kind = index.text("types", "name").all.index(name)
    row = int(index.column("instances", "by_address")[int(index.column("types", "first_instance")[kind])])
    return f"{int(index.column('objects', 'address')[row]):x}"


def test_an_analyst_sees_the_values_and_is_written_down(real: Dump, primitives: str, alice: User) -> None:
    answer = sign_in("alice").post(address(real, "dump-object-values", primitives), WHY)
    body = answer.content.decode()
    assert "-123456789" in body and "2024-02-29 12:34:56" in body and "written down" in body
    assert answer["Cache-Control"] == "private, no-store"
    entry = AuditEntry.objects.get()
    assert (entry.actor_id, entry.dump_key, entry.action) == (alice.pk, real.pk, AuditEntry.Action.REVEAL_OBJECT)
    assert primitives in entry.detail and "Scenarios.Primitives" in entry.detail and "-123456789" not in entry.detail


def test_registers_are_read_from_the_dump(real: Dump, zoo: Path, alice: User) -> None:
    threads, frames = (lambda name: open_index(zoo).column("threads", name)), open_index(zoo).column("frames", "ip")
    row = int(np.flatnonzero(threads("alive") & (threads("frames") > 0))[0])
    body = sign_in("alice").post(address(real, "dump-registers", int(threads("managed_id")[row])), WHY).content.decode()
    assert f"{int(frames[threads('first_frame')[row]]):x}" in body and "r15" in body


def test_the_page_of_the_object_holds_no_value(real: Dump, primitives: str, as_alice: Client, as_carol: Client) -> None:
    body = body_of(as_alice, address(real, "dump-object", primitives))
    assert "Show values" in body and "-123456789" not in body
    body = body_of(as_carol, address(real, "dump-object", primitives))
    assert "Show values" not in body and "Analysts and leads" in body


def test_others_see_nothing_and_the_denial_is_a_row(real: Dump, primitives: str, as_carol: Client, as_mallory: Client) -> None:
    assert as_carol.post(address(real, "dump-object-values", primitives)).status_code == 403
    assert as_mallory.post(address(real, "dump-object-values", primitives)).status_code == 404
    row = AuditEntry.objects.get()
    assert (Names([row]).actor(row), row.outcome) == ("carol", "denied")


def test_what_cannot_be_read_says_why(real: Dump, primitives: str, alice: User) -> None:
    client = sign_in("alice")
    keep_original(real, b"\x7fELF" + bytes(100))
    body = client.post(address(real, "dump-object-values", primitives), WHY).content.decode()
    assert 'class="note bad"' in body and "Traceback" not in body
    real.original.unlink()
    body = client.post(address(real, "dump-object-values", primitives), WHY).content.decode()
    assert "no longer kept" in body
    for place in ("zz", "10", f"{int(primitives, 16) + 8:x}"):
        assert client.post(address(real, "dump-object-values", place), WHY).status_code == 404


def test_without_a_reason_nothing_is_shown(real: Dump, primitives: str, alice: User) -> None:
    client, path = sign_in("alice"), address(real, "dump-object-values", primitives)
    for wrong in ({}, {**WHY, "reason": "curiosity"}, {**WHY, "explanation": "because"}, {**WHY, "explanation": " " * 40}):
        answer = client.post(path, wrong, follow=True)
        assert "in at least 10 letters" in answer.content.decode() and "-123456789" not in answer.content.decode()
    assert not AuditEntry.objects.exists()


def test_an_old_sign_in_is_renewed_first(real: Dump, primitives: str, alice: User) -> None:
    client, path = sign_in("alice"), address(real, "dump-object-values", primitives)
    age_proofs(client, 31 * 60)
    answer = client.post(path, WHY)
    assert answer.status_code == 302 and answer["Location"].startswith(reverse("account_reauthenticate"))
    assert not AuditEntry.objects.exists()


def test_a_window_holds_one_reason_for_an_hour(real: Dump, primitives: str, erin: User, bob: User) -> None:
    client, path = sign_in("erin"), address(real, "dump-object-values", primitives)
    assert "-123456789" in client.post(path, {**WHY, "window": "on"}).content.decode()
    assert "-123456789" in client.post(path).content.decode()
    assert "Your reason holds until" in client.get(address(real, "dump-object", primitives)).content.decode()
    rows = [(row.action, row.explanation) for row in AuditEntry.objects.order_by("sequence")]
    assert rows == [(action, WHY["explanation"]) for action in ("open_window", "reveal_object", "reveal_object")]
    windows = client.session
    windows["reveal_windows"] = {key: [time.time() - 1, *kept[1:]] for key, kept in windows["reveal_windows"].items()}
    windows.save()
    assert client.post(path).status_code == 302
    analyst = sign_in("bob")
    assert "-123456789" in analyst.post(path, {**WHY, "window": "on"}).content.decode()
    assert analyst.post(path).status_code == 302, "analysts say why each time"


def test_nobody_reads_a_hundred_values_in_an_hour(real: Dump, primitives: str, alice: User, monkeypatch) -> None:
    monkeypatch.setattr("explorer.services.reveals.MOST_IN_AN_HOUR", 2)
    client, path = sign_in("alice"), address(real, "dump-object-values", primitives)
    assert [client.post(path, WHY).status_code for _ in range(3)] == [200, 200, 429]
    assert AuditEntry.objects.first().outcome == "denied"


@pytest.mark.django_db(transaction=True)
def test_looks_at_one_moment_do_not_pass_the_limit(team: Team, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = analysed_dump(team, bob)

    def slow(*asked: object) -> int:
        found = acts_within(*asked)
        time.sleep(0.2)
        return found

    def look(_: int) -> bool:
        try:
            reveals._begin(request_by(bob), dump, "reveal_values", AuditEntry.Action.REVEAL_OBJECT, "x", None, DataClass.D3_VALUE)
        except TooManyReveals:
            return False
        finally:
            connection.close()
        return True

    monkeypatch.setattr(reveals, "MOST_IN_AN_HOUR", 2)
    monkeypatch.setattr(reveals, "acts_within", slow)
    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(look, range(5))) == 2


def test_masked_values_show_that_they_are_equal_and_nothing_else(real: Dump, primitives: str, as_bob: Client, as_carol) -> None:
    path = address(real, "dump-object-masked", primitives)
    body = body_of(as_bob, path)
    assert "-123456789" not in body and "2024-02-29" not in body
    marks = re.findall(r'<td class="mono">([0-9a-f]{10})</td>', body)
    assert marks and body == body_of(as_bob, path)
    assert as_carol.get(path).status_code == 403
    assert not AuditEntry.objects.exists()
    other = Dump(pk=uuid.uuid4())
    assert _mark(real, "a long secret") == _mark(real, "a long secret") != _mark(other, "a long secret")
    assert _mark(real, "1234567") == ""


def test_raw_memory_needs_a_second_factor_just_now(real: Dump, primitives: str, erin: User, bob: User) -> None:
    path, sent = address(real, "dump-memory"), {**WHY, "address": primitives, "length": "64"}
    client = sign_in("erin")
    assert client.post(path, sent)["Location"].startswith(reverse("mfa_index"))
    secret = set_up_app(client)
    assert client.post(path, sent)["Location"].startswith(reverse("mfa_reauthenticate"))
    cache.clear()
    client.post(reverse("mfa_reauthenticate"), {"code": code_of(secret)})
    body = client.post(path, sent).content.decode()
    content = open_memory(ZOO).captured(int(primitives, 16), 64)
    assert content[:16].hex(" ") in body and content[48:64].hex(" ") in body
    row = AuditEntry.objects.first()
    assert (row.action, row.data_class, row.detail) == ("view_hex", 4, f"64 bytes at 0x{primitives}")
    assert 'class="note bad"' in client.post(path, {**sent, "address": "10"}).content.decode()
    assert client.post(path, {**sent, "address": "no"}).status_code == 302
    assert sign_in("bob").post(path, sent).status_code == 403
    assert (AuditEntry.objects.first().outcome, AuditEntry.objects.first().data_class) == ("denied", 4)
    age_proofs(client, 6 * 60)
    assert client.post(path, sent)["Location"].startswith(reverse("mfa_reauthenticate"))


def open_memory(dump: Path) -> Memory:
    return open_elf_core(dump).memory
