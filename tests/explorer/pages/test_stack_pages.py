"""Threads and their stacks: folded recursion, native frames, objects, lines, merged stacks, search, and too much of it."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from analysis.index.columns import DataClass
from analysis.index.store import Index, open_index
from explorer.models import Dump, Team, User
from explorer.pages import merged, stacks
from explorer.pages.references import References, asynchronous_method, method_parts, short_method
from tests.execution_builder import NATIVE_THREAD, Execution
from tests.explorer.pages.visits import address, body_of, broken_links, dump_of, everything, threads


@pytest.fixture
def index(dump: Dump) -> Index:
    return open_index(dump.analysis.index_directory)


def listed(client: Client, dump: Dump, **parameters: str) -> list[str]:
    rows = json.loads(body_of(client, address(dump, "dump-threads"), format="json", **parameters))["rows"]
    return [row["managed_id"] for row in rows]


@pytest.mark.parametrize("execution", [
    Execution(crash="unhandled exception"),
    Execution(threads(13), task=True, crash="stack overflow", folded=1_200),
    Execution(threads(5), pairs=0),
], ids=["crashed", "many", "no deadlock"])  # fmt: skip
def test_every_link_leads_to_a_page_and_to_a_part_of_it(execution: Execution, team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, execution)
    pages = everything(dump) if execution.pairs else everything(dump)[:-2]
    groups = [address(dump, "dump-threads") + "?view=groups", address(dump, "dump-stacks") + "?q=pay"]
    assert broken_links(as_alice, [*pages, *groups]) == []


# One thread


def test_a_thread_shows_its_frames_as_clrstack_does(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-thread", 1))
    for words in ("InlinedCallFrame", "libc.so.6+0x85f16", "Shop.dll", "JIT, tier 1", "ReadyToRun", "Shop.cs @ 17"):
        assert words in body, words
    lines = body_of(as_alice, address(dump, "dump-thread", 1), format="text").splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines[2:]] == [
        "[libc.so.6+0x85f16: 0x7ffc00000000]",
        "[InlinedCallFrame: 0x7ffc00000040]",
        "System.Threading.Monitor.Enter(System.Object)",
        "Shop.Checkout.Pay(System.String) [/src/secret-source/Shop.cs @ 17]",
        "Shop.Program.Main() [/src/secret-source/Shop.cs @ 19]",
    ]  # fmt: skip


def test_objects_of_a_frame_say_how_they_are_known(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(5)))
    bodies = [body_of(as_alice, address(dump, "dump-thread", number)) for number in (1, 2, 3)]
    assert address(dump, "dump-type", 2) in bodies[0] and "found by scanning" not in bodies[0]
    assert all(words in bodies[1] for words in ("rbx", "inside the object", "found by scanning", "not in the dump"))
    assert "pinned" in bodies[2]


def test_a_recursion_is_one_line_and_opens_page_by_page(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(3), folded=37_000))
    page = address(dump, "dump-thread", 1)
    body = body_of(as_alice, page)
    assert "× 37\u202f001" in body and "37\u202f000 more frames folded" in body
    assert len(body) < 60_000
    last = body_of(as_alice, page, unfolded="1", page="75")
    assert 'id="frame-37004"' in last and len(last) < 400_000
    for nonsense in ("9999", "0", "-1", "x", "9" * 40, "²"):
        assert 'id="frame-' in body_of(as_alice, page, unfolded="1", page=nonsense)
    text = body_of(as_alice, page, format="text")
    assert "the frame above repeats 37,000 more times" in text and len(text.splitlines()) == 8


def test_the_link_of_a_frame_leads_to_the_page_it_is_on(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(3), folded=2_000))
    references = References(open_index(dump.analysis.index_directory).up_to(DataClass.D2_CONTEXT), dump.pk)
    links = {place: references.frame_url(place) for place in (3, 4, 300, 1_300, 2_003, 2_004)}
    assert links[3].endswith("/threads/1#frame-3")
    assert links[4].endswith("/threads/1?unfolded=1#frame-4")
    assert links[1_300].endswith("/threads/1?unfolded=1&page=3#frame-1300")
    for place, link in links.items():
        assert f'id="frame-{place}"' in body_of(as_alice, link.partition("#")[0]), link
    assert references.frame_url(2_005).endswith("/threads/2#frame-0")


def test_a_long_stack_is_paged_without_losing_a_frame(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(3), folded=1_200))
    page, places = address(dump, "dump-thread", 1) + "?unfolded=1", []
    while page:
        body = body_of(as_alice, page)
        places += [int(part.split('"')[0]) for part in body.split('id="frame-')[1:]]
        after = body.split("data-next")[0].rpartition('href="')[2].split('"')[0] if "data-next" in body else ""
        page = address(dump, "dump-thread", 1) + after.replace("&amp;", "&") if after else ""
    assert places == list(range(1_205))


def test_a_folded_stack_of_two_pages_stays_folded(index: Index) -> None:
    first = stacks.stack_of(index, 0, 5, 0, unfolded=False, page=1, per_page=3)
    second = stacks.stack_of(index, 0, 5, 0, unfolded=False, page=2, per_page=3)
    assert [row.place for row in first.rows + second.rows] == [0, 1, 2, 3, 4]
    assert (first.pages, second.page) == (2, 2)


def test_native_frames_stand_behind_one_line(index: Index) -> None:
    rows = stacks.grouped([stacks.frame_row(index, 0, 0), stacks.frame_row(index, 0, 1), stacks.frame_row(index, 2, 2)])
    assert [(row.kind, len(row.inner), row.label) for row in rows] == [("natives", 2, "libc.so.6"), ("managed", 0, "")]


def test_threads_the_runtime_does_not_manage_have_their_pages(dump: Dump, as_alice: Client) -> None:
    path = address(dump, "dump-native-thread", NATIVE_THREAD)
    assert path in body_of(as_alice, address(dump, "dump-threads"))
    assert "ds_server_thread+0x1b" in body_of(as_alice, path)
    assert "ds_server_thread+0x1b" in body_of(as_alice, path, format="text")
    assert as_alice.get(address(dump, "dump-native-thread", 1)).status_code == 404


def test_a_thread_that_has_ended_says_so(dump: Dump, as_alice: Client) -> None:
    assert "the thread has ended" in body_of(as_alice, address(dump, "dump-thread", 3))
    assert as_alice.get(address(dump, "dump-thread", 77)).status_code == 404


# The list of threads


def test_threads_are_found_by_any_method_on_their_stacks(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(6)))
    assert listed(as_alice, dump) == ["1", "2", "3", "4", "5", "6"]
    assert listed(as_alice, dump, q="program.main") == ["1", "2"]
    assert listed(as_alice, dump, q="StartCallback pay") == ["3", "4", "5"]
    assert listed(as_alice, dump, q="no such method") == []


def test_threads_of_a_place_in_the_tree_and_of_a_group(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(6)))
    assert listed(as_alice, dump, node="0") == ["1", "2"]
    assert listed(as_alice, dump, node="4") == ["3", "4", "5"]
    assert listed(as_alice, dump, group="1") == ["3", "4", "5"]
    assert listed(as_alice, dump, group="1", q="4003") == ["4"]
    assert listed(as_alice, dump, node="999") == listed(as_alice, dump, group="999") == []
    assert len(listed(as_alice, dump, node="x", group="-1")) == 6
    assert "Show all threads" in body_of(as_alice, address(dump, "dump-threads"), node="0")


@pytest.mark.parametrize(
    ("only", "found"),
    [("alive", 5), ("dead", 1), ("exception", 1), ("own", 5), ("pool", 5), ("cooperative", 0), ("nonsense", 6)],
)
def test_threads_are_filtered_by_name(only: str, found: int, team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(6)))
    assert len(listed(as_alice, dump, only=only)) == found


def test_identical_stacks_are_groups(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(6)))
    rows = json.loads(body_of(as_alice, address(dump, "dump-threads"), view="groups", format="json"))["rows"]
    assert [(row["count"], row["stack"], row["frames"]) for row in rows] == [(3, "Monitor.Enter", 5), (2, "Monitor.Enter", 5)]


# Merged stacks


def test_the_merged_tree_is_searched_and_exported(dump: Dump, index: Index, as_alice: Client) -> None:
    references = References(index.up_to(DataClass.D1_STRUCTURE), dump.pk)
    lines, total = merged.lines(index, references, "", 0)
    assert [(line.name, line.threads, line.own) for line in lines] == [
        ("Program.Main", 2, True), ("Checkout.Pay", 2, True), ("Monitor.Enter", 2, False),
    ]  # fmt: skip
    assert merged.lines(index, references, "checkout", 0)[1] == total == 3
    assert merged.lines(index, references, "nowhere", 0) == ([], 0)
    text = body_of(as_alice, address(dump, "dump-stacks"), format="text")
    assert text.splitlines()[1].split() == ["2", "Shop.Checkout.Pay(System.String)"]
    assert "No method on any stack holds" in body_of(as_alice, address(dump, "dump-stacks"), q="nowhere")


def test_a_search_keeps_the_branches_that_hold_it(team: Team, alice: User, as_alice: Client) -> None:
    dump = dump_of(team, alice, Execution(threads(6), folded=20))
    whole = body_of(as_alice, address(dump, "dump-stacks"), format="text").splitlines()
    assert [line.split()[0] for line in whole] == ["2", "2", "2", "3", "3", "3"]
    assert whole[1].endswith("Pay(System.String) × 21")
    assert len(body_of(as_alice, address(dump, "dump-stacks"), format="text", q="StartCallback").splitlines()) == 3
    body = body_of(as_alice, address(dump, "dump-stacks"), q="StartCallback")
    assert body.count('class="hit') + body.count(' hit"') == 1 and "Program.Main" not in body.split("Merged stacks")[1]


def test_the_flame_graph_adds_up(dump: Dump, index: Index) -> None:
    figure = merged.flame(index, References(index.up_to(DataClass.D1_STRUCTURE), dump.pk))
    assert figure is not None
    (trace,) = figure["data"]
    assert (trace["values"], trace["parents"]) == ([2, 2, 2, 2], ["", "all", "0", "1"])


def test_every_box_of_the_flame_graph_holds_those_above_it(team: Team, alice: User) -> None:
    dump = dump_of(team, alice, Execution(threads(9)))
    found = open_index(dump.analysis.index_directory)
    figure = merged.flame(found, References(found.up_to(DataClass.D1_STRUCTURE), dump.pk))
    assert figure is not None
    (trace,) = figure["data"]
    size = dict(zip(trace["ids"], trace["values"], strict=True))
    above: dict[str, int] = {}
    for parent, value in zip(trace["parents"], trace["values"], strict=True):
        above[parent] = above.get(parent, 0) + value
    assert all(above[parent] <= size[parent] for parent in above if parent)
    assert trace["meta"]["tones"].count("framework") == 3


# Names


@pytest.mark.parametrize(
    ("name", "short", "parameters"),
    [
        ("N.S.Outer+Inner.Method(System.Int32)", "Outer+Inner.Method", "(System.Int32)"),
        ("N.List`1[[System.String, System.Private.CoreLib]].Add(System.__Canon)", "List`1.Add", "(System.__Canon)"),
        ("A.B..ctor()", "B..ctor", "()"),
        ("Program.<Main>$(System.String[])", "Program.<Main>$", "(System.String[])"),
        ("Free", "Free", ""),
        ("[[[", "[[[", ""),
    ],
)
def test_methods_are_shortened(name: str, short: str, parameters: str) -> None:
    assert (short_method(name), method_parts(name).parameters) == (short, parameters)


def test_tasks_are_called_by_their_asynchronous_method() -> None:
    box = "System.Runtime.CompilerServices.AsyncTaskMethodBuilder<System.Int32>+AsyncStateMachineBox<{}>"
    assert asynchronous_method(box.format("Shop.Pay+<GoAsync>d__3")) == "Pay.GoAsync"
    assert asynchronous_method(box.format("Program+<<Main>$>d__0")) == "Program.<Main>$"
    assert asynchronous_method("Shop.Pay+<GoAsync>d__3") == ""
