"""Full-text search: hits by dump and by kind, names that match so far, and the way from a hit to its page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from explorer.archive_filters import narrowed
from explorer.archive_list import listed_for
from explorer.models import Dump
from explorer.pages.found import page_of_hit
from explorer.pages.names import visible
from explorer.services.search import Found, Hit, find, hits, suggestions
from explorer.services.search_kinds import BY_SLUG, Kind
from explorer.views.dump_page import DumpPage, with_index

_DUMPS_ON_A_PAGE, _HITS_OF_A_KIND, _HITS_OF_ONE_DUMP, _LONGEST = 10, 5, 100, 200


@require_GET
def search(request: HttpRequest) -> HttpResponseBase:
    """What was found, dump by dump; ``dump`` and ``kind`` narrow it, as the filters of the archive do."""
    parameters = request.GET.dict()
    text = parameters.get("q", "")[:_LONGEST]
    dumps = _dumps(request, parameters)
    found = find(request.user, dumps, text)
    kind = BY_SLUG.get(parameters.get("kind", ""))
    context = {
        "text": text, "words": found.words, "kinds": _kinds(request, found, kind), "parameters": _state(parameters),
        "unsearched": dumps.filter(latest_state="done", postings=None).count(), **_results(request, dumps, found, kind),
    }  # fmt: skip
    return render(request, "archive/search.html", context)


def _dumps(request: HttpRequest, parameters: dict[str, str]) -> QuerySet[Dump]:
    dumps = narrowed(listed_for(request.user), parameters, request.user)
    try:
        return dumps.filter(pk=UUID(parameters["dump"])) if parameters.get("dump") else dumps
    except ValueError:
        return dumps.none()


def _state(parameters: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in parameters.items() if value and key not in ("q", "page", "kind")}


def _url(request: HttpRequest, **changes: str | int | None) -> str:
    parameters: dict[str, Any] = {key: value for key, value in request.GET.items() if key != "page"} | changes
    return "?" + urlencode({key: value for key, value in parameters.items() if value})


def _kinds(request: HttpRequest, found: Found, chosen: Kind | None) -> list[dict[str, Any]]:
    """In how many dumps there are hits of each kind, for a choice among them."""
    everything = {"label": "Everything", "count": len(found.by_dump), "url": _url(request, kind=None), "current": chosen is None}
    each = [
        {"label": kind.many.capitalize(), "count": count, "url": _url(request, kind=kind.slug), "current": kind == chosen}
        for kind, count in found.by_kind.items()
    ]
    return [everything, *each]


def _results(request: HttpRequest, dumps: QuerySet[Dump], found: Found, kind: Kind | None) -> dict[str, Any]:
    """One page of dumps with their hits, the newest dump first."""
    with_hits = [pk for pk, counts in found.by_dump.items() if kind is None or kind in counts]
    ordered = list(dumps.filter(pk__in=with_hits).order_by("-created_at"))
    pages = max(1, -(-len(ordered) // _DUMPS_ON_A_PAGE))
    number = request.GET.get("page", "1")
    page = min(pages, int(number)) if number.isascii() and number.isdigit() and 0 < len(number) < 8 else 1
    shown = ordered[max(0, page - 1) * _DUMPS_ON_A_PAGE : page * _DUMPS_ON_A_PAGE]
    alone = len(ordered) == 1
    best = hits(request.user, found, [dump.pk for dump in shown], _HITS_OF_ONE_DUMP if alone else _HITS_OF_A_KIND, kind)
    return {
        "results": [_result(request, dump, best.get(dump.pk, []), found) for dump in shown], "total": len(ordered),
        "page": page, "pages": pages, "previous_url": _url(request, page=page - 1) if page > 1 else "",
        "next_url": _url(request, page=page + 1) if page < pages else "",
    }  # fmt: skip


def _result(request: HttpRequest, dump: Dump, listed: list[Hit], found: Found) -> dict[str, Any]:
    groups: dict[Kind, list[dict[str, str]]] = {}
    for hit in listed:
        url = reverse("dump-found", args=[dump.pk, hit.kind.slug, hit.place])
        groups.setdefault(hit.kind, []).append({"text": visible(hit.text), "url": url})
    counts = found.by_dump[dump.pk]
    return {
        "dump": dump,
        "cut": dump.pk in found.cut,
        "groups": [
            {
                "label": f"{counts[kind]:,} {kind.named(counts[kind])}", "hits": rows, "slug": kind.slug,
                "more": counts[kind] - len(rows), "more_url": _url(request, dump=str(dump.pk), kind=kind.slug),
            }
            for kind, rows in groups.items()
        ],
    }  # fmt: skip


@require_GET
def names(request: HttpRequest) -> HttpResponse:
    """Names that match so far, for the list under the box."""
    text = request.GET.get("q", "")[:_LONGEST]
    offered = suggestions(request.user, listed_for(request.user), text) if len(text) > 1 else []
    return render(request, "archive/names.html", {"names": [visible(one, 200) for one in offered]})


@require_GET
@with_index("overview")
def hit_page(request: HttpRequest, page: DumpPage, kind: str, place: int) -> HttpResponseBase:
    """Lead to the page of a hit."""
    url = page_of_hit(page.index, page.references, kind, place)
    if not url:
        raise Http404("There is no such hit.")
    return HttpResponseRedirect(url)


urlpatterns = [
    path("search", search, name="search"),
    path("search/names", names, name="search-names"),
    path("dumps/<uuid:dump_id>/found/<slug:kind>/<int:place>", hit_page, name="dump-found"),
]
