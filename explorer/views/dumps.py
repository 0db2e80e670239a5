"""The overview of one dump in each of its states, and what the dump can answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh

from analysis.errors import AnalysisError
from explorer import charts
from explorer.access import dump_for
from explorer.models import Analysis, Dump, State
from explorer.pages import merged
from explorer.pages import overview as words
from explorer.pages import threads as thread_rows
from explorer.pages.findings import finding_cards, rule_lines, verdict
from explorer.pages.garbage_collector import generation_rows
from explorer.pages.objects import Objects
from explorer.pages.retained import top_holders
from explorer.pages.secrets import secret_hints
from explorer.pages.types import LIVE, catalogue, type_rows_at
from explorer.permissions import can_analyse, can_delete
from explorer.progress import progress_of
from explorer.viewers import subject_of, viewer_of
from explorer.views.dump_page import DumpPage, finished_analysis, frame_of, page_of, with_index

_TYPES_ON_OVERVIEW, _HOLDERS_ON_OVERVIEW = 12, 8
#: Holders of less than this share of the live heap are left off, but for the first ones.
_WORTH_A_ROW, _FIRST_HOLDERS = 0.01, 3
_SECTORS_ON_OVERVIEW = 180
_FINDINGS_ON_OVERVIEW, _STACK_LINES_ON_OVERVIEW = 6, 14


@require_GET
@cache_control(private=True, no_store=True)
def overview(request: HttpRequest, dump_id: UUID) -> HttpResponseBase:
    """Progress while the analysis runs, the reason when it failed, the result when it is done."""
    dump = dump_for(request, dump_id)
    analysis = dump.analysis
    if analysis is not None and analysis.is_open:
        return render(request, "dumps/running.html", {**_acts(request, dump, analysis), "progress": progress_of(analysis)})
    if request.htmx.target == "progress":  # type: ignore[attr-defined]
        return HttpResponseClientRefresh()
    shown = finished_analysis(dump)
    if shown is None:
        return _failed(request, dump, analysis, _problem(analysis))
    try:
        page = page_of(request, dump, shown, "overview")
    except AnalysisError as error:
        problem = {**error.as_dict(), "where": "", "remedy": "" if dump.without_original else "Analyse the dump again."}
        return _failed(request, dump, shown, problem)
    return _result(request, page, analysis)


@require_GET
@with_index("coverage")
def coverage(request: HttpRequest, page: DumpPage) -> HttpResponse:
    """What this dump can answer, what not, and how to get more."""
    return render(request, "dumps/coverage.html", {"page": page, "frame": page.frame})


def _acts(request: HttpRequest, dump: Dump, analysis: Analysis | None) -> dict[str, Any]:
    """The frame without a result, and which buttons there are."""
    viewer, subject = viewer_of(request.user), subject_of(dump)
    return {
        "frame": frame_of(request, dump, "overview", None),
        "dump": dump,
        "may_analyse": can_analyse(viewer, subject) and not dump.without_original,
        "may_delete": can_delete(viewer, subject),
        "open_analysis": analysis if analysis is not None and analysis.is_open else None,
    }


def _problem(analysis: Analysis | None) -> dict[str, str]:
    if analysis is None:
        return {"what": "This dump has not been analysed yet.", "remedy": "Start an analysis."}
    if analysis.state == State.CANCELLED:
        return {"what": "The analysis was cancelled.", "remedy": "Start it again when you want its result."}
    return {
        "code": analysis.error_code,
        "what": analysis.error_what or "The analysis failed.",
        "where": analysis.error_where,
        "remedy": analysis.error_remedy,
    }


def _failed(request: HttpRequest, dump: Dump, analysis: Analysis | None, problem: dict[str, str]) -> HttpResponse:
    kept = dump.without_original or "The dump itself is kept."
    return render(request, "dumps/failed.html", {**_acts(request, dump, analysis), "problem": problem, "kept": kept})


def _holders(page: DumpPage) -> list[Mapping[str, Any]]:
    objects = Objects(page.index, page.references)
    if not objects.graph.built:
        return []
    live = int(page.index.facts("retention")["live"]["bytes"])
    rows = top_holders(objects, page.references, _HOLDERS_ON_OVERVIEW, live)
    return [row for place, row in enumerate(rows) if place < _FIRST_HOLDERS or row["retained"] >= _WORTH_A_ROW * live]


def _result(request: HttpRequest, page: DumpPage, latest: Analysis | None) -> HttpResponse:
    found = catalogue(page.index)
    # Where it is known what lives, dead objects and free blocks only hide what the memory is used for.
    shown = LIVE if found.has_graph else ""
    biggest = found.order("size", None, shown)[::-1][:_SECTORS_ON_OVERVIEW].tolist()
    urls = {type_id: page.frame.url("dump-type", type_id) for type_id in biggest}
    top = type_rows_at(found, biggest[:_TYPES_ON_OVERVIEW], lambda type_id: urls[type_id], shown)
    threads = thread_rows.thread_rows(page.index)
    groups = thread_rows.group_counts(threads)
    for group in groups:
        group["share"] = (group["count"], len(threads))
    generations = [row for row in generation_rows(page.frame.summary) if row["count"] or row["free_size"]]
    cards = finding_cards(page.index, page.references)
    context = {
        **_acts(request, page.dump, None),
        "page": page,
        "frame": page.frame,
        "hints": secret_hints(page.index),
        "secrets_url": f"{page.frame.url('dump-strings')}#secrets",
        "verdict": verdict(cards, page.index),
        "cards": cards[:_FINDINGS_ON_OVERVIEW],
        "more_findings": max(0, len(cards) - _FINDINGS_ON_OVERVIEW),
        "passed": rule_lines(page.index, "passed"),
        "stack_lines": merged.lines(page.index, page.references, "", 0, _STACK_LINES_ON_OVERVIEW)[0],
        "types": found,
        "shown_below": () if page.frame.has_heap else ("heap", "types"),
        "sentence": words.sentence(page.index, found),
        "facts": words.facts(page.frame.summary),
        "biggest": top,
        "objects": shown,
        "treemap": charts.types_treemap(found, urls, biggest, shown) if found.heap_size else None,
        "split": (parts := words.split(found, page.types_url, page.type_url("Free"))),
        "split_says": words.split_words(parts) if parts else "",
        "holders": (holders := _holders(page)),
        "held": (sum(row["retained"] for row in holders), found.live_size),
        "generations": generations,
        "generations_figure": charts.generations_bar(generations),
        "thread_groups": groups,
        "thread_total": len(threads),
        "threads_url": reverse("dump-threads", args=[page.dump.pk]),
        "retention_url": reverse("dump-retained", args=[page.dump.pk]),
        "gc_url": reverse("dump-gc", args=[page.dump.pk]),
        "failed_again": latest if latest is not None and latest.state == State.FAILED else None,
    }
    return render(request, "dumps/overview.html", context)


urlpatterns = [
    path("dumps/<uuid:dump_id>", overview, name="dump-overview"),
    path("dumps/<uuid:dump_id>/coverage", coverage, name="dump-coverage"),
]
