"""Pages about types where the graph is known: live and dead objects, what types and namespaces retain, sizes."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import plotly.graph_objects as figures
from django.test import Client

from analysis.index.graph import Graph
from analysis.index.store import Index
from explorer.models import Dump
from explorer.pages.sizes import size_bins, size_words, sizes_bars
from explorer.pages.types import DEAD, LIVE, TypeCatalogue
from tests.explorer.pages.visits import address, body_of


def _exported(client: Client, dump: Dump, **parameters: str) -> dict[str, dict[str, str]]:
    """The rows of the types page by method table."""
    text = body_of(client, address(dump, "dump-types"), format="csv", **parameters)
    return {row["method_table"]: row for row in csv.DictReader(io.StringIO(text))}


def test_objects_are_live_or_dead_and_free_blocks_neither(real: Dump, as_alice: Client) -> None:
    rows = _exported(as_alice, real)
    for row in rows.values():
        if row["kind"] == "free":
            assert row["live_count"] == row["dead_size_bytes"] == row["retained_bytes"] == ""
        else:
            assert int(row["live_count"]) + int(row["dead_count"]) == int(row["count"])
            assert int(row["live_size_bytes"]) + int(row["dead_size_bytes"]) == int(row["size_bytes"])


def test_live_only_shows_types_with_live_objects_and_counts_those(real: Dump, as_alice: Client, index: Index) -> None:
    every, live, dead = (_exported(as_alice, real, objects=objects) for objects in ("", LIVE, DEAD))
    assert {key for key, row in every.items() if int(row["live_count"] or 0)} == set(live)
    assert all(live[key]["size_bytes"] == every[key]["live_size_bytes"] for key in live)
    assert all(dead[key]["count"] == every[key]["dead_count"] for key in dead)
    assert sum(int(row["size_bytes"]) for row in live.values()) == index.facts("retention")["live"]["bytes"]
    assert sum(int(row["size_bytes"]) for row in dead.values()) == index.facts("retention")["dead"]["bytes"]
    body = body_of(as_alice, address(real, "dump-types"), objects=LIVE)
    assert "Live size" in body and "% of live" in body and "Dead size" not in body


def test_live_sizes_of_the_generations_add_up_to_the_whole(index: Index) -> None:
    found = TypeCatalogue(index)
    counts, sizes = found.live_by_generation
    assert (sizes.sum(axis=1) == found.shown(None, LIVE)[1]).all()
    graph, generations = Graph(index), index.column("objects", "generation")
    second = sum(1 for row in range(graph.objects) if graph.parent(row) is not None and generations[row] == 2)
    assert int(counts[:, 2].sum()) == second


def test_a_namespace_tells_what_it_retains_only_where_that_is_known(real: Dump, as_alice: Client, index: Index) -> None:
    tree = TypeCatalogue(index).tree
    partition, names = index.text("groups", "partition").all, index.text("groups", "name").all
    row = next(row for row, name in enumerate(names) if (partition[row], name) == ("namespace", "Scenarios"))
    assert tree.retained(index, "Scenarios") == int(index.column("groups", "retained")[row])
    assert tree.retained(index, "System") is None, "what its namespaces retain overlaps"
    body = body_of(as_alice, address(real, "dump-types"), view="tree")
    assert "Retained" in body and "cannot be added up" in body


def test_every_assembly_tells_what_its_types_retain(real: Dump, as_alice: Client, index: Index) -> None:
    parameters = {"view": "assemblies", "format": "csv"}
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(body_of(as_alice, address(real, "dump-types"), **parameters)))}
    groups, names = index.text("groups", "partition").all, index.text("groups", "name").all
    for row, name in enumerate(names):
        if groups[row] == "assembly" and name:
            assert int(rows[name]["retained_bytes"]) == int(index.column("groups", "retained")[row])
            assert int(rows[name]["live_size_bytes"]) == int(index.column("groups", "size")[row])
    assert sum(int(row["live_count"]) for row in rows.values()) == index.facts("retention")["live"]["objects"]
    body = body_of(as_alice, address(real, "dump-types"), view="assemblies")
    assert "scenarios" in body and "cannot be added up" in body


def test_the_treemap_shows_what_its_table_shows(real: Dump, as_alice: Client, index: Index) -> None:
    body = body_of(as_alice, address(real, "dump-types"), view="treemap", objects=LIVE)
    values = re.search(r'"values": \[([\d, ]+)\]', body)
    assert values and int(values[1].split(",")[0]) == index.facts("retention")["live"]["bytes"]
    assert "shallow size of live objects" in body


def test_without_a_graph_nothing_is_said_about_live_objects(dump: Dump, as_alice: Client) -> None:
    for parameters in ({}, {"objects": LIVE}, {"view": "tree"}, {"view": "assemblies"}, {"view": "treemap", "objects": DEAD}):
        body = body_of(as_alice, address(dump, "dump-types"), **parameters)
        assert "Retained" not in body and 'aria-label="Objects"' not in body and "% of heap" in body


def test_sizes_are_counted_by_powers_of_two(real: Dump, as_alice: Client, index: Index) -> None:
    kind = index.text("types", "name").all.index("System.String")
    sizes = index.object_sizes(np.flatnonzero(index.column("objects", "type") == kind)).tolist()
    bins = size_bins(index, kind)
    for each in bins:
        inside = [size for size in sizes if each.lower <= size < 2 * each.lower]
        assert (each.count, each.size) == (len(inside), sum(inside))
    assert sum(each.count for each in bins) == len(sizes), "no instance is outside"
    figures.Figure(sizes_bars(bins))
    body = body_of(as_alice, address(real, "dump-type", kind))
    assert size_words(bins) in body and "figure-sizes" in body
    exported = body_of(as_alice, address(real, "dump-type", kind), format="csv", table="sizes")
    assert exported.splitlines()[0] == "lower_bytes,upper_bytes,count,size_bytes"


def test_a_type_whose_instances_are_all_as_big_has_no_histogram(real: Dump, as_alice: Client, index: Index) -> None:
    names = index.text("types", "name").all
    derived, free = names.index("Scenarios.Derived"), names.index("Free")
    assert size_bins(index, derived) == ()
    assert "figure-sizes" not in body_of(as_alice, address(real, "dump-type", derived))
    body = body_of(as_alice, address(real, "dump-type", free))
    assert "figure-sizes" in body and "Why they are alive" not in body, "free blocks have sizes but no life"
