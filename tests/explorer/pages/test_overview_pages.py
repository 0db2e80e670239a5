"""The overview of a dump whose graph is known: what is live, what holds it, and the treemap of that."""

from __future__ import annotations

import re

from django.test import Client

from analysis.index.graph import Graph
from analysis.index.schema import DataClass
from analysis.index.store import Index
from explorer.models import Dump
from explorer.pages.objects import Objects
from explorer.pages.overview import split
from explorer.pages.references import References
from explorer.pages.retained import biggest_objects, top_holders
from explorer.pages.types import TypeCatalogue
from tests.explorer.pages.visits import address, body_of


def test_the_heap_is_split_into_live_dead_and_free(real: Dump, as_alice: Client, index: Index) -> None:
    parts, facts = split(TypeCatalogue(index), "/heap", ""), index.facts("retention")
    assert [part.size for part in parts[:2]] == [facts["live"]["bytes"], facts["dead"]["bytes"]]
    assert [part.count for part in parts[:2]] == [facts["live"]["objects"], facts["dead"]["objects"]]
    assert sum(part.size for part in parts) == index.facts("summary")["heap"]["bytes"]
    assert [part.url for part in parts] == ["/heap?objects=live", "/heap?objects=dead", ""]
    assert abs(sum(part.width for part in parts) - 100) < 0.1
    body = body_of(as_alice, address(real, "dump-overview"))
    assert "% of the heap is alive." in body and body.count('class="part-') == 6


def test_top_holders_are_the_largest_objects_right_below_the_roots(real: Dump, as_alice: Client, index: Index) -> None:
    graph, live = Graph(index), index.facts("retention")["live"]["bytes"]
    objects = Objects(index, References(index.up_to(DataClass.D1_STRUCTURE), real.pk))
    below = [row for row in range(graph.objects) if (above := graph.dominator(row)) is not None and above >= graph.objects]
    expected = sorted((graph.retained(row) for row in below), reverse=True)
    assert [row["retained"] for row in biggest_objects(objects, 20, live, outermost=True)] == expected[:20]
    every = sorted((graph.retained(row) for row in range(graph.objects)), reverse=True)
    assert [row["retained"] for row in biggest_objects(objects, 20, live)] == every[:20]
    first, *rest = top_holders(objects, References(index.up_to(DataClass.D1_STRUCTURE), real.pk), 40, live)
    assert (first["root"].text, first["kind"], first["others"]) == ("HeapZoo.Keep", "static", False)
    assert all(row["kind"].endswith("and others") == row["others"] for row in rest) and any(row["others"] for row in rest)
    worth = sum(retained >= live / 100 for retained in expected[:8])
    card = body_of(as_alice, address(real, "dump-overview")).split("<h2>Top holders")[1].split("</section>")[0]
    assert "HeapZoo.Keep" in card and card.count("/objects/") == max(worth, 3)


def test_the_treemap_of_the_overview_is_that_of_the_live_heap(real: Dump, dump: Dump, as_alice: Client, index: Index) -> None:
    body = body_of(as_alice, address(real, "dump-overview"))
    values = re.search(r'"values": \[([\d, ]+)\]', body)
    assert values and int(values[1].split(",")[0]) == index.facts("retention")["live"]["bytes"]
    assert "Live heap by namespace and type" in body and "dead ones and free blocks are left out" in body
    without = body_of(as_alice, address(dump, "dump-overview"))
    assert "Heap by namespace and type" in without
    assert "Top holders" not in without and "Live, dead and free" not in without
