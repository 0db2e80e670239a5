"""The original file (D4) leaves the server for two people who agree, each with a second factor just shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from analysis.errors import AnalysisError
from analysis.index import DataClass
from explorer.access import dump_for
from explorer.models import AuditEntry, Dump, OriginalRequest, User
from explorer.services.audit import Purpose, as_person, write_down
from explorer.services.vault import Original, open_original

OPEN_FOR = timedelta(hours=1)
_ASKED_FOR = timedelta(days=7)


def waiting(dump: Dump) -> QuerySet[OriginalRequest]:
    """Requests of the last days that nobody has answered."""
    since = timezone.now() - _ASKED_FOR
    return dump.original_requests.select_related("asked_by").filter(granted_by=None, asked_at__gte=since)


def granted_to(request: HttpRequest, dump: Dump) -> OriginalRequest | None:
    """The request of this person that somebody else has granted, while it holds."""
    own = dump.original_requests.filter(asked_by_id=request.user.pk, granted_by__isnull=False)
    return own.filter(expires_at__gt=timezone.now()).first()


def ask(*, request: HttpRequest, dump: Dump, purpose: Purpose) -> None:
    """Ask for the file. Raises PermissionDenied."""
    dump = dump_for(request, dump.pk, "take_original")
    write_down(request, AuditEntry.Action.ASK_ORIGINAL, dump=dump, data_class=DataClass.D4_RAW, purpose=purpose)
    OriginalRequest.objects.create(dump=dump, asked_by=as_person(request), explanation=purpose.explanation)


def grant(*, request: HttpRequest, dump: Dump, asked: OriginalRequest, purpose: Purpose) -> None:
    """Let somebody else have the file for an hour. Raises PermissionDenied, also for one's own request."""
    dump = dump_for(request, dump.pk, "take_original")
    if asked.asked_by_id == request.user.pk:
        write_down(
            request, AuditEntry.Action.GRANT_ORIGINAL, dump=dump, detail="to oneself", outcome=AuditEntry.Outcome.DENIED,
            data_class=DataClass.D4_RAW, purpose=purpose,
        )  # fmt: skip
        raise PermissionDenied("Somebody else lets you have the original.")
    write_down(
        request, AuditEntry.Action.GRANT_ORIGINAL, dump=dump, detail="to {0}", data_class=DataClass.D4_RAW, purpose=purpose,
        people=[asked.asked_by],
    )  # fmt: skip
    asked.grant(as_person(request), OPEN_FOR)


def take(*, request: HttpRequest, dump: Dump, purpose: Purpose) -> Original:
    """The file, for whom it was granted; ``sent`` gives its bytes. Raises PermissionDenied, and AnalysisError where it is gone
    or cannot be read."""
    dump = dump_for(request, dump.pk, "take_original")
    asked = granted_to(request, dump)
    if asked is None:
        _say(request, dump, purpose, AuditEntry.Outcome.DENIED, "not granted")
        raise PermissionDenied("Ask first; somebody else who may see raw memory lets you have the original.")
    try:
        original = open_original(dump)
        original.head()
    except AnalysisError as error:
        _say(request, dump, purpose, AuditEntry.Outcome.FAILED, error.what)
        raise
    _say(request, dump, purpose, AuditEntry.Outcome.DONE, "granted by {0}", [asked.granted_by] if asked.granted_by else [])
    return original


def sent(*, request: HttpRequest, dump: Dump, original: Original, purpose: Purpose) -> Iterator[bytes]:
    """The bytes of the file as they go out. Where they are no longer those that were written the connection ends before its
    length is reached, and the audit says so."""
    try:
        yield from original.pieces()
    except (AnalysisError, OSError) as error:
        what = f"The server could not read the file: {error.strerror}" if isinstance(error, OSError) else str(error)
        _say(request, dump, purpose, AuditEntry.Outcome.FAILED, what)  # no path: where the store lies is nobody's business
        raise


def _say(
    request: HttpRequest, dump: Dump, purpose: Purpose, outcome: AuditEntry.Outcome, detail: str, people: Sequence[User] = ()
) -> None:
    write_down(
        request, AuditEntry.Action.DOWNLOAD_ORIGINAL, dump=dump, detail=detail, outcome=outcome, data_class=DataClass.D4_RAW,
        purpose=purpose, people=people,
    )  # fmt: skip
