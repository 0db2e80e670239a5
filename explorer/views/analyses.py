"""Acts on a dump: run its analysis again, cancel it, delete the dump."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_POST

from analysis.index import DataClass
from explorer.access import dump_for
from explorer.models import AuditEntry, IllegalTransition
from explorer.services import analyses
from explorer.services.audit import write_down


@require_POST
def rerun(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    dump = dump_for(request, dump_id, to="analyse")
    analyses.rerun(dump=dump)
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


@require_POST
def delete(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    dump = dump_for(request, dump_id, to="delete")
    write_down(request, AuditEntry.Action.DELETE_DUMP, dump=dump, data_class=DataClass.D4_RAW)
    analyses.delete_dump(dump=dump)
    messages.success(request, f"{dump.name} and everything made from it was deleted.")
    return redirect("archive")


urlpatterns = [
    path("dumps/<uuid:dump_id>/analyse", rerun, name="dump-rerun"),
    path("dumps/<uuid:dump_id>/cancel", cancel, name="dump-cancel"),
    path("dumps/<uuid:dump_id>/delete", delete, name="dump-delete"),
]
