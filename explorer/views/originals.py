"""Asking for the original file of a dump, granting it, and taking it."""

from __future__ import annotations

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.views.decorators.http import require_POST

from explorer.long_answers import while_allowed
from explorer.models import AuditEntry, OriginalRequest
from explorer.services import originals
from explorer.services.audit import Purpose
from explorer.value_acts import raw_act
from explorer.views.dump_page import DumpPage, with_index

_BLOCK_BYTES = 1 << 20


@require_POST
@with_index("access")
@raw_act(AuditEntry.Action.ASK_ORIGINAL)
def ask(request: HttpRequest, page: DumpPage, purpose: Purpose) -> HttpResponse:
    if page.dump.without_original:
        messages.error(request, page.dump.without_original)
        return redirect("dump-access", page.dump.pk)
    originals.ask(request=request, dump=page.dump, purpose=purpose)
    messages.success(request, "Noted. Another protected reader or lead of the team must let you have it.")
    return redirect("dump-access", page.dump.pk)


@require_POST
@with_index("access")
@raw_act(AuditEntry.Action.GRANT_ORIGINAL)
def grant(request: HttpRequest, page: DumpPage, request_id: int, purpose: Purpose) -> HttpResponse:
    asked = get_object_or_404(OriginalRequest, pk=request_id, dump=page.dump, granted_by=None)
    originals.grant(request=request, dump=page.dump, asked=asked, purpose=purpose)
    messages.success(request, f"{asked.asked_by} may download the original for an hour.")
    return redirect("dump-access", page.dump.pk)


@require_POST
@with_index("access")
@raw_act(AuditEntry.Action.DOWNLOAD_ORIGINAL)
def take(request: HttpRequest, page: DumpPage, purpose: Purpose) -> HttpResponseBase:
    """The file as it was uploaded."""
    try:
        file = originals.take(request=request, dump=page.dump, purpose=purpose)
    except FileNotFoundError:
        raise Http404("The original is no longer kept.") from None
    name = page.dump.original_name or "dump"
    response = FileResponse(file.open("rb"), as_attachment=True, filename=name, content_type="application/octet-stream")
    response.block_size = _BLOCK_BYTES
    granted = originals.granted_to
    response.streaming_content = while_allowed(
        request, page.dump, lambda asking, dump: granted(asking, dump) is not None, response.streaming_content, "take_original"
    )
    return response


urlpatterns = [
    path("dumps/<uuid:dump_id>/original", take, name="dump-original"),
    path("dumps/<uuid:dump_id>/original/ask", ask, name="dump-original-ask"),
    path("dumps/<uuid:dump_id>/original/<int:request_id>/grant", grant, name="dump-original-grant"),
]
