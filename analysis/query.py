"""Read-only SQL over an index, by DuckDB: no files, no network, a cap on memory, time, rows and text.

Runs in a process of its own (``python -m analysis query``). DuckDB reads the memory-mapped columns where they lie; only
tables that the text names are made. Its settings are closed before the text is run; docs/security.md lists them.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from analysis.index.described import described_tables
from analysis.index.retention import NOT_LIVE
from analysis.index.store import Index
from analysis.limits import LIMITS

_SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "threads": "2",
}
_HEAP = """
    CREATE VIEW heap AS SELECT o.id, o.address, t.name AS type, o.size,
    ['Generation0', 'Generation1', 'Generation2', 'Large', 'Pinned', 'Frozen'][o.generation + 1] AS generation,
    o.live, o.retained FROM objects o JOIN types t ON t.id = o.type
"""
#: Columns that hold no number for what is not known get NULL there.
_OBJECTS = "CREATE VIEW objects AS SELECT * REPLACE (CASE WHEN live THEN dominator END AS dominator) FROM stored_objects"
_OBJECTS_WITHOUT_GRAPH = "CREATE VIEW objects AS SELECT *, NULL AS live, NULL AS retained, NULL AS dominator FROM stored_objects"
_TYPES_WITHOUT_GRAPH = "CREATE VIEW types AS SELECT *, NULL AS live_count, NULL AS live_size, NULL AS retained FROM stored_types"
_WORD = re.compile(r"[A-Za-z_]+")
_Columns = dict[str, npt.NDArray[Any]]


class QueryRefused(AnalysisError):
    """The text is no query, or DuckDB could not answer it."""

    code = "query_refused"


@dataclass(frozen=True, slots=True)
class Result:
    """Names and DuckDB types of the columns, rows of plain values, and whether there were more of them."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    more: bool
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return {"columns": self.columns, "rows": self.rows, "more": self.more, "seconds": self.seconds}


def run_query(index: Index, text: str) -> Result:
    """The answer to one SELECT over what ``index`` shows. Raises QueryRefused."""
    if len(text) > LIMITS.query_characters:
        raise QueryRefused(f"a query has at most {LIMITS.query_characters:,} characters", remedy="Shorten it.")
    connection = duckdb.connect(":memory:", config={**_SETTINGS, "memory_limit": f"{LIMITS.query_memory_bytes >> 20}MB"})
    try:
        _only_a_select(text)
        _make_tables(connection, index, text)
        connection.execute("SET lock_configuration = true")
        return _answer(connection, text)
    except duckdb.OutOfMemoryException:
        most = LIMITS.query_memory_bytes >> 20
        raise QueryRefused(f"it needs more than {most:,} MB of memory", remedy="Ask for less: fewer rows or joins.") from None
    except duckdb.PermissionException:
        raise QueryRefused("files and the network are out of reach of a query", remedy="Ask the described tables.") from None
    except duckdb.Error as error:
        raise QueryRefused(_words(error), remedy="The tables and examples below say what can be asked.") from None
    finally:
        connection.close()


def _only_a_select(text: str) -> None:
    kinds = [statement.type for statement in duckdb.extract_statements(text)]
    if len(kinds) != 1 or kinds[0] not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise QueryRefused("one SELECT is asked at a time; nothing can be changed", remedy="Begin with SELECT or WITH.")


def _make_tables(connection: duckdb.DuckDBPyConnection, index: Index, text: str) -> None:
    words = {word.lower() for word in _WORD.findall(text)}
    known = {table.name for table in described_tables(index.highest)}
    wanted = known if words & {"show", "tables", "information_schema"} else known & words
    if "heap" in wanted:
        wanted |= {"objects", "types"}
    for name in wanted - {"heap"}:
        _MAKERS.get(name, _make_stored)(connection, index, name)
    if "heap" in wanted:
        connection.execute(_HEAP)


def _make_stored(connection: duckdb.DuckDBPyConnection, index: Index, name: str) -> None:
    connection.register(name, _stored(index, name))


def _make_types(connection: duckdb.DuckDBPyConnection, index: Index, name: str) -> None:
    found = _stored(index, name)
    if index.rows["retained_types"] == index.rows["types"]:
        found |= {column: index.column("retained_types", column) for column in ("live_count", "live_size", "retained")}
        connection.register("types", found)
    else:
        connection.register("stored_types", found)
        connection.execute(_TYPES_WITHOUT_GRAPH)


def _make_objects(connection: duckdb.DuckDBPyConnection, index: Index, name: str) -> None:
    count = index.rows["objects"]
    large = index.rows["oversize_objects"] > 0
    found: _Columns = {
        "id": _row_numbers(count), "address": index.column("objects", "address"), "type": index.column("objects", "type"),
        "size": index.object_sizes(np.arange(count)) if large else index.column("objects", "size"),
        "generation": index.column("objects", "generation"),
    }  # fmt: skip
    built = index.rows["retention"] == count
    if built:
        found |= {
            "live": index.column("retention", "parent") != NOT_LIVE, "retained": index.column("retention", "retained"),
            "dominator": index.column("retention", "dominator"),
        }  # fmt: skip
    connection.register("stored_objects", found)
    connection.execute(_OBJECTS if built else _OBJECTS_WITHOUT_GRAPH)


def _make_edges(connection: duckdb.DuckDBPyConnection, index: Index, name: str) -> None:
    first = index.column("reference_offsets", "first")
    source = np.repeat(_row_numbers(max(0, len(first) - 1)), np.diff(first))
    targets, slots = index.column("references", "target"), index.column("references", "slot")
    connection.register("edges", {"source": source, "target": targets, "slot": slots})


_MAKERS: dict[str, Callable[[duckdb.DuckDBPyConnection, Index, str], None]] = {
    "objects": _make_objects,
    "types": _make_types,
    "edges": _make_edges,
}


def _row_numbers(count: int) -> npt.NDArray[np.uint32]:
    return np.arange(count, dtype=np.uint32)


def _stored(index: Index, name: str) -> _Columns:
    """A table as the index has it, with row numbers; a column of several values becomes several."""
    found: _Columns = {"id": _row_numbers(index.rows[name])}
    for column in index.columns_of(name):
        if column.dtype == "text":
            texts = index.text(name, column.name).all
            found[column.name] = np.array(texts, object) if texts else np.array([], "U1")
        elif column.width:
            values = index.column(name, column.name)
            found |= {f"{column.name}_{part}": np.ascontiguousarray(values[:, part]) for part in range(column.width)}
        else:
            found[column.name] = index.column(name, column.name)
    return found


def _answer(connection: duckdb.DuckDBPyConnection, text: str) -> Result:
    began, late = time.monotonic(), threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(LIMITS.query_seconds, stop)
    timer.start()
    try:
        connection.execute(text)
        found = connection.fetchmany(LIMITS.query_rows + 1)
    except duckdb.InterruptException:
        if late.is_set():
            raise QueryRefused(
                f"it took longer than {LIMITS.query_seconds} s", remedy="Ask for less: fewer rows or joins."
            ) from None
        raise
    finally:
        timer.cancel()
    columns = [(str(one[0])[: LIMITS.query_text], str(one[1])) for one in connection.description or ()]
    rows = [[_plain(value) for value in row] for row in found[: LIMITS.query_rows]]
    return Result(columns, rows, len(found) > LIMITS.query_rows, time.monotonic() - began)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)[: LIMITS.query_text]


def _words(error: duckdb.Error) -> str:
    """DuckDB's own words without the name of the error's class."""
    return str(error).strip().partition(": ")[2][:2000] or "the query could not be answered"
