"""All stacks merged: flame graph and tree."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from explorer.pages import merged
from explorer.views.dump_page import DumpPage, with_index

_MOST_IN_TEXT = 50_000


@require_GET
@with_index("stacks")
def stacks(request: HttpRequest, page: DumpPage) -> HttpResponseBase:
    """The tree of all managed stacks, searched by method; as text in the manner of parallelstacks."""
    text = request.GET.get("q", "")[:200]
    wanted = request.GET.get("page", "1")
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 8 else 1
    if request.GET.get("format") == "text":
        return _text(page, text)
    lines, total = merged.lines(page.index, page.references, text, (max(number, 1) - 1) * merged.MOST_LINES)
    pages = max(1, -(-total // merged.MOST_LINES))
    context = {
        "page": page,
        "frame": page.frame,
        "lines": lines,
        "total": total,
        "text": text,
        "number": number,
        "pages": pages,
        "previous_url": f"?{urlencode({'q': text, 'page': number - 1})}" if number > 1 else "",
        "next_url": f"?{urlencode({'q': text, 'page': number + 1})}" if number < pages else "",
        "text_url": f"?{urlencode({'q': text, 'format': 'text'})}",
        "figure": merged.flame(page.index, page.references),
        "most_drawn": merged.MOST_DRAWN,
        "nodes": page.index.rows["merged_stacks"],
    }
    return render(request, "stacks/stacks.html", context)


def _text(page: DumpPage, text: str) -> HttpResponse:
    lines, total = merged.lines(page.index, page.references, text, 0, _MOST_IN_TEXT)
    found = [line.text for line in lines]
    found += [f"… and {total - len(lines):,} more frames"] if total > len(lines) else []
    return HttpResponse("\n".join(found) + "\n", content_type="text/plain; charset=utf-8")


urlpatterns = [path("dumps/<uuid:dump_id>/stacks", stacks, name="dump-stacks")]
