"""Writing the audit, checking that it is whole, and leaving anchors of it outside of the database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from analysis.index import DataClass
from explorer.models import AuditEntry, Dump, Team, User
from explorer.models.audit import seal
from explorer.models.team import keyed_hash
from explorer.services.audit_names import named, personal
from explorer.services.notices import announce
from explorer.services.plain_text import plain

log = structlog.get_logger()
_TRIES = 50
#: Fewer letters than these explain nothing.
SHORTEST_EXPLANATION = 10
_SESSION_DIGITS = 12


class AuditUnavailable(Exception):
    """The row could not be written, so the act did not happen."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why somebody looks at values: one of ``AuditEntry.Reason``, in their words, and a ticket."""

    reason: str = ""
    explanation: str = ""
    ticket: str = ""


def write_down(
    request: HttpRequest,
    action: AuditEntry.Action,
    *,
    team: Team | None = None,
    dump: Dump | None = None,
    detail: str = "",
    outcome: AuditEntry.Outcome = AuditEntry.Outcome.DONE,
    data_class: DataClass | None = None,
    purpose: Purpose | None = None,
    people: Sequence[User] = (),
) -> AuditEntry:
    """A row for an act of the request's person, there before the act has any effect; ``detail`` names ``people`` as {0}, {1}.
    Raises AuditUnavailable."""
    user = request.user if isinstance(request.user, User) else None
    why = purpose or Purpose()
    team = team or (dump.team if dump else None)
    row = _append(
        **_who(request, user, people),
        team_key=team.pk if team else None,
        dump_key=dump.pk if dump else None,
        dump_name=plain(dump.name, 255) if dump else "",
        action=action,
        outcome=outcome,
        data_class=int(data_class) if data_class is not None else None,
        detail=plain(detail, 200),
        reason=why.reason,
        explanation=plain(why.explanation, 500),
        ticket=plain(why.ticket, 100),
        session=_session_of(request),
    )
    announce(row)
    return row


def _who(request: HttpRequest, user: User | None, people: Sequence[User]) -> dict[str, Any]:
    """People by their ids and what can be forgotten; the server, its operator and nobody are no people."""
    address = _address_of(request)
    try:
        with transaction.atomic():
            if user is None or user.pk is None:
                name = user.get_username() if user else ""
                return {"actor_name": name, "remote_address": address, "people": named(people)}
            return {"actor_id": user.pk, "personal": personal(user, address), "people": named(people)}
    except DatabaseError as error:
        raise AuditUnavailable("the audit cannot be written") from error


def by_the_server() -> HttpRequest:
    """A request for what the server does by itself, so that it is written down like the acts of people."""
    return on_behalf_of(User(username="the server"))


def by_the_operator() -> HttpRequest:
    """The same for whoever runs commands on the machine: they are nobody of the server's."""
    return on_behalf_of(User(username="operator of the machine"))


def on_behalf_of(user: User) -> HttpRequest:
    """A request for what follows from an act of a person, outside of their own request."""
    request = HttpRequest()
    request.user = user
    return request


def as_person(request: HttpRequest) -> User:
    """Who asks, behind a view that lets nobody else come so far."""
    if not isinstance(request.user, User):
        raise PermissionDenied("Sign in first.")
    return request.user


def _session_of(request: HttpRequest) -> str:
    key = getattr(getattr(request, "session", None), "session_key", None)
    return keyed_hash("session", key)[:_SESSION_DIGITS] if key else ""


def _address_of(request: HttpRequest) -> str | None:
    """In the one spelling that comes back from the database. Behind a proxy it is the one that the proxy saw."""
    seen = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip() if settings.HTTPS else ""
    try:
        address = ip_address(seen or request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def _append(**content: Any) -> AuditEntry:
    try:
        for _ in range(_TRIES):
            last = AuditEntry.objects.values_list("sequence", "digest").first() or (0, "")
            row = AuditEntry(**content, sequence=last[0] + 1, previous=last[1], at=timezone.now())
            row.digest = seal(row)
            try:
                with transaction.atomic():
                    row.save(force_insert=True)
            except IntegrityError:
                continue  # somebody else's row came first
            return row
    except DatabaseError as error:
        raise AuditUnavailable("the audit cannot be written") from error
    raise AuditUnavailable("the audit is written too often at once")


def acts_within(user: User, actions: Iterable[AuditEntry.Action], past: timedelta) -> int:
    """How often a person did something of the kind, and was let, in the time just past."""
    done = AuditEntry.objects.filter(actor_id=user.pk, action__in=[*actions], outcome=AuditEntry.Outcome.DONE)
    return done.filter(at__gte=timezone.now() - past).count()


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the chain ended with at some time."""

    sequence: int
    digest: str


def faults(anchors: Iterable[Anchor] = ()) -> Iterator[str]:
    """What is wrong with the chain, row by row: changed, missing, swapped or added rows, and a tail that was cut off behind
    the last of the ``anchors``."""
    expected, previous = 1, ""
    outside = {anchor.sequence: anchor.digest for anchor in anchors}
    for row in AuditEntry.objects.order_by("sequence").iterator():
        if row.sequence != expected:
            yield f"row {expected:,} is missing" if row.sequence > expected else f"row {row.sequence:,} stands twice"
        elif row.previous != previous:
            yield f"row {row.sequence:,} does not follow the one before it"
        if seal(row) != row.digest:
            yield f"row {row.sequence:,} was changed"
        if outside.pop(row.sequence, row.digest) != row.digest:
            yield f"row {row.sequence:,} is not the one that was anchored"
        expected, previous = row.sequence + 1, row.digest
    if outside:
        yield f"the rows behind {expected - 1:,} were cut off: row {max(outside):,} was anchored"


def anchor_file() -> Path:
    return Path(settings.DATA_DIR) / "audit-anchors.jsonl"


def drop_anchor() -> Anchor | None:
    """Note what the chain ends with, in a file and in the log, which an operator sends elsewhere. None when nothing is new."""
    last = AuditEntry.objects.values_list("sequence", "digest").first()
    if last is None:
        return None
    anchor = Anchor(*last)
    known = anchors_in(anchor_file())
    if known and known[-1] == anchor:
        return None
    line = json.dumps({"at": timezone.now().isoformat(), "sequence": anchor.sequence, "digest": anchor.digest})
    cut_off = anchor_file().exists() and not anchor_file().read_bytes().endswith(b"\n")  # by a full disk or a kill
    with anchor_file().open("a") as file:
        file.write("\n" * cut_off + line + "\n")
    log.warning("audit_anchor", sequence=anchor.sequence, digest=anchor.digest)
    return anchor


def anchors_in(file: Path) -> list[Anchor]:
    """Those of a file, oldest first; a line that was cut off while it was written is passed over."""
    if not file.exists():
        return []
    found = []
    for line in file.read_text().splitlines():
        with suppress(ValueError, LookupError, TypeError):
            row = json.loads(line)
            found.append(Anchor(int(row["sequence"]), str(row["digest"])))
    return found
