"""A one-time password opens one door only: the page on which it is changed."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse


class PasswordChangeMiddleware:
    """Sends a person whose password must be changed to the page where that is done."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if user.is_authenticated and user.must_change_password:
            allowed = (reverse("password-change"), reverse("logout"), "/static/")
            if not request.path.startswith(allowed):
                return redirect("password-change")
        return self._get_response(request)
