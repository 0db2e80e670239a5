"""The audit: a row before every sensitive act, rows that nobody changes unseen, and who reads which."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from analysis.index import DataClass
from explorer.models import AuditEntry, Dump, Team, User
from explorer.models.audit import AuditIsFinal
from explorer.services import audit
from explorer.services.audit import Anchor, AuditUnavailable, Purpose, anchor_file, anchors_in, drop_anchor, faults, write_down
from explorer.services.audit_names import Names
from tests.explorer.test_teams import request_by, signed_in
from tests.goals import Goals
from tests.stored_dumps import analysed_dump

ACTS, EDITS = 10_000, 1_000
SECRET = "hunter2-and-a-long-tail"


def _rows(number: int, user: User) -> None:
    for row in range(number):
        write_down(request_by(user), AuditEntry.Action.REVEAL_OBJECT, detail=f"0x{row:x} System.String")


def _sql(text: str, *values: object) -> None:
    """What somebody does who reaches the database and not the program."""
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def test_ten_thousand_acts_are_ten_thousand_rows(alice: User, bob: User, goals: Goals) -> None:
    """Done, denied and failed; each row there when ``write_down`` comes back, and none with a value."""
    rng = random.Random(21)
    outcomes, people = list(AuditEntry.Outcome), [alice, bob]
    good = 0
    for number in range(ACTS):
        row = write_down(
            request_by(rng.choice(people)), rng.choice(list(AuditEntry.Action)), detail=f"thread {number}",
            outcome=rng.choice(outcomes), data_class=DataClass.D3_VALUE, purpose=Purpose("incident", "looking for what leaks"),
        )  # fmt: skip
        good += row.pk is not None and row.sequence == number + 1
    goals.count("G21 acts written down before they happen", good, ACTS)
    assert AuditEntry.objects.count() == good == ACTS
    assert list(faults()) == []


def test_a_row_that_cannot_be_written_stops_the_act(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(AuditEntry, "save", full)
    with pytest.raises(AuditUnavailable):
        write_down(request_by(alice), AuditEntry.Action.SHARE)


def test_the_program_changes_no_row(alice: User) -> None:
    _rows(2, alice)
    row = AuditEntry.objects.first()
    for change in (row.save, row.delete, AuditEntry.objects.all().delete, lambda: AuditEntry.objects.update(detail="x")):
        with pytest.raises(AuditIsFinal):
            change()


_TEXTS = (
    "actor_name", "personal", "detail", "action", "outcome", "dump_name", "reason", "explanation", "ticket", "session",
    "previous",
)  # fmt: skip
#: Another content of each column that says something.
_OTHERWISE = {
    **{column: f"'!' || substr({column}, 2)" for column in _TEXTS},
    "actor_id": "coalesce(actor_id, 0) + 1",
    "form": "form + 1",
    "data_class": "coalesce(data_class, 0) + 1",
    "team_key": "'00000000000000000000000000000001'",
    "dump_key": "'00000000000000000000000000000001'",
    "people": "'[[1, \"x\"]]'",
    "remote_address": "'203.0.113.9'",
    "at": "'2020-01-01 00:00:00+00:00'",
}


def test_every_column_is_edited() -> None:
    columns = {field.column for field in AuditEntry._meta.concrete_fields}
    assert columns == {*_OTHERWISE, "id", "sequence", "digest"}


def _edit(rng: random.Random, rows: int) -> str:
    """One change to the table behind the program's back; what it was."""
    kind = rng.choice(["change", "delete", "swap", "cut", "reseal", "insert"])
    one = rng.randint(1, rows - 1)
    other = rng.choice([row for row in range(1, rows + 1) if row != one])
    if kind == "change":
        column = rng.choice([*_OTHERWISE])
        _sql(f"UPDATE explorer_auditentry SET {column} = {_OTHERWISE[column]} WHERE sequence = %s", one)
    elif kind == "delete":
        _sql("DELETE FROM explorer_auditentry WHERE sequence = %s", one)
    elif kind == "swap":
        _sql("UPDATE explorer_auditentry SET sequence = -1 WHERE sequence = %s", one)
        _sql("UPDATE explorer_auditentry SET sequence = %s WHERE sequence = %s", one, other)
        _sql("UPDATE explorer_auditentry SET sequence = %s WHERE sequence = -1", other)
    elif kind == "cut":
        _sql("DELETE FROM explorer_auditentry WHERE sequence > %s", one)
    elif kind == "reseal":
        _sql("UPDATE explorer_auditentry SET detail = 'x', digest = %s WHERE sequence = %s", "0" * 64, one)
    else:
        _sql("UPDATE explorer_auditentry SET sequence = sequence + 1000 WHERE sequence > %s", one)
        _sql("UPDATE explorer_auditentry SET sequence = sequence - 999 WHERE sequence > 1000")
    return kind


def test_a_thousand_edits_are_seen(alice: User, goals: Goals) -> None:
    """Each on its own, taken back afterwards; the tail is seen by an anchor that was kept elsewhere."""
    from django.db import transaction

    rows = 12
    _rows(rows, alice)
    last = AuditEntry.objects.first()
    anchor, rng, missed = Anchor(last.sequence, last.digest), random.Random(22), []
    assert list(faults([anchor])) == []
    for _ in range(EDITS):
        with transaction.atomic():
            kind = _edit(rng, rows)
            if not list(faults([anchor])):
                missed.append(kind)
            transaction.set_rollback(True)
    goals.count("G22 edits of the audit that were seen", EDITS - len(missed), EDITS)
    assert missed == []
    assert list(faults([anchor])) == []


