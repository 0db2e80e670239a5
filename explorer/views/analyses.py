"""Acts on a dump: run its analysis again, cancel it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_POST

from explorer.access import dump_for
from explorer.models import IllegalTransition
from explorer.services import analyses
from explorer.services.vault import OriginalGone


@require_POST
def rerun(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    dump = dump_for(request, dump_id, to="analyse")
    try:
        analyses.rerun(dump=dump)
    except OriginalGone as gone:
        messages.error(request, str(gone))
    return redirect(dump)


@require_POST
def cancel(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    dump = dump_for(request, dump_id, to="analyse")
    if dump.analysis is not None:
        try:
            analyses.cancel(analysis=dump.analysis)
        except IllegalTransition:
            messages.info(request, "The analysis had already ended.")
    return redirect(dump)


urlpatterns = [
    path("dumps/<uuid:dump_id>/analyse", rerun, name="dump-rerun"),
    path("dumps/<uuid:dump_id>/cancel", cancel, name="dump-cancel"),
]
