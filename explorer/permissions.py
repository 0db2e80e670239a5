"""Who may do what: pure functions over small frozen values. ``explorer.queries`` mirrors what lists need in SQL.

Data classes and the table of roles: docs/security.md. Everything that is not allowed here is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from analysis.index import DataClass
from explorer.models.team import Role, ServerRole

#: Analysts take back an upload that was a mistake for as long.
OWN_DELETE = timedelta(hours=24)
_MEMBERS_WITH_CONTEXT = (Role.ANALYST, Role.PROTECTED, Role.LEAD)
_PROTECTED = (Role.PROTECTED, Role.LEAD)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person as the rules see one: id, role by team (``lent`` ones too: access that was granted for hours), role on the server.

    ``program``: a program that acts with a token of that person, and never for more than the person's own uploads.
    """

    user_id: int
    roles: Mapping[UUID, Role]
    server_role: ServerRole = ServerRole.NONE
    program: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """A dump as the rules see one. ``only``: ids of the people it is narrowed to, None where the whole team sees it.

    ``age`` since the upload; ``held``: nobody may delete it; ``open_archive``: its team shows structure to everybody;
    ``trashed``: it is in the trash, where ``trashed_by_id`` put it (None where the server did).
    """

    team_id: UUID
    uploaded_by_id: int | None
    only: frozenset[int] | None = None
    open_archive: bool = False
    held: bool = False
    age: timedelta = field(default=timedelta())
    trashed: bool = False
    trashed_by_id: int | None = None


def _role(viewer: Viewer, subject: Subject) -> Role | None:
    """The role of somebody in the team of a dump that is not narrowed to others."""
    role = viewer.roles.get(subject.team_id)
    own = subject.uploaded_by_id == viewer.user_id
    if viewer.program:
        return role if own else None
    narrowed = subject.only is not None and role != Role.LEAD and not own and viewer.user_id not in subject.only
    return None if narrowed else role


def _person_is(viewer: Viewer, subject: Subject, roles: tuple[Role, ...]) -> bool:
    """Whether a person, and no program, has one of the roles for a dump that is not in the trash."""
    return not viewer.program and not subject.trashed and _role(viewer, subject) in roles


def can_view(viewer: Viewer, subject: Subject) -> bool:
    """Members of the dump's team; and everybody with an account where the team opens its archive. Nobody in the trash."""
    if subject.trashed:
        return False
    if _role(viewer, subject) is not None:
        return True
    return subject.open_archive and subject.only is None and viewer.user_id > 0 and not viewer.program


def highest_class(viewer: Viewer, subject: Subject) -> DataClass:
    """The most sensitive class of fields that pages show without asking. Ask ``can_view`` first."""
    return DataClass.D2_CONTEXT if _person_is(viewer, subject, _MEMBERS_WITH_CONTEXT) else DataClass.D1_STRUCTURE


def teams_with_context(viewer: Viewer) -> frozenset[UUID]:
    """Teams of whose dumps, where they are visible at all, somebody sees context (D2)."""
    return frozenset(team for team, role in viewer.roles.items() if role in _MEMBERS_WITH_CONTEXT and not viewer.program)


def can_see_masked_values(viewer: Viewer, subject: Subject) -> bool:
    """Kind, length and keyed hash of values (D3)."""
    return _person_is(viewer, subject, _MEMBERS_WITH_CONTEXT)


def can_reveal_values(viewer: Viewer, subject: Subject) -> bool:
    """Ask for values (D3): one at a time, with a reason and a fresh sign-in, each look written down."""
    return _person_is(viewer, subject, _MEMBERS_WITH_CONTEXT)


def can_open_window(viewer: Viewer, subject: Subject) -> bool:
    """Give one reason for an hour of looking at values."""
    return _person_is(viewer, subject, _PROTECTED)


def can_search_values(viewer: Viewer, subject: Subject) -> bool:
    """Look for a value (D3): which strings contain a text. An answer tells of values that nobody was shown."""
    return _person_is(viewer, subject, _PROTECTED)


def can_see_raw(viewer: Viewer, subject: Subject) -> bool:
    """Look at raw memory (D4), with a second factor shown just now."""
    return _person_is(viewer, subject, _PROTECTED)


