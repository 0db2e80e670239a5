"""People in the audit can be forgotten: their key goes, no row does, and the chain stays whole."""

from __future__ import annotations

import csv
import io
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from explorer.models import AuditEntry, AuditPerson, Role, Team, User
from explorer.models.audit import PLAIN, seal
from explorer.services import audit_names, teams
from explorer.services.audit import faults, write_down
from explorer.services.audit_names import Names, called_once_erased, people_called
from explorer.services.removal import remove_account
from tests.explorer.test_teams import request_by, signed_in
from tests.goals import Goals

Action = AuditEntry.Action
ADDRESS = "192.0.2.77"


def act(user: User, action: AuditEntry.Action = Action.SHARE, **content: object) -> AuditEntry:
    request = request_by(user)
    request.META["REMOTE_ADDR"] = ADDRESS
    return write_down(request, action, **content)


def old_row(user: User) -> AuditEntry:
    """One as an earlier version wrote it: names in plain text, sealed over the fields that there were."""
    row = act(user)
    with connection.cursor() as cursor:
        plain = "UPDATE explorer_auditentry SET form = 1, personal = '', actor_name = %s, remote_address = %s WHERE id = %s"
        cursor.execute(plain, [user.username, ADDRESS, row.pk])
        found = AuditEntry.objects.get(pk=row.pk)
        cursor.execute("UPDATE explorer_auditentry SET digest = %s WHERE id = %s", [seal(found), row.pk])
    return AuditEntry.objects.get(pk=row.pk)


def everything_kept() -> str:
    """All that the tables of the audit hold."""
    found = []
    with connection.cursor() as cursor:
        for table in ("explorer_auditentry", "explorer_auditperson"):
            cursor.execute(f"SELECT * FROM {table}")
            found += cursor.fetchall()
    return str(found)


def exported(user: User, **filters: str) -> list[dict[str, str]]:
    answer = signed_in(user).get(reverse("audit"), {"format": "csv", **filters})
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


def test_no_row_holds_a_name_in_plain_text(team: Team, alice: User, bob: User) -> None:
    act(bob)
    teams.add_member(request=request_by(alice), team=team, username="bob", role=Role.VIEWER)
    assert not any(text in everything_kept() for text in ("bob", "alice", ADDRESS))
    changed, shared = AuditEntry.objects.all()
    names = Names([changed, shared])
    assert (names.actor(shared), names.address(shared)) == ("bob", ADDRESS)
    assert (names.actor(changed), names.detail(changed)) == ("alice", "bob: analyst to viewer")


def test_an_erased_person_is_somebody_in_a_whole_chain(team: Team, alice: User, bob: User, oscar: User, goals: Goals) -> None:
    for _ in range(3):
        act(bob)
        act(alice)
    teams.add_member(request=request_by(alice), team=team, username="bob", role=Role.VIEWER)
    before = list(AuditEntry.objects.values())
    label = called_once_erased(bob.pk)
    call_command("remove_account", "bob", "--erase-name", stdout=io.StringIO())
    assert list(AuditEntry.objects.filter(sequence__lte=len(before)).values()) == before, "no row was touched"
    assert list(faults()) == []
    call_command("verify_audit", stdout=io.StringIO())

    rows = exported(oscar)
    whole = str(rows) + signed_in(oscar).get(reverse("audit")).content.decode()
    assert "bob" not in whole
    forgotten = [row for row in rows if label in (row["actor"], row["detail"].partition(":")[0])]
    goals.count("rows of the audit in which an erased person is somebody", len(forgotten), 5)
    assert {f"{label}: analyst to viewer", label} <= {row["detail"] for row in rows}
    assert {row["address"] for row in rows if row["actor"] == label} == {""}
    assert ADDRESS in {row["address"] for row in rows if row["actor"] == "alice"}


def test_without_the_option_the_name_stays_and_can_be_erased_later(bob: User, oscar: User) -> None:
    act(bob)
    call_command("remove_account", "bob", stdout=io.StringIO())
    assert "bob" in {row["actor"] for row in exported(oscar)}
    with pytest.raises(CommandError, match="nobody"):
        call_command("remove_account", "bob", stdout=io.StringIO())
    call_command("remove_account", "bob", "--erase-name", stdout=io.StringIO())
    assert called_once_erased(bob.pk) in {row["actor"] for row in exported(oscar)}
    with pytest.raises(CommandError, match="nobody"):
        call_command("remove_account", "bob", "--erase-name", stdout=io.StringIO())


