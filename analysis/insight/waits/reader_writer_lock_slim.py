"""ReaderWriterLockSlim: the writer by its managed id, readers by the counts that every thread keeps for itself.

Source: ``System/Threading/ReaderWriterLockSlim.cs`` in dotnet/runtime for the bits of ``_owners``.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.waits.blocked import BlockedStack
from analysis.insight.waits.choice import choose
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Holder, Lock, LockKey

KIND = "ReaderWriterLockSlim"
TYPE = "System.Threading.ReaderWriterLockSlim"
CODE = (TYPE,)
_WRITER_HELD, _READERS = 0x80000000, 0x0FFFFFFF
_WAITER_COUNTS = ("_numWriteWaiters", "_numReadWaiters", "_numWriteUpgradeWaiters", "_numUpgradeWaiters")
_STATE = "the lock's own state"
_COUNTS = "the thread's own count of the locks it reads"


def find(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    found = choose(evidence, blocked, KIND, _mode(blocked), TYPE, CODE, lambda address: _waiters(evidence, address) > 0)
    return [found]


def _mode(blocked: BlockedStack) -> str:
    names = " ".join(blocked.methods(*CODE))
    if "Upgradeable" in names:
        return "upgradeable read"
    return "write" if "Write" in names else "read"


def describe(evidence: Evidence, kind: str, address: int) -> Lock:
    fields = evidence.fields
    lock = Lock(KIND, address, evidence.type_name(address), stated_waiters=_waiters(evidence, address))
    owners = fields.number(address, "_owners")
    if owners is None:
        lock.state = "not known"
        return lock
    writer, readers = bool(owners & _WRITER_HELD), owners & _READERS
    upgrader = fields.number(address, "_upgradeLockOwnerId") or -1
    lock.held = writer or bool(readers)
    lock.state = "held by a writer" if writer else f"{readers:,} reader{'s' * (readers != 1)}" if readers else "not held"
    if writer:
        _writer(evidence, lock, fields.number(address, "_writeLockOwnerId") or -1)
    if upgrader > 0:
        _hold(evidence, lock, evidence.row_of_managed_id.get(upgrader, -1), "upgradeable reader", _STATE)
        lock.state += ", one of them may become the writer"
    if readers:
        _readers(evidence, lock, readers)
    if len(lock.holders) == 1 and not lock.orphaned:
        lock.owner = lock.holders[0].thread
    return lock


def _writer(evidence: Evidence, lock: Lock, managed_id: int) -> None:
    row = evidence.row_of_managed_id.get(managed_id, -1)
    lock.owner, lock.recursion = row, 1
    for reader, counts in _counts(evidence, lock.object):
        if reader == row:
            lock.recursion = max(evidence.fields.number(counts, "writercount") or 1, 1)
    _hold(evidence, lock, row, "writer", _STATE)


def _readers(evidence: Evidence, lock: Lock, readers: int) -> None:
    """Threads whose own count says that they read; entries without a thread are said in the state."""
    known = entered = 0
    upgraders = {holder.thread for holder in lock.holders}
    for row, counts in _counts(evidence, lock.object):
        entries = evidence.fields.number(counts, "readercount") or 0
        if entries > 0 and row not in upgraders:
            known, entered = known + 1, entered + entries
            _hold(evidence, lock, row, "reader", _COUNTS)
    lock.recursion = entered if known == 1 else 1
    missing = readers - known - len(upgraders)
    if missing > 0:
        lock.state += f", {missing:,} of them not known by name"


def _hold(evidence: Evidence, lock: Lock, row: int, mode: str, how: str) -> None:
    if evidence.ended(row):
        lock.orphaned = True
        lock.state += " by a thread that has ended"
    if row >= 0:
        lock.holders.append(Holder(row, mode, how, Certainty.CERTAIN))


def _counts(evidence: Evidence, lock: int) -> list[tuple[int, int]]:
    """Rows of threads with their ReaderWriterCount of a lock."""
    return evidence.reader_counts.get(evidence.fields.number(lock, "_lockID") or 0, [])


def _waiters(evidence: Evidence, address: int) -> int:
    counts = [evidence.fields.number(address, name) for name in _WAITER_COUNTS]
    known = [count for count in counts if count is not None]
    return sum(known) if known else -1


def held(evidence: Evidence) -> Iterator[LockKey]:
    for address in evidence.instances_with(TYPE, "_owners"):
        if (evidence.fields.number(address, "_owners") or 0) & (_WRITER_HELD | _READERS):
            yield KIND, address