def can_take_original(viewer: Viewer, subject: Subject) -> bool:
    """Ask for the original file, or let somebody else have it who asked: always two people."""
    return _person_is(viewer, subject, _PROTECTED)


def can_scrub(viewer: Viewer, subject: Subject) -> bool:
    """Have a copy without values made, and download it."""
    return _person_is(viewer, subject, _MEMBERS_WITH_CONTEXT)


def can_share(viewer: Viewer, subject: Subject) -> bool:
    """Make links that show structure."""
    return _person_is(viewer, subject, _MEMBERS_WITH_CONTEXT)


def can_comment(viewer: Viewer, subject: Subject) -> bool:
    """Say something about a dump: all members."""
    return _person_is(viewer, subject, tuple(Role))


def can_delete_note(viewer: Viewer, subject: Subject, author_id: int | None) -> bool:
    """Leads, and everybody's own; only the own is changed by anybody (``can_edit_note``)."""
    return _person_is(viewer, subject, (Role.LEAD,)) or can_edit_note(viewer, subject, author_id)


def can_edit_note(viewer: Viewer, subject: Subject, author_id: int | None) -> bool:
    """Everybody's own, as long as they may comment."""
    return can_comment(viewer, subject) and author_id == viewer.user_id


def can_tag(viewer: Viewer, subject: Subject) -> bool:
    """Say what a dump is and how far people are with it: labels, tags, status, owner, ticket."""
    return _person_is(viewer, subject, _MEMBERS_WITH_CONTEXT)


def can_delete_view(viewer: Viewer, team_id: UUID | None, owner_id: int) -> bool:
    """Everybody's own view of the archive, and leads those that are shared with their team."""
    led = team_id is not None and viewer.roles.get(team_id) == Role.LEAD
    return not viewer.program and (led or owner_id == viewer.user_id)


def can_analyse(viewer: Viewer, subject: Subject) -> bool:
    """Start an analysis again, or cancel it."""
    return _person_is(viewer, subject, _MEMBERS_WITH_CONTEXT)


def can_delete(viewer: Viewer, subject: Subject) -> bool:
    """Leads, and analysts their own dumps of the last day; nobody while a hold is on it."""
    if subject.held:
        return False
    own = subject.uploaded_by_id == viewer.user_id and subject.age <= OWN_DELETE
    return _person_is(viewer, subject, (Role.LEAD,)) or (own and _person_is(viewer, subject, (Role.ANALYST,)))


def can_use_trash(viewer: Viewer, team_id: UUID) -> bool:
    """See what the team's trash holds of one's own: who may delete dumps, or could. Leads see all of it."""
    return viewer.roles.get(team_id) in (Role.LEAD, Role.ANALYST) and not viewer.program


def can_restore(viewer: Viewer, subject: Subject) -> bool:
    """Take a dump out of the trash: leads, and analysts what they put there."""
    own = subject.trashed_by_id == viewer.user_id
    leads = viewer.roles.get(subject.team_id) == Role.LEAD
    return subject.trashed and can_use_trash(viewer, subject.team_id) and (leads or own)


def can_empty_trash(viewer: Viewer, team_id: UUID) -> bool:
    """Delete for good what is in the trash: leads. A hold keeps a dump there."""
    return viewer.roles.get(team_id) == Role.LEAD and not viewer.program


def can_purge(viewer: Viewer, subject: Subject) -> bool:
    """Delete a dump in the trash for good: leads; nobody while a hold is on it."""
    return subject.trashed and not subject.held and can_empty_trash(viewer, subject.team_id)


def can_set_quota(viewer: Viewer) -> bool:
    """Say how much a team may keep: administrators."""
    return viewer.server_role == ServerRole.ADMINISTRATOR and not viewer.program


def can_remove_team(viewer: Viewer) -> bool:
    """Remove a team with all its dumps: administrators, while no hold is on one."""
    return viewer.server_role == ServerRole.ADMINISTRATOR and not viewer.program


def can_narrow(viewer: Viewer, subject: Subject) -> bool:
    """Choose the people that see a dump: leads of its team."""
    return _person_is(viewer, subject, (Role.LEAD,))


def can_hold(viewer: Viewer) -> bool:
    """Set a hold on any dump: auditors and administrators."""
    return viewer.server_role in (ServerRole.AUDITOR, ServerRole.ADMINISTRATOR) and not viewer.program


