"""A thousand values of one process are in nothing that anybody gets without asking for values, and in nothing that is kept."""

from __future__ import annotations

import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse
from kombu import Connection

from analysis.index import DataClass, Index, open_index
from analysis.index.described import described_tables
from analysis.query import run_query
from explorer import tasks
from explorer.models import Dump, SearchedName, State, Team, User
from explorer.sealed_files import is_sealed
from explorer.services import analyses
from explorer.services.uploads import Labels, append, create_upload
from tests.explorer.canaries.canary import Canary, Scanner
from tests.explorer.canaries.conftest import CONTEXT, PRINCIPALS, Analysed, put
from tests.explorer.canaries.crawl import crawl, sent
from tests.explorer.pages.visits import WHY, address
from tests.explorer.test_authentication import sign_in
from tests.explorer.test_real_engine import kernels_compiled_before as kernels_compiled_before
from tests.goals import Goals

GOAL = "G14 canaries that stay inside, by what somebody got or what was kept"
#: Who stands for all that see as much as they do: further is gone from page to page.
THOROUGHLY = ("viewer", "team lead")
COMMANDS = (
    "dumpheap -stat", "dumpheap -strings", "dumpheap", "eeheap", "gchandles", "finalizequeue", "clrthreads", "clrstack -all",
    "syncblk", "pe", "help dumpobj",
)  # fmt: skip
OF_ONE_OBJECT = ("dumpobj", "dumparray", "gcroot", "objsize", "pe")


def carriers(found: set[Canary]) -> Counter[str]:
    return Counter(one.carrier for one in found)


def leaked(analysed: Analysed, content: bytes, sees: str = "") -> Counter[str]:
    """Carriers of the values that stand in what somebody got who sees that much."""
    found = analysed.planted.scanner.find(content)
    return carriers(found - set(analysed.planted.context) if sees == CONTEXT else found)


def texts_of(index: Index) -> list[str]:
    """Addresses of some strings, arrays and boxed numbers."""
    kinds, names = index.text("types", "kind").all, index.text("types", "name").all
    rows = [row for row, kind in enumerate(kinds) if kind in ("string", "array") or names[row] in ("System.Int64", "System.Guid")]
    first = index.column("types", "first_instance")
    return [f"{int(index.column('objects', 'address')[index.column('instances', 'by_address')[first[row]]]):x}" for row in rows]


def starts(dump: Dump, index: Index) -> Iterator[str]:
    """Every address that is read, commands and SQL: what no link leads to, too."""
    objects = texts_of(index)
    known = {
        "dump_id": dump.pk, "other_id": dump.pk, "team_id": dump.team_id, "type_id": 1, "managed_id": 1, "number": 1,
        "os_id": int(index.column("native_threads", "os_id")[0]), "object_address": objects[0], "address": objects[0],
    }  # fmt: skip
    patterns: list[URLPattern] = list(get_resolver().url_patterns)
    for pattern in patterns:
        if known.keys() >= pattern.pattern.converters.keys():
            yield reverse(pattern.name, kwargs={name: known[name] for name in pattern.pattern.converters})
    ask = reverse("dump-query", args=[dump.pk])
    lines = [*COMMANDS, *(f"{command} {objects[place]}" for place, command in enumerate(OF_ONE_OBJECT))]
    yield from (f"{ask}?q={line}" for line in lines)
    yield from (f"{ask}?q={line}&format=text" for line in ("dumpheap -strings", "clrstack -all"))
    yield f"{ask}?q=SELECT * FROM threads&format=csv"
    yield from (reverse("dump-object", args=[dump.pk, one]) for one in objects[:15])
    yield reverse("dump-thread", args=[dump.pk, 99999])


def test_the_program_holds_them_all(planted: Analysed) -> None:
    """What is looked for can be found: in the dump, and in every spelling."""
    made = planted.planted
    assert len(made.canaries) >= 1000 and made.scanner.find(made.path.read_bytes()) == set(made.canaries)
    for one in made.canaries[::10]:
        for spelling in one.spellings():
            if len(spelling) >= 8:
                assert one in made.scanner.find(b"<td>abc" + spelling + b"</td>"), spelling


