"""The scrubbed copy of a dump: having it made, what it still holds, taking it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from explorer.access import dump_for
from explorer.long_answers import download
from explorer.models import ScrubbedCopy
from explorer.services import scrubbed
from explorer.services.vault import OriginalGone

_PIECE_BYTES = 1 << 20


@require_POST
def make(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    dump = dump_for(request, dump_id, "scrub")
    try:
        scrubbed.ask(request=request, dump=dump)
        messages.success(request, "A scrubbed copy is being made. This page says when it is there.")
    except OriginalGone as gone:
        messages.error(request, str(gone))
    return redirect("dump-access", dump.pk)


@never_cache
@require_GET
def certificate(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """What the copy still holds, for programs."""
    dump = dump_for(request, dump_id, "scrub")
    made = ScrubbedCopy.objects.filter(dump=dump, state=ScrubbedCopy.State.DONE).first()
    told = scrubbed.certificate_of(made) if made else None
    if told is None:
        raise Http404("There is no scrubbed copy of this dump.")
    return JsonResponse(told, json_dumps_params={"indent": 1})


@require_POST
def take(request: HttpRequest, dump_id: UUID) -> HttpResponseBase:
    """The copy itself."""
    dump = dump_for(request, dump_id, "scrub")
    try:
        file = scrubbed.take(request=request, dump=dump)
    except FileNotFoundError:
        raise Http404("There is no scrubbed copy of this dump.") from None
    return download(
        request, dump, _pieces(file), size_bytes=file.stat().st_size, name=f"scrubbed-{dump.pk}.dmp",
        holds=lambda asking, dump: True, to="scrub",
    )  # fmt: skip


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


urlpatterns = [
    path("dumps/<uuid:dump_id>/scrubbed", take, name="dump-scrubbed"),
    path("dumps/<uuid:dump_id>/scrubbed/make", make, name="dump-scrubbed-make"),
    path("dumps/<uuid:dump_id>/scrubbed/certificate", certificate, name="dump-scrubbed-certificate"),
]
