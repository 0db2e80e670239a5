"""Full-text search: how names are found, and that nobody finds, counts or is offered what they may not see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analysis.index import DataClass
from explorer.models import Analysis, Dump, SearchedName, SearchPosting, Team, User
from explorer.permissions import highest_class
from explorer.queries import dumps_visible_to, with_context
from explorer.services import leftovers, search, search_rows
from explorer.services.audit import by_the_server
from explorer.services.removal import purge, remove_team
from explorer.services.search import find, hits, suggestions
from explorer.services.search_kinds import BY_SLUG, KINDS
from explorer.services.search_rows import ids_in
from explorer.services.search_words import asked_words, scope_of, words_of
from explorer.tasks import sweep_leftovers
from explorer.viewers import subject_of, viewer_of
from tests.explorer.searchable import dump_with_names, searchable_dump
from tests.goals import Goals
from tests.index_builder import HOSTILE_NAMES, hostile_index
from tests.stored_dumps import analysed_dump

DICTIONARY = "System.Collections.Generic.Dictionary<System.String, Shop.Customer>"
REPOSITORY = "Shop.Data.HTTPOrderRepository2"


def counts_of(user: User, text: str) -> dict[str, dict[str, int]]:
    """What a person finds: how many names by dump and kind."""
    found = find(user, dumps_visible_to(user), text)
    names = dict(Dump.objects.values_list("pk", "name"))
    return {names[pk]: {kind.slug: count for kind, count in counts.items()} for pk, counts in found.by_dump.items()}


def texts_of(user: User, text: str) -> set[str]:
    found = find(user, dumps_visible_to(user), text)
    return {hit.text for listed in hits(user, found, [*found.by_dump], 100).values() for hit in listed}


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("Customer", DICTIONARY),
        ("dictionary customer", DICTIONARY),
        ("Generic.Dictionary", DICTIONARY),
        ("Cust", DICTIONARY),
        (DICTIONARY, DICTIONARY),
        ("repository", REPOSITORY),
        ("OrderRepo", REPOSITORY),
        ("http", REPOSITORY),
        ("httpOrder", REPOSITORY),
        ("data repository 2", REPOSITORY),
        ("s_cache", "Shop.Cache.s_cache"),
        ("größe", "Laden.Größe"),
        ("ﬁnd", "Shop.ﬁnd"),
        ("İstanbul", "Shop.İstanbul"),
        ("заказ", "Магазин.Заказ"),
        ("\u19b0x", "Shop.\u19b0x"),
    ],
)
def test_names_are_found_by_the_beginnings_of_their_words(asked: str, name: str, team: Team, bob: User) -> None:
    dump_with_names(team, bob, "a", {"type": [name, "Other.Thing"]})
    assert counts_of(bob, asked) == {"a": {"type": 1}}
    assert texts_of(bob, asked) == {name}


@pytest.mark.parametrize(
    "asked", ["ustomer", "customer nothing", "", "  ", "<>", '"', "* OR x", "' & !x", "NEAR(", "customer:*|x"]
)
def test_what_is_no_beginning_or_no_word_finds_nothing(asked: str, team: Team, bob: User) -> None:
    dump_with_names(team, bob, "a", {"type": [DICTIONARY]})
    assert counts_of(bob, asked) == {}


def test_words_are_few_and_short() -> None:
    assert words_of("x" * 5000) == "x" * 60
    assert len(words_of(" ".join(f"w{n}" for n in range(5000))).split()) <= 200
    assert len(asked_words(" ".join(f"w{n}" for n in range(5000)))) == 12


def test_the_class_of_every_kind_is_that_of_the_schema() -> None:
    context = {kind.slug for kind in KINDS if kind.data_class == DataClass.D2_CONTEXT}
    assert context == {"message", "path", "native-path", "thread"}
    assert {kind.data_class for kind in KINDS} == {DataClass.D1_STRUCTURE, DataClass.D2_CONTEXT}
    assert len({kind.number for kind in KINDS}) == len(KINDS)


NAMES = {
    "type": ["Shop.SecretOrder"], "frame": ["Shop.Pay.SecretStep(System.Int32)"], "exception": ["Shop.SecretException"],
    "message": ["the secret of customer 4711"], "path": ["/srv/secret/Shop.dll"], "thread": ["secret-worker"],
}  # fmt: skip
STRUCTURE = {"type": 1, "frame": 1, "exception": 1}
EVERYTHING = dict.fromkeys(NAMES, 1)


@pytest.fixture
def dumps(team: Team, other_team: Team, alice: User, bob: User, mallory: User) -> dict[str, Dump]:
    """One that the team sees, one for bob and leads only, one of another team."""
    narrowed = dump_with_names(team, bob, "narrowed", NAMES)
    narrowed.only_people.set([bob])
    return {
        "own": dump_with_names(team, alice, "own", NAMES),
        "narrowed": narrowed,
        "others": dump_with_names(other_team, mallory, "others", NAMES),
    }


def expected_of(who: str, opened: bool) -> dict[str, dict[str, int]]:
    of_team = {"alice": {"own": EVERYTHING, "narrowed": EVERYTHING}, "bob": {"own": EVERYTHING, "narrowed": EVERYTHING},
               "erin": {"own": EVERYTHING}, "carol": {"own": STRUCTURE}}.get(who, {})  # fmt: skip
    foreign = {"others": EVERYTHING if who == "mallory" else STRUCTURE} if opened or who == "mallory" else {}
    open_to_all = {"own": STRUCTURE} if opened else {}
    return {**open_to_all, **foreign, **of_team}


@pytest.mark.parametrize("opened", [False, True])
def test_everybody_finds_what_they_may_see(
    opened: bool, dumps: dict[str, Dump], carol: User, erin: User, oscar: User, ada: User, goals: Goals
) -> None:
    Team.objects.update(opens_archive=opened)
    wrong = {}
    people = ("alice", "bob", "carol", "erin", "mallory", "oscar", "ada")
    for who in people:
        person = User.objects.get(username=who)
        found = counts_of(person, "secret")
        if found != expected_of(who, opened):
            wrong[who] = found
        may = {kind for counts in expected_of(who, opened).values() for kind in counts}
        assert texts_of(person, "secret") == {text for kind in may for text in NAMES[kind]}
        assert set(suggestions(person, dumps_visible_to(person), "secret")) == texts_of(person, "secret")
    goals.count("Search: people who found and counted just what they may see", len(people) - len(wrong), len(people))
    assert wrong == {}


def test_a_program_finds_structure_of_own_uploads_only(dumps: dict[str, Dump], bob: User) -> None:
    bob.by_token = object()
    assert counts_of(bob, "secret") == {"narrowed": STRUCTURE}


def test_a_viewer_cannot_bisect_what_only_context_holds(dumps: dict[str, Dump], carol: User, goals: Goals) -> None:
    """Letter by letter, and by every word of what she may not see: no answer differs from that about a word nobody wrote."""
    hidden = [text for kind, texts in NAMES.items() if kind not in STRUCTURE for text in texts]
    words = {word for text in hidden for word in words_of(text).split()} - {"secret", "shop"}
    tries = {word[:length] for word in words for length in range(3, len(word) + 1)} - {"sec", "secr", "secre", "sho"}
    told = [word for word in tries if answers_to(carol, word) != answers_to(carol, "zzz")]
    goals.count("Search: tries of a viewer to find what is context that told nothing", len(tries) - len(told), len(tries))
    assert told == []
    assert answers_to(User.objects.get(username="bob"), "4711") != answers_to(carol, "4711")


def work_for(user: User, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[int], int]:
    """What a search costs that finds nothing: how many queries, how much of each posting it looks at, names it is given."""
    read: list[int] = []
    given: list[int] = []

    def hits_in(held: Any, is_hit: Any) -> Any:
        read.append(int(np.searchsorted(held, len(is_hit))))
        return hits_of(held, is_hit)

    def names_with(*asked: Any) -> Any:
        names = names_of(*asked)
        given.append(len(names))
        return names

    hits_of, names_of = search._hits_in, search._names_with
    with monkeypatch.context() as patched, CaptureQueriesContext(connection) as queries:
        patched.setattr(search, "_hits_in", hits_in)
        patched.setattr(search, "_names_with", names_with)
        assert not find(user, dumps_visible_to(user), text).by_dump
    return len(queries), read, sum(given)


@pytest.mark.parametrize(("word", "given"), [("alpha", 0), ("beta", 0), ("gamma", 1)])
def test_the_work_of_a_search_does_not_tell_of_names_out_of_sight(
    word: str, given: int, dumps: dict[str, Dump], team: Team, bob: User, mallory: User, carol: User, monkeypatch
) -> None:
    """Of another team's, of context, and of those of a dump narrowed to others."""
    dump_with_names(dumps["others"].team, mallory, "others too", {"type": ["Alpha.Order"]})
    dump_with_names(team, bob, "own too", {"message": ["beta"]})
    narrowed = dump_with_names(team, bob, "narrowed too", {"type": ["Gamma.Order"]})
    narrowed.only_people.set([bob])
    assert SearchedName.objects.filter(words__contains=word).count() == 1
    *work, names = work_for(carol, word, monkeypatch)
    assert work == [*work_for(carol, "nothing", monkeypatch)][:2] and work[1] == [1] * len(STRUCTURE)
    assert names == given


