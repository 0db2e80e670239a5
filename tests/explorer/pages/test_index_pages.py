"""The catalogue of types, the namespace tree, instances, exports and charts, read from synthetic indexes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as figures
import pytest

from analysis.index.schema import DataClass
from analysis.index.store import Index, open_index
from explorer import charts
from explorer.pages import instances, modules, threads
from explorer.pages import opened as kept_open
from explorer.pages.garbage_collector import generation_rows, memory_map, segment_rows
from explorer.pages.generations import BY_SLUG
from explorer.pages.opened import opened
from explorer.pages.tables import Link, Query, allowed_columns, sorted_rows
from explorer.pages.type_list import TypeRows, type_columns
from explorer.pages.types import TypeCatalogue, TypeFilter
from tests.index_builder import HEAP_START, HOSTILE_NAMES, hostile_index, mini_index, small_index

VENDOR = Path(__file__).resolve().parents[3] / "static" / "vendor"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return open_index(small_index(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return open_index(hostile_index(tmp_path_factory.mktemp("hostile")))


def _rows(index: Index, text: str = "", generation: str = "", module: int = -1, **parameters: str) -> TypeRows:
    found = TypeCatalogue(index)
    wanted = TypeFilter(text, BY_SLUG.get(generation), module)
    query = Query.read(parameters, type_columns(found, wanted, True), "-size")
    return TypeRows(found, wanted, query, lambda type_id: f"/types/{type_id}")


def _names(rows: TypeRows) -> list[str]:
    return [row["name"].text for row in rows.rows(0, rows.total)]


def test_types_come_biggest_first_with_free_as_its_own_row(small: Index) -> None:
    names = _names(_rows(small))
    assert names[:2] == ["System.Byte[]", "System.String"]
    assert "Free" in names


@pytest.mark.parametrize(
    ("sort", "first"),
    [("name", "Free"), ("-count", "System.String"), ("count", "System.Byte[]"), ("-largest", "System.Byte[]"), ("-gen1", None)],
)
def test_types_sort_by_every_kind_of_column(small: Index, sort: str, first: str | None) -> None:
    names = _names(_rows(small, sort=sort))
    assert names[0] == (first or "System.Collections.Generic.Dictionary<System.String, Shop.Order>")


def test_filters_narrow_by_words_method_table_generation_and_module(small: Index) -> None:
    assert _names(_rows(small, "SHOP dict")) == ["System.Collections.Generic.Dictionary<System.String, Shop.Order>"]
    assert _names(_rows(small, "0x7e0000000200")) == ["Shop.Order"]
    assert _names(_rows(small, generation="loh")) == ["System.Byte[]"]
    assert _names(_rows(small, module=1)) == ["Shop.Order"]
    assert _names(_rows(small, "nothing-like-this")) == []
    assert _rows(small, "Shop.Order", generation="gen0").matched_count == 25


def test_one_row_carries_what_the_index_says(small: Index) -> None:
    row = next(row for row in _rows(small).rows(0, 9) if row["name"].text == "Shop.Order")
    assert (row["count"], row["size"], row["average"], row["module"]) == (25, 800, 32, "Shop.dll")
    assert row["share"] == (800, 40 * 48 + 7 * 80 + 800 + 270_000 + 120)
    assert row["mix"] == [800, 0, 0, 0, 0, 0]


def test_the_tree_adds_up_below_each_namespace(small: Index) -> None:
    tree = TypeCatalogue(small).tree
    assert tree.count[""] == 80
    assert tree.count["System"] == 50
    assert tree.below("System") == ["System.Collections"]
    assert tree.type_count["System"] == 3


def test_instances_page_in_both_orders(small: Index) -> None:
    def addresses(**parameters: str) -> list[int]:
        query = Query.read(parameters, instances.INSTANCE_COLUMNS, "address")
        rows = instances.InstanceRows(small, 0, query)
        return [int(row["address"].text, 16) for row in rows.rows(0, 3)]

    assert addresses() == [HEAP_START, HEAP_START + 48, HEAP_START + 96]
    assert addresses(sort="-address") == [HEAP_START + 39 * 48, HEAP_START + 38 * 48, HEAP_START + 37 * 48]
    assert addresses(sort="-size") == addresses()


def test_an_address_leads_to_the_page_that_holds_it(small: Index) -> None:
    rows = instances.InstanceRows(small, 0, Query.read({}, instances.INSTANCE_COLUMNS, "address"))
    assert rows.page_of(HEAP_START + 48 * 25 + 3, 10) == 3
    assert rows.page_of(HEAP_START - 1, 10) is None


def test_sizes_at_chosen_ranks_are_exact(small: Index) -> None:
    assert {rank.size for rank in instances.size_ranks(small, 2)} == {32}
    assert instances.size_ranks(small, 2)[0].label == "smallest"


def test_fields_and_statics_are_apart(small: Index) -> None:
    own, static = instances.field_rows(small, 2)
    assert [field["name"] for field in own] == ["_Shop.Order"]
    assert [field["name"] for field in static] == ["s_Shop.Order"]


def test_the_map_draws_every_segment_and_colours_generations(small: Index) -> None:
    maps, left_off = memory_map(segment_rows(small), small)
    assert left_off == 0
    assert [cell.number for cell in maps[0].cells] == [0, 1]
    assert {"gen0", "gen2", "committed", "reserved"} <= {block.tone for block in maps[0].cells[0].blocks}


def test_generations_leave_free_blocks_out_of_used(small: Index) -> None:
    second = next(row for row in generation_rows(small.facts("summary")) if row["name"] == "Generation2")
    assert (second["count"], second["size"], second["free_count"], second["free_size"]) == (40, 1920, 5, 120)


def test_context_is_neither_shown_nor_searched_without_the_right(small: Index) -> None:
    columns = allowed_columns(modules.MANAGED_COLUMNS, DataClass.D1_STRUCTURE)
    keys = {column.key for column in columns}
    assert not keys & {"path", "pdb_path"}
    assert modules.filtered(modules.managed_rows(small), "secret-place", keys) == []
    thread_keys = {column.key for column in allowed_columns(threads.COLUMNS, DataClass.D1_STRUCTURE)}
    assert threads.filtered(small, threads.Wanted(text="secret-thread-name"), thread_keys) == []
    assert Query.read({"sort": "path"}, columns, "name").sort == "name"


def test_threads_filter_by_group(small: Index) -> None:
    def ids(**wanted: Any) -> list[int]:
        return [row["managed_id"] for row in threads.filtered(small, threads.Wanted(**wanted), {"name"})]

    assert (ids(slug="exception"), ids(slug="dead")) == ([2], [3])
    assert ids(text="checkout.pay") == [1, 2], "a method on the stack"
    assert (ids(node=0), ids(node=2), ids(node=7), ids(group=0), ids(group=4)) == ([1, 2], [1, 2], [], [1, 2], [])


def test_missing_values_sort_last_either_way() -> None:
    rows = [{"v": None}, {"v": 3}, {"v": 1}]
    for sort, expected in (("v", [1, 3, None]), ("-v", [3, 1, None])):
        query = Query({}, sort.lstrip("-"), sort.startswith("-"), 1, 100)
        assert [row["v"] for row in sorted_rows(rows, query)] == expected


@pytest.mark.parametrize("parameters", [{"page": "x"}, {"page": "-4"}, {"rows": "7"}, {"sort": "-nothing"}, {"page": "9" * 40}])
def test_an_unreadable_url_falls_back_to_the_default(parameters: dict[str, str]) -> None:
    query = Query.read(parameters, instances.INSTANCE_COLUMNS, "address")
    assert (query.sort, query.descending, query.page, query.page_size) == ("address", False, 1, 100)


def test_the_treemap_is_a_valid_figure_whose_parents_add_up(small: Index) -> None:
    found = TypeCatalogue(small)
    figure = charts.types_treemap(found, {}, found.order("size", None)[::-1].tolist())
    figures.Figure(figure)
    trace = figure["data"][0]
    assert len(trace["ids"]) == len(set(trace["ids"])) == len(trace["meta"]["tones"])
    children: dict[str, int] = {}
    for parent, value in zip(trace["parents"], trace["values"], strict=True):
        children[parent] = children.get(parent, 0) + value
    for key, value in zip(trace["ids"], trace["values"], strict=True):
        assert children.get(key, 0) <= value


def test_no_chart_text_can_be_markup(hostile: Index) -> None:
    found = TypeCatalogue(hostile)
    figure = charts.types_treemap(found, {}, list(range(found.total)))
    figures.Figure(figure)
    assert len(figure["data"][0]["ids"]) <= charts.MOST_SECTORS
    assert not [label for label in figure["data"][0]["labels"] if "<" in label or "\u202e" in label or len(label) > 400]
    assert charts.plain("<b>&lt;") == "&lt;b&gt;&amp;lt;"


def test_the_generation_chart_is_a_valid_figure(small: Index) -> None:
    figures.Figure(charts.generations_bar(generation_rows(small.facts("summary"))))


def test_hostile_names_leave_rows_short(hostile: Index) -> None:
    rows = _rows(hostile).rows(0, 100)
    assert len(rows) == len(HOSTILE_NAMES)
    assert max(len(row["name"].text) for row in rows if isinstance(row["name"], Link)) <= 1024


def test_an_index_without_a_heap_opens(tmp_path: Path) -> None:
    index = open_index(mini_index(tmp_path))
    found = TypeCatalogue(index)
    assert (found.total, found.heap_size, found.tree.size) == (0, 0, {})
    assert found.present_generations == ()


def test_an_index_is_opened_once_until_it_is_written_again(tmp_path: Path) -> None:
    small_index(tmp_path)
    assert opened(tmp_path, DataClass.D1_STRUCTURE) is opened(tmp_path, DataClass.D1_STRUCTURE)


def test_vendored_files_are_the_ones_in_the_manifest() -> None:
    manifest = json.loads((VENDOR / "MANIFEST.json").read_text())
    listed = {entry["file"]: entry["sha256"] for entry in manifest["files"]}
    shipped = {path.name for path in VENDOR.glob("*.min.js")}
    assert shipped == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    assert all(entry["licence"] and entry["version"] for entry in manifest["files"])


def test_no_more_indexes_are_looked_after_than_a_page_can_bear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_open.forget()
    monkeypatch.setattr(kept_open, "_MOST_KNOWN", 2)
    directories = [small_index(tmp_path / name) for name in "abc"]
    for directory in (*directories, directories[2]):
        opened(directory, DataClass.D1_STRUCTURE)
    assert kept_open._open == {directories[2]}
