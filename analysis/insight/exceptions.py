"""All exceptions of a dump in one list: those the threads hold with what led to them, then the others on the heap."""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis.dump import Dump
from analysis.heap.by_type import ObjectsByType
from analysis.limits import LIMITS
from analysis.runtime.exceptions import EXCEPTION, ExceptionObject


@dataclass(frozen=True, slots=True)
class FoundException:
    """An exception; ``thread`` is a row of threads and ``nesting`` 0 for its current one, -1 and -1 when no thread's."""

    exception: ExceptionObject
    thread: int
    nesting: int


@dataclass(slots=True)
class ExceptionList:
    """Exceptions in the order of the index. ``left_out`` counts those beyond the limit."""

    rows: list[FoundException] = field(default_factory=list)
    row_of: dict[int, int] = field(default_factory=dict)
    left_out: int = 0


def collect_exceptions(dump: Dump, heap: ObjectsByType) -> ExceptionList:
    """Threads' exceptions with their inner chains first, then every other exception object of the heap by address."""
    found, reader = ExceptionList(), dump.exceptions

    def add(address: int, thread: int, nesting: int) -> None:
        if address in found.row_of:
            return
        if len(found.rows) >= LIMITS.exceptions:
            found.left_out += 1
            return
        found.row_of[address] = len(found.rows)
        found.rows.append(FoundException(reader.read(address), thread, nesting))

    for row, thread in enumerate(dump.threads.threads):
        held = [thread.exception] if reader.is_exception(thread.exception) else []
        held += reader.nested(thread.address, thread.exception)
        for nesting, address in enumerate(held):
            for depth, inner in enumerate(reader.chain(address)):
                add(inner, row if depth == 0 else -1, nesting if depth == 0 else -1)
    for address in heap.of(EXCEPTION, derived=True).tolist():
        for inner in reader.chain(address):
            add(inner, -1, -1)
    return found
