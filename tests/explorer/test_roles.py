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
from explorer.queries import dumps_visible_to, open_invitations
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


TWICE = (Role.PROTECTED, Role.LEAD)


def agree(by: User, team: Team, user: User, role: Role) -> bool:
    return teams.agree_to_role(request=request_by(by), team=team, user=user, role=role)


def give(by: User, team: Team, username: str, role: Role) -> None:
    teams.add_member(request=request_by(by), team=team, username=username, role=role)


@pytest.mark.parametrize("role", TWICE)
def test_a_lead_and_an_administrator_make_a_protected_reader_or_lead(
    team: Team, alice: User, bob: User, ada: User, role: Role
) -> None:
    for first, second in ((alice, ada), (ada, alice)):
        Membership.objects.filter(user=bob).update(role=Role.ANALYST)
        assert not agree(first, team, bob, role)
        assert not agree(first, team, bob, role), "one voice twice is one voice"
        assert role_of(bob) == Role.ANALYST
        assert agree(second, team, bob, role)
        assert role_of(bob) == role
        with pytest.raises(ValueError, match="already"):
            agree(first, team, bob, role)
    assert [row.action for row in AuditEntry.objects.all()] == ["change_role"] * 6
    latest = AuditEntry.objects.first()
    assert Names([latest]).detail(latest) == f"bob: now {role}"
    with pytest.raises(PermissionDenied):
        agree(bob, team, bob, role)


@pytest.mark.parametrize("role", TWICE)
def test_who_leads_and_administers_is_one_person(team: Team, alice: User, bob: User, ada: User, role: Role) -> None:
    User.objects.filter(pk=alice.pk).update(server_role="administrator")
    both = User.objects.get(pk=alice.pk)
    for _ in range(2):
        assert not agree(both, team, bob, role)
    with pytest.raises(PermissionDenied):
        agree(both, team, both, role)
    assert agree(ada, team, bob, role)


def test_agreeing_to_one_role_is_not_agreeing_to_another(team: Team, alice: User, bob: User, ada: User) -> None:
    agree(alice, team, bob, Role.PROTECTED)
    assert not agree(ada, team, bob, Role.LEAD)
    assert agree(ada, team, bob, Role.PROTECTED)
    assert agree(alice, team, bob, Role.LEAD), "a protected reader becomes lead"
    with pytest.raises(PermissionDenied):
        agree(ada, team, bob, Role.ANALYST)


VOICE_ENDS = {
    "leads no more": lambda alice, erin: Membership.objects.filter(user=alice).update(role=Role.VIEWER),
    "left": lambda alice, erin: Membership.objects.filter(user=alice).delete(),
    "is closed": lambda alice, erin: User.objects.filter(pk=alice.pk).update(is_active=False),
    "took the member out": lambda alice, erin: teams.remove_member(
        request=request_by(alice), team=erin.memberships.get().team, membership_id=erin.memberships.get().pk
    ),
}


@pytest.mark.parametrize("end", VOICE_ENDS)
def test_a_voice_counts_while_its_person_may_speak(team: Team, alice: User, erin: User, ada: User, end: str) -> None:
    agree(alice, team, erin, Role.LEAD)
    VOICE_ENDS[end](alice, erin)
    team.memberships.get_or_create(user=erin, defaults={"role": Role.VIEWER})
    assert not agree(ada, team, erin, Role.LEAD)
    assert role_of(erin) != Role.LEAD


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST, Role.LEAD])
def test_an_administrator_does_not_take_themselves_in(team: Team, ada: User, role: Role) -> None:
    """Not even where nobody leads the team."""
    with pytest.raises(PermissionDenied):
        give(ada, team, "ada", role)
    if role != Role.ANALYST:
        invitation, _ = invitations.invite(request=request_by(ada), team=team, role=role)
        with pytest.raises(InvitationUnusable):
            invitations.accept(request=request_by(ada), invitation=invitation, user=ada)
    assert not Membership.objects.filter(user=ada).exists()


