"""Tables as CSV and JSON files: every row that matches, streamed, with the columns that the viewer may see."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from explorer.long_answers import while_the_same
from explorer.pages import numbers
from explorer.pages.tables import Column, Link, Table

_CHUNK = 5000
#: A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_response(request: HttpRequest, file_name: str, *tables: Table) -> HttpResponseBase | None:
    """The file that ``?format=csv|json&table=…`` asks for, or ``None`` where the page itself is wanted."""
    wanted = request.GET.get("format")
    if wanted not in ("csv", "json") or not tables:
        return None
    table = next((each for each in tables if each.name == request.GET.get("table")), tables[0])
    columns = [column for column in table.columns if column.exported]
    body = _csv(table, columns) if wanted == "csv" else _json(table, columns)
    content_type = "text/csv; charset=utf-8" if wanted == "csv" else "application/json"
    response = StreamingHttpResponse(while_the_same(request, body), content_type=content_type)
    name = re.sub(r"[^\w.-]+", "-", f"{file_name}-{table.name}", flags=re.ASCII)[:120].strip("-.")
    response["Content-Disposition"] = f'attachment; filename="{name}.{wanted}"'
    response["Cache-Control"] = "no-store"
    return response


def header(column: Column) -> str:
    """The name of a column in a file: its key, with the unit where it has one."""
    return f"{column.key}_bytes" if column.unit == "B" else column.key


def spreadsheet_text(text: str) -> str:
    """Text that a spreadsheet shows instead of running it."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _chunks(table: Table) -> Iterator[list[Any]]:
    for start in range(0, table.total, _CHUNK):
        yield table.source.rows(start, min(table.total, start + _CHUNK))


def _plain(column: Column, value: Any) -> Any:
    if isinstance(value, Link):
        return value.text
    if column.kind in ("address", "hidden-address") and value is not None:
        return numbers.address(int(value))
    if column.kind in ("state", "status"):
        return value[0]
    if column.kind == "when" and value is not None:
        return value.isoformat()
    return value


class _Line:
    """A file for the csv writer that hands each line back."""

    def write(self, line: str) -> str:
        return line


def _csv(table: Table, columns: list[Column]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow([header(column) for column in columns])
    for chunk in _chunks(table):
        lines = []
        for row in chunk:
            values = [_plain(column, row.get(column.key)) for column in columns]
            lines.append(writer.writerow([spreadsheet_text(value) if isinstance(value, str) else value for value in values]))
        yield "".join(lines)


def _json(table: Table, columns: list[Column]) -> Iterator[str]:
    yield f'{{"table": {json.dumps(table.name)}, "total": {table.total}, "rows": ['
    first = True
    for chunk in _chunks(table):
        lines = [json.dumps({header(column): _plain(column, row.get(column.key)) for column in columns}) for row in chunk]
        yield ("\n" if first else ",\n") + ",\n".join(lines)
        first = False
    yield "\n]}\n"
