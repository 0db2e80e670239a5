"""When a person last proved who they are, and the way to prove it again.

allauth notes every proof in the session: password, single sign-on, second factor. A request that a token brings has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from urllib.parse import urlencode, urlsplit

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.mfa.utils import is_mfa_enabled
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from explorer.models import User

#: What shows or changes something sensitive asks for a proof that is no older.
FRESH = timedelta(minutes=30)
View = Callable[..., HttpResponse]


def last_login_age(request: HttpRequest) -> timedelta | None:
    """How long ago this session's person proved who they are by any means, or None when it is not known."""
    return _age(request, {"password", "socialaccount", "mfa"})


def second_factor_age(request: HttpRequest) -> timedelta | None:
    """How long ago this session's person showed a second factor, or None when they did not."""
    return _age(request, {"mfa"})


def recently_authenticated(request: HttpRequest, within: timedelta = FRESH) -> bool:
    """The last proof of any kind is no older than ``within``."""
    age = last_login_age(request)
    return age is not None and age <= within


def recent_login_required(view: View) -> View:
    """A view that asks for a fresh proof first."""

    @wraps(view)
    def asking(request: HttpRequest, *arguments: object, **values: object) -> HttpResponse:
        return view(request, *arguments, **values) if recently_authenticated(request) else to_reauthentication(request)

    return asking


def to_reauthentication(request: HttpRequest, *, second_factor: bool = False) -> HttpResponse:
    """Lead to the page on which a person proves again who they are, and from there back to where they asked.

    With ``second_factor`` only that counts; who has none is led to where one is set up. A form's own values are not kept:
    it is filled in again.
    """
    if second_factor:
        page = "mfa_reauthenticate" if is_mfa_enabled(request.user) else "mfa_index"
    else:
        page = "account_reauthenticate" if get_reauthentication_flows(request.user) else "sign-in-again"
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({'next': asked_from(request)})}")


def asked_from(request: HttpRequest) -> str:
    """The page of a GET; for anything else the page that holds the form."""
    if request.method == "GET":
        return request.get_full_path()
    referrer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referrer, {request.get_host()}):
        return reverse("archive")
    parts = urlsplit(referrer)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _age(request: HttpRequest, methods: set[str]) -> timedelta | None:
    if getattr(request, "api_token", None) is not None or not isinstance(request.user, User):
        return None
    times = [float(record["at"]) for record in get_authentication_records(request, request.user) if record["method"] in methods]
    return timedelta(seconds=max(0.0, time.time() - max(times))) if times else None
