"""What roles change beyond the table of addresses: protected readers, lent access, narrowed dumps, open archives, holds."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from analysis.index import DataClass
from explorer import permissions
from explorer.models import AuditEntry, Dump, LentAccess, Membership, Role, ServerRole, Team, User
from explorer.permissions import Subject, Viewer
from explorer.queries import dumps_visible_to
from explorer.services import invitations, teams
from explorer.services.audit_names import Names
from explorer.services.invitations import InvitationUnusable
from explorer.viewers import subject_of, viewer_of
from tests.explorer.test_teams import request_by, signed_in
from tests.stored_dumps import analysed_dump


@pytest.fixture
def dump(team: Team, alice: User) -> Dump:
    return analysed_dump(team, alice)


def role_of(user: User) -> str:
    return Membership.objects.get(user=user).role


def test_a_lead_and_an_administrator_make_a_protected_reader(team: Team, alice: User, bob: User, ada: User) -> None:
    for first, second in ((alice, ada), (ada, alice)):
        Membership.objects.filter(user=bob).update(role=Role.ANALYST)
        assert not teams.agree_to_protected_reader(request=request_by(first), team=team, user=bob)
        assert not teams.agree_to_protected_reader(request=request_by(first), team=team, user=bob), "one voice twice is one voice"
        assert role_of(bob) == Role.ANALYST
        assert teams.agree_to_protected_reader(request=request_by(second), team=team, user=bob)
        assert role_of(bob) == Role.PROTECTED
    with pytest.raises(PermissionDenied):
        teams.agree_to_protected_reader(request=request_by(bob), team=team, user=bob)


def test_who_leads_and_administers_is_one_person(team: Team, alice: User, bob: User, ada: User) -> None:
    User.objects.filter(pk=alice.pk).update(server_role="administrator")
    both = User.objects.get(pk=alice.pk)
    for _ in range(2):
        assert not teams.agree_to_protected_reader(request=request_by(both), team=team, user=bob)
    with pytest.raises(PermissionDenied):
        teams.agree_to_protected_reader(request=request_by(both), team=team, user=both)
    assert teams.agree_to_protected_reader(request=request_by(ada), team=team, user=bob)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST, Role.LEAD])
def test_an_administrator_does_not_take_themselves_in(team: Team, alice: User, ada: User, role: Role) -> None:
    with pytest.raises(PermissionDenied):
        teams.add_member(request=request_by(ada), team=team, username="ada", role=role)
    invitation, _ = invitations.invite(request=request_by(ada), team=team, role=role)
    with pytest.raises(InvitationUnusable):
        invitations.accept(request=request_by(ada), invitation=invitation, user=ada)
    assert not Membership.objects.filter(user=ada).exists()


@pytest.mark.parametrize("role", [Role.PROTECTED, Role.LEAD])
def test_a_lead_alone_makes_nobody_more_than_an_analyst(team: Team, alice: User, bob: User, role: Role) -> None:
    with pytest.raises(PermissionDenied):
        teams.add_member(request=request_by(alice), team=team, username="bob", role=role)
    signed_in(alice).post(reverse("invitation-create", args=[team.pk]), {"role": role, "email": ""})
    assert role_of(bob) == Role.ANALYST
    assert not team.invitations.exists()


def test_a_lead_does_not_demote_another(team: Team, alice: User, bob: User) -> None:
    Membership.objects.filter(user=bob).update(role=Role.LEAD)
    with pytest.raises(PermissionDenied):
        teams.add_member(request=request_by(alice), team=team, username="bob", role=Role.VIEWER)


def test_an_administrator_is_let_in_for_hours(team: Team, dump: Dump, alice: User, ada: User) -> None:
    client, page = signed_in(ada), reverse("dump-overview", args=[dump.pk])
    assert client.get(page).status_code == 404
    client.post(reverse("access-ask", args=[team.pk]), {"explanation": "the pager rang at night"})
    lent = LentAccess.objects.get()
    assert client.get(page).status_code == 404
    assert client.post(reverse("access-lend", args=[team.pk, lent.pk])).status_code == 403, "not by oneself"
    assert "the pager rang at night" in signed_in(alice).get(reverse("team")).content.decode()
    signed_in(alice).post(reverse("access-lend", args=[team.pk, lent.pk]))
    assert client.get(page).status_code == 200
    assert permissions.highest_class(viewer_of(ada), subject_of(dump)) == DataClass.D2_CONTEXT
    LentAccess.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get(page).status_code == 404
    assert [row.action for row in AuditEntry.objects.order_by("sequence")] == ["break_glass", "grant_glass"]


def test_an_open_archive_shows_structure_to_everybody(team: Team, dump: Dump, alice: User, mallory: User) -> None:
    assert not dumps_visible_to(mallory).exists()
    signed_in(alice).post(reverse("team-archive", args=[team.pk]), {"open": "on"})
    assert dumps_visible_to(mallory).get() == dump
    dump.refresh_from_db()
    assert permissions.highest_class(viewer_of(mallory), subject_of(Dump.objects.get())) == DataClass.D1_STRUCTURE
    Dump.objects.get().only_people.add(alice)
    assert not dumps_visible_to(mallory).exists(), "a dump for some people is in no open archive"
    signed_in(alice).post(reverse("team-archive", args=[team.pk]))
    assert not Team.objects.get(pk=team.pk).opens_archive


def test_a_narrowed_dump_is_for_those_it_names(
    team: Team, dump: Dump, alice: User, bob: User, carol: User, mallory: User
) -> None:
    path = reverse("dump-narrow", args=[dump.pk])
    signed_in(alice).post(path, {"person": [bob.pk, mallory.pk, "x", "9" * 30]})
    assert set(dump.only_people.all()) == {bob}, "members of the team only"
    assert [user.username for user in (alice, bob, carol, mallory) if dumps_visible_to(user).exists()] == ["alice", "bob"]
    assert "only bob" in signed_in(alice).get(reverse("dump-access", args=[dump.pk])).content.decode()
    signed_in(alice).post(path)
    assert dumps_visible_to(carol).exists()


def test_a_hold_keeps_everybody_from_deleting(dump: Dump, alice: User, oscar: User, ada: User) -> None:
    hold, lift = reverse("hold-set", args=[dump.pk]), reverse("hold-lift", args=[dump.pk])
    signed_in(ada).post(hold, {"note": "short"})
    assert Dump.objects.get().held_at is None
    signed_in(ada).post(hold, {"note": "a case at court"})
    assert signed_in(alice).post(reverse("dump-delete", args=[dump.pk])).status_code == 403
    assert "a case at court" in signed_in(oscar).get(reverse("holds")).content.decode()
    assert signed_in(ada).post(lift).status_code == 403
    signed_in(oscar).post(lift)
    assert signed_in(alice).post(reverse("dump-delete", args=[dump.pk])).status_code == 302
    assert Dump.objects.get().trashed_at is not None


def test_an_analyst_takes_back_an_upload_of_the_last_day(team: Team, bob: User) -> None:
    dump = analysed_dump(team, bob)
    Dump.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert signed_in(bob).post(reverse("dump-delete", args=[dump.pk])).status_code == 403
    Dump.objects.update(created_at=timezone.now() - timedelta(hours=23))
    assert signed_in(bob).post(reverse("dump-delete", args=[dump.pk])).status_code == 302


def test_nobody_without_a_role_may_do_anything(team: Team) -> None:
    subject = Subject(team.pk, None)
    acts = [
        rule for name, rule in vars(permissions).items() if name.startswith("can_") and "subject" in rule.__code__.co_varnames
    ]
    assert len(acts) >= 11
    for viewer in (Viewer(0, {}), Viewer(7, {}), Viewer(7, {team.pk: Role.LEAD}, program=True)):
        # A third argument is whose it is: nobody's here.
        assert not any(rule(viewer, subject, *[None] * (rule.__code__.co_argcount - 2)) for rule in acts)


def test_the_operator_gives_roles_on_the_server(bob: User) -> None:
    call_command("server_role", "bob", "auditor", stdout=StringIO())
    bob.refresh_from_db()
    assert bob.server_role == ServerRole.AUDITOR
    row = AuditEntry.objects.get()
    assert (row.actor_id, row.actor_name) == (None, "operator of the machine")
    assert Names([row]).detail(row) == "bob: none to auditor on the server"
    call_command("server_role", "bob", "none", stdout=StringIO())
    bob.refresh_from_db()
    assert bob.server_role == ServerRole.NONE
    with pytest.raises(CommandError, match="nobody of the name"):
        call_command("server_role", "nobody", "auditor")
