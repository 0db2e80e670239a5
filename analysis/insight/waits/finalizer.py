"""GC.WaitForPendingFinalizers: a thread that waits until the finalizer thread has emptied its queue."""

from __future__ import annotations

from analysis.insight.waits.blocked import BlockedStack
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Holder, Lock

KIND = "finalizer queue"
CODE = ("System.GC",)


def find(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    row = _finalizer(evidence)
    address = evidence.threads[row].address if row >= 0 else 0
    return [Found(KIND, address, "completion", "the method the thread is in", Certainty.CERTAIN)]


def describe(evidence: Evidence, kind: str, address: int) -> Lock:
    """The queue, named by the address of the finalizer's Thread, which empties it."""
    row = _finalizer(evidence)
    lock = Lock(KIND, address, "", held=row >= 0, owner=row, state="not empty")
    if row >= 0:
        lock.holders.append(Holder(row, "runs", "there is one finalizer thread"))
    return lock


def _finalizer(evidence: Evidence) -> int:
    return next((row for row, thread in enumerate(evidence.threads) if thread.finalizer), -1)
