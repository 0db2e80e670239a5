"""Class constructors: a thread that needs a type waits until another one has run its static constructor.

The runtime keeps such locks in a list and remembers for each thread which one it is about to block on, because it lets
threads through that would otherwise wait for each other's constructors (``DeadlockAwareLock`` in ``vm/threads.h``,
``ListLockEntry`` in ``vm/listlock.h``). What remains are cycles with locks of another kind in them.
"""

from __future__ import annotations

from analysis.errors import AnalysisError
from analysis.insight.waits.blocked import BlockedStack
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Holder, Lock
from analysis.runtime.stack_frames import FrameKind

KIND = "class constructor"
_CONSTRUCTOR = ".cctor"
_RECORD = "the runtime's note of which initialisation the thread waits for"
_STATE = "the runtime's own record"


def find(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """The type whose static constructor the thread waits for; none when the runtime notes none."""
    thread = blocked.stack.thread
    lock = _blocking_lock(evidence, thread.address) if thread else 0
    method_table = _type_of(evidence, lock) if lock else 0
    if not method_table:
        return []
    holder = _holder(evidence, lock)
    return [Found(KIND, method_table, "initialise", _RECORD)] if holder >= 0 else []


def _blocking_lock(evidence: Evidence, thread: int) -> int:
    try:
        return evidence.target.pointer(thread, "Thread", "BlockingLock")
    except AnalysisError:
        return 0


def _holder(evidence: Evidence, lock: int) -> int:
    """Row of the thread that holds a lock of the list, -1 when it is none of them: then this is no such lock."""
    try:
        return evidence.row_of_address.get(evidence.target.pointer(lock, "DeadlockAwareLock", "HoldingThread"), -1)
    except AnalysisError:
        return -1


def _type_of(evidence: Evidence, lock: int) -> int:
    """The MethodTable that an entry of the list is about; 0 for entries about other things (methods being compiled)."""
    layout = evidence.target.layout
    try:
        entry = lock - layout.offset("ListLockEntry", "DeadlockAwareLock")
        return evidence.dump.runtime.types.info(evidence.target.pointer(entry, "ListLockEntry", "Data")).method_table
    except AnalysisError:
        return 0


def describe(evidence: Evidence, kind: str, address: int) -> Lock:
    """The initialisation of the type with MethodTable ``address``, held by the thread that runs its static constructor."""
    lock = Lock(KIND, address, evidence.dump.runtime.types.name(address), state="running", held=True, recursion=1)
    for thread in evidence.threads:
        entry = _blocking_lock(evidence, thread.address)
        if entry and _type_of(evidence, entry) == address:
            lock.owner = _holder(evidence, entry)
            break
    if lock.owner >= 0:
        lock.holders.append(Holder(lock.owner, "owner", _STATE, Certainty.CERTAIN, _frame(evidence, lock)))
    lock.orphaned = evidence.ended(lock.owner)
    return lock


def _frame(evidence: Evidence, lock: Lock) -> int:
    """Place of the frame of the static constructor on its thread's stack, -1 when it has none yet."""
    for place, frame in enumerate(evidence.stacks[lock.owner].frames):
        method = frame.method
        if frame.kind is not FrameKind.MANAGED or method is None:
            continue
        if (method.type_name, method.method_name) == (lock.type_name, _CONSTRUCTOR):
            return place
    return -1