@pytest.mark.parametrize("role", [Role.ANALYST, Role.PROTECTED, Role.LEAD])
@pytest.mark.parametrize("first", [None, Role.VIEWER])
def test_an_administrator_alone_makes_no_reader(team: Team, alice: User, ada: User, role: Role, first: Role | None) -> None:
    """A second account of their own, at once or in two steps."""
    if first:
        give(ada, team, "puppet", first)
    with pytest.raises(PermissionDenied, match="lead"):
        give(ada, team, "puppet", role)
    with pytest.raises(PermissionDenied, match="lead"):
        invitations.invite(request=request_by(ada), team=team, role=role)
    if first and role in TWICE:
        second = User.objects.create_user("second", server_role=ServerRole.ADMINISTRATOR)
        puppet = User.objects.get(username="puppet")
        assert not agree(ada, team, puppet, role) and not agree(second, team, puppet, role), "two administrators are one side"
    assert list(Membership.objects.filter(user__username="puppet").values_list("role", flat=True)) == ([first] if first else [])


def test_an_administrator_does_not_put_a_lead_out_of_the_way(team: Team, alice: User, bob: User, ada: User) -> None:
    Membership.objects.filter(user=bob).update(role=Role.LEAD)
    client, lead = signed_in(ada), Membership.objects.get(user=alice)
    for role in Role:
        answer = client.post(reverse("member-add", args=[team.pk]), {"username": "alice", "role": role})
        assert answer.status_code == 403
    answer = client.post(reverse("member-remove", args=[team.pk, lead.pk]))
    assert answer.status_code == 403 and "steps down by themselves" in answer.content.decode()
    assert role_of(alice) == Role.LEAD


def test_an_administrator_takes_rights_away(team: Team, alice: User, bob: User, erin: User, ada: User) -> None:
    for reader in (bob, erin):
        for role in (Role.ANALYST, Role.LEAD):
            with pytest.raises(PermissionDenied):
                give(ada, team, reader.username, role)
        give(ada, team, reader.username, Role.VIEWER)
        assert role_of(reader) == Role.VIEWER
    Membership.objects.filter(user=bob).update(role=Role.PROTECTED)
    teams.remove_member(request=request_by(ada), team=team, membership_id=Membership.objects.get(user=bob).pk)
    assert not Membership.objects.filter(user=bob).exists()


@pytest.mark.parametrize("chosen", ["bob", "carol"])
def test_an_administrator_gives_a_team_without_a_lead_one(
    team: Team, alice: User, bob: User, carol: User, ada: User, chosen: str
) -> None:
    """A lead whose account is closed leads nobody."""
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert "Propose as team lead" not in signed_in(ada).get(reverse("team")).content.decode()
    for name, role in (("puppet", Role.ANALYST), ("puppet", Role.PROTECTED)):
        with pytest.raises(PermissionDenied):
            give(ada, team, name, role)
    give(ada, team, chosen, Role.LEAD)
    with pytest.raises(PermissionDenied):
        give(ada, team, "puppet", Role.LEAD)
    teams.remove_member(request=request_by(ada), team=team, membership_id=Membership.objects.get(user=alice).pk)
    assert role_of(User.objects.get(username=chosen)) == Role.LEAD


def test_an_administrators_invitation_of_a_lead_ends_once_there_is_one(team: Team, bob: User, carol: User, ada: User) -> None:
    """Two were made while nobody led the team; the first that is accepted ends the second."""
    made = [invitations.invite(request=request_by(ada), team=team, role=Role.LEAD)[0] for _ in range(2)]
    viewer, _ = invitations.invite(request=request_by(ada), team=team, role=Role.VIEWER)
    first, second = User.objects.create_user("dora"), User.objects.create_user("puppet")
    invitations.accept(request=request_by(first), invitation=made[0], user=first)
    with pytest.raises(InvitationUnusable):
        invitations.accept(request=request_by(second), invitation=made[1], user=second)
    invitations.accept(request=request_by(second), invitation=viewer, user=second)
    assert (role_of(first), role_of(second)) == (Role.LEAD, Role.VIEWER)


