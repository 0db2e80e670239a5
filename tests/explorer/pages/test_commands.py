"""Commands against the outputs of SOS itself, on every dump that has them; and what they say when they are misunderstood."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from analysis.index import DataClass
from analysis.index.store import Index, open_index
from analysis.pipeline import analyse
from explorer.pages.commands import COMMANDS, CommandError, Session, answer
from explorer.pages.references import References
from explorer.pages.source_lines import SourceLines
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps
from tests.index_builder import HOSTILE_NAMES, hostile_index, mini_index, small_index

_WITH_SOS = [dump for dump in reference_dumps() if dump.path.with_suffix(".sos.txt").exists()]
#: SOS writes this into the middle of a line.
_NOISE = "SOS Warning: Loading symbols for dynamic assemblies is not yet supported\n"
_STATISTIC = re.compile(r"^ *([0-9a-f]{8,16}) +([\d,]+) +([\d,]+) (\S.*)$")
_LISTED = re.compile(r"^ *([0-9a-f]{8,16}) +([0-9a-f]{8,16}) +([\d,]+) *$")


def session_of(index: Index, highest: DataClass = DataClass.D2_CONTEXT, most: int = 10**9) -> Session:
    dump = "00000000-0000-0000-0000-000000000001"
    index = index.up_to(highest)
    return Session(index, References(index, dump), SourceLines(index), most)


class Sos:
    """What SOS printed, command by command."""

    def __init__(self, path: Path) -> None:
        parts = re.split(r"^=== (.*)$", path.read_text(errors="replace"), flags=re.MULTILINE)
        self.answers = dict(zip(parts[1::2], parts[2::2], strict=True))

    def __getitem__(self, command: str) -> str:
        return self.answers[command]


@pytest.fixture(scope="module", params=_WITH_SOS, ids=lambda dump: dump.name)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Sos]:
    """Our session over a dump, and what SOS printed about it."""
    reference: ReferenceDump = request.param
    directory = tmp_path_factory.mktemp("index") / "index"
    analyse(reference.path, directory, lambda stage, fraction, detail: None)
    return session_of(open_index(directory)), Sos(reference.path.with_suffix(".sos.txt"))


def statistics(text: str) -> Counter[tuple[int, int, int]]:
    """Method table, count and size of every line of a statistic."""
    found = (match for line in text.splitlines() if (match := _STATISTIC.match(line)))
    return Counter((int(one[1], 16), _number(one[2]), _number(one[3])) for one in found)


def listed(text: str) -> Counter[tuple[int, int, int]]:
    """Address, method table and size of every object in a list."""
    found = (match for line in text.splitlines() if (match := _LISTED.match(line)))
    return Counter((int(one[1], 16), int(one[2], 16), _number(one[3])) for one in found)


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def test_dumpheap_equals(told: tuple[Session, Sos]) -> None:
    session, sos = told
    if "Total" not in sos["dumpheap -stat"]:
        assert not session.index.rows["objects"], "SOS lists no object and we do"
        return
    ours = answer("dumpheap -stat", session).text
    assert statistics(ours) == statistics(sos["dumpheap -stat"])
    assert ours.splitlines()[-1] == sos["dumpheap -stat"].strip().splitlines()[-1]
    halves = statistics(answer("dumpheap -stat -live", session).text) + statistics(answer("dumpheap -stat -dead", session).text)
    assert sum(count * n for (_, count, _), n in halves.items()) == session.index.rows["objects"]


def test_strings_equal(told: tuple[Session, Sos]) -> None:
    session, sos = told
    ours = listed(answer("dumpheap -strings", session).text) if session.index.rows["objects"] else Counter()
    assert ours == listed(sos["dumpheap -strings"].split("Statistics:")[0])


def test_the_heap_has_the_same_size(told: tuple[Session, Sos]) -> None:
    session, sos = told
    totals = re.compile(r"^GC \w+ Heap Size: .*$", re.MULTILINE)
    if "Number of GC Heaps: 0" not in sos["eeheap -gc"]:  # SOS finds none in a triage dump
        assert totals.findall(answer("eeheap -gc", session).text) == totals.findall(sos["eeheap -gc"])


def test_handles_and_finalizable_objects_equal(told: tuple[Session, Sos]) -> None:
    session, sos = told
    if not session.index.rows["objects"]:
        return
    wanted = statistics(sos["gchandles"])
    found = statistics(answer("gchandles -stat", session).text)
    # With server GC SOS reads the tables of the heaps in use only, and the runtime keeps more of them.
    server = session.index.facts("summary")["gc"]["server"]
    assert found == wanted or (server and sum(found.values()) >= sum(wanted.values()))
    assert listed(answer("finalizequeue", session).text) == listed(sos["finalizequeue"])


def test_threads_and_stacks_equal(told: tuple[Session, Sos]) -> None:
    session, sos = told
    thread = re.compile(r"^ *\S* +(\d+) +([0-9a-f]+) +([0-9A-F]{16}) +([0-9a-f]+) (Preemptive|Cooperative)", re.MULTILINE)
    wanted = [match.groups() for match in thread.finditer(sos["clrthreads"])]
    numbered = "".join(f"0 {one}\n" for one in answer("clrthreads", session).text.splitlines())
    assert [match.groups() for match in thread.finditer(numbered)] == wanted
    frames = re.compile(r"^([0-9A-F]{16}) [0-9A-Fa-f]{16} (?!\[)(\S.*?)(?: \[.* @ \d+\])?$", re.MULTILINE)
    printed = sos["clrstack -all"].replace(_NOISE, "")
    assert set(frames.findall(printed)) <= set(frames.findall(answer("clrstack -all", session).text))


def test_held_locks_equal(told: tuple[Session, Sos]) -> None:
    session, sos = told
    # Index, MonitorHeld, Recursion, OSID, object and its type; SOS adds the debugger's number of the thread, we its managed id.
    block = re.compile(r"^ +(\d+) +[0-9A-F]{16} +(\d+) +(\d+) [0-9A-F]{16} ([0-9a-f]+) +\d+ +([0-9a-f]{16}) (.*)$", re.MULTILINE)
    own = re.compile(r"^ *(\d+) +(\d+) +(\d+) +[0-9A-F]{16} +([0-9a-f]+) +\d+ +([0-9a-f]+) (.*)$", re.MULTILINE)
    wanted, found = (
        {(*match.groups()[:4], int(match[5], 16), match[6].strip()) for match in pattern.finditer(text)}
        for pattern, text in ((block, sos["syncblk"]), (own, answer("syncblk", session).text))
    )
    assert found == wanted


def test_single_objects_equal(told: tuple[Session, Sos]) -> None:
    """dumpobj: head and references; objsize: every object and the statistic; gcroot: what it starts from and leads through."""
    session, sos = told
    for command, theirs in sos.answers.items():
        name, _, address = command.partition(" ")
        if name == "dumpobj":
            ours = answer(command, session).text
            head = re.compile(r"^(?:MethodTable: 0*|Size: +)([0-9a-f]+)", re.MULTILINE)
            assert head.findall(ours) == head.findall(theirs)
            held = re.compile(r"No instance ([0-9a-f]+) (\S+)$", re.MULTILINE)
            wanted = {(field, int(value, 16)) for value, field in held.findall(theirs) if int(value, 16)}
            assert {(field, int(value, 16)) for value, field in held.findall(ours)} == wanted
        elif name == "objsize":
            ours = answer(command, session).text
            assert listed(ours) == listed(theirs) and statistics(ours) == statistics(theirs)
        elif name == "gcroot":
            hops = set(re.findall(r"-> ([0-9a-f]+) ", answer(f"{command} -all", session).text))
            # SOS adds that no root was found where only a thread static of .NET 9 or 10 holds the object.
            wanted_hops = {f"{int(one, 16):x}" for one in re.findall(r"-> +([0-9a-f]+) ", theirs)}
            assert not wanted_hops or (f"{int(address, 16):x}" in hops and hops & wanted_hops)


@pytest.fixture
def small(tmp_path: Path) -> Session:
    return session_of(open_index(small_index(tmp_path / "index")), most=20)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Write a command"),
        ("dumpheep", "Did you mean dumpheap?"),
        ("dumpheap -typ X", "Did you mean -type?"),
        ("dumpheap -min", "needs a value"),
        ("dumpheap -min many", "takes a number"),
        ("dumpheap -gen gen9", "gen0, gen1"),
        ("dumpheap -type NoSuchType", "No type on the heap has NoSuchType"),
        ("dumpheap -mt 1234", "method table 1234"),
        ('dumpheap -type "x', "quotation mark"),
        ("eeheap all", "takes no all"),
        ("dumpobj", "address is missing"),
        ("dumpobj zz", "no address"),
        ("dumpobj 10", "No object lies at 10"),
        ("clrstack 99999", "no thread 99999"),
        ("clrstack x", "is no thread"),
        ("pe 10", "No exception lies at 10"),
        ("help nothing", "no command nothing"),
        ("x" * 3000, "at most 2,000 characters"),
    ],
)
def test_what_is_not_understood_is_said(small: Session, text: str, said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)):
        answer(text, small)


def test_every_command_has_help_and_can_be_asked(small: Session) -> None:
    listed_commands = answer("help", small).text
    for command in COMMANDS:
        assert command.name in listed_commands
        assert command.usage in answer(f"help {command.name}", small).text
        if not command.arguments or command.arguments.startswith("["):
            assert answer(f"!{command.name.upper()}", small).lines


def test_a_long_answer_is_cut_and_says_so(small: Session) -> None:
    found = answer("dumpheap", small)
    assert "more: narrow it down" in found.text and found.text.count("\n") < 100


def test_without_a_heap_commands_say_so(tmp_path: Path) -> None:
    mini = session_of(open_index(mini_index(tmp_path / "index")))
    for command in ("dumpheap -stat", "dumpheap -live"):
        with pytest.raises(CommandError, match="no managed heap"):
            answer(command, mini)
    for command in ("dumpobj 7f0000000000", "gcroot 7f0000000000"):
        with pytest.raises(CommandError, match="No object lies"):
            answer(command, mini)
    assert "OS Thread Id" in answer("clrstack -all", mini).text


def test_hostile_names_stay_on_their_line(tmp_path: Path) -> None:
    hostile = session_of(open_index(hostile_index(tmp_path / "index")))
    text = answer("dumpheap -stat", hostile).text
    assert all(character not in text for character in "\x00\x1b\r\u202e") and max(map(len, text.splitlines())) < 1200
    assert len(HOSTILE_NAMES) <= text.count("\n")