def test_a_name_is_found_under_the_lowest_class_of_what_holds_it(team: Team, bob: User, carol: User) -> None:
    def scope() -> tuple[int, bool]:
        name = SearchedName.objects.get()
        return name.data_class, name.words.startswith(scope_of(team.pk, name.data_class))

    context = dump_with_names(team, bob, "context", {"message": ["Some.Name"]})
    assert scope() == (2, True) and counts_of(carol, "some") == {}
    structure = dump_with_names(team, bob, "structure", {"type": ["Some.Name"], "message": ["Some.Name"]})
    assert scope() == (1, True) and counts_of(carol, "some") == {"structure": {"type": 1}}
    assert counts_of(bob, "some") == {"structure": {"type": 1, "message": 1}, "context": {"message": 1}}
    message = [search_rows.FoundNames(BY_SLUG["message"], {"Some.Name": 0}, 0)]
    search_rows.replace_postings(structure, message, structure.analysis)
    assert scope() == (2, True) and counts_of(carol, "some") == {}
    assert counts_of(bob, "some") == {"structure": {"message": 1}, "context": {"message": 1}}
    for dump in (structure, context):
        search_rows.forget(dump)
    assert not SearchedName.objects.exists()


def answers_to(user: User, text: str) -> tuple[Any, ...]:
    found = find(user, dumps_visible_to(user), text)
    return (
        found.by_dump,
        found.by_kind,
        found.cut,
        hits(user, found, [*Dump.objects.values_list("pk", flat=True)], 9),
        suggestions(user, dumps_visible_to(user), text),
    )


