"""What the index says of single types."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.index import Index, open_index
from analysis.pipeline import analyse
from tests.analysis.bundled_dumps import bundled_dump


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    out: Path = tmp_path_factory.mktemp("index")
    analyse(bundled_dump("zoo-net10"), out, lambda stage, fraction, detail: None)
    return open_index(out)


def _fields(index: Index, type_name: str) -> list[tuple[str, bool]]:
    row = index.text("types", "name").all.index(type_name)
    names, statics = index.text("fields", "name"), index.column("fields", "is_static")
    return [(names[at], bool(statics[at])) for at in range(index.rows["fields"]) if index.column("fields", "type")[at] == row]


def test_a_string_has_fields_though_it_has_elements(index: Index) -> None:
    assert _fields(index, "System.String") == [("_stringLength", False), ("_firstChar", False), ("Empty", True)]


def test_arrays_and_free_blocks_have_none(index: Index) -> None:
    assert _fields(index, "System.Byte[]") == _fields(index, "Free") == []


def test_instances_of_a_type_are_sorted_both_ways(index: Index) -> None:
    row = index.text("types", "name").all.index("System.String")
    first, count = int(index.column("types", "first_instance")[row]), int(index.column("types", "count")[row])
    by_address = index.column("instances", "by_address")[first : first + count]
    by_size = index.column("instances", "by_size")[first : first + count]
    assert set(by_address.tolist()) == set(by_size.tolist())
    assert sorted(by_address.tolist()) == by_address.tolist()
    sizes = index.object_sizes(by_size).tolist()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == int(index.column("types", "largest")[row])
    assert (index.column("objects", "type")[by_size] == row).all()
