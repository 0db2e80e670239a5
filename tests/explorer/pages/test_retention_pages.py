"""Pages about what keeps memory alive, over the index of a real dump and over indexes without a graph."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import plotly.graph_objects as figures
import pytest
from django.test import Client

from analysis.index.graph import Graph
from analysis.index.retention import COLLECTION_KINDS, HANDLE_KINDS, ROOT_KINDS, STATIC
from analysis.index.schema import DataClass
from analysis.index.store import Index
from explorer.models import Dump, Team, User
from explorer.pages.objects import Objects
from explorer.pages.references import References
from explorer.pages.retained import MergedDominators
from tests.explorer.pages.visits import address, body_of
from tests.index_builder import mini_index
from tests.stored_dumps import analysed_dump

PAGES = ("dump-retained", "dump-roots", "dump-strings")


def test_the_biggest_object_comes_first_with_its_root(real: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(real, "dump-retained"))
    verdict = body.split('class="verdict"')[1].split("</p>")[0]
    assert "List&lt;System.Object&gt;" in verdict
    assert "HeapZoo.Keep" in verdict
    assert 'id="figure-retained"' in body


def test_the_chart_has_at_most_500_sectors_and_its_tree_the_same_numbers(real: Dump, as_alice: Client, index: Index) -> None:
    body = body_of(as_alice, address(real, "dump-retained"))
    values = re.search(r'"values": \[([\d, ]+)\]', body)
    assert values and 10 < len(values[1].split(",")) <= 500
    assert int(values[1].split(",")[0]) == index.facts("retention")["live"]["bytes"]


@pytest.mark.parametrize("chart", ["icicle", "treemap"])
def test_both_charts_of_the_dominators_hold_the_rows_of_the_tree(chart: str, real: Dump, index: Index) -> None:
    tree = MergedDominators(index, References(index.up_to(DataClass.D1_STRUCTURE), real.pk))
    figure = tree.treemap() if chart == "treemap" else tree.icicle()
    figures.Figure(figure)
    (trace,) = figure["data"]
    rows = [int(row) for row in trace["ids"]]
    assert trace["type"] == chart and len(set(rows)) == len(rows) <= 500
    assert trace["values"] == index.column("merged_dominators", "total_size")[rows].tolist()
    inner = set(trace["parents"])
    assert all((row in inner) == (details[3] == "") for row, details in zip(trace["ids"], trace["customdata"], strict=True))


def test_the_url_chooses_the_chart(real: Dump, as_alice: Client) -> None:
    assert '"type": "treemap"' in body_of(as_alice, address(real, "dump-retained"), chart="treemap")
    assert '"type": "icicle"' in body_of(as_alice, address(real, "dump-retained"), chart="nonsense")


def test_a_branch_of_the_tree_opens_in_place(real: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(real, "dump-retained"), part="rows", at="0", level="0")
    branch = re.search(r'href="\?at=(\d+)" data-branch', body)
    assert branch and "<html" not in body
    below = body_of(as_alice, address(real, "dump-retained"), part="rows", at=branch[1], level="1")
    assert 'data-level="1"' in below


def test_every_root_of_a_kind_is_listed_with_what_it_keeps(real: Dump, as_alice: Client, index: Index) -> None:
    body = body_of(as_alice, address(real, "dump-roots"), kind=str(STATIC))
    assert "HeapZoo.Keep" in body
    assert ROOT_KINDS[STATIC] in body
    count = int((index.column("roots", "kind") == STATIC).sum())
    assert f"{count} roots" in body.replace("\u202f", "")


def test_an_object_tells_its_path_field_by_field(real: Dump, as_alice: Client, index: Index) -> None:
    graph = Graph(index)
    names = index.text("types", "name")
    kinds = index.column("objects", "type")
    row = next(
        row for row in range(graph.objects)
        if graph.parent(row) is not None and names[int(kinds[row])] == "Scenarios.Derived"
    )  # fmt: skip
    body = body_of(as_alice, address(real, "dump-object", f"{int(index.column('objects', 'address')[row]):x}"))
    path = body.split("Why it is alive")[1].split("</ol>")[0]
    assert "HeapZoo.Keep" in path
    assert "_items" in path
    assert path.count("<li>") == len(graph.root_path(row, 60)[0])
    assert "baseName" in body.split("<h2>Refers to")[1]


def test_an_address_inside_an_object_leads_to_it_and_one_outside_to_none(real: Dump, as_alice: Client, index: Index) -> None:
    begin = int(index.column("objects", "address")[100])
    response = as_alice.get(address(real, "dump-object", f"{begin + 8:x}"))
    assert response.status_code == 302
    assert response["Location"].endswith(f"/objects/{begin:x}")
    for absent in ("8", "zz", "f" * 17):
        assert as_alice.get(address(real, "dump-object", absent)).status_code == 404


def test_a_dead_object_says_so(real: Dump, as_alice: Client, index: Index) -> None:
    graph = Graph(index)
    row = next(row for row in range(graph.objects) if graph.parent(row) is None and index.column("objects", "type")[row])
    body = body_of(as_alice, address(real, "dump-object", f"{int(index.column('objects', 'address')[row]):x}"))
    assert "Nothing keeps it alive" in body


def test_no_value_of_the_heap_is_on_any_of_these_pages(real: Dump, as_alice: Client, index: Index) -> None:
    """The text of a string is D3: its page shows kind and length."""
    kinds = index.text("types", "name").all
    string = kinds.index("System.String")
    first = int(index.column("types", "first_instance")[string])
    row = int(index.column("instances", "by_size")[first])
    body = body_of(as_alice, address(real, "dump-object", f"{int(index.column('objects', 'address')[row]):x}"))
    assert "characters" in body
    assert not re.search(r"[A-Za-z]{200}", body)


def test_copies_of_a_text_are_counted_and_their_holders_named(real: Dump, as_alice: Client, index: Index) -> None:
    body = body_of(as_alice, address(real, "dump-strings"))
    first = body.split('id="table-duplicates"')[1].split("<tbody>")[1].split("</tr>")[0].replace("\u202f", "")
    assert f">{int(index.column('string_groups', 'count')[0])}<" in first
    assert "/objects/" in first


def test_a_collection_tells_how_full_it_is(real: Dump, as_alice: Client, index: Index) -> None:
    row = int(index.column("collections", "object")[0])
    body = body_of(as_alice, address(real, "dump-object", f"{int(index.column('objects', 'address')[row]):x}"))
    assert COLLECTION_KINDS[int(index.column("collections", "kind")[0])] in body
    assert f"<b>{int(index.column('collections', 'count')[0])}</b> item" in body


def test_a_type_shows_who_refers_to_it_and_why_it_lives(real: Dump, as_alice: Client, index: Index) -> None:
    kind = index.text("types", "name").all.index("Scenarios.Derived")
    body = body_of(as_alice, address(real, "dump-type", kind))
    assert "Who refers to it" in body
    assert "HeapZoo.Keep" in body.split("Why they are alive")[1]


def test_a_namespace_shows_why_its_objects_live(real: Dump, as_alice: Client, index: Index) -> None:
    body = body_of(as_alice, address(real, "dump-types"), view="tree", at="Scenarios")
    paths = body.split("Why they are alive")[1].split("</ol>")[0]
    assert "HeapZoo." in paths
    every = {kind for kind, name in enumerate(index.text("types", "name").all) if name.startswith("Scenarios.")}
    merged = np.flatnonzero(np.isin(index.column("merged_paths", "type"), list(every)))
    biggest = int(index.column("merged_paths", "objects")[merged[np.argmax(index.column("merged_paths", "size")[merged])]])
    assert f"<b>{biggest}</b> object" in paths.replace("\u202f", "").replace("\u00a0", "")
    assert "Why they are alive" not in body_of(as_alice, address(real, "dump-types"), view="tree")


def test_types_can_be_sorted_by_what_they_retain(real: Dump, as_alice: Client, index: Index) -> None:
    body = body_of(as_alice, address(real, "dump-types"), sort="-retained")
    retained = index.column("retained_types", "retained")
    names = index.text("types", "name")
    assert names[int(retained.argmax())].split("<")[0] in body.split("<tbody>")[1].split("</tr>")[0].replace("<wbr>", "")


@pytest.mark.parametrize("name", PAGES)
def test_a_dump_without_a_heap_gives_the_reason(name: str, team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, "mini.dmp", mini_index)
    assert "mini dump does not hold the managed heap" in body_of(as_alice, address(dump, name))


@pytest.mark.parametrize("name", PAGES)
def test_an_index_without_a_graph_says_what_to_do(name: str, dump: Dump, as_alice: Client) -> None:
    assert "Analyse the dump again" in body_of(as_alice, address(dump, name))


def test_two_dumps_are_compared_by_name(
    real: Dump, dump: Dump, finalizer: Path, as_alice: Client, team: Team, alice: User
) -> None:
    other = analysed_dump(team, alice, "finalizer.dmp", lambda directory: Path(shutil.copytree(finalizer, directory)))
    body = body_of(as_alice, address(real, "dump-compare", other.pk))
    assert "The live heap" in body and "HeapZoo.Keep" in body.split('id="table-paths"')[1].split("</section>")[0]
    answer = as_alice.get(address(real, "dump-compare", other.pk), {"format": "csv", "table": "paths"})
    assert b"".join(answer).count(b"\n") > 21, "the page shows the beginning, the export all"
    choice = body_of(as_alice, address(real, "dump-compare-choose"))
    assert address(real, "dump-compare", dump.pk) in choice
    itself = body_of(as_alice, address(real, "dump-compare", real.pk))
    assert "No type has changed" in itself and "The live heap grew by 0" in itself


def test_what_one_of_two_dumps_lacks_is_not_compared(real: Dump, dump: Dump, as_alice: Client, team: Team, alice: User) -> None:
    body = body_of(as_alice, address(real, "dump-compare", dump.pk))
    assert "The heap, dead objects included," in body and f"In {dump.name} no references were followed" in body
    assert ">new<" in body and ">gone<" in body_of(as_alice, address(real, "dump-compare", dump.pk), sort="size_change")
    assert 'id="table-paths"' not in body and 'id="table-holders"' not in body
    mini = analysed_dump(team, alice, "mini.dmp", build=mini_index)
    body = body_of(as_alice, address(real, "dump-compare", mini.pk))
    assert "mini.dmp holds no managed heap" in body and 'id="table-types"' not in body and "grew" not in body


def test_a_dump_of_another_team_cannot_be_compared_with(dump: Dump, as_alice: Client, other_team: Team, mallory: User) -> None:
    foreign = analysed_dump(other_team, mallory, "foreign.dmp")
    assert as_alice.get(address(dump, "dump-compare", foreign.pk)).status_code == 404
    assert "foreign.dmp" not in body_of(as_alice, address(dump, "dump-compare-choose"))


def test_the_collector_tells_its_handles_and_its_finalizer_queue(real: Dump, as_alice: Client, index: Index) -> None:
    body = body_of(as_alice, address(real, "dump-gc")).replace("\u202f", "")
    strong = int((index.column("handles", "kind") == HANDLE_KINDS.index("Strong")).sum())
    handles = body.split('id="table-handles"')[1].split("</section>")[0]
    assert "WeakShort" in handles and f">{strong}<" in handles
    assert "SafeFileHandle" in body.split('id="table-queue"')[1]


@pytest.mark.parametrize("name", PAGES)
def test_strangers_learn_nothing(name: str, real: Dump, as_mallory: Client) -> None:
    assert as_mallory.get(address(real, name)).status_code == 404


def test_a_collection_shows_its_keys_and_items(real: Dump, as_alice: Client, index: Index) -> None:
    objects = Objects(index, References(index.up_to(DataClass.D1_STRUCTURE), real.pk))
    kinds, counts = index.column("collections", "kind").tolist(), index.column("collections", "count").tolist()
    items = [objects.items(row) for row in index.column("collections", "object").tolist()]
    dictionary = COLLECTION_KINDS.index("Dictionary")
    assert all(len(found) <= count for found, count in zip(items, counts, strict=True))
    filled = [row for row, kind in enumerate(kinds) if kind == dictionary and items[row] and len(items[row]) == counts[row]]
    assert len(filled) > 10
    row = next(row for row in filled if all(part is not None for part in items[row][0]))
    at = int(objects.addresses[int(index.column("collections", "object")[row])])
    table = body_of(as_alice, address(real, "dump-object", f"{at:x}")).split('id="table-items"')[1].split("</section>")[0]
    for part in items[row][0][1:]:
        assert f"/objects/{int(objects.addresses[part]):x}" in table
