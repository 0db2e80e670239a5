"""The only way from a request to a dump: 404 when it is invisible, 403 when it is visible but the act is not allowed."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from analysis.index import DataClass
from explorer import permissions
from explorer.models import Dump, SavedQuery, SymbolFile, Team
from explorer.permissions import Subject, Viewer
from explorer.queries import dumps_visible_to, queries_visible_to, symbols_of, teams_managed_by, teams_of, trash_visible_to
from explorer.viewers import subject_of, viewer_of

_ACTS: dict[str, Callable[[Viewer, Subject], bool]] = {
    "view": permissions.can_view,
    "analyse": permissions.can_analyse,
    "see_masked": permissions.can_see_masked_values,
    "reveal_values": permissions.can_reveal_values,
    "search_values": permissions.can_search_values,
    "see_raw": permissions.can_see_raw,
    "take_original": permissions.can_take_original,
    "share": permissions.can_share,
    "narrow": permissions.can_narrow,
    "delete": permissions.can_delete,
}


def dump_for(request: HttpRequest, dump_id: UUID, to: str = "view") -> Dump:
    """The dump, when the person may see it and may do ``to``, one of the names above."""
    dump = (
        dumps_visible_to(request.user)
        .select_related("team", "uploaded_by")
        .prefetch_related("only_people")
        .filter(pk=dump_id)
        .first()
    )
    if dump is None:
        raise Http404("There is no such dump.")
    if not _ACTS[to](viewer_of(request.user), subject_of(dump)):
        raise PermissionDenied(f"Your role in {dump.team} does not allow this.")
    return dump


def highest_class_for(request: HttpRequest, dump: Dump) -> DataClass:
    """The most sensitive class of this dump's fields that the person may see."""
    return permissions.highest_class(viewer_of(request.user), subject_of(dump))


def trashed_dump_for(request: HttpRequest, dump_id: UUID, *, to_purge: bool = False) -> Dump:
    """A dump in the trash, when the person may take it out (and may delete it for good)."""
    dump = trash_visible_to(request.user).filter(pk=dump_id).first()
    if dump is None:
        raise Http404("There is no such dump.")
    if to_purge and not permissions.can_purge(viewer_of(request.user), subject_of(dump)):
        raise PermissionDenied("Team leads empty the trash; a dump with a hold stays there.")
    return dump


def team_for(request: HttpRequest, team_id: UUID, *, to_manage: bool = False, to_upload: bool = False) -> Team:
    """The team, when the person belongs to it (and may manage it, or upload to it)."""
    visible = teams_managed_by(request.user) | teams_of(request.user) if to_manage else teams_of(request.user)
    team = visible.filter(pk=team_id).first()
    if team is None:
        raise Http404("There is no such team.")
    if to_manage and not permissions.can_manage_members(viewer_of(request.user), team.pk):
        raise PermissionDenied("Only team leads and administrators change who belongs to the team.")
    if to_upload and not permissions.can_upload(viewer_of(request.user), team.pk):
        raise PermissionDenied("Only analysts and team leads upload to the team.")
    return team


def symbols_for(request: HttpRequest, team_id: UUID, symbols_id: UUID) -> SymbolFile:
    """A PDB of a team, when the person may delete it."""
    team = team_for(request, team_id)
    symbols = symbols_of(team).filter(pk=symbols_id).first()
    if symbols is None:
        raise Http404("There is no such PDB.")
    if not permissions.can_delete_symbols(viewer_of(request.user), team.pk, symbols.uploaded_by_id):
        raise PermissionDenied("Team leads delete PDBs, and analysts their own.")
    return symbols


def query_for(request: HttpRequest, dump: Dump, query_id: UUID) -> SavedQuery:
    """A saved query of the dump's team, when the person may delete it."""
    query = queries_visible_to(request.user, dump.team_id).filter(pk=query_id).first()
    if query is None:
        raise Http404("There is no such query.")
    if not permissions.can_delete_query(viewer_of(request.user), dump.team_id, query.owner_id):
        raise PermissionDenied("Team leads delete queries, and everybody their own.")
    return query
