"""Pages about what keeps memory alive where no dump at hand leads: hostile names of types, fields and roots, and huge heaps."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from django.test import Client

from analysis.index.graph import Graph
from analysis.index.retention import NOT_LIVE, STACK, STATIC, STRONG, THREAD_STATIC
from analysis.index.store import open_index
from explorer.models import Dump, Team, User
from tests.explorer.pages.visits import address, body_of, broken_links
from tests.graph_builder import GraphSpec
from tests.index_builder import HOSTILE_NAMES, IndexSpec, hostile_index, huge_index, small_index
from tests.stored_dumps import analysed_dump

_MOST_BYTES = 2_000_000
_INVISIBLE = "\x00\x1b\u202e\u2066\u200b\ufeff"
_LONG_LIST = 50_000
#: A name of a million letters is cut at 1,024 characters, and stands whole in no cell, title or attribute.
_CUT = re.compile("A{1024}")

Put = Callable[[Path], Dump]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_index(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Smaller than its name, that the tests stay quick: every cap of a page is passed all the same."""
    directory = tmp_path_factory.mktemp("huge")
    yield huge_index(directory, types=20_000, instances=200_000, chain=_LONG_LIST)
    shutil.rmtree(directory)


@pytest.fixture
def put(team: Team, alice: User) -> Put:
    """An index stored as the result of a dump."""

    def link(index: Path, directory: Path) -> Path:
        directory.parent.mkdir(parents=True)
        directory.symlink_to(index)
        return directory

    return lambda index: analysed_dump(team, alice, f"{index.name}.dmp", lambda directory: link(index, directory))


def graph_pages(dump: Dump) -> list[str]:
    """Every page of a dump that reads its graph, with one object of each kind: on a root, in a list, at its end, dead, free."""
    index = open_index(dump.analysis.index_directory)
    graph, parent = Graph(index), index.column("retention", "parent")
    live, dead = np.flatnonzero(parent != NOT_LIVE), np.flatnonzero(parent == NOT_LIVE)
    most_held = int(np.argmax(np.diff(index.column("dominated_offsets", "first")[: graph.objects + 1])))
    rows = [live[0], live[min(graph.roots + 3, len(live) - 1)], most_held, live[-1], dead[0], dead[-1]]
    addresses = [f"{int(index.column('objects', 'address')[row]):x}" for row in rows]
    parts = (
        *(["dump-overview", "dump-types", "dump-retained", "dump-roots", "dump-strings", "dump-gc"]),
    )  # fmt: skip
    return [
        *(address(dump, name) for name in parts),
        *(address(dump, "dump-types") + words for words in ("?sort=-retained", "?view=tree", "?view=treemap")),
        *(address(dump, "dump-type", row) for row in range(min(index.rows["types"], len(HOSTILE_NAMES)))),
        *(address(dump, "dump-object", one) for one in addresses),
        *(address(dump, "dump-object", addresses[2]) + f"?of={name}&page=2" for name in ("references", "referrers")),
        *(address(dump, "dump-roots") + f"?kind={kind}" for kind in (STACK, STATIC, THREAD_STATIC, STRONG)),
        *(address(dump, "dump-roots") + f"?group={group}" for group in (0, index.rows["root_groups"] - 1)),
        *(address(dump, "dump-retained") + f"?part=rows&level=1&at={row}" for row in (0, 1, index.rows["merged_dominators"] - 1)),
        address(dump, "dump-strings") + "?page=3", address(dump, "dump-compare", dump.pk),
    ]  # fmt: skip


def test_the_synthetic_graph_is_one(tmp_path: Path) -> None:
    """What is above an object is a reference or a root to it, and what hangs on it adds up."""
    index = open_index(hostile_index(tmp_path))
    graph, sizes = Graph(index), index.column("objects", "size").astype(int)
    total = np.where(index.column("retention", "parent") == NOT_LIVE, 0, sizes)
    for row in range(graph.objects):
        way, left_out = graph.root_path(row, graph.objects)
        assert (way, left_out) == (graph.dominators(row, graph.start), 0)
        for before, after in pairwise(way):
            if before < graph.objects:
                assert after in graph.references(before)[0] and before in graph.referrers(after)
                assert after in graph.dominated(before)
        for above in way[:-1]:
            if above < graph.objects:
                total[above] += sizes[row]
    assert index.column("retention", "retained").tolist() == total.tolist()
    assert graph.retained(graph.start) == sizes[index.column("retention", "parent") != NOT_LIVE].sum()


def test_hostile_names_are_escaped_and_cut_on_every_page_about_the_graph(hostile: Path, put: Put, as_alice: Client) -> None:
    for page in graph_pages(put(hostile)):
        body = body_of(as_alice, page)
        assert "<script>alert" not in body and "<img src=x" not in body and "<b>Bold" not in body, page
        assert not [character for character in body if character in _INVISIBLE], page
        assert not _CUT.search(body), page
        assert len(body.encode()) < _MOST_BYTES, page


def test_hostile_names_of_roots_fields_and_types_are_there(hostile: Path, put: Put, as_alice: Client) -> None:
    dump = put(hostile)
    roots = body_of(as_alice, address(dump, "dump-roots"))
    for shown in ("&lt;script&gt;alert(1)", "⟨U+202E⟩", "⟨U+0000⟩", "=cmd|", "⟨U+0301⟩"):
        assert shown in roots, shown
    assert "⟨U+202E⟩" in body_of(as_alice, address(dump, "dump-strings"))
    exported = body_of(as_alice, address(dump, "dump-roots"), format="csv", table="roots")
    assert not [line for line in exported.splitlines() if line.startswith(("=", "+", "-", "@"))]


def test_a_hostile_dump_is_compared_with_a_plain_one(hostile: Path, put: Put, tmp_path: Path, as_alice: Client) -> None:
    plain = put(small_index(tmp_path / "plain", IndexSpec(graph=GraphSpec())))
    for page in (address(put(hostile), "dump-compare", plain.pk), address(plain, "dump-compare", plain.pk)):
        body = body_of(as_alice, page)
        assert "<script>alert" not in body and not _CUT.search(body)
        assert not [character for character in body if character in _INVISIBLE]
        assert len(body.encode()) < _MOST_BYTES


def test_every_link_on_the_pages_of_a_hostile_graph_leads_somewhere(hostile: Path, put: Put, as_alice: Client) -> None:
    dump = put(hostile)
    assert broken_links(as_alice, [address(dump, name) for name in ("dump-retained", "dump-roots", "dump-strings")]) == []


def test_no_page_about_a_huge_graph_grows_with_it(huge: Path, put: Put, as_alice: Client) -> None:
    for page in graph_pages(put(huge)):
        assert len(body_of(as_alice, page).encode()) < _MOST_BYTES / 4, page


def test_the_way_down_a_long_list_shows_both_ends(huge: Path, put: Put, as_alice: Client) -> None:
    dump, index = put(huge), open_index(huge)
    graph = Graph(index)
    live = np.flatnonzero(index.column("retention", "parent") != NOT_LIVE)
    row = int(live[graph.roots + _LONG_LIST - 1])
    body = body_of(as_alice, address(dump, "dump-object", f"{int(index.column('objects', 'address')[row]):x}"))
    path = body.split("Why it is alive")[1].split("</ol>")[0]
    assert path.count("<li") < 100
    assert "s_field" in path or "ready for finalization" in path
    way, left_out = graph.root_path(row, 10)
    assert len(way) == 12 and left_out == _LONG_LIST + 1 - 10
