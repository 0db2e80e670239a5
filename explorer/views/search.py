"""Full-text search: hits by dump and by kind, names that match so far, and the way from a hit to its page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from explorer.archive_filters import narrowed
from explorer.archive_list import listed_for
from explorer.models import Dump
from explorer.pages.found import page_of_hit
from explorer.pages.names import visible
from explorer.pages.tables import Query
from explorer.services.search import Found, Hit, find, hits, suggestions
from explorer.services.search_kinds import BY_SLUG, Kind
from explorer.views.dump_page import DumpPage, with_index

_DUMPS_ON_A_PAGE, _HITS_OF_A_KIND, _HITS_OF_ONE_DUMP, _LONGEST = 10, 5, 100, 200


@require_GET
def search(request: HttpRequest) -> HttpResponseBase:
    """What was found, dump by dump; ``dump`` and ``kind`` narrow it, as the filters of the archive do."""
    parameters = request.GET.dict()
    query = replace(Query.read(parameters, (), ""), page_size=_DUMPS_ON_A_PAGE)
    text = parameters.get("q", "")[:_LONGEST]
    dumps = _dumps(request, parameters)
    found = find(request.user, dumps, text)
    kind = BY_SLUG.get(parameters.get("kind", ""))
    context = {
        "text": text, "words": found.words, "kinds": _kinds(query, found, kind), "parameters": _state(query),
        "unsearched": dumps.filter(latest_state="done", postings=None).count(), **_results(request, dumps, found, kind, query),
    }  # fmt: skip
    return render(request, "archive/search.html", context)


def _dumps(request: HttpRequest, parameters: dict[str, str]) -> QuerySet[Dump]:
    dumps = narrowed(listed_for(request.user), parameters, request.user)
    try:
        return dumps.filter(pk=UUID(parameters["dump"])) if parameters.get("dump") else dumps
    except ValueError:
        return dumps.none()


def _state(query: Query) -> dict[str, str]:
    """What the form keeps while other words are searched for."""
    return {key: value for key, value in query.parameters.items() if key not in ("q", "page", "kind")}


def _kinds(query: Query, found: Found, chosen: Kind | None) -> list[dict[str, Any]]:
    """In how many dumps there are hits of each kind, for a choice among them."""
    everything = {"label": "Everything", "count": len(found.by_dump), "url": query.url(kind=None), "current": chosen is None}
    each = [
        {"label": kind.many.capitalize(), "count": count, "url": query.url(kind=kind.slug), "current": kind == chosen}
        for kind, count in found.by_kind.items()
    ]
    return [everything, *each]


def _results(request: HttpRequest, dumps: QuerySet[Dump], found: Found, kind: Kind | None, query: Query) -> dict[str, Any]:
    """One page of dumps with their hits, the newest dump first."""
    with_hits = [pk for pk, counts in found.by_dump.items() if kind is None or kind in counts]
    ordered = list(dumps.filter(pk__in=with_hits).order_by("-created_at"))
    pages = max(1, -(-len(ordered) // query.page_size))
    page = min(pages, query.page)
    shown = ordered[(page - 1) * query.page_size : page * query.page_size]
    alone = len(ordered) == 1
    best = hits(request.user, found, [dump.pk for dump in shown], _HITS_OF_ONE_DUMP if alone else _HITS_OF_A_KIND, kind)
    return {
        "results": [_result(query, dump, best.get(dump.pk, []), found) for dump in shown], "total": len(ordered),
        "page": page, "pages": pages, "previous_url": query.url(page=page - 1) if page > 1 else "",
        "next_url": query.url(page=page + 1) if page < pages else "",
    }  # fmt: skip


def _result(query: Query, dump: Dump, listed: list[Hit], found: Found) -> dict[str, Any]:
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
                "more": counts[kind] - len(rows), "more_url": query.url(dump=str(dump.pk), kind=kind.slug),
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
