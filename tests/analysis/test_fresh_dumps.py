"""The engine's facts equal the reference reader's, and the programs' own, on dumps made just now."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from analysis.contracts.layout import bundled_layout
from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.limits import LIMITS
from tests.analysis.comparison import RULES, Rule
from tests.analysis.fresh_dumps import RECIPES, FreshDump, FreshDumps
from tests.analysis.known_collections import known_collections
from tests.analysis.stack_comparison import LOCK_RULES, STACK_RULES


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.name)
def made(request: pytest.FixtureRequest, fresh_dumps: FreshDumps) -> FreshDump:
    """One dump after the other."""
    return fresh_dumps.get(request.param.name)


@pytest.mark.parametrize("compare", (*RULES, *STACK_RULES, *LOCK_RULES), ids=lambda rule: rule.__name__)
def test_facts_equal_the_reference(made: FreshDump, compare: Rule) -> None:
    compare(made.answers)


def test_nothing_is_amiss(made: FreshDump) -> None:
    dump, walked = made.dump, made.dump.walk()
    assert walked is not None
    assert (walked.gaps, dump.gc_heap.problems, dump.threads.problem) == ([], [], "")
    # What a scanned stack slot points at may look like an object and have no name; what lies on the heap has one.
    nameless = dump.runtime.types.nameless.intersection(walked.types.method_tables)
    assert (dump.runtime.failed_checks, dump.runtime.unmade_checks, nameless) == ([], [], set())


def test_a_full_dump_is_read_by_its_own_descriptor(fresh_dumps: FreshDumps) -> None:
    dump = fresh_dumps.get("full").dump
    assert (dump.kind, dump.runtime.layout_source) == ("full", "the descriptor in this dump")


def test_collections_of_every_kind_hold_what_the_program_put_in(fresh_dumps: FreshDumps) -> None:
    made = fresh_dumps.get("shapes")
    walked = made.dump.walk()
    assert walked is not None
    assert known_collections(made.dump, Retention(made.dump, walked)) == made.truth["known_collections"]


@pytest.mark.parametrize("known", [True, False])
def test_a_descriptor_with_a_wrong_offset_is_not_believed(
    known: bool, fresh_dumps: FreshDumps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build seen before is held against its layout; of any other, the checks tell."""
    made = fresh_dumps.get("full")
    raw = made.path.read_bytes()
    right, wrong = b'"EEClassOrCanonMT":40', b'"EEClassOrCanonMT":48'
    assert raw.count(right) == 1
    path = tmp_path / "lying.dmp"
    path.write_bytes(raw.replace(right, wrong))
    if not known:
        builds = bundled_layout(made.dump.runtime.target.layout.major).verified_builds
        monkeypatch.delitem(builds, made.dump.runtime.target.runtime.build_id)
    dump = Dump(path)
    assert dump.runtime.layout_source.startswith("the bundled layout")
    (reason,) = dump.runtime.failed_checks
    assert reason.startswith("the descriptor in this dump is not believed: ")
    walked = dump.walk()
    assert walked is not None
    assert (walked.object_count, walked.gaps) == (made.reference["heap"]["objects"], [])


def test_collectors_are_what_was_asked_for(fresh_dumps: FreshDumps) -> None:
    heaps = {name: fresh_dumps.get(name).dump.gc_heap for name in ("larger", "server", "segments")}
    assert {name: (heap.server, heap.regions, heap.heaps) for name, heap in heaps.items()} == {
        "larger": (False, True, 1),
        "server": (True, True, 2),
        "segments": (True, False, 2),
    }
    assert sum(segment.kind == "Generation2" for segment in heaps["segments"].segments) > 3


def test_types_made_at_run_time_have_their_names_and_counts(fresh_dumps: FreshDumps) -> None:
    """The reference does not name these; the program wrote down how many objects of each it keeps."""
    made = fresh_dumps.get("shapes")
    counts: Counter[str] = Counter()
    for row in made.answers.facts["types"]:
        counts[row["name"]] += row["count"]
    assert {name: counts[name] for name in made.truth["types"]} == made.truth["types"]


def test_thread_names_are_the_programs(fresh_dumps: FreshDumps) -> None:
    made = fresh_dumps.get("threads")
    names = {thread.managed_id: thread.name for thread in made.dump.threads.threads}
    expected = {int(number): name[: LIMITS.name_characters] for number, name in made.truth["thread_names"].items()}
    assert {number: names[number] for number in expected} == expected
    words = Counter(thread.state_words[0] for thread in made.dump.threads.threads)
    assert words["not started"] == 50
    assert words["waiting"] >= len(expected)


def test_field_values_are_the_programs(fresh_dumps: FreshDumps) -> None:
    """Numbers, letters and addresses of null; texts behind their references; structs as their bytes."""
    made = fresh_dumps.get("shapes")
    objects = made.dump.objects
    table = next(row["method_table"] for row in made.answers.facts["types"] if row["name"] == "Unusual.KnownValues")
    walked = made.dump.walk()
    assert walked is not None
    kind = walked.types.method_tables.index(int(table, 16))
    (address,) = walked.columns.address[walked.columns.type == kind].tolist()
    values = {value.field.name: value.value for value in objects.read_field_values(address)}
    known, texts, raw = made.truth["known_values"], made.truth["known_texts"], made.truth["known_bytes"]
    assert {name: values[name] for name in known} == known
    assert {name: objects.string(values[name]) for name in texts} == texts
    assert {name: values[name][: len(expected) // 2].hex() for name, expected in raw.items()} == raw
    # Behind a struct there may be padding, but never the next field.
    assert all(len(values[name]) < len(expected) // 2 + 8 for name, expected in raw.items())
