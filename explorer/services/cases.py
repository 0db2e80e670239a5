"""What people say of a dump and how far they are with it: labels, tags, status, owner, ticket.

None of it changes who sees the dump, so nothing goes to the audit; every change is a line among the notes of the dump.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.db import transaction

from analysis.index import DataClass
from explorer.models import Dump, Note, Role, Status, Tag, User
from explorer.permissions import Viewer, can_view
from explorer.queries import members_of
from explorer.services.plain_text import plain
from explorer.viewers import subject_of

_MOST_TAGS, _LONGEST_TAG, _LONGEST_LABEL, _LONGEST_TICKET = 20, 40, 100, 500
_LABELS = ("service", "build", "environment")


class CaseRefused(Exception):
    """Why something cannot be said of a dump."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is to stand on a dump."""

    service: str
    build: str
    environment: str
    tags: tuple[str, ...]
    status: Status
    assignee: User | None
    ticket_url: str


def assignable(dump: Dump) -> list[User]:
    """Members of the team who see the dump."""
    subject = subject_of(dump)
    return [row.user for row in members_of(dump.team) if can_view(Viewer(row.user_id, {dump.team_id: Role(row.role)}), subject)]


def read_case(dump: Dump, given: dict[str, str]) -> Case:
    """A case from the fields of a form; what is missing stays. Raises CaseRefused."""
    status = given.get("status", dump.status)
    if status not in Status.values:
        raise CaseRefused("There is no such status.")
    return Case(
        service=plain(given.get("service", dump.service), _LONGEST_LABEL),
        build=plain(given.get("build", dump.build), _LONGEST_LABEL),
        environment=plain(given.get("environment", dump.environment), _LONGEST_LABEL),
        tags=_tags(given["tags"]) if "tags" in given else tuple(dump.tag_names),
        status=Status(status),
        assignee=_assignee(dump, given["assignee"]) if "assignee" in given else dump.assignee,
        ticket_url=_ticket(given["ticket"]) if "ticket" in given else dump.ticket_url,
    )


def _tags(text: str) -> tuple[str, ...]:
    """Words between commas, each once, in small letters."""
    names = dict.fromkeys(plain(part, _LONGEST_TAG + 1).lower() for part in text.split(","))
    tags = tuple(name for name in names if name)
    if len(tags) > _MOST_TAGS or any(len(name) > _LONGEST_TAG for name in tags):
        raise CaseRefused(f"A dump has at most {_MOST_TAGS} tags of at most {_LONGEST_TAG} characters each.")
    return tags


def _assignee(dump: Dump, wanted: str) -> User | None:
    if not wanted:
        return None
    found = next((person for person in assignable(dump) if str(person.pk) == wanted), None)
    if found is None and str(dump.assignee_id) != wanted:
        raise CaseRefused("The owner has to be somebody who sees the dump.")
    return found or dump.assignee


def _ticket(text: str) -> str:
    """An address that a browser can only take for what it shows: https, a host, no name or password before it."""
    url = text.strip()
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        sound = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and (parts.port or 443) > 0
    except ValueError:
        sound = False
    if not sound or len(url) > _LONGEST_TICKET or url != plain(url, _LONGEST_TICKET) or " " in url or "\\" in url:
        raise CaseRefused(f"A ticket is an address that begins with https:// and has at most {_LONGEST_TICKET} characters.")
    return url


def change_case(*, dump: Dump, case: Case, by: User) -> list[str]:
    """Write what is to stand on a dump; a line among the notes says what changed. Which lines there are, in words."""
    changes = _changes(dump, case)
    if not changes:
        return []
    with transaction.atomic():
        Dump.objects.filter(pk=dump.pk).update(
            service=case.service, build=case.build, environment=case.environment, status=case.status, assignee=case.assignee,
            ticket_url=case.ticket_url,
        )  # fmt: skip
        dump.tags.exclude(name__in=case.tags).delete()
        Tag.objects.bulk_create([Tag(dump=dump, name=name) for name in case.tags], ignore_conflicts=True)
        Note.objects.create(
            dump=dump, author=by, pin=Note.Pin.CHANGE, text="; ".join(changes), data_class=int(DataClass.D1_STRUCTURE)
        )
    return changes


def _changes(dump: Dump, case: Case) -> list[str]:
    """What differs, in words. The ticket's address is context (D2): it is not in them."""
    pairs = [(key, getattr(dump, key), getattr(case, key)) for key in _LABELS]
    pairs.append(("tags", ", ".join(sorted(dump.tag_names)), ", ".join(sorted(case.tags))))
    pairs.append(("status", dump.get_status_display(), case.status.label))
    pairs.append(("owner", str(dump.assignee or ""), str(case.assignee or "")))
    changes = [f"{what}: {before or 'none'} → {after or 'none'}" for what, before, after in pairs if before != after]
    if dump.ticket_url != case.ticket_url:
        changes.append("ticket " + ("removed" if not case.ticket_url else "changed" if dump.ticket_url else "added"))
    return changes
