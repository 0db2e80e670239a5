"""Findings: what is wrong, with evidence."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from explorer.pages.findings import finding_cards, rule_lines
from explorer.views.dump_page import DumpPage, with_index


@require_GET
@with_index("findings")
def findings(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """All findings as cards, rules that passed, rules that did not run."""
    context = {
        "page": page,
        "frame": page.frame,
        "cards": finding_cards(page.index, page.references),
        "passed": rule_lines(page.index, "passed"),
        "not_run": rule_lines(page.index, "not_run"),
    }
    return render(request, "findings/findings.html", context)


@require_GET
@with_index("findings")
def finding(request: HttpRequest, page: DumpPage, number: int) -> HttpResponseBase:
    """One finding: evidence, why it matters, what to do, how sure, when it is a false alarm."""
    cards = finding_cards(page.index, page.references)
    if not 1 <= number <= len(cards):
        raise Http404
    return render(request, "findings/finding.html", {"page": page, "frame": page.frame, "card": cards[number - 1]})


urlpatterns = [
    path("dumps/<uuid:dump_id>/findings", findings, name="dump-findings"),
    path("dumps/<uuid:dump_id>/findings/<int:number>", finding, name="dump-finding"),
]
