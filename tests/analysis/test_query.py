"""SQL over an index: equal to the columns, closed to everything else, limited."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis import limits, query
from analysis.__main__ import main
from analysis.index import DataClass
from analysis.index.described import described_tables
from analysis.index.retention import NOT_LIVE
from analysis.index.schema import GENERATIONS
from analysis.index.store import Index, open_index
from analysis.pipeline import analyse
from analysis.query import QueryRefused, run_query
from tests.analysis.bundled_dumps import bundled_dumps
from tests.index_builder import HOSTILE_NAMES, hostile_index, mini_index, small_index

D1, D2 = DataClass.D1_STRUCTURE, DataClass.D2_CONTEXT


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    (path,) = [path for path in bundled_dumps() if path.name.startswith("zoo-net8")]
    directory = tmp_path_factory.mktemp("zoo") / "index"
    analyse(path, directory, lambda stage, fraction, detail: None)
    return open_index(directory)


def test_heap_equals_the_columns(index: Index) -> None:
    found = run_query(
        index.up_to(D1), "SELECT count(*), sum(size), count(*) FILTER (live), sum(retained) FILTER (live) FROM heap"
    )
    live = index.column("retention", "parent") != NOT_LIVE
    retained = int(index.column("retention", "retained")[live].sum())
    sizes = index.object_sizes(np.arange(index.rows["objects"]))
    assert found.rows == [[index.rows["objects"], int(sizes.sum()), int(live.sum()), retained]]
    by_generation = run_query(index.up_to(D1), "SELECT DISTINCT generation FROM heap").rows
    numbers = set(index.column("objects", "generation").tolist())
    assert {row[0] for row in by_generation} == {GENERATIONS[number] for number in numbers}


def test_edges_equal_the_references(index: Index) -> None:
    found = run_query(index.up_to(D1), "SELECT source, count(*) FROM edges GROUP BY source ORDER BY source LIMIT 10000")
    counts = np.diff(index.column("reference_offsets", "first"))
    wanted = [[row, count] for row, count in enumerate(counts.tolist()) if count][:10_000]
    assert found.rows == wanted


def test_dominators_of_the_dead_are_null(index: Index) -> None:
    (row,) = run_query(index.up_to(D1), "SELECT count(*), count(dominator) FROM objects WHERE NOT live").rows
    assert row[0] > 0 and row[1] == 0


@pytest.mark.parametrize("highest", [D1, D2])
def test_every_described_column_can_be_asked(index: Index, highest: DataClass) -> None:
    for table in described_tables(highest):
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        found = run_query(index.up_to(highest), f"SELECT {names} FROM {table.name} LIMIT 1")
        assert [name for name, _ in found.columns] == [column.name for column in table.columns], table.name


def test_what_is_above_the_right_of_the_viewer_is_not_there(index: Index) -> None:
    run_query(index.up_to(D2), "SELECT name FROM threads")
    for text in ("SELECT name FROM threads", "SELECT path FROM modules"):
        with pytest.raises(QueryRefused, match="not found"):
            run_query(index.up_to(D1), text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_parquet('http://example.com/x')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT getenv('HOME')",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM index",
        "COPY objects TO '/tmp/x'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPORT DATABASE '/tmp/x'",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW heap",
        "SET memory_limit = '100GB'",
        "PRAGMA enable_profiling",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY types TO '/tmp/x'",
        "WITH x AS (SELECT 1) INSERT INTO types SELECT * FROM x",
        "CALL pragma_version()",
        "",
        "   -- nothing",
        "dumpheap -stat",
        "\x00",
    ],
)
def test_nothing_else_can_be_reached(index: Index, text: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        run_query(index.up_to(D2), text)
    assert "/root" not in refused.value.what


def test_rows_text_time_and_memory_are_limited(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_query(index.up_to(D1), "SELECT * FROM range(100000)")
    assert len(found.rows) == limits.LIMITS.query_rows and found.more
    assert len(run_query(index.up_to(D1), "SELECT repeat('x', 100000)").rows[0][0]) == limits.LIMITS.query_text
    low = dataclasses.replace(limits.LIMITS, query_seconds=1, query_memory_bytes=64 << 20)
    monkeypatch.setattr(query, "LIMITS", low)
    with pytest.raises(QueryRefused, match="longer than 1 s"):
        run_query(index.up_to(D1), "SELECT count(*) FROM objects a, objects b, objects c WHERE a.size + b.size = c.size + 7")
    with pytest.raises(QueryRefused, match="more than 64 MB"):
        run_query(index.up_to(D1), "SELECT * FROM range(100000000) ORDER BY random()")


def test_without_duckdb_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.delitem(sys.modules, "analysis.query")
    directory, sql = small_index(tmp_path / "index"), tmp_path / "query.sql"
    sql.write_text("SELECT 1")
    assert main(["query", str(directory), str(sql), "--out", str(tmp_path / "result.json")]) == 3
    assert "DuckDB, which is not installed here" in capsys.readouterr().out


def test_values_that_json_lacks_become_text(index: Index) -> None:
    text = "SELECT [1, 2], {'a': 1}, 'nan'::DOUBLE, 1.50::DECIMAL(4, 2), DATE '2024-01-02', NULL, true"
    (row,) = run_query(index.up_to(D1), text).rows
    assert row == ["[1, 2]", "{'a': 1}", "nan", "1.50", "2024-01-02", None, True]


def test_hostile_names_come_back_as_they_are(tmp_path: Path) -> None:
    index = open_index(hostile_index(tmp_path / "index"))
    names = {row[0] for row in run_query(index.up_to(D1), "SELECT name FROM types").rows}
    assert {name[: limits.LIMITS.query_text] for name in HOSTILE_NAMES} <= names


@pytest.mark.parametrize("build", [small_index, mini_index])
def test_what_an_index_lacks_is_null_or_empty(tmp_path: Path, build: object) -> None:
    index = open_index(build(tmp_path / "index"))  # type: ignore[operator]
    for table in described_tables(D2):
        run_query(index.up_to(D2), f"SELECT * FROM {table.name} LIMIT 5")
    (row,) = run_query(index.up_to(D1), "SELECT count(*), count(live) FROM heap").rows
    assert row[0] == index.rows["objects"]
