"""Findings: what is wrong, with evidence."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from explorer.pages.findings import FindingCard, finding_cards, rule_lines
from explorer.pages.pins import to_finding
from explorer.pages.references import References
from explorer.pages.root_paths import merged_root_paths
from explorer.views.dump_page import DumpPage, share_url, with_index
from explorer.views.notes import pinned_notes


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
    card = cards[number - 1]
    context = {
        "page": page, "frame": page.frame, "card": card,
        "share_url": share_url(request, page.dump, f"finding:{number}"),
        **pinned_notes(request, page, to_finding(_as_structure(page, number)), str(number)),
    }  # fmt: skip
    if card.types and page.index.rows["retained_types"]:
        context["root_paths"] = merged_root_paths(page.index, page.references, card.types)
    return render(request, "findings/finding.html", context)


def _as_structure(page: DumpPage, number: int) -> FindingCard:
    """A finding without the names of threads: what a note is pinned to is the same for all readers."""
    return finding_cards(page.index.structure, References(page.index.structure, page.dump.pk))[number - 1]


urlpatterns = [
    path("dumps/<uuid:dump_id>/findings", findings, name="dump-findings"),
    path("dumps/<uuid:dump_id>/findings/<int:number>", finding, name="dump-finding"),
]
