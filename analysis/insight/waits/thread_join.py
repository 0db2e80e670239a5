"""Thread.Join: a thread that waits until another one has ended."""

from __future__ import annotations

from analysis.insight.waits.blocked import BlockedStack, distinct
from analysis.insight.waits.choice import choose
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Holder, Lock
from analysis.runtime.stack_frames import FrameKind

KIND = "Thread"
TYPE = "System.Threading.Thread"
CODE = (TYPE,)
_HELPER_WITH_OBJECT = "HelperMethodFrame_1OBJ"


def find(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    own = blocked.stack.thread.address if blocked.stack.thread else 0

    def lives(address: int) -> bool:
        row = evidence.row_of_object.get(address, -1)
        return row >= 0 and evidence.threads[row].address != own

    return [choose(evidence, blocked, KIND, "join", TYPE, CODE, lives)]


def find_by_helper(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """In .NET 8 Join is a helper of the runtime without a managed frame; its Frame protects the Thread object."""
    top = next((f for f in blocked.stack.frames if f.kind is not FrameKind.NATIVE), None)
    thread = blocked.stack.thread
    if top is None or thread is None or top.label != _HELPER_WITH_OBJECT or "waiting" not in thread.state_words:
        return []
    others = distinct(blocked.runtime_objects(), lambda address: evidence.row_of_object.get(address, -1) >= 0)
    how = "the object that the runtime's helper was called with"
    return [Found(KIND, others[0].object, "join", how, Certainty.LIKELY)] if len(others) == 1 else []


def describe(evidence: Evidence, kind: str, address: int) -> Lock:
    """A thread that is joined: it holds itself until it ends."""
    lock = Lock(KIND, address, evidence.type_name(address))
    lock.owner = evidence.row_of_object.get(address, -1)
    lock.held = not evidence.ended(lock.owner)
    lock.state = "running" if lock.held else "ended"
    if lock.owner >= 0 and "not started" in evidence.threads[lock.owner].state_words:
        lock.state, lock.held = "not started", True
    if lock.held:
        lock.holders.append(Holder(lock.owner, "runs", "the thread itself"))
    return lock
