"""Asking for the original file of a dump, granting it, and taking it."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.views.decorators.http import require_POST

from analysis.errors import AnalysisError
from explorer.long_answers import download
from explorer.models import AuditEntry
from explorer.services import originals
from explorer.services.audit import Purpose
from explorer.services.plain_text import sentences
from explorer.services.vault import OriginalGone
from explorer.value_acts import raw_act
from explorer.views.dump_page import DumpPage, with_index


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
    asked = get_object_or_404(originals.waiting(page.dump), pk=request_id)
    originals.grant(request=request, dump=page.dump, asked=asked, purpose=purpose)
    messages.success(request, f"{asked.asked_by} may download the original for an hour.")
    return redirect("dump-access", page.dump.pk)


@require_POST
@with_index("access")
@raw_act(AuditEntry.Action.DOWNLOAD_ORIGINAL)
def take(request: HttpRequest, page: DumpPage, purpose: Purpose) -> HttpResponseBase:
    """The file as it was uploaded."""
    try:
        original = originals.take(request=request, dump=page.dump, purpose=purpose)
    except OriginalGone:
        raise Http404("The original is no longer kept.") from None
    except AnalysisError as error:
        messages.error(request, sentences(error.what, error.remedy))
        return redirect("dump-access", page.dump.pk)
    granted, sent = originals.granted_to, originals.sent(request=request, dump=page.dump, original=original, purpose=purpose)
    return download(
        request, page.dump, sent, size_bytes=original.size_bytes, name=page.dump.original_name or "dump",
        holds=lambda asking, dump: granted(asking, dump) is not None, to="take_original",
    )  # fmt: skip


urlpatterns = [
    path("dumps/<uuid:dump_id>/original", take, name="dump-original"),
    path("dumps/<uuid:dump_id>/original/ask", ask, name="dump-original-ask"),
    path("dumps/<uuid:dump_id>/original/<int:request_id>/grant", grant, name="dump-original-grant"),
]
