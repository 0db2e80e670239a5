"""Answers that take long end with the right to them: whoever loses it in the middle of a download gets no more of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils import timezone

from explorer.access import dump_for
from explorer.models import ApiToken, Dump, User

#: As often the right is asked for again.
_SECONDS = 1.0
Holds = Callable[[HttpRequest, Dump], bool]


class AccessEnded(Exception):
    """The right to the rest of an answer is gone. The connection is cut, so that nobody takes a part for the whole."""


def while_allowed(request: HttpRequest, dump: Dump, holds: Holds, chunks: Iterable[bytes], to: str = "view") -> Iterator[bytes]:
    """``chunks`` for as long as the person may do ``to`` with the dump and ``holds``. Raises AccessEnded."""
    asked = time.monotonic()
    for chunk in chunks:
        if time.monotonic() - asked >= _SECONDS:
            if not _still(request, dump, holds, to):
                raise AccessEnded
            asked = time.monotonic()
        yield chunk


def _still(request: HttpRequest, dump: Dump, holds: Holds, to: str) -> bool:
    """Account, session or token, role and dump, read anew."""
    user, token = User.objects.filter(pk=request.user.pk, is_active=True).first(), getattr(request, "api_token", None)
    if user is None:
        return False
    if token is not None:
        if not ApiToken.objects.filter(pk=token.pk, expires_at__gt=timezone.now()).exists():
            return False
        user.by_token = token
    elif not request.session.exists(request.session.session_key):
        return False
    request.user = user
    try:
        return holds(request, dump_for(request, dump.pk, to))
    except (Http404, PermissionDenied):
        return False