@pytest.mark.parametrize("who", ["alice", "bob", "carol", "erin", "mallory", "oscar"])
def test_the_query_says_of_context_what_the_rule_says(who: str, dumps: dict[str, Dump], carol, erin, oscar) -> None:
    Team.objects.update(opens_archive=True)
    person = User.objects.get(username=who)
    seen = set(dumps_visible_to(person).filter(with_context(person)))
    assert seen == {
        dump for dump in dumps_visible_to(person) if highest_class(viewer_of(person), subject_of(dump)) == DataClass.D2_CONTEXT
    }


def test_publishing_fills_the_search_and_deleting_empties_it(team: Team, bob: User, engine, settings) -> None:
    dump = analysed_dump(team, bob, "kept")
    other = searchable_dump(team, bob, "other")
    shared = SearchedName.objects.count()
    search_rows.catch_up()
    assert set(counts_of(bob, "order")) == {"kept", "other"}
    assert SearchedName.objects.count() == shared
    dump.delete()
    assert set(counts_of(bob, "order")) == {"other"}
    assert SearchedName.objects.count() == shared
    purge(request=by_the_server(), dump=other)
    assert not SearchedName.objects.exists()
    assert not SearchPosting.objects.exists()


def test_a_new_result_replaces_the_names_of_the_one_before(team: Team, bob: User) -> None:
    dump = dump_with_names(team, bob, "a", {"type": ["Old.Name", "Kept.Name"], "message": ["old words"]})
    kept = SearchedName.objects.get(text="Kept.Name").pk
    names = [search_rows.FoundNames(BY_SLUG["type"], {"Kept.Name": 0, "New.Name": 1}, 0)]
    search_rows.replace_postings(dump, names, dump.analysis)
    assert counts_of(bob, "old") == {}
    assert counts_of(bob, "name") == {"a": {"type": 2}}
    assert set(SearchedName.objects.values_list("text", flat=True)) == {"Kept.Name", "New.Name"}
    assert SearchedName.objects.get(text="Kept.Name").pk == kept


