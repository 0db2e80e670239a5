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

    def chain(self, row: int) -> list[int]:
        """Rows of an exception and of its inner ones, outermost first; it ends where it comes back to itself."""
        found: dict[int, None] = {}
        following: int | None = row
        while following is not None and following not in found and len(found) < LIMITS.exception_nesting:
            found[following] = None
            following = self.row_of.get(self.rows[following].exception.inner)
        return list(found)


def collect_exceptions(dump: Dump, heap: ObjectsByType) -> ExceptionList:
    """Threads' exceptions with their inner chains first, then every other exception object of the heap by address."""
    found, reader = ExceptionList(), dump.exceptions

    def add(address: int, thread: int = -1, nesting: int = -1) -> None:
        """One exception and its inner ones. A chain ends where it meets one that is known: what follows is known too."""
        while reader.is_exception(address) and address not in found.row_of:
            if len(found.rows) >= LIMITS.exceptions:
                found.left_out += 1
                return
            exception = reader.read(address)
            found.row_of[address] = len(found.rows)
            found.rows.append(FoundException(exception, thread, nesting))
            address, thread, nesting = exception.inner, -1, -1

    for row, thread in enumerate(dump.threads.threads):
        held = [thread.exception] if reader.is_exception(thread.exception) else []
        held += reader.nested(thread.address, thread.exception)
        for nesting, address in enumerate(held):
            add(address, row, nesting)
    for address in heap.of(EXCEPTION, derived=True).tolist():
        add(address)
    return found