def test_an_invitation_of_an_analyst_ends_when_its_maker_only_administers(team: Team, alice: User, bob: User) -> None:
    User.objects.filter(pk=alice.pk).update(server_role="administrator")
    Membership.objects.filter(user=bob).update(role=Role.LEAD)
    by = request_by(User.objects.get(pk=alice.pk))
    made = [invitations.invite(request=by, team=team, role=role)[0] for role in (Role.ANALYST, Role.LEAD)]
    assert list(open_invitations().order_by("created_at")) == made
    Membership.objects.filter(user=alice).delete()
    assert not open_invitations().exists()


def test_who_leads_and_administers_gives_all_but_protected_readers(team: Team, alice: User, bob: User, carol: User) -> None:
    User.objects.filter(pk=alice.pk).update(server_role="administrator")
    both = User.objects.get(pk=alice.pk)
    for role in (Role.LEAD, Role.ANALYST, Role.VIEWER):
        give(both, team, "bob", role)
        assert role_of(bob) == role
    with pytest.raises(PermissionDenied, match="propose a member as protected reader"):
        give(both, team, "bob", Role.PROTECTED)


@pytest.mark.parametrize("role", TWICE)
def test_a_lead_alone_makes_nobody_more_than_an_analyst(team: Team, alice: User, bob: User, role: Role) -> None:
    with pytest.raises(PermissionDenied):
        give(alice, team, "bob", role)
    signed_in(alice).post(reverse("invitation-create", args=[team.pk]), {"role": role, "email": ""})
    assert role_of(bob) == Role.ANALYST
    assert not team.invitations.exists()


def test_a_lead_does_not_demote_another(team: Team, alice: User, bob: User) -> None:
    Membership.objects.filter(user=bob).update(role=Role.LEAD)
    with pytest.raises(PermissionDenied):
        give(alice, team, "bob", Role.VIEWER)


def test_a_lead_whose_account_is_closed_does_not_let_the_last_one_go(team: Team, alice: User, bob: User) -> None:
    Membership.objects.filter(user=bob).update(role=Role.LEAD)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    with pytest.raises(ValueError, match="needs a lead"):
        give(alice, team, "alice", Role.VIEWER)


def test_the_page_offers_what_somebody_may_do(team: Team, alice: User, bob: User, erin: User, ada: User) -> None:
    def offered(by: User) -> tuple[list[str], dict[str, tuple[bool, list[str]]]]:
        (row,) = signed_in(by).get(reverse("team")).context["rows"]
        acts = {
            member["membership"].user.username: (member["may_remove"], [one["role"].value for one in member["proposals"]])
            for member in row["members"]
        }
        return [role.value for role in row["roles_to_give"]], acts

    both = (True, ["protected", "lead"])
    assert offered(alice) == (["viewer", "analyst"], {"alice": (True, []), "bob": both, "erin": (True, ["lead"])})
    assert offered(ada) == (["viewer"], {"alice": (False, []), "bob": both, "erin": (True, ["lead"])})
    assert offered(bob) == ([], dict.fromkeys(("alice", "bob", "erin"), (False, [])))


def test_proposing_and_agreeing_on_the_page(team: Team, alice: User, bob: User, ada: User) -> None:
    address = reverse("member-propose", args=[team.pk, Membership.objects.get(user=bob).pk])
    for role in ("", "owner"):
        assert "Choose a role" in signed_in(alice).post(address, {"role": role}, follow=True).content.decode()
    assert signed_in(alice).post(address, {"role": "analyst"}).status_code == 403
    page = signed_in(alice).post(address, {"role": "lead"}, follow=True).content.decode()
    assert "bob is team lead once an administrator agrees" in page
    page = signed_in(ada).get(reverse("team")).content.decode()
    assert "Agree: team lead" in page and "Propose as protected reader" in page
    assert "bob is now team lead" in signed_in(ada).post(address, {"role": "lead"}, follow=True).content.decode()
    assert "is team lead already" in signed_in(ada).post(address, {"role": "protected"}, follow=True).content.decode()


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