@pytest.mark.parametrize("who", PRINCIPALS)
def test_nobody_gets_one_by_looking(
    who: str, planted: Analysed, stored: Dump, goals: Goals, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("alice", "carol", "erin", "oscar", "ada", "mallory"):
        request.getfixturevalue(name)
    sees, client = PRINCIPALS[who]
    caplog.set_level(logging.INFO)
    most = 8 if who in THOROUGHLY else 2
    found = crawl(client(stored), most, "/", *starts(stored, open_index(planted.index)))
    wrong = {path: places for path, body in found.answers.items() if (places := leaked(planted, body, sees))}
    everything = b"".join(found.answers.values())
    goals.count(GOAL, len(planted.planted.canaries) - len(planted.planted.scanner.find(everything)) * bool(wrong),
                len(planted.planted.canaries))  # fmt: skip
    assert wrong == {}
    assert not leaked(planted, caplog.text.encode())
    if sees == CONTEXT:
        seen = carriers(planted.planted.scanner.find(everything))
        assert seen["thread name"] and seen["message"], "the scanner reads what is shown"
        read = {p.name for p in get_resolver().url_patterns if "dump_id" in p.pattern.converters} & set(found.names)
        assert len(read) > 25, read


@pytest.mark.parametrize("highest", [DataClass.D1_STRUCTURE, DataClass.D2_CONTEXT])
def test_no_table_that_sql_may_ask_holds_one(highest: DataClass, planted: Analysed) -> None:
    index = open_index(planted.index).up_to(highest)
    answers = (run_query(index, f"SELECT * FROM {table.name}").rows for table in described_tables(highest))
    sees = CONTEXT if highest > DataClass.D1_STRUCTURE else ""
    assert not leaked(planted, json.dumps([*answers]).encode(), sees)


def kept(dump: Dump) -> Iterator[tuple[str, bytes]]:
    """Everything that the product keeps: rows of all tables, the cache, files; the original too, where it is encrypted."""
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
            yield model._meta.db_table, repr(cursor.fetchall()).encode()
    yield "cache", repr(getattr(cache, "_cache", {})).encode()
    for path in sorted(dump.directory.parents[1].rglob("*")):
        if path.is_file() and (path != dump.original or is_sealed(path)) and "kernels" not in path.parts:
            yield str(path), path.read_bytes()


def message_of(dump: Dump, directory: Path) -> bytes:
    """What the broker is given for an analysis."""
    folders = {"data_folder_in": str(directory), "data_folder_out": str(directory), "control_folder": str(directory / "control")}
    with Connection("filesystem://", transport_options=folders) as broker:
        tasks.analyse.apply_async([str(dump.analysis.pk)], connection=broker)
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def test_nothing_that_is_kept_holds_one(
    planted: Analysed, team: Team, bob: User, tmp_path: Path, goals: Goals, caplog: pytest.LogCaptureFixture, capfd
) -> None:
    """Uploaded, read by the real engine; then rows, cache, messages, files and logs. The index and the names of the search hold
    context."""
    caplog.set_level(logging.INFO)
    upload = create_upload(user=bob, team=team, name="planted.dmp", length=planted.planted.path.stat().st_size, labels=Labels())
    append(upload=upload, offset=0, body=io.BytesIO(planted.planted.path.read_bytes()), length=upload.length)
    dump = upload.dump
    analyses.run(dump.analysis.pk)
    assert dump.analysis.state == State.DONE, dump.analysis.log
    index, places = dump.analysis.index_directory, dict(kept(dump))
    assert str(dump.original) in places and len(places) > 100
    of_context = {name for name in places if Path(name).is_relative_to(index)} | {SearchedName._meta.db_table}
    wrong = {
        name: found
        for name, content in places.items()
        if (found := leaked(planted, content, CONTEXT if name in of_context else ""))
    }
    (tmp_path / "control").mkdir()
    message = message_of(dump, tmp_path)
    assert str(dump.analysis.pk).encode() in message
    printed = capfd.readouterr()
    for name, content in (("message", message), ("log", caplog.text.encode()), ("output", (printed.out + printed.err).encode())):
        if found := leaked(planted, content):
            wrong[name] = found
    goals.count(GOAL, len(planted.planted.canaries) * (not wrong), len(planted.planted.canaries))
    assert wrong == {}


def test_a_look_leaves_nothing_behind(
    planted: Analysed, stored: Dump, erin: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The value is in the answer to the one who asked, and nowhere else; not even when the page breaks around it."""
    client, index = sign_in("erin"), open_index(planted.index)
    seen = Counter[str]()
    for one in texts_of(index)[:30]:
        seen += leaked(planted, sent(client.post(address(stored, "dump-object-values", one), WHY)), CONTEXT)
    caplog.set_level(logging.INFO)

    def breaks(request: object, template: str, context: dict[str, object]) -> HttpResponse:
        raise ValueError("the page broke")

    client.raise_request_exception = False
    monkeypatch.setattr("explorer.views.retention.render", breaks)
    broken = [client.post(address(stored, "dump-object-values", one), WHY) for one in texts_of(index)[:5]]
    assert {response.status_code for response in broken} == {500}
    assert not leaked(planted, b"".join(sent(response) for response in broken))
    assert "the page broke" in caplog.text and not leaked(planted, caplog.text.encode())
    index_of = stored.analysis.index_directory
    assert not {
        name: found
        for name, content in kept(stored)
        if (found := leaked(planted, content, CONTEXT if Path(name).is_relative_to(index_of) else ""))
    }
    assert seen, "what was asked for was shown"


#: What differs from one answer to the next by itself, and the marks of masked values.
NOISE = re.compile(
    rb'csrfmiddlewaretoken" value="\w+"|^(Set-Cookie|Expires|Content-Length|Content-Security-Policy): .*$|[\d.,]+ s\b'
    rb'|<td class="mono">[0-9a-f]{10}</td>|\d+\xc2\xa0(second|minute)s?',
    re.MULTILINE,
)


def questions(dump: Dump, index: Index, asked: list[str]) -> Iterator[str]:
    """Everything that takes words, orders or statements, asked about some values: whole, in half, by one letter."""
    for start in starts(dump, index):
        if "?" not in start and start.startswith(f"/dumps/{dump.pk}"):
            yield from (f"{start}?{urlencode({'q': text, 'format': 'json'})}" for text in asked)
            yield f"{start}?sort=-{asked[0]}&only={asked[0]}&page=2"
    ask = reverse("dump-query", args=[dump.pk])
    for text in asked:
        yield from (f"{ask}?{urlencode({'q': f'{line} {text}'})}" for line in ("dumpheap -type", "dumpobj", "help", "pe"))
    statements = (f"SELECT count(*) FROM types WHERE name >= '{asked[0]}'", f"SELECT * FROM registers WHERE value = '{asked[0]}'")
    yield from (f"{ask}?{urlencode({'q': statement})}" for statement in statements)
    yield from (f"/?{urlencode({'q': text})}" for text in asked)


def answers(client: Client, asked: list[str]) -> dict[str, bytes]:
    found = {}
    for path in asked:
        cache.clear()
        found[path] = NOISE.sub(b"", sent(client.get(path)))
    return found


def told_apart(client: Client, stored: Dump, other: Analysed, paths: list[str]) -> dict[str, tuple[bytes, bytes]]:
    """Answers that are not the same once the dump is ``other``, and where they begin to differ."""
    client.get("/")  # a session notes when it began
    first = answers(client, paths)
    put(other, stored)
    second = answers(client, paths)
    return {path: difference(first[path], second[path]) for path in paths if first[path] != second[path]}


@pytest.mark.parametrize("who", ["carol", "erin"])
def test_no_question_tells_one_value_from_another(
    who: str, planted: Analysed, otherwise: Analysed, stored: Dump, goals: Goals, request: pytest.FixtureRequest
) -> None:
    """Two dumps that differ in their values alone: every page, and every answer to a question about a value that only one of
    them holds, is the same. What cannot be told apart cannot be bisected."""
    request.getfixturevalue(who)
    client = sign_in(who)
    chosen = [one.text for one in planted.planted.values if one.text][::150]
    asked = [chosen[0], chosen[1][:10], chosen[2][0]]
    index, of_dumps = open_index(planted.index), f"/dumps/{stored.pk}"
    paths = [one for one in (*questions(stored, index, asked), *starts(stored, index)) if one.startswith((of_dumps, "/?"))]
    told = told_apart(client, stored, otherwise, paths)
    goals.count("G14 questions whose answer does not depend on a value (0 bits learned)", len(paths) - len(told), len(paths))
    assert told == {}


def test_nobody_without_context_learns_that_two_values_are_equal(
    planted: Analysed, with_a_pair: Analysed, stored: Dump, carol: User, goals: Goals
) -> None:
    """Two dumps, in one of which two texts are the same: no page, list, command or export tells a viewer which one it is."""
    client, ask = sign_in("carol"), reverse("dump-query", args=[stored.pk])
    paths = [one for one in starts(stored, open_index(planted.index)) if one.startswith((f"/dumps/{stored.pk}", "/?"))]
    paths += [f"{ask}?q=SELECT * FROM {table}" for table in ("string_groups", "string_holders")]
    told = told_apart(client, stored, with_a_pair, paths)
    goals.count("G14 pages that do not tell a viewer that two values are equal", len(paths) - len(told), len(paths))
    assert told == {}


def difference(left: bytes, right: bytes) -> tuple[bytes, bytes]:
    """What stands where the first difference is."""
    at = next((place for place, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    return left[max(0, at - 80) : at + 40], right[max(0, at - 80) : at + 40]


def test_the_other_dump_holds_other_values(planted: Analysed, otherwise: Analysed) -> None:
    """And nothing of the first but its context: otherwise the same answers would say nothing. What the program told the test
    about them may still lie there, spelled in digits."""
    held = Scanner(planted.planted.canaries, as_held=True)
    assert held.find(otherwise.planted.path.read_bytes()) == set(planted.planted.context)
