"""Who looked at what: the audit of a person, of the teams they lead, or of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from explorer.exports import export_response
from explorer.models import AuditEntry, Team
from explorer.pages.names import visible
from explorer.pages.tables import Link, Query, Table, listed
from explorer.permissions import can_read_whole_audit
from explorer.queries import audit_visible_to, dumps_visible_to
from explorer.services.audit import write_down
from explorer.services.audit_names import Names, erased_people, people_called
from explorer.viewers import viewer_of

_COLUMNS = (
    listed("sequence", "#", "id", descending_first=True),
    listed("at", "When", "when", descending_first=True),
    listed("actor", "Who"),
    listed("action", "Did"),
    listed("outcome", "Outcome"),
    listed("dump", "Dump"),
    listed("detail", "What", "sentence", sortable=False),
    listed("reason", "Why", "sentence", sortable=False),
    listed("ticket", "Ticket", sortable=False),
    listed("data_class", "Class", sortable=False, about="Class of what was asked for: D3 values, D4 raw memory"),
    listed("team", "Team", sortable=False),
    listed("address", "From", sortable=False),
    listed("session", "Session", "hidden-text", sortable=False),
    listed("digest", "Seal", "hidden-text", sortable=False),
)
_ORDER = {
    "sequence": "sequence",
    "at": "sequence",
    "actor": "actor_id",
    "action": "action",
    "outcome": "outcome",
    "dump": "dump_name",
}


@dataclass(frozen=True)
class _Rows:
    """Rows of the audit, fetched page by page; a dump is a link for those who see it."""

    entries: QuerySet[AuditEntry]
    query: Query
    visible_dumps: frozenset[UUID]

    @cached_property
    def total(self) -> int:
        return self.entries.count()

    @cached_property
    def _teams(self) -> dict[UUID, str]:
        return dict(Team.objects.values_list("pk", "name"))

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        sign = "-" if self.query.descending else ""
        entries = list(self.entries.order_by(f"{sign}{_ORDER[self.query.sort]}", "-sequence")[start:stop])
        names = Names(entries)
        return [self._row(entry, names) for entry in entries]

    def _row(self, entry: AuditEntry, names: Names) -> dict[str, Any]:
        name = visible(entry.dump_name, 80)
        linked = entry.dump_key in self.visible_dumps
        return {
            "sequence": entry.sequence,
            "at": entry.at,
            "actor": visible(names.actor(entry), 60) or "nobody signed in",
            "action": entry.get_action_display(),
            "outcome": entry.get_outcome_display(),
            "dump": Link(name, reverse("dump-overview", args=[entry.dump_key])) if linked else name,
            "detail": visible(names.detail(entry), 400),
            "reason": visible(": ".join(part for part in (entry.get_reason_display(), entry.explanation) if part), 600),
            "ticket": visible(entry.ticket, 100),
            "data_class": "" if entry.data_class is None else f"D{entry.data_class}",
            "team": self._teams.get(entry.team_key, "") if entry.team_key else "",
            "address": names.address(entry),
            "session": entry.session,
            "digest": entry.digest,
        }


@never_cache
@require_GET
def audit(request: HttpRequest) -> HttpResponseBase:
    """The rows that a person may read, filtered by who, what, which dump and when; taking them as a file is a row too."""
    parameters = request.GET.dict()
    everything = audit_visible_to(request.user)
    entries = _filtered(everything, parameters)
    if parameters.get("format") in ("csv", "json"):
        write_down(request, AuditEntry.Action.EXPORT_AUDIT, detail=f"{entries.count():,} rows")
    query = Query.read(parameters, _COLUMNS, "-sequence")
    dumps = frozenset(dumps_visible_to(request.user).values_list("pk", flat=True))
    table = Table(
        "audit", "Audit", _COLUMNS, query, _Rows(entries, query, dumps), "Nothing was written down that matches.", "acts",
        unfiltered_total=everything.count(),
    )  # fmt: skip
    if file := export_response(request, "audit", table):
        return file
    context = {
        "table": table, "actions": AuditEntry.Action.choices, "outcomes": AuditEntry.Outcome.choices, "parameters": parameters,
        "everything": can_read_whole_audit(viewer_of(request.user)),
    }  # fmt: skip
    return render(request, "audit/audit.html", context)


def _filtered(entries: QuerySet[AuditEntry], parameters: Mapping[str, str]) -> QuerySet[AuditEntry]:
    if who := parameters.get("who", "")[:100].replace("\0", ""):
        called = Q(actor_id__in=people_called(who))
        entries = entries.filter(called | (Q(actor_name__icontains=who) & ~Q(actor_id__in=erased_people())))
    for name, lookup in (
        ("dump_name", "dump_name__icontains"),
        ("action", "action"),
        ("outcome", "outcome"),
    ):
        if value := parameters.get(name, "")[:100]:
            entries = entries.filter(**{lookup: value.replace("\0", "")})
    if dump := _uuid(parameters.get("dump", "")):
        entries = entries.filter(dump_key=dump)
    for name, lookup in (("since", "at__date__gte"), ("until", "at__date__lte")):
        if day := _day(parameters.get(name, "")):
            entries = entries.filter(**{lookup: day.date()})
    return entries


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.get_current_timezone())
    except ValueError:
        return None


urlpatterns = [path("audit", audit, name="audit")]
