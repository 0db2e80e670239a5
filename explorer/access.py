"""The only way from a request to a dump: 404 when it is invisible, 403 when it is visible but the act is not allowed."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from analysis.index import DataClass
from explorer import permissions
from explorer.models import Dump, Note, SavedQuery, SavedView, SymbolFile, Team
from explorer.permissions import Subject, Viewer
from explorer.queries import (
    dumps_visible_to,
    notes_visible_to,
    queries_visible_to,
    symbols_of,
    teams_managed_by,
    teams_of,
    trash_visible_to,
    views_visible_to,
)
from explorer.viewers import note_use, subject_of, viewer_of

_ACTS: dict[str, Callable[[Viewer, Subject], bool]] = {
    "view": permissions.can_view,
    "comment": permissions.can_comment,
    "tag": permissions.can_tag,
    "save_query": permissions.can_save_query,
    "analyse": permissions.can_analyse,
    "see_masked": permissions.can_see_masked_values,
    "reveal_values": permissions.can_reveal_values,
    "search_values": permissions.can_search_values,
    "see_raw": permissions.can_see_raw,
    "take_original": permissions.can_take_original,
    "scrub": permissions.can_scrub,
    "share": permissions.can_share,
    "narrow": permissions.can_narrow,
    "delete": permissions.can_delete,
}


def dump_for(request: HttpRequest, dump_id: UUID, to: str = "view") -> Dump:
    """The dump, when the person may see it and may do ``to``, one of the names above."""
    dump = (
        dumps_visible_to(request.user)
        .select_related("team", "uploaded_by", "assignee")
        .prefetch_related("only_people", "tags")
        .filter(pk=dump_id)
        .first()
    )
    if dump is None:
        raise Http404("There is no such dump.")
    if not _ACTS[to](viewer_of(request.user), subject_of(dump)):
        raise PermissionDenied(f"Your role in {dump.team} does not allow this.")
    note_use(request.user, dump.team_id)
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
    note_use(request.user, dump.team_id)
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
    if to_manage or to_upload:
        note_use(request.user, team.pk)
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


def note_for(request: HttpRequest, dump: Dump, note_id: UUID, *, to_edit: bool = False) -> Note:
    """A note on a dump, when the person may delete it, or change it."""
    note = notes_visible_to(request.user).filter(dump=dump, pk=note_id).exclude(pin=Note.Pin.CHANGE).first()
    if note is None:
        raise Http404("There is no such note.")
    may = permissions.can_edit_note if to_edit else permissions.can_delete_note
    if not may(viewer_of(request.user), subject_of(dump), note.author_id):
        raise PermissionDenied("Notes are changed by who wrote them; team leads delete them too.")
    return note


def view_for(request: HttpRequest, view_id: UUID) -> SavedView:
    """A saved view of the archive, when the person may delete it."""
    view = views_visible_to(request.user).filter(pk=view_id).first()
    if view is None:
        raise Http404("There is no such view.")
    if not permissions.can_delete_view(viewer_of(request.user), view.team_id, view.owner_id):
        raise PermissionDenied("Team leads delete views, and everybody their own.")
    return view
