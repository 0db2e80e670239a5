"""Exceptions equal the reference reader's on every dump: objects, chains, stack traces, what threads hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.dump import Dump
from analysis.index.store import IndexWriter, open_index
from analysis.insight.crash import signal_name
from analysis.insight.exceptions import ExceptionList, FoundException
from analysis.insight.execution import Execution
from analysis.limits import LIMITS
from analysis.runtime.exceptions import ExceptionObject
from analysis.tables.exceptions import write_exceptions
from analysis.tables.methods import MethodRows
from tests.analysis.bundled_dumps import bundled_dump
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps

_LIGHTWEIGHT = "dynamic method"


@pytest.fixture(scope="module")
def execution(dump: Dump) -> Iterator[Execution]:
    yield Execution(dump, dump.walk())


def test_exceptions_of_the_heap_equal_the_reference(reference: ReferenceDump, execution: Execution) -> None:
    """Type, message as stored, HResult, inner exception, and of each frame ip, sp and method."""
    found = {row.exception.address: row.exception for row in execution.exceptions.rows}
    for theirs in reference.oracle["exceptions"]:
        ours = found[int(theirs["address"], 16)]
        assert (ours.type_name, ours.message, ours.hresult) == (theirs["type"], theirs["message"], theirs["hresult"])
        assert ours.inner == int(theirs["inner"] or "0", 16)
        frames = [(int(frame["ip"], 16), int(frame["sp"], 16), frame["method"]) for frame in theirs["frames"]]
        assert _frames(execution.dump, ours) == frames
    if execution.walked:
        assert len(found) == len(reference.oracle["exceptions"])


def _frames(dump: Dump, exception: ExceptionObject) -> list[tuple[int, int, str | None]]:
    methods = [dump.stack_walker.methods.of(element.method_desc) for element in exception.trace]
    names = [None if method.kind == _LIGHTWEIGHT else method.name for method in methods]
    return [(element.ip, element.sp, name) for element, name in zip(exception.trace, names, strict=True)]


def test_current_exceptions_of_threads_equal_the_reference(reference: ReferenceDump, execution: Execution) -> None:
    theirs = {
        thread["managed_id"]: (int(thread["exception"]["address"], 16), thread["exception"]["type"])
        for thread in reference.oracle["threads"] if thread["exception"]
    }  # fmt: skip
    held = [row for row in execution.exceptions.rows if row.nesting == 0]
    ours = {execution.threads[row.thread].managed_id: (row.exception.address, row.exception.type_name) for row in held}
    assert ours == theirs


def test_rows_of_the_index_lead_to_inner_exceptions_and_frames(execution: Execution, tmp_path: Path) -> None:
    writer, methods = IndexWriter(tmp_path, "test"), MethodRows(execution.dump.runtime.modules)
    write_exceptions(writer, execution.dump, execution.exceptions, methods)
    methods.write(writer)
    writer.finish()
    index = open_index(tmp_path)
    addresses = index.column("exceptions", "address").tolist()
    for row, entry in enumerate(execution.exceptions.rows):
        inner = int(index.column("exceptions", "inner")[row])
        assert (addresses[inner] if inner >= 0 else 0) == entry.exception.inner
        first, count = int(index.column("exceptions", "first_frame")[row]), int(index.column("exceptions", "frames")[row])
        assert index.column("exception_frames", "ip")[first : first + count].tolist() == [e.ip for e in entry.exception.trace]
        assert set(index.column("exception_frames", "exception")[first : first + count].tolist()) <= {row}
    named = index.column("exception_frames", "method")
    assert not len(named) or named.min() >= 0


def test_nested_exceptions_come_latest_first() -> None:
    path = next((dump.path for dump in reference_dumps() if dump.name == "net10/stacks"), None)
    if path is None:
        pytest.skip("the families of dumps are not there")
    dump = Dump(path)
    execution = Execution(dump, dump.walk())
    rows = [row for row in execution.exceptions.rows if row.thread >= 0 and execution.threads[row.thread].name == "nested-catch"]
    assert [(row.nesting, row.exception.message) for row in rows] == [(0, "three"), (1, "two"), (2, "one")]


def _row(address: int, inner: int) -> FoundException:
    return FoundException(ExceptionObject(address, "System.Exception", None, 0, inner, ()), -1, -1)


@pytest.mark.parametrize(
    "inners, chain",
    [([0], [0]), ([1], [0]), ([2, 3, 0], [0, 1, 2]), ([2, 1], [0, 1]), ([2, 3, 2], [0, 1, 2]), ([9], [0])],
    ids=["one", "itself", "three", "circle", "circle behind", "one that is not there"],
)
def test_chains_end(inners: list[int], chain: list[int]) -> None:
    """Addresses count from 1, rows from 0."""
    rows = [_row(number + 1, inner) for number, inner in enumerate(inners)]
    found = ExceptionList(rows, {row.exception.address: number for number, row in enumerate(rows)})
    assert found.chain(0) == chain


def test_all_traces_and_messages_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = type(LIMITS)(exception_frames=0, exception_text_characters=10, exceptions=7)
    for room in ("runtime", "insight"):
        monkeypatch.setattr(f"analysis.{room}.exceptions.LIMITS", limits)
    dump = Dump(bundled_dump("zoo-net10"))
    found = Execution(dump, dump.walk()).exceptions
    assert (len(found.rows), found.left_out > 0) == (7, True)
    assert sum(len(row.exception.trace) for row in found.rows) == 0
    assert dump.exceptions.frames_left_out > 0


def test_what_is_no_exception_is_read_as_nothing() -> None:
    dump = Dump(bundled_dump("zoo-net10"))
    assert not dump.exceptions.is_exception(0)
    assert not dump.exceptions.is_exception(0xDEAD_BEEF_0000)
    empty = dump.exceptions.read(0xDEAD_BEEF_0000)
    assert (empty.type_name, empty.message, empty.inner, empty.trace) == ("", None, 0, ())
    assert dump.exceptions.nested(0xDEAD_BEEF_0000, 0) == []


@pytest.mark.parametrize(
    "name, kind, exception",
    [
        ("crash", "unhandled exception", "Scenarios.PaymentException"),
        ("nullref", "unhandled exception", "System.NullReferenceException"),
        ("nullref-mini", "unhandled exception", "System.NullReferenceException"),
        ("nullref-triage", "unhandled exception", "System.NullReferenceException"),
        ("oom", "out of memory", "System.OutOfMemoryException"),
        ("stackoverflow", "stack overflow", "System.StackOverflowException"),
        ("zoo", None, None),
    ],
)
def test_how_the_process_ended(name: str, kind: str | None, exception: str | None) -> None:
    """On every version there is a dump of; the signature is the same for the same crash on another version."""
    paths = [dump.path for dump in reference_dumps() if dump.path.stem == name]
    signatures = set()
    for path in paths:
        dump = Dump(path)
        execution = Execution(dump, dump.walk())
        crash = execution.crash
        assert crash.kind == kind
        held = execution.exceptions.rows[crash.exception].exception.type_name if crash.exception is not None else None
        on_thread = execution.threads[crash.thread].exception_type if crash.thread is not None else None
        assert exception in (held, on_thread)
        assert crash.signal == ("SIGABRT (6)" if kind else None)
        signatures.add(crash.signature)
    assert len(signatures) <= 1


def test_signals_have_names() -> None:
    assert (signal_name(11), signal_name(250)) == ("SIGSEGV (11)", "250")