def test_texts_of_one_team_are_not_another_teams(team: Team, other_team: Team, bob: User, mallory: User) -> None:
    ours = dump_with_names(team, bob, "a", {"type": ["Same.Name"]})
    dump_with_names(other_team, mallory, "b", {"type": ["Same.Name"]})
    assert SearchedName.objects.filter(text="Same.Name").count() == 2
    search_rows.forget(ours)
    assert counts_of(mallory, "same") == {"b": {"type": 1}}
    assert counts_of(bob, "same") == {}


def test_leftovers_are_swept(team: Team, bob: User) -> None:
    gone = dump_with_names(team, bob, "gone", {"type": ["Gone.Name"]})
    gone.postings.all().delete()
    dump_with_names(team, bob, "kept", {"type": ["Kept.Name"]})
    assert search_rows.sweep() == 1
    assert [*SearchedName.objects.values_list("text", flat=True)] == ["Kept.Name"]
    assert counts_of(bob, "name") == {"kept": {"type": 1}}


def test_a_team_that_goes_is_forgotten_at_once(team: Team, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        dump_with_names(team, bob, name, {"type": ["Shared.Name", f"Own.{name}"]})
    read: list[bytes] = []
    monkeypatch.setattr(search_rows, "ids_in", lambda content: read.append(content) or ids_in(content))
    remove_team(request=by_the_server(), team=team)
    assert read == [] and not SearchedName.objects.exists()


def test_the_clock_reads_no_names(team: Team, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    dump_with_names(team, bob, "a", {"type": ["Some.Name"]})
    monkeypatch.setattr(leftovers, "settle_database", lambda: None)
    with CaptureQueriesContext(connection) as queries:
        sweep_leftovers()
    assert not [query for query in queries if "explorer_search" in query["sql"]]


def test_old_dumps_are_caught_up_with_and_unreadable_ones_left_aside(team: Team, bob: User) -> None:
    analysed_dump(team, bob, "old")
    broken = analysed_dump(team, bob, "broken")
    (broken.analysis.index_directory / "manifest.json").unlink()
    assert search_rows.catch_up() == 2
    assert search_rows.catch_up() == 0
    assert set(counts_of(bob, "order")) == {"old"}
    assert set(Analysis.objects.values_list("search_version", flat=True)) == {search_rows.SEARCH_VERSION}


def test_names_of_an_older_version_are_found_no_more_where_they_cannot_be_made_again(team: Team, bob: User) -> None:
    dump = dump_with_names(team, bob, "old", {"exception": ["an older mask"]})
    Analysis.objects.update(search_version=search_rows.SEARCH_VERSION - 1)
    assert counts_of(bob, "older") == {"old": {"exception": 1}}
    (dump.analysis.index_directory / "manifest.json").unlink(missing_ok=True)
    assert search_rows.catch_up() == 1
    assert counts_of(bob, "older") == {} and not SearchedName.objects.exists()


def test_hostile_names_are_kept_visible_and_found(team: Team, bob: User) -> None:
    dump = analysed_dump(team, bob, "hostile", hostile_index)
    search_rows.catch_up()
    texts = texts_of(bob, "onerror")
    assert texts and not any(character in text for text in texts for character in "\x00\x1b\u202e")
    assert max(len(text) for text in SearchedName.objects.values_list("text", flat=True)) <= 1024
    assert dump.postings.count() > 5
    assert any(len(name) > 1024 for name in HOSTILE_NAMES)


def test_names_beyond_the_most_are_counted(team: Team, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_rows, "MOST_NAMES", 2)
    dump = searchable_dump(team, bob, "a")
    posting = dump.postings.get(kind=BY_SLUG["type"].number)
    assert (len(search_rows.ids_in(posting.names)), posting.left_off) == (2, 2)
    assert find(bob, dumps_visible_to(bob), "order").cut == {dump.pk}
