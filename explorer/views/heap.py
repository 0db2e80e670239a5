"""Types: flat, by namespace, by assembly and as a treemap; and one type with its fields and instances."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from explorer import charts
from explorer.exports import export_response
from explorer.pages import instances, sizes
from explorer.pages.assemblies import assembly_columns, assembly_rows
from explorer.pages.generations import BY_SLUG
from explorer.pages.names import visible
from explorer.pages.numbers import grouped, readable_bytes
from explorer.pages.pins import to_type
from explorer.pages.root_paths import merged_root_paths
from explorer.pages.tables import ListedRows, Query, Table, sorted_rows
from explorer.pages.type_list import TypeRows, type_columns
from explorer.pages.type_retention import type_retention
from explorer.pages.types import DEAD, LIVE, TypeCatalogue, TypeFilter, catalogue, type_rows_at
from explorer.views.dump_page import DumpPage, with_index
from explorer.views.notes import pinned_notes

_MOST_TYPES_IN_TREE = 200
_TYPES_BESIDE_TREEMAP = 60
_DEEPEST_LEVEL = 15


@require_GET
@with_index("types")
def types(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """The list of types in the view that the URL names."""
    found = catalogue(page.index)
    draw = {"tree": _tree, "assemblies": _assemblies, "treemap": _treemap}.get(request.GET.get("view", ""), _flat)
    return draw(request, page, found)


def _flat(request: HttpRequest, page: DumpPage, found: TypeCatalogue) -> HttpResponseBase:
    wanted = _filter(request, found)
    numbers = request.GET.get("columns") == "generations"
    columns = type_columns(found, wanted, numbers)
    query = Query.read(request.GET.dict(), columns, "-size")
    rows = TypeRows(found, wanted, query, partial(page.frame.url, "dump-type"))
    table = Table(
        name="types",
        caption="Types of the heap",
        columns=columns,
        query=query,
        source=rows,
        empty="No type matches. Every word of the filter must be in the name; 0x… finds a method table.",
        noun="types",
        unfiltered_total=found.total,
        footnote=_sums(rows) if wanted.active and rows.total else "",
    )
    if file := export_response(request, page.file_name, table):
        return file
    context = {
        "table": table,
        "view": "flat",
        "wanted": wanted,
        "numbers": numbers,
        "bar_url": query.url(columns=None),
        "numbers_url": query.url(columns="generations"),
        "object_links": _object_links(found, wanted.objects, lambda objects: query.url(objects=objects)),
        "generation_links": _generation_links(found, query, wanted),
        "module_choices": _module_choices(found, wanted),
    }
    return _render(request, page, found, "heap/types.html", context)


def _tree(request: HttpRequest, page: DumpPage, found: TypeCatalogue) -> HttpResponse:
    at = request.GET.get("at", "")
    tree = found.tree
    if at not in tree.size:
        raise Http404("There is no such namespace on this heap.")
    branches = [
        {
            "name": visible(path[len(at) + 1 :] if at else path) or "(no namespace)",
            "url": f"?view=tree&{urlencode({'at': path})}",
            "types": tree.type_count[path],
            "count": tree.count[path],
            "size": tree.size[path],
            **_held(found, tree.size[path], tree.live_size[path], tree.retained(found.index, path)),
        }
        for path in tree.below(at)
    ]
    ids, left = tree.types_in(at, _MOST_TYPES_IN_TREE)
    leaves = type_rows_at(found, ids, partial(page.frame.url, "dump-type"))
    live, retained = found.shown(None, LIVE)[1], found.retained
    for leaf, type_id in zip(leaves, ids, strict=True):
        leaf |= _held(found, leaf["size"], int(live[type_id]), int(retained[type_id]), bool(found.is_free[type_id]))
    level = request.GET.get("level", "0")
    context = {
        "branches": branches,
        "leaves": leaves,
        "left": left,
        "left_url": f"?{urlencode({'q': at})}",
        "level": min(int(level), _DEEPEST_LEVEL) if level.isdecimal() and len(level) < 3 else 0,
        "at": visible(at),
        "path": _path(at),
        "view": "tree",
        "types": found,
    }
    if request.GET.get("part") == "rows":
        return render(request, "heap/tree_rows.html", context)
    context.update(count=tree.count[at], size=tree.size[at], type_count=tree.type_count[at])
    if at and found.has_graph:
        context["root_paths"] = merged_root_paths(page.index, page.references, tree.all_types_in(at))
    return _render(request, page, found, "heap/tree.html", context)


def _held(found: TypeCatalogue, size: int, live: int, retained: int | None, free: bool = False) -> dict[str, Any]:
    """The cells of a row of the tree that follow its size; free blocks are neither live nor dead."""
    if not found.has_graph:
        return {"share": (size, found.heap_size)}
    if free:
        return {"live": None, "retained": None, "share": None}
    return {"live": live, "retained": retained, "share": (live, found.live_size)}


def _assemblies(request: HttpRequest, page: DumpPage, found: TypeCatalogue) -> HttpResponseBase:
    columns = assembly_columns(found)
    query = Query.read(request.GET.dict(), columns, "-retained" if found.has_graph else "-size")
    rows = ListedRows(sorted_rows(assembly_rows(found), query))
    table = Table("assemblies", "Types by assembly", columns, query, rows, "No types on this heap.", "assemblies")
    if file := export_response(request, page.file_name, table):
        return file
    return _render(request, page, found, "heap/assemblies.html", {"view": "assemblies", "table": table})


def _treemap(request: HttpRequest, page: DumpPage, found: TypeCatalogue) -> HttpResponse:
    objects = _objects(request, found)
    biggest = found.order("size", None, objects)[::-1][: charts.MOST_SECTORS].tolist()
    urls = {type_id: page.frame.url("dump-type", type_id) for type_id in biggest}
    context = {
        "view": "treemap",
        "objects": objects,
        "object_links": _object_links(found, objects, lambda chosen: f"?view=treemap&objects={chosen}"),
        "figure": charts.types_treemap(found, urls, biggest, objects),
        "beside": type_rows_at(found, biggest[:_TYPES_BESIDE_TREEMAP], lambda type_id: urls[type_id], objects),
    }
    return _render(request, page, found, "heap/treemap.html", context)


def _render(request: HttpRequest, page: DumpPage, found: TypeCatalogue, template: str, context: dict[str, Any]) -> HttpResponse:
    exact = found.index.facts("retention").get("groups_exact", True)
    return render(request, template, {"page": page, "frame": page.frame, "types": found, "exact": exact, **context})


def _sums(rows: TypeRows) -> str:
    return f": {grouped(rows.matched_count)} objects, {readable_bytes(rows.matched_size)}"


def _filter(request: HttpRequest, found: TypeCatalogue) -> TypeFilter:
    module = request.GET.get("module", "")
    return TypeFilter(
        text=request.GET.get("q", "").strip(),
        generation=BY_SLUG.get(request.GET.get("generation", "")),
        module=int(module) if module.isdecimal() and len(module) < 7 else -1,
        objects=_objects(request, found),
    )


def _objects(request: HttpRequest, found: TypeCatalogue) -> str:
    """Whether the URL asks for live or dead objects only, "" where that is not known."""
    wanted = request.GET.get("objects", "")
    return wanted if wanted in (LIVE, DEAD) and found.has_graph else ""


def _object_links(found: TypeCatalogue, current: str, url: Callable[[str], str]) -> list[dict[str, Any]]:
    choices = (
        ("", "All", "all objects and free blocks"),
        (LIVE, "Live", "objects that a root keeps alive"),
        (DEAD, "Dead", "objects that the next collection would free"),
    )
    return (
        [
            {"label": label, "about": about, "url": url(objects), "current": objects == current}
            for objects, label, about in choices
        ]
        if found.has_graph
        else []
    )


def _generation_links(found: TypeCatalogue, query: Query, wanted: TypeFilter) -> list[dict[str, Any]]:
    links = [{"label": "All", "about": "the whole heap", "url": query.url(generation=None), "current": wanted.generation is None}]
    return links + [
        {"label": each.label, "about": each.about, "url": query.url(generation=each.slug), "current": wanted.generation == each}
        for each in found.present_generations
    ]


def _module_choices(found: TypeCatalogue, wanted: TypeFilter) -> list[dict[str, Any]]:
    """Modules that have types on the heap, by name."""
    used = sorted(set(found.modules.tolist()) - {-1})
    choices = [
        {"row": row, "name": visible(found.module_names[row], 60), "current": row == wanted.module}
        for row in used
        if row < len(found.module_names)
    ]
    return sorted(choices, key=lambda choice: str(choice["name"]).lower())


def _path(at: str) -> list[dict[str, str]]:
    steps = at.split(".", _DEEPEST_LEVEL) if at else []
    return [
        {"name": visible(step, 80), "url": f"?view=tree&{urlencode({'at': '.'.join(steps[: depth + 1])})}"}
        for depth, step in enumerate(steps)
    ]


@require_GET
@with_index("types")
def one_type(request: HttpRequest, page: DumpPage, type_id: int) -> HttpResponseBase:
    """One type: facts, fields, instances."""
    index = page.index
    if type_id >= index.rows["types"]:
        raise Http404("There is no such type on this heap.")
    found = catalogue(index)
    query = Query.read(request.GET.dict(), instances.INSTANCE_COLUMNS, "address")
    rows = instances.InstanceRows(index, type_id, query, partial(page.frame.url, "dump-object"))
    near = request.GET.get("near", "").strip()
    if near and (there := _page_near(rows, query, near)):
        return HttpResponseRedirect(request.path + there)
    listed, fields, statics = _type_tables(page, found, type_id, query, rows)
    bins = sizes.size_bins(index, type_id)
    binned = sizes.size_rows(bins)
    by_size = Table(
        "sizes", "Instances by size", sizes.SIZE_COLUMNS, Query.unpaged(len(binned)), ListedRows(binned), noun="sizes"
    )
    if file := export_response(request, f"{page.file_name}-type-{type_id}", listed, fields, statics, by_size):
        return file
    size, count = int(found.size[type_id]), int(found.count[type_id])
    context = {
        "page": page,
        "frame": page.frame,
        "type_id": type_id,
        "name": visible(found.names[type_id]),
        "module": found.module_name(type_id),
        "module_url": f"{page.frame.url('dump-types')}?module={int(found.modules[type_id])}",
        "facts": instances.type_facts(index, type_id),
        "ranks": instances.size_ranks(index, type_id),
        "count": count,
        "size": size,
        "average": size / count if count else 0,
        "share": (size, found.heap_size),
        "generations": _generations_of(found, type_id),
        "sizes": by_size if bins else None,
        "sizes_figure": sizes.sizes_bars(bins),
        "sizes_say": sizes.size_words(bins) if bins else "",
        "instances": listed,
        "fields": fields,
        "statics": statics,
        "near": near,
        **_retention(page, found, type_id),
        **pinned_notes(request, page, to_type(found.names[type_id]), str(type_id)),
    }
    return render(request, "heap/type.html", context)


def _retention(page: DumpPage, found: TypeCatalogue, type_id: int) -> dict[str, Any]:
    """What keeps instances alive, nothing where that is not known."""
    if not found.has_graph or found.is_free[type_id]:
        return {}
    return {
        "retention": type_retention(page.index, page.references, type_id),
        "root_paths": merged_root_paths(page.index, page.references, [type_id]),
    }


def _page_near(rows: instances.InstanceRows, query: Query, near: str) -> str | None:
    try:
        wanted = int(near, 16)
    except ValueError:
        return None
    there = rows.page_of(wanted, query.page_size)
    return query.url(sort=None, near=None, page=there) + "#table-instances" if there else None


def _type_tables(
    page: DumpPage, found: TypeCatalogue, type_id: int, query: Query, rows: instances.InstanceRows
) -> tuple[Table, Table, Table]:
    own, static = instances.field_rows(page.index, type_id)
    listed = Table("instances", "Instances", instances.INSTANCE_COLUMNS, query, rows, "This type has no instances.", "instances")
    all_rows = Query.unpaged(max(len(own), len(static)))
    fields = Table(
        "fields",
        "Instance fields",
        instances.FIELD_COLUMNS,
        all_rows,
        ListedRows(own),
        "Instances of this type have no fields of their own.",
        "fields",
    )
    statics = Table(
        "statics", "Static fields", instances.STATIC_COLUMNS, all_rows, ListedRows(static), "No static fields.", "fields"
    )
    return listed, fields, statics


def _generations_of(found: TypeCatalogue, type_id: int) -> list[dict[str, Any]]:
    return [
        {
            "label": each.label,
            "slug": each.slug,
            "count": int(found.count_by_generation[type_id, each.number]),
            "size": int(found.size_by_generation[type_id, each.number]),
            "share": (int(found.size_by_generation[type_id, each.number]), int(found.size[type_id])),
        }
        for each in found.present_generations
        if found.count_by_generation[type_id, each.number]
    ]


urlpatterns = [
    path("dumps/<uuid:dump_id>/heap", types, name="dump-types"),
    path("dumps/<uuid:dump_id>/heap/types/<int:type_id>", one_type, name="dump-type"),
]
