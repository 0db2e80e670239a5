"""What the address of the archive asks for: labels, state, status, owner, ticket, crash signature, and words.

Every choice that is offered, and every count, is taken from dumps that the person may see, and of what they may see of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from explorer.models import Dump, Finding, State, Status, Tag
from explorer.models.analysis import OPEN_STATES
from explorer.services.search import Found, find
from explorer.viewers import AnyUser

STATE_GROUPS = {"open": OPEN_STATES, "done": (State.DONE,), "failed": (State.FAILED, State.CANCELLED)}
_LABELS = ("service", "build", "environment")
#: What a saved view keeps of an address.
KEPT = ("q", "state", "status", "owner", "ticket", "signature", "rule", "tag", "team", *_LABELS, "sort", "rows")
_SEARCHED = (
    "top_finding", "name", "original_name", *_LABELS, "latest_process", "latest_runtime", "ticket", "assignee__username",
)  # fmt: skip
#: For the dumps of whoever asks, and for those of nobody.
ME, NOBODY = "me", "nobody"
_MOST_CHOICES, _LONGEST_SEARCH = 200, 200


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a select box."""

    value: str
    label: str


def narrowed(dumps: QuerySet[Dump], parameters: Mapping[str, str], user: AnyUser) -> QuerySet[Dump]:
    """Dumps of ``archive_list.listed_for`` that match everything but the words."""
    if parameters.get("state") in STATE_GROUPS:
        dumps = dumps.filter(latest_state__in=STATE_GROUPS[parameters["state"]])
    if parameters.get("rule"):
        dumps = dumps.filter(Exists(Finding.objects.filter(dump=OuterRef("pk"), rule=parameters["rule"])))
    if parameters.get("tag"):
        dumps = dumps.filter(_tagged(name=parameters["tag"]))
    if parameters.get("team"):
        dumps = dumps.filter(team__name=parameters["team"])
    if parameters.get("ticket") in ("yes", "no"):
        none = Q(ticket="")
        dumps = dumps.filter(none if parameters["ticket"] == "no" else ~none)
    for key in (*_LABELS, "status", "signature"):
        if parameters.get(key):
            dumps = dumps.filter(**{key: parameters[key]})
    owner = parameters.get("owner")
    if owner:
        of_nobody, own = Q(assignee=None), Q(assignee_id=user.pk)
        dumps = dumps.filter({ME: own, NOBODY: of_nobody}.get(owner, Q(assignee__username=owner)))
    return dumps


def with_words(dumps: QuerySet[Dump], text: str, user: AnyUser) -> tuple[QuerySet[Dump], Found]:
    """Dumps that hold every word of ``text`` in what the list says of them, or a name with all of them; and the names."""
    text = text[:_LONGEST_SEARCH].replace("\0", "")
    words = text.split()
    if not words:
        return dumps, Found()
    found = find(user, dumps, text)
    listed = Q()
    for word in words:
        anywhere = Q(_tagged(name__icontains=word))
        for name in _SEARCHED:
            anywhere |= Q(**{f"{name}__icontains": word})
        listed &= anywhere
    return dumps.filter(listed | Q(pk__in=[*found.by_dump])), found


def _tagged(**wanted: str) -> Exists:
    return Exists(Tag.objects.filter(dump=OuterRef("pk"), **wanted))


def selects(dumps: QuerySet[Dump], parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """Select boxes for what tells these dumps apart. ``dumps`` come from ``archive_list.listed_for``."""
    own, owners = [Choice(ME, "mine"), Choice(NOBODY, "nobody's")], _values(dumps, "assignee__username")
    statuses = {parameters.get("status"), *(choice.value for choice in _values(dumps, "status"))}
    ticket = [Choice("yes", "with a ticket"), Choice("no", "without a ticket")]
    boxes = (
        ("service", "Service", "All services", _values(dumps, "service")),
        ("build", "Build", "All builds", _values(dumps, "build")),
        ("environment", "Environment", "All environments", _values(dumps, "environment")),
        ("tag", "Tag", "All tags", _values(dumps, "tags__name")),
        ("rule", "Finding", "All findings", _values(dumps, "findings__rule")),
        ("status", "Status", "All statuses", [Choice(*choice) for choice in Status.choices if choice[0] in statuses]),
        ("owner", "Owner", "All owners", [*own, *owners] if owners or parameters.get("owner") else []),
        ("ticket", "Ticket", "All tickets", ticket if dumps.exclude(ticket="").exists() else []),
    )
    return [
        {"key": key, "label": label, "all": everything, "choices": choices, "current": parameters.get(key, "")}
        for key, label, everything, choices in boxes
        if choices and (len(choices) > 1 or key in ("tag", "rule") or parameters.get(key))
    ]


def _values(dumps: QuerySet[Dump], field: str) -> Sequence[Choice]:
    """The values a field has among these dumps."""
    values = dumps.order_by(field).exclude(**{f"{field}__isnull": True}).exclude(**{field: ""}).values_list(field, flat=True)
    return [Choice(value, value) for value in values.distinct()[:_MOST_CHOICES]]
