"""What every page of a dump begins with: access, the latest finished analysis, its open index, the frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timesince import timesince

from analysis.errors import AnalysisError
from analysis.index.schema import DataClass
from analysis.index.store import Index
from explorer.access import dump_for, highest_class_for
from explorer.frame import Fact, Frame
from explorer.long_answers import Holds, while_allowed
from explorer.models import Analysis, Dump, Note, State, Status
from explorer.pages.opened import opened
from explorer.pages.references import References
from explorer.pages.source_lines import SourceLines
from explorer.pages.types import catalogue
from explorer.permissions import can_share
from explorer.queries import notes_visible_to
from explorer.services.symbols import TeamSymbols
from explorer.viewers import subject_of, viewer_of


@dataclass(frozen=True)
class DumpPage:
    """A dump whose analysis is done, as one person may see it: ``index`` shows nothing else."""

    dump: Dump
    index: Index
    frame: Frame

    @property
    def highest(self) -> DataClass:
        return self.index.highest

    @property
    def types_url(self) -> str:
        return self.frame.url("dump-types")

    @property
    def threads_url(self) -> str:
        return self.frame.url("dump-threads")

    @property
    def stacks_url(self) -> str:
        return self.frame.url("dump-stacks")

    @property
    def locks_url(self) -> str:
        return self.frame.url("dump-locks")

    @property
    def findings_url(self) -> str:
        return self.frame.url("dump-findings")

    @cached_property
    def references(self) -> References:
        """Names and links of rows, as this person may see them."""
        return References(self.index, self.dump.pk)

    @cached_property
    def symbols(self) -> TeamSymbols:
        return TeamSymbols(self.dump.team_id)

    @cached_property
    def source_lines(self) -> SourceLines:
        return SourceLines(self.index, self.symbols.lines)

    def type_url(self, name: str) -> str:
        """The page of the type of that name, "" where no object of it is on the heap."""
        type_id = catalogue(self.index).id_of(name)
        return "" if type_id is None else self.frame.url("dump-type", type_id)

    @property
    def file_name(self) -> str:
        """The beginning of the name of exported files."""
        return self.dump.name


def frame_of(request: HttpRequest, dump: Dump, current: str, index: Index | None) -> Frame:
    """The frame around a page of this dump."""
    age = timesince(dump.created_at, depth=1)
    when = "just now" if age.startswith("0") else f"{age} ago"
    by = f"by {dump.uploaded_by.get_username()}, " if dump.uploaded_by else ""
    received = (Fact(bytes=dump.size_bytes), Fact(words=f"uploaded {by}{when}"))
    return Frame(
        dump_id=str(dump.pk),
        title=dump.name,
        team=dump.team.name,
        current=current,
        chips=(*dump.labels, *dump.tag_names, *(("no original",) if dump.without_original else ())),
        index=index,
        received=received,
        case=_case_of(dump, highest_class_for(request, dump)),
        notes=notes_visible_to(request.user).filter(dump=dump).exclude(pin=Note.Pin.CHANGE).count(),
    )


def share_url(request: HttpRequest, dump: Dump, what: str) -> str:
    """Where a link to this one page can be made, "" for those who share nothing."""
    may = can_share(viewer_of(request.user), subject_of(dump))
    return f"{reverse('dump-access', args=[dump.pk])}?{urlencode({'share': what})}#shares" if may else ""


def _case_of(dump: Dump, highest: DataClass) -> tuple[Fact, ...]:
    """How far people are with it, where anybody said so; a ticket's address is context (D2)."""
    owner = f"owner {dump.assignee.get_username()}" if dump.assignee else ""
    case = Fact(dump.get_status_display(), owner) if owner or dump.status != Status.OPEN else None
    ticket = Fact(words="ticket", ticket=dump.ticket_url) if dump.ticket_url and highest >= DataClass.D2_CONTEXT else None
    return tuple(fact for fact in (case, ticket) if fact)


def page_of(request: HttpRequest, dump: Dump, analysis: Analysis, current: str) -> DumpPage:
    """The page of a finished analysis. Raises ``analysis.errors.AnalysisError`` when its index cannot be read."""
    index = opened(analysis.index_directory, highest_class_for(request, dump))
    return DumpPage(dump=dump, index=index, frame=frame_of(request, dump, current, index))


def finished_analysis(dump: Dump) -> Analysis | None:
    """The latest analysis with a result; an older result stays readable while a new analysis runs or after it failed."""
    return dump.analyses.filter(state=State.DONE).order_by("-created_at").first()


def _sees_as_much(page: DumpPage) -> Holds:
    return lambda request, dump: highest_class_for(request, dump) >= page.highest


def with_index(current: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Make a view of (request, page, …) one of (request, dump_id, …); without a result it leads to the overview."""

    def wrap(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def with_page(request: HttpRequest, dump_id: UUID, **arguments: Any) -> HttpResponseBase:
            dump = dump_for(request, dump_id)
            analysis = finished_analysis(dump)
            if analysis is None:
                return redirect("dump-overview", dump.pk)
            try:
                page = page_of(request, dump, analysis, current)
            except AnalysisError:
                return redirect("dump-overview", dump.pk)
            response = view(request, page, **arguments)
            if response.streaming:
                response.streaming_content = while_allowed(request, dump, _sees_as_much(page), response.streaming_content)
            # What a browser keeps can be read after the right to see it is gone.
            response["Cache-Control"] = "private, no-store"
            return response

        return with_page

    return wrap
