"""Saved views of the archive."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from explorer.access import view_for
from explorer.queries import teams_of
from explorer.services.audit import as_person
from explorer.services.saved_views import ViewRefused, save_view


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Keep what the archive shows under a name, for oneself or for a team."""
    wanted = request.POST.get("team", "")
    team = next((team for team in teams_of(request.user) if str(team.pk) == wanted), None)
    try:
        view = save_view(
            owner=as_person(request), name=request.POST.get("name", ""), query=request.POST.get("query", ""), team=team
        )
    except ViewRefused as refused:
        messages.error(request, str(refused))
        return redirect("archive")
    messages.success(request, f"Saved as {view.name}.")
    return HttpResponseRedirect(f"{reverse('archive')}?{view.parameters}")


@require_POST
def delete(request: HttpRequest, view_id: UUID) -> HttpResponse:
    """Forget a view."""
    view_for(request, view_id).delete()
    return redirect("archive")


urlpatterns = [
    path("views", save, name="view-save"),
    path("views/<uuid:view_id>/delete", delete, name="view-delete"),
]
