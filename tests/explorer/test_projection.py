"""Nothing above a viewer's class leaves: documents, columns of the index, columns of pages; and what is public is listed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.index import FACTS, TABLES, DataClass, Index
from analysis.index.projection import AboveClass, Unclassified, project
from explorer.exports import _plain
from explorer.pages.tables import Column, ListedRows, Query, Table, structure

D0, D1, D2, D3, D4 = DataClass
ROOT = Path(__file__).parents[2]
PUBLIC = Path(__file__).with_name("public_fields.txt")
CLASSES = {"size": D0, "process.name": D1, "process.path": D2, "items.title": D1, "items.text": D3}
DOCUMENT = {
    "size": 7,
    "process": {"name": "shop", "path": "/srv/shop"},
    "items": [{"title": "one", "text": "a secret"}, {"title": "two", "text": "another"}],
}


@pytest.mark.parametrize(
    ("highest", "left"),
    [
        (D0, {"size": 7, "process": {}, "items": [{}, {}]}),
        (D1, {"size": 7, "process": {"name": "shop"}, "items": [{"title": "one"}, {"title": "two"}]}),
        (D2, {**DOCUMENT, "items": [{"title": "one"}, {"title": "two"}]}),
        (D3, DOCUMENT),
    ],
)
def test_a_document_leaves_without_what_is_above(highest: DataClass, left: dict[str, object]) -> None:
    assert project(DOCUMENT, CLASSES, highest) == left


@pytest.mark.parametrize("more", [{"new": 1}, {"process": {"host": "db1"}}, {"items": [{"title": "one", "new": 1}]}])
def test_a_field_without_a_class_leaves_nowhere(more: dict[str, object]) -> None:
    for highest in DataClass:
        with pytest.raises(Unclassified):
            project({**DOCUMENT, **more}, CLASSES, highest)


def test_an_index_holds_no_values() -> None:
    """What memory held lies in the dump alone, which is encrypted and goes with its key."""
    assert max(column.data_class for table in TABLES.values() for column in table.columns) == D2
    assert max(data_class for fields in FACTS.values() for data_class in fields.values()) == D2


@pytest.mark.parametrize("highest", list(DataClass))
def test_an_index_gives_no_column_and_no_fact_above_its_class(index: Index, highest: DataClass) -> None:
    shown = index.up_to(highest)
    assert shown is index.up_to(highest)
    for table in TABLES.values():
        for column in table.columns:
            read = shown.text if column.dtype == "text" else shown.column
            if column.data_class <= highest:
                assert len(read(table.name, column.name)) >= 0
            else:
                with pytest.raises(AboveClass):
                    read(table.name, column.name)
        assert shown.columns_of(table.name) == tuple(one for one in table.columns if one.data_class <= highest)
    for name in FACTS:
        left = set(_paths(shown.facts(name)))
        assert left == {path for path in _paths(index.facts(name)) if FACTS[name].get(path, D0) <= highest}
    with pytest.raises(AboveClass):
        index.up_to(D1).up_to(D2)


def test_a_column_without_a_class_is_in_no_table_and_no_export() -> None:
    columns = (structure("count", "Count"), Column("text", "Text"), Column("name", "Name", data_class=D2))
    rows = [{"count": 1, "text": "a secret", "name": "a name"}]
    for highest, keys in ((D1, ["count"]), (D2, ["count", "name"])):
        table = Table("t", "T", columns, Query.unpaged(1), ListedRows(rows), highest=highest)
        assert [column.key for column in table.columns] == [header["column"].key for header in table.headers] == keys
        assert "a secret" not in [_plain(column, rows[0][column.key]) for column in table.columns]


def test_only_these_places_open_an_index_whole() -> None:
    """The web application reads an index through the class of a viewer; the exceptions are named."""
    calls = {path.relative_to(ROOT).as_posix() for path, call in _calls() if _name(call) == "open_index"}
    assert calls == {"explorer/pages/opened.py", "explorer/services/analyses.py", "explorer/cli.py"}


def test_every_column_of_a_page_says_its_class() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, call in _calls()
        if _name(call) == "Column" and "data_class" not in {keyword.arg for keyword in call.keywords}
    ]
    assert not silent


def test_what_viewers_and_links_see_is_on_the_list() -> None:
    """A new field below D2 is put into public_fields.txt by somebody who asked whether a value can stand in it."""
    assert sorted(_public()) == PUBLIC.read_text().splitlines()


def _public() -> set[str]:
    fields = {f"index {table.name}.{one.name}" for table in TABLES.values() for one in table.columns if one.data_class <= D1}
    fields |= {f"facts {name}.{path}" for name, classes in FACTS.items() for path, one in classes.items() if one <= D1}
    for path, call in _calls():
        if _name(call) in ("structure", "listed"):
            key = call.args[0]
            fields.add(f"page {path.relative_to(ROOT)} {key.value if isinstance(key, ast.Constant) else ast.unparse(key)}")
    return fields


def _calls() -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted((ROOT / "explorer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path, node


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _paths(document: dict[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in document.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{path}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                yield from _paths(item, f"{path}.")
        else:
            yield path
