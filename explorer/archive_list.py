"""The list of dumps as one query: filtered, sorted and paged in SQL, each with its latest analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.urls import reverse

from explorer.models import Analysis, Dump, Finding, State
from explorer.models.analysis import OPEN_STATES
from explorer.pages.names import visible
from explorer.pages.tables import Column, Link, Query, structure

COLUMNS = (
    structure("name", "Dump", "text"),
    structure("state", "State", "state"),
    structure("finding", "Top finding", "text", about="The most important finding of the latest analysis"),
    structure("process", "Process", "text"),
    structure("runtime", "Runtime", "text"),
    structure("kind", "Kind", "text", about="How much memory the dump holds: full, heap, mini"),
    structure("heap_bytes", "Heap", "bytes", about="Bytes of objects on the managed heap"),
    structure("size", "File", "bytes"),
    structure("service", "Service", "text"),
    structure("build", "Build", "text"),
    structure("environment", "Environment", "text"),
    structure("team", "Team", "text"),
    structure("uploaded_at", "Uploaded", "when", descending_first=True),
    structure("uploaded_by", "By", "text"),
)
#: Columns that are left out where no dump has anything to say in them.
_OPTIONAL = ("service", "build", "environment")
#: Severities in the order in which the list sorts them.
_RANKS = {Finding.Severity.CRITICAL: 3, Finding.Severity.WARNING: 2, Finding.Severity.NOTICE: 1}

_ORDER = {
    "name": "name",
    "state": "latest_state",
    "finding": "top_rank",
    "process": "latest_process",
    "runtime": "latest_runtime",
    "kind": "latest_kind",
    "heap_bytes": "latest_heap",
    "size": "size_bytes",
    "service": "service",
    "build": "build",
    "environment": "environment",
    "team": "team__name",
    "uploaded_at": "created_at",
    "uploaded_by": "uploaded_by__username",
}
_SEARCHED = ("top_finding", "name", "original_name", "service", "build", "environment", "latest_process", "latest_runtime")

STATE_GROUPS = {"open": OPEN_STATES, "done": (State.DONE,), "failed": (State.FAILED, State.CANCELLED)}


def with_latest_analysis(dumps: QuerySet[Dump]) -> QuerySet[Dump]:
    """Each dump with the fields of its latest analysis that the list shows."""
    latest = Analysis.objects.filter(dump=OuterRef("pk")).order_by("-created_at")

    ranks = (When(severity=severity, then=Value(rank)) for severity, rank in _RANKS.items())
    top = Finding.objects.filter(dump=OuterRef("pk")).order_by("number").annotate(rank=Case(*ranks, default=Value(0)))

    def field(name: str) -> Subquery:
        return Subquery(latest.values(name)[:1])

    return dumps.select_related("team", "uploaded_by").annotate(
        latest_state=field("state"),
        latest_fraction=field("fraction"),
        latest_error=field("error_what"),
        latest_process=field("process_name"),
        latest_runtime=field("runtime_version"),
        latest_kind=field("dump_kind"),
        latest_heap=field("heap_bytes"),
        top_finding=Subquery(top.values("title")[:1]),
        top_number=Subquery(top.values("number")[:1]),
        top_rank=Subquery(top.values("rank")[:1]),
    )


def filtered(dumps: QuerySet[Dump], parameters: Mapping[str, str]) -> QuerySet[Dump]:
    """Dumps that match every word of ``q`` and the chosen state, service and environment."""
    for word in parameters.get("q", "")[:200].split():
        anywhere = Q()
        for name in _SEARCHED:
            anywhere |= Q(**{f"{name}__icontains": word})
        dumps = dumps.filter(anywhere)
    if parameters.get("state") in STATE_GROUPS:
        dumps = dumps.filter(latest_state__in=STATE_GROUPS[parameters["state"]])
    if parameters.get("rule"):
        dumps = dumps.filter(findings__rule=parameters["rule"]).distinct()
    for key in ("service", "environment"):
        if parameters.get(key):
            dumps = dumps.filter(**{key: parameters[key]})
    return dumps


def state_counts(dumps: QuerySet[Dump]) -> dict[str, int]:
    """How many dumps there are in each group of states."""
    by_state = dict(dumps.order_by().values_list("latest_state").annotate(number=Count("pk")))
    groups = {name: sum(by_state.get(state, 0) for state in states) for name, states in STATE_GROUPS.items()}
    return {"": sum(by_state.values()), **groups}


def shown_columns(dumps: QuerySet[Dump], teams: int) -> tuple[Column, ...]:
    """The columns worth showing: no labels that nobody gave, no team where there is only one."""
    given = dumps.aggregate(**{key: Count("pk", filter=~Q(**{key: ""})) for key in _OPTIONAL})
    return tuple(
        column
        for column in COLUMNS
        if not (column.key in _OPTIONAL and not given[column.key]) and not (column.key == "team" and teams < 2)
    )


@dataclass(frozen=True)
class DumpRows:
    """The rows of the list, fetched page by page."""

    dumps: QuerySet[Dump]
    query: Query

    @cached_property
    def total(self) -> int:
        return self.dumps.count()

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        field = F(_ORDER[self.query.sort])
        order = field.desc(nulls_last=True) if self.query.descending else field.asc(nulls_last=True)
        return [row_of(dump) for dump in self.dumps.order_by(order, "-created_at")[start:stop]]


def row_of(dump: Any) -> dict[str, Any]:
    """One dump with its annotations as a row."""
    state = State(dump.latest_state) if dump.latest_state else State.RECEIVED
    return {
        "name": Link(visible(dump.name, 120), reverse("dump-overview", args=[dump.pk])),
        "state": (state.value, state.label, visible(dump.latest_error or "", 300), dump.latest_fraction or 0.0),
        "finding": _finding(dump),
        "process": visible(dump.latest_process or "", 60),
        "runtime": visible(dump.latest_runtime or "", 40),
        "kind": dump.latest_kind or "",
        "heap_bytes": dump.latest_heap,
        "size": dump.size_bytes,
        "service": dump.service,
        "build": dump.build,
        "environment": dump.environment,
        "team": dump.team.name,
        "uploaded_at": dump.created_at,
        "uploaded_by": dump.uploaded_by.get_username() if dump.uploaded_by else "",
    }


def _finding(dump: Any) -> Link | str:
    """The most important finding of a dump; its title names threads by id only."""
    if not dump.top_number:
        return ""
    return Link(visible(dump.top_finding, 200), reverse("dump-finding", args=[dump.pk, dump.top_number]))


def rules_found(dumps: QuerySet[Dump]) -> Sequence[str]:
    """Names of the rules that found something in these dumps, for a select box."""
    return sorted(Finding.objects.filter(dump__in=dumps.order_by().values("pk")).values_list("rule", flat=True).distinct())


def distinct_values(dumps: QuerySet[Dump], key: str) -> Sequence[str]:
    """The values a label has among these dumps, for a select box."""
    return list(dumps.order_by(key).exclude(**{key: ""}).values_list(key, flat=True).distinct()[:200])