def test_without_its_anchor_a_cut_tail_is_not_seen(alice: User) -> None:
    _rows(3, alice)
    _sql("DELETE FROM explorer_auditentry WHERE sequence = 3")
    assert list(faults()) == []


def test_an_anchor_that_was_cut_off_hides_no_other(alice: User) -> None:
    _rows(1, alice)
    drop_anchor()
    with anchor_file().open("a") as file:
        file.write('{"at": "2026-')
    _rows(1, alice)
    drop_anchor()
    assert [anchor.sequence for anchor in anchors_in(anchor_file())] == [1, 2]


def test_anchors_are_dropped_when_there_is_something_new(alice: User) -> None:
    assert drop_anchor() is None
    _rows(2, alice)
    assert drop_anchor() == anchors_in(anchor_file())[0]
    assert drop_anchor() is None
    _rows(1, alice)
    drop_anchor()
    assert [anchor.sequence for anchor in anchors_in(anchor_file())] == [2, 3]
    call_command("verify_audit", stdout=io.StringIO())
    _sql("DELETE FROM explorer_auditentry WHERE sequence = 3")
    with pytest.raises(CommandError, match="not whole"):
        call_command("verify_audit", stdout=io.StringIO())


def test_two_writers_at_once_make_one_chain(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _rows(1, alice)
    seal, beaten = audit.seal, []

    def slow(row: AuditEntry) -> str:
        if not beaten:
            beaten.append(row)
            _rows(1, alice)  # somebody is faster
        return seal(row)

    monkeypatch.setattr(audit, "seal", slow)
    write_down(request_by(alice), AuditEntry.Action.SHARE)
    assert list(faults()) == []
    assert AuditEntry.objects.count() == 3


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:10.0.0.1", "2001:0db8::0001", "nonsense", ""])
def test_a_row_comes_back_as_it_was_sealed(alice: User, address: str) -> None:
    request: HttpRequest = request_by(alice)
    request.META["REMOTE_ADDR"] = address
    write_down(request, AuditEntry.Action.SHARE, detail="\u202etxt\0\ud800 …", purpose=Purpose("other", "ä" * 600, "T"))
    assert list(faults()) == []


@pytest.mark.parametrize(("behind_a_proxy", "named"), [(True, "203.0.113.9"), (False, "127.0.0.1")])
def test_behind_a_proxy_the_address_is_that_which_the_proxy_saw(
    alice: User, settings: Settings, behind_a_proxy: bool, named: str
) -> None:
    settings.HTTPS = behind_a_proxy
    request = request_by(alice)
    request.META |= {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.1, 203.0.113.9"}
    assert Names([write_down(request, AuditEntry.Action.SHARE)]).address(AuditEntry.objects.get()) == named


@pytest.fixture
def acts(team: Team, other_team: Team, alice: User, bob: User, mallory: User) -> dict[str, Dump]:
    """One act each of alice and mallory on a dump that bob uploaded, and on one of the other team."""
    ours, theirs = analysed_dump(team, bob, "ours.dmp"), analysed_dump(other_team, mallory, "theirs.dmp")
    write_down(request_by(alice), AuditEntry.Action.REVEAL_OBJECT, dump=ours, detail="0x10 Shop.Order")
    write_down(request_by(mallory), AuditEntry.Action.REVEAL_OBJECT, dump=theirs, detail="0x20 Other.Thing")
    return {"ours": ours, "theirs": theirs}


def _seen(client: Client) -> set[str]:
    rows = csv.DictReader(io.StringIO(b"".join(client.get(reverse("audit"), {"format": "csv"})).decode()))
    return {row["detail"] for row in rows} & {"0x10 Shop.Order", "0x20 Other.Thing"}


def test_everybody_reads_what_concerns_them(
    acts, alice: User, bob: User, carol: User, mallory: User, oscar: User, ada: User
) -> None:
    ours, theirs = {"0x10 Shop.Order"}, {"0x20 Other.Thing"}
    seen = {user.username: _seen(signed_in(user)) for user in (alice, bob, carol, mallory, oscar, ada)}
    assert seen == {"alice": ours, "bob": ours, "carol": set(), "mallory": theirs, "oscar": ours | theirs, "ada": ours | theirs}
    assert AuditEntry.objects.filter(action="export_audit").count() == 6


def test_the_page_is_filtered(acts, oscar: User) -> None:
    client = signed_in(oscar)
    body = client.get(
        reverse("audit"), {"who": "ali", "action": "reveal_object", "since": "2020-01-01", "outcome": "done"}
    ).content.decode()
    assert "0x10 Shop.Order" in body and "0x20 Other.Thing" not in body
    body = client.get(reverse("audit"), {"dump": str(acts["theirs"].pk)}).content.decode()
    assert "0x20 Other.Thing" in body and "0x10 Shop.Order" not in body
    for odd in ({"dump": "x"}, {"since": "yesterday"}, {"who": "\0"}, {"sort": "digest"}, {"until": "1999-01-01"}):
        assert client.get(reverse("audit"), odd).status_code == 200
    assert "dumps/" not in body.split("<table")[1], "an auditor is led to no dump"


def test_the_anchor_is_json_a_line(alice: User) -> None:
    _rows(1, alice)
    drop_anchor()
    (line,) = Path(anchor_file()).read_text().splitlines()
    assert set(json.loads(line)) == {"at", "sequence", "digest"}
