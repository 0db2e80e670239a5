"""Answers that take long end with the right to them: whoever loses it in the middle of a download gets no more of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from django.contrib.auth import HASH_SESSION_KEY
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.http import content_disposition_header

from explorer.access import dump_for
from explorer.models import ApiToken, Dump, User
from explorer.viewers import viewer_of

#: As often the right is asked for again.
_SECONDS = 1.0
Holds = Callable[[HttpRequest, Dump], bool]
Chunk = TypeVar("Chunk", str, bytes)


class AccessEnded(Exception):
    """The right to the rest of an answer is gone. The connection is cut, so that nobody takes a part for the whole."""


def while_allowed(request: HttpRequest, dump: Dump, holds: Holds, chunks: Iterable[bytes], to: str = "view") -> Iterator[bytes]:
    """``chunks`` for as long as the person may do ``to`` with the dump and ``holds``. Raises AccessEnded."""
    return _while(partial(_still_may, request, dump, holds, to), chunks)


def while_the_same(request: HttpRequest, chunks: Iterable[str]) -> Iterator[str]:
    """``chunks`` for as long as the person is there and their roles are what they were. Raises AccessEnded."""
    before = viewer_of(request.user)

    def still() -> bool:
        person = _person(request)
        return person is not None and viewer_of(person) == before

    return _while(still, chunks)


def download(
    request: HttpRequest, dump: Dump, chunks: Iterable[bytes], *, size_bytes: int, name: str, holds: Holds, to: str
) -> StreamingHttpResponse:
    """A file of a dump to be saved, cut off as ``while_allowed``."""
    return StreamingHttpResponse(
        while_allowed(request, dump, holds, chunks, to),
        content_type="application/octet-stream",
        headers={"Content-Length": size_bytes, "Content-Disposition": content_disposition_header(True, name)},
    )


def _while(still: Callable[[], bool], chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    asked = time.monotonic()
    for chunk in chunks:
        if time.monotonic() - asked >= _SECONDS:
            if not still():
                raise AccessEnded
            asked = time.monotonic()
        yield chunk


def _still_may(request: HttpRequest, dump: Dump, holds: Holds, to: str) -> bool:
    """Role and dump, read anew."""
    person = _person(request)
    if person is None:
        return False
    request.user = person
    try:
        return holds(request, dump_for(request, dump.pk, to))
    except (Http404, PermissionDenied):
        return False


def _person(request: HttpRequest) -> User | None:
    """Account, and session or token, read anew; None when the request would not come in any more."""
    user, token = User.objects.filter(pk=request.user.pk, is_active=True).first(), getattr(request, "api_token", None)
    if user is None:
        return None
    if token is not None:
        if not ApiToken.objects.filter(pk=token.pk, expires_at__gt=timezone.now()).exists():
            return None
        user.by_token = token
        return user
    session = request.session
    kept = session.exists(session.session_key) and constant_time_compare(
        session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()
    )
    return user if kept else None
