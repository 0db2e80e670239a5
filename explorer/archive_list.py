"""The list of dumps as one query: filtered, sorted and paged in SQL, each with its latest analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Case, CharField, Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.http import urlencode

from analysis.index import DataClass
from explorer.archive_filters import STATE_GROUPS
from explorer.models import Analysis, Dump, Finding, State, Status, Tag
from explorer.pages.names import visible
from explorer.pages.tables import Column, Link, Query, listed, structure
from explorer.queries import dumps_visible_to, notes_visible_to, with_context
from explorer.services.search import Found
from explorer.viewers import AnyUser

COLUMNS = (
    structure("name", "Dump", "text"),
    structure("state", "State", "state"),
    listed("status", "Status", "status"),
    listed("owner", "Owner", "text", about="Who looks after it"),
    structure("found", "Found", "text", about="What the search found in it", sortable=False, exported=False),
    structure("finding", "Top finding", "text", about="The most important finding of the latest analysis"),
    structure("process", "Process", "text"),
    structure("runtime", "Runtime", "text"),
    structure("kind", "Kind", "text", about="How much memory the dump holds: full, heap, mini"),
    structure("heap_bytes", "Heap", "bytes", about="Bytes of objects on the managed heap"),
    structure("size", "File", "bytes"),
    structure("service", "Service", "text"),
    structure("build", "Build", "text"),
    structure("environment", "Environment", "text"),
    listed("tags", "Tags", "words", sortable=False),
    Column("ticket", "Ticket", "ticket", data_class=DataClass.D2_CONTEXT),
    structure("seen", "Same crash", "text", about="Dumps you see whose crash has the same signature", descending_first=True),
    structure("signature", "Crash signature", "hidden"),
    structure("notes", "Notes", "number"),
    structure("team", "Team", "text"),
    structure("uploaded_at", "Uploaded", "when", descending_first=True),
    structure("uploaded_by", "By", "text"),
)
#: Columns that are left out where no dump has anything to say in them.
_OPTIONAL = ("service", "build", "environment", "owner", "tags", "ticket", "finding", "seen", "notes")
#: Severities in the order in which the list sorts them.
_RANKS = {Finding.Severity.CRITICAL: 3, Finding.Severity.WARNING: 2, Finding.Severity.NOTICE: 1}

_ORDER = {
    "name": "name",
    "status": "status",
    "owner": "assignee__username",
    "ticket": "ticket",
    "seen": "times_seen",
    "signature": "signature",
    "notes": "note_count",
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


def listed_for(user: AnyUser) -> QuerySet[Dump]:
    """The dumps a person may see with all that the list shows of each, as far as they may see that."""
    ticket = Case(When(with_context(user), then="ticket_url"), default=Value(""), output_field=CharField())
    same = dumps_visible_to(user).filter(signature=OuterRef("signature")).order_by()
    notes = notes_visible_to(user).filter(dump=OuterRef("pk")).exclude(pin="change").order_by()

    def counted(rows: QuerySet[Any], by: str) -> Coalesce:
        return Coalesce(Subquery(rows.values(by).annotate(number=Count("pk")).values("number")), 0)

    # Most dumps have no crash: for these nothing is counted, which would be every other one of them for each.
    seen = Case(When(~Q(signature=""), then=counted(same, "signature")), default=0)
    return (
        _with_latest_analysis(dumps_visible_to(user))
        .annotate(ticket=ticket, times_seen=seen, note_count=counted(notes, "dump"))
        .prefetch_related("tags")
    )


def _with_latest_analysis(dumps: QuerySet[Dump]) -> QuerySet[Dump]:
    """Each dump with the fields of its latest analysis that the list shows."""
    latest = Analysis.objects.filter(dump=OuterRef("pk")).order_by("-created_at")

    ranks = (When(severity=severity, then=Value(rank)) for severity, rank in _RANKS.items())
    top = Finding.objects.filter(dump=OuterRef("pk")).order_by("number").annotate(rank=Case(*ranks, default=Value(0)))

    def field(name: str) -> Subquery:
        return Subquery(latest.values(name)[:1])

    return dumps.select_related("team", "uploaded_by", "assignee").annotate(
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


def state_counts(dumps: QuerySet[Dump]) -> dict[str, int]:
    """How many dumps there are in each group of states."""
    by_state = dict(dumps.order_by().values_list("latest_state").annotate(number=Count("pk")))
    groups = {name: sum(by_state.get(state, 0) for state in states) for name, states in STATE_GROUPS.items()}
    return {"": sum(by_state.values()), **groups}


def shown_columns(dumps: QuerySet[Dump], teams: int, *, searched: bool) -> tuple[Column, ...]:
    """The columns worth showing of dumps from ``listed_for``: nothing that none of them has, no team where there is one."""
    present = {
        "owner": Q(assignee__isnull=False), "tags": Q(tagged=True),
        "finding": Q(top_number__isnull=False), "seen": Q(times_seen__gt=1), "notes": Q(note_count__gt=0),
    }  # fmt: skip
    held = {f"has_{key}": Max(Case(When(present.get(key) or ~Q(**{key: ""}), then=1), default=0)) for key in _OPTIONAL}
    of_all = dumps.order_by().annotate(tagged=Exists(Tag.objects.filter(dump=OuterRef("pk")))).aggregate(**held)
    left_out = {key for key in _OPTIONAL if not of_all[f"has_{key}"]}
    left_out |= {"team"} if teams < 2 else set()
    left_out |= set() if searched else {"found"}
    return tuple(column for column in COLUMNS if column.key not in left_out)


@dataclass(frozen=True)
class DumpRows:
    """The rows of the list, fetched page by page."""

    dumps: QuerySet[Dump]
    query: Query
    found: Found

    @cached_property
    def total(self) -> int:
        return self.dumps.count()

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        field = F(_ORDER[self.query.sort])
        order = field.desc(nulls_last=True) if self.query.descending else field.asc(nulls_last=True)
        return [self._row(dump) for dump in self.dumps.order_by(order, "-created_at")[start:stop]]

    def _row(self, dump: Any) -> dict[str, Any]:
        return {**_row_of(dump), "found": self._what_was_found(dump), "seen": self._seen(dump)}

    def _what_was_found(self, dump: Dump) -> Link | str:
        counts = self.found.by_dump.get(dump.pk)
        if not counts:
            return ""
        words = ", ".join(
            f"{count:,} {kind.named(count)}" for kind, count in sorted(counts.items(), key=lambda one: one[0].number)
        )
        return Link(words, f"{reverse('search')}?{urlencode({'q': self.query.parameters.get('q', ''), 'dump': dump.pk})}")

    def _seen(self, dump: Any) -> Link | str:
        return Link(f"×{dump.times_seen}", f"{reverse('archive')}?signature={dump.signature}") if dump.times_seen > 1 else ""


def _row_of(dump: Any) -> dict[str, Any]:
    """One dump with its annotations as a row."""
    state = State(dump.latest_state) if dump.latest_state else State.RECEIVED
    return {
        "name": Link(visible(dump.name, 120), reverse("dump-overview", args=[dump.pk])),
        "state": (state.value, state.label, visible(dump.latest_error or "", 300), dump.latest_fraction or 0.0),
        "status": (dump.status, Status(dump.status).label),
        "owner": dump.assignee.get_username() if dump.assignee else "",
        "ticket": dump.ticket,
        "tags": ",".join(dump.tag_names),
        "signature": dump.signature,
        "notes": dump.note_count,
        "finding": _finding(dump),
        "process": visible(dump.latest_process or "", 60),
        "runtime": visible(dump.latest_runtime or "", 40),
        "kind": dump.latest_kind or "",
        "heap_bytes": dump.latest_heap,
        "size": dump.size_bytes,
        "service": visible(dump.service, 100),
        "build": visible(dump.build, 100),
        "environment": visible(dump.environment, 100),
        "team": dump.team.name,
        "uploaded_at": dump.created_at,
        "uploaded_by": dump.uploaded_by.get_username() if dump.uploaded_by else "",
    }


def _finding(dump: Any) -> Link | str:
    """The most important finding of a dump; its title names threads by id only."""
    if not dump.top_number:
        return ""
    return Link(visible(dump.top_finding, 200), reverse("dump-finding", args=[dump.pk, dump.top_number]))
