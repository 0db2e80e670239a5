"""From a hit of full-text search to the page it is on: a kind of name, and the row of the index where it stands."""

from __future__ import annotations

from urllib.parse import urlencode

from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.objects import Objects
from explorer.pages.references import References


def page_of_hit(index: Index, references: References, kind: str, row: int) -> str:
    """The address, made of structure (D1) only whatever the kind; "" where the index has no such row."""
    tables = {
        "type": "types", "frame": "frames", "trace": "exception_frames", "exception": "exceptions", "message": "exceptions",
        "module": "modules", "path": "modules", "native-module": "native_modules", "native-path": "native_modules",
        "thread": "threads",
    }  # fmt: skip
    if kind == "finding":
        return references.url("dump-finding", row + 1)
    if kind not in tables or row >= index.rows[tables[kind]]:
        return ""
    if kind == "type":
        return references.url("dump-type", row)
    if kind == "frame":
        return references.frame_url(row)
    if kind == "thread":
        return references.thread_url(row)
    if kind in ("module", "path", "native-module", "native-path"):
        return _module(index, references, tables[kind], row)
    return _exception(index, references, int(index.column("exception_frames", "exception")[row]) if kind == "trace" else row)


def _module(index: Index, references: References, table: str, row: int) -> str:
    wanted = {"q": visible(str(index.text(table, "name")[row]), 200), **({"show": "native"} if table == "native_modules" else {})}
    return f"{references.url('dump-modules')}?{urlencode(wanted)}"


def _exception(index: Index, references: References, row: int) -> str:
    """The object; where the heap is not there, the page of exceptions."""
    address = int(index.column("exceptions", "address")[row])
    found = Objects(index, references).at(address)
    if found is not None and found[1]:
        return references.url("dump-object", f"{address:x}")
    return references.exception(row).url