def can_lift_hold(viewer: Viewer) -> bool:
    """Lift a hold: auditors."""
    return viewer.server_role == ServerRole.AUDITOR and not viewer.program


def can_upload(viewer: Viewer, team_id: UUID) -> bool:
    """Dumps and symbols: analysts, protected readers and leads of the team, and their programs."""
    return viewer.roles.get(team_id) in _MEMBERS_WITH_CONTEXT


def can_manage_members(viewer: Viewer, team_id: UUID) -> bool:
    """Leads of the team, and administrators of the server."""
    return bool(agrees_as(viewer, team_id))


def can_grant(viewer: Viewer, team_id: UUID, role: Role, *, led: bool) -> bool:
    """Give a role in a team at once; ``led``: it has a lead who can come in. Leads make viewers and analysts. Administrators do
    not read memory, nor by an account of their making: they make viewers, and a lead where there is none. Who is both makes
    leads too."""
    speaks_as = agrees_as(viewer, team_id)
    if role == Role.LEAD:
        return "administrator" in speaks_as and ("lead" in speaks_as or not led)
    return (role == Role.VIEWER and bool(speaks_as)) or (role == Role.ANALYST and "lead" in speaks_as)


def can_change_role(viewer: Viewer, team_id: UUID, held: Role, role: Role, *, active: bool, led: bool) -> bool:
    """Give somebody else a role in place of the one they hold; ``active``: they can come in. Leads change viewers and analysts.
    Administrators take rights away, but from no lead who can come in, and choose a lead where there is none; who is both does
    what either may."""
    if not can_grant(viewer, team_id, role, led=led):
        return False
    speaks_as = agrees_as(viewer, team_id)
    if held == Role.VIEWER or len(speaks_as) > 1:
        return True
    if "lead" in speaks_as:
        return held == Role.ANALYST
    return role in (Role.VIEWER, Role.LEAD) and not (held == Role.LEAD and active)


def can_remove_member(viewer: Viewer, team_id: UUID, held: Role, *, active: bool) -> bool:
    """Take somebody out of a team: its leads; administrators too, but no lead who can come in."""
    speaks_as = agrees_as(viewer, team_id)
    return "lead" in speaks_as or ("administrator" in speaks_as and not (held == Role.LEAD and active))


def agrees_as(viewer: Viewer, team_id: UUID) -> frozenset[str]:
    """For whom somebody speaks when a team's roles are given: its ``lead``, the ``administrator``, both or none. One of each, two
    people, make a protected reader, or a lead beside another (``RoleProposal``)."""
    if viewer.program:
        return frozenset()
    leads = {"lead"} if viewer.roles.get(team_id) == Role.LEAD else set()
    return frozenset(leads | ({"administrator"} if viewer.server_role == ServerRole.ADMINISTRATOR else set()))


def can_delete_symbols(viewer: Viewer, team_id: UUID, uploaded_by_id: int | None) -> bool:
    """Leads, and everybody who may upload their own PDBs."""
    role = viewer.roles.get(team_id)
    return role == Role.LEAD or (role in _MEMBERS_WITH_CONTEXT and uploaded_by_id == viewer.user_id)


def can_save_query(viewer: Viewer, subject: Subject) -> bool:
    """Keep a query with the team of a dump, and read those that others share there: all members, and nobody to whom the team
    opened its archive. A query may hold a value that somebody looked for."""
    return _person_is(viewer, subject, tuple(Role))


def can_delete_query(viewer: Viewer, team_id: UUID, owner_id: int) -> bool:
    """Leads, and everybody's own."""
    role = viewer.roles.get(team_id)
    return role == Role.LEAD or (role is not None and owner_id == viewer.user_id)


def can_read_whole_audit(viewer: Viewer) -> bool:
    """Every row of the audit: auditors and administrators. Leads read their team's, uploaders their dumps', all their own."""
    return viewer.server_role in (ServerRole.AUDITOR, ServerRole.ADMINISTRATOR) and not viewer.program


def can_lend_access(viewer: Viewer, team_id: UUID) -> bool:
    """Let an administrator into a team for some hours: its leads."""
    return viewer.roles.get(team_id) == Role.LEAD and not viewer.program
