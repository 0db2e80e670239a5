"""Secrets in the environment, on the command line and in messages: named by kind and place, and cut out of what is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.dump import Dump
from analysis.index.secrets import ARGUMENTS, VARIABLE
from analysis.index.store import IndexWriter, open_index
from analysis.insight.exceptions import ExceptionList, FoundException
from analysis.memory.initial_stack import InitialStack
from analysis.runtime.exceptions import ExceptionObject
from analysis.secrets.find import find_secrets
from analysis.tables.exceptions import write_exceptions
from analysis.tables.facts import build_summary
from analysis.tables.methods import MethodRows
from analysis.tables.secrets import write_secrets
from analysis.tables.stacks import ThreadInsight, write_threads
from tests.analysis.bundled_dumps import bundled_dump
from tests.analysis.secrets.planted import MADE, Random

_PASSWORD = Random(7).password()
_TOKEN = MADE["GitHub token"](Random(8))
_CONNECTION = MADE["SQL Server connection string"](Random(9))


@pytest.fixture
def dump() -> Dump:
    """A dump without a heap, of a process that was started with secrets."""
    found = Dump(bundled_dump("zoo-mini-net10"))
    own = {"PATH": "/bin", "SHOP_DB_PASSWORD": _PASSWORD, "ConnectionStrings__Shop": _CONNECTION, "GITHUB_TOKEN": _TOKEN}
    found.__dict__["initial_stack"] = InitialStack(["./shop", f"--api-key={_TOKEN}", "--port", "80"], list(own.items()))
    return found


def test_variables_and_arguments_are_named(dump: Dump, tmp_path: Path) -> None:
    writer = IndexWriter(tmp_path, "test")
    write_secrets(writer, find_secrets(dump, None, None, None))
    writer.finish()
    index = open_index(tmp_path)
    names, kinds = (index.text("secrets", name).all for name in ("name", "kind"))
    places = index.column("secrets", "place").tolist()
    assert sorted(zip(names, kinds, places, strict=True)) == [
        ("", "GitHub token", ARGUMENTS), ("ConnectionStrings__Shop", "SQL Server connection string", VARIABLE),
        ("GITHUB_TOKEN", "GitHub token", VARIABLE), ("SHOP_DB_PASSWORD", "password in a setting", VARIABLE),
    ]  # fmt: skip
    facts = index.facts("secrets")
    assert (facts["texts"], facts["scanned"]["variables"], facts["scanned"]["arguments"]) == (4, 4, 4)
    assert facts["problem"] == "There is no heap in this dump."
    for path in sorted(tmp_path.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        assert not [one for one in (_PASSWORD, _TOKEN) if one.encode() in content], path.name


def test_the_command_line_is_shown_without_its_secrets(dump: Dump) -> None:
    assert build_summary(dump, None, [])["process"]["command_line"] == "./shop --api-key=[GitHub token] --port 80"
    dump.__dict__["initial_stack"] = None
    assert build_summary(dump, None, [])["process"]["command_line"] == dump.core.process.command_line


def test_messages_are_kept_without_their_secrets(dump: Dump, tmp_path: Path) -> None:
    message = f"Login failed for '{_CONNECTION}' at 10:00"
    rows = [ExceptionObject(8 * one, "System.Exception", text, 0, 0, ()) for one, text in enumerate([message, None, "plain"])]
    writer = IndexWriter(tmp_path, "test")
    found = ExceptionList([FoundException(one, -1, -1) for one in rows])
    write_exceptions(writer, dump, found, MethodRows(dump.runtime.modules))
    writer.finish()
    kept = open_index(tmp_path).text("exceptions", "message").all
    assert kept[1:] == ("", "plain")
    assert "[SQL Server connection string]" in kept[0] and kept[0].startswith("Login failed for") and kept[0].endswith("at 10:00")
    assert _CONNECTION.split("word=")[1].split(";")[0] not in kept[0]


def test_names_of_threads_are_kept_without_their_secrets(dump: Dump, tmp_path: Path) -> None:
    first, *others = dump.threads.threads
    dump.__dict__["threads"] = replace(dump.threads, threads=(replace(first, name=f"worker {_TOKEN}"), *others))
    nothing = [0] * (1 + len(others))
    writer = IndexWriter(tmp_path, "test")
    write_threads(writer, dump, ThreadInsight(nothing, nothing, nothing, [""] * len(nothing)))
    writer.finish()
    assert open_index(tmp_path).text("threads", "name")[0] == "worker [GitHub token]"


def test_a_dump_without_that_part_of_the_stack_says_so(tmp_path: Path) -> None:
    dump = Dump(bundled_dump("zoo-mini-net10"))
    dump.__dict__["initial_stack"] = None
    scanned = find_secrets(dump, None, None, None).scanned
    assert (scanned.variables, scanned.arguments) == (None, None)
