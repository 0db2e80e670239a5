"""Headers of every answer; who a request comes from when a token says so; and that a one-time password opens one door only."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from explorer.models import ApiToken
from explorer.services.audit import AuditUnavailable
from explorer.services.reveals import MOST_IN_AN_HOUR, TooManyReveals

_BEGAN, _SEEN, _NOTED_EVERY_SECONDS = "began_at", "seen_at", 60
_UPLOADS = ("uploads", "upload-one")
_NO_FEATURES = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment",
    "usb",
)  # fmt: skip
_OWN_FEATURES = ("clipboard-write", "publickey-credentials-create", "publickey-credentials-get")
_PERMISSIONS = ", ".join([*(f"{name}=()" for name in _NO_FEATURES), *(f"{name}=(self)" for name in _OWN_FEATURES)])


class SecurityHeadersMiddleware:
    """Headers that Django does not send by itself: no device features, no other site, nothing of a person's pages kept."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.setdefault("Permissions-Policy", _PERMISSIONS)
        response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if request.user.is_authenticated:
            response.setdefault("Cache-Control", "private, no-store")
        return response


class SessionAgeMiddleware:
    """Signs out who did nothing for hours, and after some days everybody: the two ages stand in the session itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            now, session = time.time(), request.session
            began, seen = session.get(_BEGAN, now), session.get(_SEEN, now)
            if now - seen > settings.SESSION_IDLE_SECONDS or now - began > settings.SESSION_COOKIE_AGE:
                logout(request)
            elif _BEGAN not in session or now - seen >= _NOTED_EVERY_SECONDS:
                session[_BEGAN], session[_SEEN] = began, now
        return self._get_response(request)


class ApiTokenMiddleware:
    """A bearer token makes a request its owner's, for what the token is for and no more: uploads, or reading dumps."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.api_token = None
        header = request.headers.get("Authorization", "")
        if header.startswith("Bearer "):
            token = ApiToken.of(header.removeprefix("Bearer ").strip())
            if token is None:
                return _refusal(
                    401, "The token is not valid, or its owner may not come in.", "Make another on your account page."
                )
            request.api_token, request.user = token, token.user
            token.user.by_token = token
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, arguments: object, values: dict[str, object]
    ) -> HttpResponse | None:
        token, name = request.api_token, request.resolver_match.url_name
        if token is None or (name in _UPLOADS and token.may_upload):
            return None
        reads = request.method in ("GET", "HEAD") and (name == "archive" or name.startswith("dump-"))
        if reads and token.may_read and name not in _UPLOADS:
            return None
        return _refusal(403, "The token is not for this.", "Make one on the account page that is.")


def _refusal(status: int, what: str, remedy: str) -> HttpResponse:
    response = JsonResponse({"what": what, "where": "", "remedy": remedy}, status=status)
    response["Cache-Control"] = "no-store"
    return response


class SensitiveActsMiddleware:
    """What ends an act on values on its way: no row in the audit could be written, or there were too many within the hour."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, AuditUnavailable):
            return render(request, "503.html", status=503)
        if isinstance(exception, TooManyReveals):
            return render(request, "429.html", {"reveals": MOST_IN_AN_HOUR}, status=429)
        return None


class PersonMiddleware:
    """Who asks is read once in a request; whose password must be changed is sent to the page where that is done."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if user.is_authenticated:
            user.as_viewer = []
        if user.is_authenticated and user.must_change_password:
            allowed = (reverse("password-change"), reverse("account_logout"), "/static/")
            if not request.path.startswith(allowed):
                return redirect("password-change")
        return self._get_response(request)
