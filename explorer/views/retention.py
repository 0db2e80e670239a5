"""What keeps memory alive: one object, the dominator tree, the roots."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from explorer.authentication import asked_from
from explorer.exports import export_response
from explorer.models import AuditEntry
from explorer.pages import objects as object_rows
from explorer.pages import retained
from explorer.pages import secrets as secret_rows
from explorer.pages import strings as string_rows
from explorer.pages.memory import memory_lines
from explorer.pages.pins import to_object
from explorer.pages.tables import DEFAULT_PAGE_SIZE, MOST_ROWS, Column, ListedRows, Query, Rows, Table
from explorer.services.audit import Purpose
from explorer.services.reveals import MOST_BYTES, masked_object, reveal_object, search_strings, view_memory
from explorer.value_acts import raw_act, search_act, value_act, value_form
from explorer.views.dump_page import DumpPage, with_index
from explorer.views.notes import pinned_notes

_ADDRESS = re.compile("(0[xX])?[0-9a-fA-F]{1,16}")
_MOST_DOMINATED, _MOST_BIGGEST = 100, 20
_SHORTEST_TEXT, _LONGEST_TEXT = 3, 200


@dataclass(frozen=True)
class _Sliced:
    """Rows made by a function of first and last."""

    total: int
    make: Callable[[int, int], list[Mapping[str, Any]]]

    def rows(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return self.make(start, stop)


@require_GET
@with_index("types")
def one_object(request: HttpRequest, page: DumpPage, object_address: str) -> HttpResponseBase:
    """One object: facts, root path, references, referrers, what it dominates."""
    objects = object_rows.Objects(page.index, page.references)
    row, begins = _object_at(objects, object_address)
    if not begins:
        return redirect("dump-object", page.dump.pk, f"{int(objects.addresses[row]):x}")
    graph, facts = objects.graph, objects.facts(row)
    tables = _object_tables(request, objects, row) if graph.built else ()
    if file := export_response(request, f"{page.file_name}-{facts['address']}", *tables):
        return file
    path_, left_out = objects.root_path(row) if facts["live"] else ([], 0)
    context = {
        "page": page, "frame": page.frame, "facts": facts, "length": objects.length(row),
        "collection": objects.collection(row), "built": graph.built,
        "path": path_, "left_out": left_out, "groups": objects.referrer_groups(row) if graph.built else [],
        "tables": {table.name: table for table in tables},
        "type_url": page.frame.url("dump-type", facts["type_id"]),
        **value_form(request, page.dump),
        **pinned_notes(request, page, to_object(int(objects.addresses[row]), objects.type_name(row)), object_address),
        "memory_url": page.frame.url("dump-memory"),
        "masked_url": page.frame.url("dump-object-masked", object_address),
        "values_url": page.frame.url("dump-object-values", object_address),
        "live_bytes": (page.index.facts("retention").get("live") or {}).get("bytes", 0),
    }  # fmt: skip
    return render(request, "retention/object.html", context)


def _object_at(objects: object_rows.Objects, object_address: str) -> tuple[int, bool]:
    """The object that an address of the URL lies in, and whether it begins there."""
    if not _ADDRESS.fullmatch(object_address):
        raise Http404("That is no address.")
    found = objects.at(int(object_address, 16))
    if found is None:
        raise Http404("No object lies at this address.")
    return found


def _object_that_begins_at(page: DumpPage, object_address: str) -> tuple[object_rows.Objects, int]:
    objects = object_rows.Objects(page.index, page.references)
    row, begins = _object_at(objects, object_address)
    if not begins:
        raise Http404("No object begins at this address.")
    return objects, row


@require_POST
@with_index("types")
@value_act(AuditEntry.Action.REVEAL_OBJECT)
def object_values(request: HttpRequest, page: DumpPage, object_address: str, purpose: Purpose) -> HttpResponseBase:
    """What an object holds."""
    objects, row = _object_that_begins_at(page, object_address)
    address, name = int(objects.addresses[row]), objects.type_name(row)
    found = reveal_object(request=request, dump=page.dump, address=address, type_name=name, purpose=purpose)
    rows = object_rows.value_rows(objects, found.rows)
    return render(request, "retention/values.html", {
        "page": page, "frame": page.frame, "object": page.references.object(row), "found": found, "rows": rows,
    })  # fmt: skip


@require_GET
@never_cache
@with_index("types")
def object_masked(request: HttpRequest, page: DumpPage, object_address: str) -> HttpResponseBase:
    """What an object holds, masked: a part of its page."""
    objects, row = _object_that_begins_at(page, object_address)
    rows, problem = masked_object(request=request, dump=page.dump, address=int(objects.addresses[row]))
    return render(request, "values/masked.html", {"rows": rows, "problem": problem})


@require_POST
@with_index("types")
@raw_act(AuditEntry.Action.VIEW_HEX)
def memory(request: HttpRequest, page: DumpPage, purpose: Purpose) -> HttpResponseBase:
    """Raw memory, as many bytes as one look shows."""
    address, length = request.POST.get("address", "").removeprefix("0x"), request.POST.get("length", "")
    if not _ADDRESS.fullmatch(address) or not length.isdecimal():
        messages.error(request, f"Give an address in hexadecimal digits, and how many bytes: at most {MOST_BYTES:,}.")
        return HttpResponseRedirect(asked_from(request))
    found = view_memory(request=request, dump=page.dump, address=int(address, 16), length=int(length[:6]), purpose=purpose)
    lines = memory_lines(found.address, found.content)
    return render(request, "values/memory.html", {"page": page, "frame": page.frame, "found": found, "lines": lines})


def _object_tables(request: HttpRequest, objects: object_rows.Objects, row: int) -> tuple[Table, ...]:
    references = objects.graph.references(row)[0]
    referrers = objects.graph.referrers(row)
    listed, total = objects.dominated_rows(row, _MOST_DOMINATED)
    items, held = objects.items(row), objects.collection(row)
    first = (
        f", the first of {held['count']:,}"
        if held and len(items) < held["count"] and len(items) >= object_rows.MOST_ITEMS
        else ""
    )
    chosen = request.GET.get("of", "")

    def table(name: str, caption: str, columns: tuple[Column, ...], rows: Rows, empty: str, footnote: str = "") -> Table:
        # One page number in the URL: it turns the table that ``of`` names.
        parameters = {**request.GET.dict(), "of": name}
        query = Query.read(parameters if chosen == name else {"of": name}, columns, "")
        return Table(
            name, caption, columns, Query(query.parameters, "row", False, query.page, 50), rows, empty, name, footnote=footnote
        )

    return (
        table("references", "Refers to", object_rows.REFERENCE_COLUMNS,
              _Sliced(len(references), lambda a, b: objects.reference_rows(row, a, b)), "It refers to no other object."),
        table("referrers", "Referrers", object_rows.REFERRER_COLUMNS,
              _Sliced(len(referrers), lambda a, b: objects.referrer_rows(row, a, b)), "No object refers to it."),
        table("items", "Items", object_rows.ITEM_COLUMNS,
              _Sliced(len(items), lambda a, b: objects.item_rows(items[a:b])), "Its items are values, or there are none.", first),
        Table("dominated", "Retains", object_rows.DOMINATED_COLUMNS, Query.unpaged(len(listed)), ListedRows(listed),
              "Nothing else would be free without it.", "objects",
              footnote=f", the biggest of {total:,}" if total > len(listed) else ""),
    )  # fmt: skip


@require_GET
@with_index("retained")
def retention(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """The dominator tree, merged by type: icicle, tree, biggest objects, top holders."""
    objects = object_rows.Objects(page.index, page.references)
    tree = retained.MergedDominators(page.index, page.references)
    if not objects.graph.built or not tree.rows:
        return _none(request, page, "Retention")
    at, level = _number(request, "at", tree.rows), _number(request, "level", 200)
    branches, left = tree.below(at)
    context: dict[str, Any] = {"page": page, "frame": page.frame, "branches": branches, "left": left, "level": level}
    if request.GET.get("part") == "rows":
        return render(request, "retention/tree_rows.html", context)
    found = retained.biggest_objects(objects, _MOST_BIGGEST, tree.live_bytes)
    biggest = Table(
        "biggest", "Biggest objects", retained.BIGGEST_COLUMNS, Query.unpaged(_MOST_BIGGEST),
        ListedRows(found), noun="objects",
    )  # fmt: skip
    holders = Table(
        "holders", "Top holders", retained.HOLDER_COLUMNS, Query.unpaged(_MOST_BIGGEST),
        ListedRows(retained.top_holders(objects, page.references, _MOST_BIGGEST, tree.live_bytes)),
        "Nothing is alive.", "holders",
    )  # fmt: skip
    if file := export_response(request, page.file_name, biggest, holders):
        return file
    context |= {
        "chart": (chart := "treemap" if request.GET.get("chart") == "treemap" else "icicle"),
        "figure": tree.treemap() if chart == "treemap" else tree.icicle(),
        "biggest": biggest, "holders": holders, "path": tree.path(at), "rows": tree.rows,
        "says": retained.headline(page.index, page.references, objects.graph, found),
        "facts": page.index.facts("retention"),
    }  # fmt: skip
    return render(request, "retention/retained.html", context)


@require_GET
@with_index("roots")
def roots(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """Roots by kind, by group, one by one."""
    index, references = page.index, page.references
    objects = object_rows.Objects(index, references)
    if not objects.graph.built:
        return _none(request, page, "Roots")
    kind, group = _number(request, "kind", 64, -1), _number(request, "group", index.rows["root_groups"], -1)
    live = int(index.facts("retention")["live"]["bytes"])
    query = Query.read(request.GET.dict(), (), "")
    rows = retained.RootRows(index, references, objects, kind, group, live)
    fixed = tuple(replace(column, sortable=False) for column in retained.ROOT_COLUMNS)
    listed = Table("roots", "Roots", fixed, Query(query.parameters, "retained", True, query.page, query.page_size), rows,
                   "There are no such roots.", "roots", unfiltered_total=index.rows["roots"])  # fmt: skip
    group_query = Query.read(request.GET.dict(), retained.GROUP_COLUMNS, "-retained")
    groups = Table("groups", "Groups of roots", retained.GROUP_COLUMNS, Query(group_query.parameters, group_query.sort,
                   group_query.descending, 1, 200), retained.GroupRows(index, references, group_query),
                   noun="groups")  # fmt: skip
    if file := export_response(request, page.file_name, listed, groups):
        return file
    choices = [{"label": "All", "count": index.rows["roots"], "url": query.url(kind=None, group=None), "current": kind < 0}]
    choices += [
        {**one, "url": query.url(kind=one["kind"], group=None), "current": one["kind"] == kind}
        for one in retained.kind_counts(index)
    ]
    return render(request, "retention/roots.html", {
        "page": page, "frame": page.frame, "listed": listed, "groups": groups, "choices": choices,
        "group": references.root_group(group) if group >= 0 else None, "all_url": query.url(group=None, kind=None),
        "facts": index.facts("retention"),
    })  # fmt: skip


@require_GET
@with_index("strings")
def strings(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """Copies of the same text and the lengths of all strings; never a text."""
    index = page.index
    facts = index.facts("retention")
    objects = object_rows.Objects(index, page.references)
    hints, secrets = _secrets(request, page, objects)
    if not facts.get("strings"):
        if file := export_response(request, page.file_name, *secrets.values()):
            return file
        return _none(request, page, "Strings", {"hints": hints, **secrets})
    duplicates = _duplicates(request, page, objects)
    listed = string_rows.length_rows(index)
    lengths = Table(
        "lengths", "Lengths", string_rows.LENGTH_COLUMNS, Query.unpaged(len(listed)), ListedRows(listed), noun="lengths"
    )
    if file := export_response(request, page.file_name, *duplicates.values(), lengths, *secrets.values()):
        return file
    return render(request, "retention/strings.html", {
        "hints": hints, **secrets, **duplicates,
        "page": page, "frame": page.frame, "strings": facts["strings"], "lengths": lengths,
        "figure": string_rows.lengths_bar(listed),
        "wasted_share": (facts["strings"]["wasted"], facts["strings"]["bytes"]) if duplicates else None,
        "search_url": page.frame.url("dump-strings-search"), **value_form(request, page.dump),
    })  # fmt: skip


@require_POST
@with_index("strings")
@search_act(AuditEntry.Action.SEARCH_VALUES)
def strings_search(request: HttpRequest, page: DumpPage, purpose: Purpose) -> HttpResponseBase:
    """Strings that contain a text: where they lie and who holds them; neither the text nor theirs is on the page."""
    text = request.POST.get("text", "")
    if not _SHORTEST_TEXT <= len(text) <= _LONGEST_TEXT:
        messages.error(request, f"Look for {_SHORTEST_TEXT} to {_LONGEST_TEXT} characters.")
        return HttpResponseRedirect(page.frame.url("dump-strings"))
    found = search_strings(
        request=request, dump=page.dump, directory=page.index.directory, text=text, any_case="any_case" in request.POST,
        purpose=purpose,
    )  # fmt: skip
    rows = string_rows.found_rows(object_rows.Objects(page.index, page.references), found.rows, found.lengths)
    return render(request, "retention/strings_found.html", {
        "page": page, "frame": page.frame, "found": found, "rows": rows, "characters": len(text),
        "strings_url": page.frame.url("dump-strings"),
    })  # fmt: skip


def _duplicates(request: HttpRequest, page: DumpPage, objects: object_rows.Objects) -> dict[str, Table]:
    """The table of equal texts; nothing for those who may not see which values are equal."""
    if not page.index.shows("string_groups", "count"):
        return {}
    query = Query.read(request.GET.dict(), (), "")
    paged = Query(query.parameters, "wasted", True, query.page, query.page_size)
    rows = string_rows.DuplicateRows(page.index, page.references, objects)
    return {"duplicates": Table(
        "duplicates", "Same text, more than once", string_rows.DUPLICATE_COLUMNS, paged, rows,
        "No two strings have the same text.", "texts", highest=page.index.highest,
    )}  # fmt: skip


def _secrets(
    request: HttpRequest, page: DumpPage, objects: object_rows.Objects
) -> tuple[secret_rows.SecretHints | None, dict[str, Table]]:
    """What looks like a secret, and its tables; nothing for those who may not see context."""
    hints = secret_rows.secret_hints(page.index)
    if hints is None or not hints.found:
        return hints, {}
    query = Query.read(request.GET.dict(), (), "")
    kinds = ListedRows(secret_rows.kind_rows(hints, query))
    by_kind = Table("secret-kinds", "Secret-looking texts by kind", secret_rows.KIND_COLUMNS, Query.unpaged(kinds.total), kinds,
                    noun="kinds", highest=page.index.highest)  # fmt: skip
    chosen = hints.kind(request.GET.get("secret", ""))
    rows = secret_rows.SecretRows(page.index, page.references, objects, chosen)
    first = Query(query.parameters, "", False, 1, MOST_ROWS if chosen else DEFAULT_PAGE_SIZE)
    places = Table("secrets", "Where they are", secret_rows.PLACE_COLUMNS, first, rows, noun="texts",
                   footnote=hints.left_out(chosen, rows.total), highest=page.index.highest)  # fmt: skip
    return hints, {"secret_kinds": by_kind, "secret_places": places}


def _none(request: HttpRequest, page: DumpPage, heading: str, also: Mapping[str, Any] | None = None) -> HttpResponseBase:
    """Why there is nothing to show."""
    reason = page.index.facts("retention").get("reason", "")
    return render(request, "retention/none.html", {
        "page": page, "frame": page.frame, "heading": heading, "reason": reason, **(also or {}),
    })  # fmt: skip


def _number(request: HttpRequest, name: str, behind: int, otherwise: int = 0) -> int:
    """A row number out of the URL, below ``behind``."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < behind else otherwise


urlpatterns = [
    path("dumps/<uuid:dump_id>/objects/<slug:object_address>", one_object, name="dump-object"),
    path("dumps/<uuid:dump_id>/objects/<slug:object_address>/values", object_values, name="dump-object-values"),
    path("dumps/<uuid:dump_id>/objects/<slug:object_address>/masked", object_masked, name="dump-object-masked"),
    path("dumps/<uuid:dump_id>/memory", memory, name="dump-memory"),
    path("dumps/<uuid:dump_id>/retained", retention, name="dump-retained"),
    path("dumps/<uuid:dump_id>/strings", strings, name="dump-strings"),
    path("dumps/<uuid:dump_id>/strings/search", strings_search, name="dump-strings-search"),
    path("dumps/<uuid:dump_id>/roots", roots, name="dump-roots"),
]
