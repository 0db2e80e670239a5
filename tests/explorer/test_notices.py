"""Leads hear by mail of acts that reach far: after the row, without values, and never in anybody's way."""

from __future__ import annotations

import pytest
from django.core import mail

from explorer import tasks
from explorer.models import AuditEntry, Dump, Team, User
from explorer.services import notices, reveals
from explorer.services.audit import write_down
from tests.explorer.pages.visits import WHY, address
from tests.explorer.test_authentication import sign_in
from tests.explorer.test_shares import shared
from tests.explorer.test_teams import request_by
from tests.stored_dumps import analysed_dump

Action = AuditEntry.Action


@pytest.fixture
def dump(team: Team, alice: User, bob: User, settings) -> Dump:
    settings.MAIL_IS_SET_UP, settings.CELERY_TASK_ALWAYS_EAGER = True, True
    User.objects.filter(pk=alice.pk).update(email="alice@shop.test")
    User.objects.filter(pk=bob.pk).update(email="bob@shop.test")
    return analysed_dump(team, bob)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks):
    """What is mailed by acts inside the block, by the task itself."""
    monkeypatch.setattr(tasks.tell_leads, "delay", notices.tell_leads)
    return lambda: django_capture_on_commit_callbacks(execute=True)


def test_the_leads_hear_of_a_link(dump: Dump, bob: User, told) -> None:
    with told():
        shared(bob, dump)
    (sent,) = mail.outbox
    assert sent.to == ["alice@shop.test"]
    assert sent.subject == f"Dump Explorer: bob made a share link – {dump.name}"
    assert f"row {AuditEntry.objects.get().sequence} of the audit" in sent.body


@pytest.mark.parametrize("action", sorted(notices._TOLD))
def test_of_each_of_these(dump: Dump, bob: User, action: str, told) -> None:
    with told():
        write_down(request_by(bob), Action(action), dump=dump, detail="0x1234 secret")
        write_down(request_by(bob), Action(action), dump=dump, outcome=AuditEntry.Outcome.DENIED)
    assert [one.to for one in mail.outbox] == [["alice@shop.test"]]
    assert "secret" not in mail.outbox[0].body


def test_not_of_what_is_usual_nor_of_ones_own(dump: Dump, alice: User, bob: User, told) -> None:
    with told():
        write_down(request_by(bob), Action.REVEAL_OBJECT, dump=dump)
        shared(alice, dump)
    assert not mail.outbox


def test_of_the_hundredth_look_once(dump: Dump, bob: User, told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reveals, "MOST_IN_AN_HOUR", 0)
    client = sign_in("bob")
    with told():
        assert client.post(address(dump, "dump-memory"), WHY).status_code == 403, "for want of a right: another matter"
        assert {client.post(address(dump, "dump-registers", 1), WHY).status_code for _ in range(3)} == {429}
    assert [one.subject for one in mail.outbox] == [f"Dump Explorer: bob looked at registers – {dump.name} (denied)"]


def test_a_mail_server_that_is_away_is_in_nobodys_way(dump: Dump, bob: User, told, monkeypatch, capsys) -> None:
    def away(*_: object, **__: object) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr(notices, "send_mail", away)
    with told():
        assert shared(bob, dump)
    assert "notice_not_sent" in capsys.readouterr().out and not mail.outbox


def test_a_broker_that_is_away_is_in_nobodys_way(dump: Dump, bob: User, told, monkeypatch, capsys) -> None:
    def away(sequence: int) -> None:
        raise ConnectionRefusedError

    with told():
        monkeypatch.setattr(tasks.tell_leads, "delay", away)
        assert shared(bob, dump)
    assert "broker_unreachable" in capsys.readouterr().out


def test_without_a_mail_server_nobody_is_told(dump: Dump, bob: User, told, settings) -> None:
    settings.MAIL_IS_SET_UP = False
    with told():
        shared(bob, dump)
    assert not mail.outbox
