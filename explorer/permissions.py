"""Who may do what: pure functions over small frozen values. ``explorer.queries`` mirrors ``can_view`` in SQL.

Data classes (docs/security.md): viewers see structure (D1), analysts and leads context too (D2). Values (D3) are shown
to analysts and leads one at a time, each look written down; raw bytes (D4) to nobody yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from analysis.index import DataClass
from explorer.models.team import Role


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person as the rules see one: id, and role by team."""

    user_id: int
    roles: Mapping[UUID, Role]


@dataclass(frozen=True, slots=True)
class Subject:
    """A dump as the rules see one."""

    team_id: UUID
    uploaded_by_id: int | None


def _role(viewer: Viewer, subject: Subject) -> Role | None:
    return viewer.roles.get(subject.team_id)


def can_view(viewer: Viewer, subject: Subject) -> bool:
    """Members of the dump's team."""
    return _role(viewer, subject) is not None


def highest_class(viewer: Viewer, subject: Subject) -> DataClass:
    """The most sensitive class of fields that may be shown. Ask ``can_view`` first."""
    return DataClass.D2_CONTEXT if _role(viewer, subject) in (Role.ANALYST, Role.LEAD) else DataClass.D1_STRUCTURE


def can_reveal_values(viewer: Viewer, subject: Subject) -> bool:
    """Ask for values (D3), one at a time, each look written down: analysts and leads."""
    return _role(viewer, subject) in (Role.ANALYST, Role.LEAD)


def can_analyse(viewer: Viewer, subject: Subject) -> bool:
    """Start an analysis again, or cancel it: analysts and leads."""
    return _role(viewer, subject) in (Role.ANALYST, Role.LEAD)


def can_delete(viewer: Viewer, subject: Subject) -> bool:
    """Leads, and an analyst's own dumps."""
    role = _role(viewer, subject)
    return role == Role.LEAD or (role == Role.ANALYST and subject.uploaded_by_id == viewer.user_id)


def can_upload(viewer: Viewer, team_id: UUID) -> bool:
    """Dumps and symbols: analysts and leads of the team."""
    return viewer.roles.get(team_id) in (Role.ANALYST, Role.LEAD)


def can_manage_members(viewer: Viewer, team_id: UUID) -> bool:
    """Leads of the team."""
    return viewer.roles.get(team_id) == Role.LEAD


def can_invite(viewer: Viewer, team_id: UUID, role: Role) -> bool:
    """Leads of the team, up to analyst."""
    return can_manage_members(viewer, team_id) and role in (Role.VIEWER, Role.ANALYST)


def can_delete_symbols(viewer: Viewer, team_id: UUID, uploaded_by_id: int | None) -> bool:
    """Leads, and an analyst's own PDBs."""
    role = viewer.roles.get(team_id)
    return role == Role.LEAD or (role == Role.ANALYST and uploaded_by_id == viewer.user_id)


def can_delete_query(viewer: Viewer, team_id: UUID, owner_id: int) -> bool:
    """Leads, and everybody's own."""
    role = viewer.roles.get(team_id)
    return role == Role.LEAD or (role is not None and owner_id == viewer.user_id)