def test_the_key_is_gone_and_is_not_made_again(bob: User) -> None:
    key = AuditPerson.objects.get(pk=act(bob).actor_id).key
    assert key in everything_kept()
    audit_names.erase(bob.pk)
    assert key not in everything_kept()
    row = act(bob)  # a request that was under way
    assert (row.personal, Names([row]).actor(row)) == ("", called_once_erased(bob.pk))
    assert list(faults()) == []


def test_rows_of_before_are_whole_shown_and_forgotten_with_their_person(bob: User, alice: User, oscar: User) -> None:
    act(alice)
    row = old_row(bob)
    act(alice)
    assert row.form == PLAIN and list(faults()) == []
    assert (Names([row]).actor(row), Names([row]).address(row)) == ("bob", ADDRESS)
    assert {one["actor"] for one in exported(oscar, who="bo")} == {"bob"}
    said = io.StringIO()
    call_command("remove_account", "bob", "--erase-name", stdout=said)
    assert "1 rows that an earlier version wrote" in said.getvalue()
    assert (Names([row]).actor(row), Names([row]).address(row)) == (called_once_erased(bob.pk), "")
    assert exported(oscar, who="bo") == []


@pytest.mark.parametrize("change", ["form = 1", "personal = 'x'", "people = '[[1, \"x\"]]'", "actor_name = 'mallory'"])
def test_what_is_encrypted_is_sealed_too(bob: User, change: str) -> None:
    act(bob)
    old = old_row(bob)
    for sequence in (1, old.sequence):
        if (sequence, change) == (old.sequence, "form = 1"):
            continue
        kept = AuditEntry.objects.filter(sequence=sequence).values().get()
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE explorer_auditentry SET {change} WHERE sequence = %s", [sequence])
            assert f"row {sequence} was changed" in list(faults())
            back = "UPDATE explorer_auditentry SET form = %s, personal = %s, people = %s, actor_name = %s WHERE sequence = %s"
            cursor.execute(back, [kept["form"], kept["personal"], "[]", kept["actor_name"], sequence])
        assert list(faults()) == []


def test_rows_are_filtered_by_people(team: Team, alice: User, bob: User, carol: User, oscar: User) -> None:
    for user in (alice, bob, carol, bob):
        act(user)
    audit_names.erase(carol.pk)
    assert [row["actor"] for row in exported(oscar, who="BO")] == ["bob", "bob"]
    assert exported(oscar, who="carol") == []
    assert [row["actor"] for row in exported(oscar, who="erased person")] == [called_once_erased(carol.pk)]
    assert len(people_called("")) == 4
    by_person = [row["actor"] for row in exported(oscar, sort="actor", action="share")]
    assert by_person == ["alice", "bob", "bob", called_once_erased(carol.pk)]


def test_a_ciphertext_of_somebody_else_says_nothing(alice: User, bob: User) -> None:
    row, other = act(bob), act(alice)
    row.personal = other.personal
    assert Names([row]).actor(row).startswith("person ")


def test_another_servers_key_reads_no_name_and_writes_on(bob: User, settings) -> None:
    first = act(bob)
    settings.SECRET_KEY = "another" * 10
    assert "key is missing" in Names([first]).actor(first)
    second = act(bob)
    assert Names([second]).actor(second) == "bob"


def test_a_refused_removal_erases_nothing(bob: User) -> None:
    act(bob)
    with pytest.raises(ValueError, match="last lead"):
        team = Team.objects.get()
        team.memberships.filter(user=bob).update(role=Role.LEAD)
        remove_account(request=request_by(bob), user=bob, erase_name=True)
    assert audit_names.erased_people() == []


def test_a_page_of_names_is_cheap(db: None, django_assert_num_queries) -> None:
    """500 rows of 500 people: one query, and not much time."""
    for user in User.objects.bulk_create(User(username=f"person {number}") for number in range(500)):
        act(user)
    rows = list(AuditEntry.objects.all())
    began = time.perf_counter()
    with django_assert_num_queries(1):
        names = Names(rows)
        assert {names.actor(row) for row in rows} == {f"person {number}" for number in range(500)}
    elapsed = time.perf_counter() - began
    assert elapsed < 0.25
