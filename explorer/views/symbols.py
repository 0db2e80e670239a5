"""A team's symbols: the portable PDBs from which its stacks get file and line."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from explorer import permissions
from explorer.access import symbols_for, team_for
from explorer.form_files import too_large
from explorer.models import Team, User
from explorer.pages.names import visible
from explorer.queries import symbols_of
from explorer.services.plain_text import file_name
from explorer.services.symbols import SymbolsRefused, add_symbols, delete_symbols
from explorer.viewers import viewer_of

#: Somebody waits while each is read; more go in several turns.
MOST_FILES = 20
_SHOWN = 500


@require_GET
def symbols(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """The list, searched by name or id; the form for those who may upload."""
    team, viewer = team_for(request, team_id), viewer_of(request.user)
    text = request.GET.get("q", "")[:200].strip()
    found = symbols_of(team)
    if text:
        found = found.filter(file_name__icontains=text) | found.filter(pdb_id__icontains=text)
    rows = [
        {"symbols": row, "may_delete": permissions.can_delete_symbols(viewer, team.pk, row.uploaded_by_id)}
        for row in found[:_SHOWN]
    ]
    context = {
        "team": team, "rows": rows, "text": text, "total": found.count(), "shown": _SHOWN, "most_files": MOST_FILES,
        "may_upload": permissions.can_upload(viewer, team.pk), "most_bytes": settings.MAXIMUM_SYMBOL_BYTES,
    }  # fmt: skip
    return render(request, "symbols/symbols.html", context)


@require_POST
def upload(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """Take PDBs of a form, one after the other; each is kept or refused with a sentence."""
    team = team_for(request, team_id, to_upload=True)
    files = request.FILES.getlist("pdb")
    if too_large(request):
        most = settings.MAXIMUM_SYMBOL_BYTES
        messages.error(request, f"That is more than {most:,} bytes at once; send fewer files.")
    elif not files:
        messages.error(request, "Choose a .pdb file first.")
    elif len(files) > MOST_FILES:
        messages.error(request, f"At most {MOST_FILES} files at once.")
    else:
        for file in files:
            _take(request, team, file)
    return redirect("symbols", team.pk)


def _take(request: HttpRequest, team: Team, file: UploadedFile) -> None:
    name = visible(file_name(file.name or "", 255), 80)
    try:
        if isinstance(request.user, User):
            kept = add_symbols(team=team, user=request.user, name=file.name or "", content=file.chunks())
            messages.success(request, f"{name}: kept as {kept.pdb_id}. Stacks of its module show lines from now on.")
    except SymbolsRefused as refusal:
        messages.error(request, f"{name}: {refusal}")


@require_POST
def delete(request: HttpRequest, team_id: UUID, symbols_id: UUID) -> HttpResponse:
    """Forget one PDB."""
    delete_symbols(symbols=symbols_for(request, team_id, symbols_id))
    return redirect("symbols", team_id)


urlpatterns = [
    path("team/<uuid:team_id>/symbols", symbols, name="symbols"),
    path("team/<uuid:team_id>/symbols/upload", upload, name="symbols-upload"),
    path("team/<uuid:team_id>/symbols/<uuid:symbols_id>/delete", delete, name="symbols-delete"),
]
