"""The tus 1.0 protocol (https://tus.io/protocols/resumable-upload): create, ask, append, cancel."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.http import http_date
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from explorer.models import Team, Upload, User
from explorer.queries import teams_for_upload, uploads_of
from explorer.services.checksums import ALGORITHMS, Checksum
from explorer.services.samples import add_sample
from explorer.services.uploads import Labels, UploadRefused, append, cancel_upload, create_upload, settle
from explorer.viewers import note_use

_VERSION = "1.0.0"
_BUSY = {"what": "The database does not answer.", "where": "", "remedy": "What has arrived is kept: go on in a moment."}
_CONTENT_TYPE = "application/offset+octet-stream"


class _Unauthenticated(Exception):
    """No session and no valid token."""


def _person(request: HttpRequest) -> User:
    """The person behind a bearer token, or behind a session whose request carries the CSRF token."""
    if not isinstance(request.user, User):
        raise _Unauthenticated
    if request.api_token is not None:
        return request.user
    if CsrfViewMiddleware(lambda r: HttpResponse()).process_view(request, lambda r: None, (), {}) is not None:
        raise UploadRefused(403, "The request does not carry this page's token.", remedy="Reload the page and try again.")
    return request.user


def _check_version(request: HttpRequest) -> None:
    if request.headers.get("Tus-Resumable", _VERSION) != _VERSION:
        raise UploadRefused(412, f"This server speaks version {_VERSION} of the tus protocol.")


def _number(request: HttpRequest, header: str) -> int:
    """A header that must be a byte count."""
    text = request.headers.get(header, "")
    if not text.isdecimal() or len(text) > 18:
        raise UploadRefused(400, f"The header {header} is missing or no number.")
    return int(text)


def _checksum(request: HttpRequest) -> Checksum | None:
    header = request.headers.get("Upload-Checksum")
    try:
        return Checksum(header) if header is not None else None
    except ValueError:
        raise UploadRefused(400, f"The header Upload-Checksum must be one of {', '.join(ALGORITHMS)} and a digest.") from None


def _metadata(request: HttpRequest) -> dict[str, str]:
    """The Upload-Metadata header: comma-separated keys with base64 values."""
    found = {}
    for pair in request.headers.get("Upload-Metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except ValueError:  # no base64
            continue
    return found


@method_decorator((csrf_exempt, login_not_required), name="dispatch")
class TusView(View):
    """What both the collection and a single upload share: who asks, and how refusals are told."""

    user: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST" and "X-HTTP-Method-Override" in request.headers:
            request.method = request.headers["X-HTTP-Method-Override"].upper()
        try:
            if request.method != "OPTIONS":
                self.user = _person(request)
                _check_version(request)
            response = super().dispatch(request, *args, **kwargs)
        except _Unauthenticated:
            response = JsonResponse({"what": "Sign in, or send a valid token.", "where": "", "remedy": ""}, status=401)
        except UploadRefused as refusal:
            document = {"what": refusal.what, "where": refusal.where, "remedy": refusal.remedy}
            response = JsonResponse(document, status=refusal.status)
            if refusal.retry_seconds:
                response["Retry-After"] = str(refusal.retry_seconds)
        except OperationalError:
            response = JsonResponse(_BUSY, status=503)
            response["Retry-After"] = "5"
        response["Tus-Resumable"] = _VERSION
        response["Cache-Control"] = "no-store"
        assert isinstance(response, HttpResponse)  # noqa: S101  (narrows the base class for the type checker)
        return response


class Uploads(TusView):
    """/api/uploads/"""

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        from django.conf import settings

        response = HttpResponse(status=204)
        response["Tus-Version"] = _VERSION
        response["Tus-Extension"] = "creation,expiration,termination,checksum"
        response["Tus-Checksum-Algorithm"] = ",".join(ALGORITHMS)
        response["Tus-Max-Size"] = str(settings.MAXIMUM_UPLOAD_BYTES)
        return response

    def post(self, request: HttpRequest) -> HttpResponse:
        said = _metadata(request)
        length = _number(request, "Upload-Length")
        labels = Labels(said.get("service", ""), said.get("build", ""), said.get("environment", ""))
        team = self._team(said.get("team", ""))
        upload = create_upload(user=self.user, team=team, name=said.get("filename", ""), length=length, labels=labels)
        note_use(self.user, team.pk)
        response = HttpResponse(status=201)
        response["Location"] = f"{request.path}{upload.pk}"
        response["Upload-Expires"] = http_date(upload.expires_at.timestamp())
        return response

    def _team(self, wanted: str) -> Team:
        """The team named by id, or the only one a person can upload to."""
        allowed = teams_for_upload(self.user)
        try:
            team = allowed.filter(pk=UUID(wanted)).first() if wanted else allowed.first()
        except ValueError:
            team = None
        if team is None:
            raise UploadRefused(403, "You may not upload to this team.", remedy="Ask a team lead for the role of analyst.")
        return team


class OneUpload(TusView):
    """/api/uploads/<id>"""

    def _upload(self, upload_id: UUID) -> Upload:
        """The person's own upload, as long as they may upload to its team."""
        return get_object_or_404(Upload, pk=upload_id, user=self.user, team__in=teams_for_upload(self.user))

    def head(self, request: HttpRequest, upload_id: UUID) -> HttpResponse:
        upload = settle(upload=self._upload(upload_id))
        response = HttpResponse(status=200)
        response["Upload-Offset"], response["Upload-Length"] = str(upload.offset), str(upload.length)
        response["Upload-Expires"] = http_date(upload.expires_at.timestamp())
        if upload.dump is not None:
            response["Dump-Location"] = upload.dump.get_absolute_url()
        return response

    def patch(self, request: HttpRequest, upload_id: UUID) -> HttpResponse:
        upload = self._upload(upload_id)
        if request.content_type != _CONTENT_TYPE:
            raise UploadRefused(415, f"The body must be {_CONTENT_TYPE}.")
        length = _number(request, "Content-Length") if request.headers.get("Content-Length") else None
        offset, checksum = _number(request, "Upload-Offset"), _checksum(request)
        upload = append(upload=upload, offset=offset, body=request, length=length, checksum=checksum)
        response = HttpResponse(status=204)
        response["Upload-Offset"] = str(upload.offset)
        if upload.dump is not None:
            response["Dump-Location"] = upload.dump.get_absolute_url()
        return response

    def delete(self, request: HttpRequest, upload_id: UUID) -> HttpResponse:
        upload = get_object_or_404(uploads_of(self.user), pk=upload_id)
        cancel_upload(upload=upload)
        return HttpResponse(status=204)


@require_POST
def add_sample_dump(request: HttpRequest) -> HttpResponse:
    """Put the bundled sample into the person's team and open it."""
    team = teams_for_upload(request.user).first()
    if team is None or not isinstance(request.user, User):
        return redirect("archive")
    return redirect(add_sample(user=request.user, team=team))


urlpatterns = [
    path("api/uploads/", Uploads.as_view(), name="uploads"),
    path("api/uploads/<uuid:upload_id>", OneUpload.as_view(), name="upload-one"),
    path("sample", add_sample_dump, name="sample"),
]
