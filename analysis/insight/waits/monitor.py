"""Monitor: the ``lock`` statement, Monitor.Enter and Monitor.Wait, through thin locks and sync blocks.

The runtime notes for debuggers which sync block a thread is blocked on (``DebugBlockingItem`` in ``vm/threads.h``), so
that no stack is needed; without that note the objects on the stack are asked for one that somebody else holds.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from analysis.insight.waits.blocked import BlockedStack, distinct
from analysis.insight.waits.choice import judge
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Holder, Lock, LockKey
from analysis.runtime.stack_frames import FrameKind
from analysis.runtime.sync_blocks import SyncBlock, read_blocking_record

KIND = "Monitor"
CODE = ("System.Threading.Monitor", "System.Threading.ObjectHeader")
ENTER, PULSE = "enter", "pulse"
NOT_IN_DUMP = "its state is not in the dump"
_RECORD = "the runtime's note of what blocks the thread"
_WAIT_LIST = "the runtime's list of threads in Monitor.Wait"
_STATE = "the lock's own state"
_HELPER_WITH_OBJECT = "HelperMethodFrame_1OBJ"


def find(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """The Monitor a thread is blocked on; none when the runtime notes none and its code is not that of Monitor."""
    thread = blocked.stack.thread
    if thread is None:
        return []
    record = read_blocking_record(evidence.target, thread.address)
    waited = _object_of(evidence, record.sync_block) if record else 0
    if record and waited:
        timed = record.timeout >= 0
        if not record.in_wait:
            return [Found(KIND, waited, ENTER, _RECORD, timed=timed)]
        position = evidence.place_in_line.get(thread.address, -1)
        return [Found(KIND, waited, PULSE, _WAIT_LIST if position > 0 else _RECORD, position=position, timed=timed)]
    methods = blocked.methods(*CODE)
    if methods:
        return [_by_stack(evidence, blocked, PULSE if methods[0].startswith(("Wait", "ObjWait")) else ENTER)]
    return _by_helper(evidence, blocked)


def _object_of(evidence: Evidence, address: int) -> int:
    """The object that the sync block at an address belongs to; 0 when there is no such block."""
    block = evidence.block_at.get(address)
    return block.object if block else evidence.sync_table.unread.get(address, (0, 0))[1]


def _by_stack(evidence: Evidence, blocked: BlockedStack, mode: str) -> Found:
    thread = blocked.stack.thread
    own = thread.managed_id if thread else 0

    def held_by_another(address: int) -> bool:
        lock = describe(evidence, KIND, address)
        return lock.held and (lock.owner < 0 or evidence.threads[lock.owner].managed_id != own)

    def known(address: int) -> bool:
        return address in evidence.block_of or address in evidence.thin_locks

    candidates = distinct(blocked.candidates(*CODE), known)
    return judge(candidates, KIND, mode, held_by_another if mode == ENTER else known)


def _by_helper(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """Up to .NET 9 Monitor.Enter is a helper of the runtime without a managed frame; its Frame protects the object."""
    top = next((f for f in blocked.stack.frames if f.kind is not FrameKind.NATIVE), None)
    if top is None or top.label != _HELPER_WITH_OBJECT:
        return []
    thread = blocked.stack.thread
    for candidate in blocked.runtime_objects():
        block = evidence.block_of.get(candidate.object)
        if block and block.held and block.waiters and thread and block.owner not in (0, thread.address):
            return [Found(KIND, block.object, ENTER, "the object that the runtime's helper was called with", Certainty.LIKELY)]
    return []


def describe(evidence: Evidence, kind: str, address: int) -> Lock:
    """State and owner of the Monitor of an object."""
    block = evidence.block_of.get(address)
    if block:
        return _of_block(evidence, block)
    lock = Lock(KIND, address, evidence.type_name(address))
    if address in evidence.unread_blocks:
        lock.form, lock.sync_index, lock.state = "sync block", evidence.unread_blocks[address], NOT_IN_DUMP
        return lock
    thin = evidence.thin_locks.get(address)
    if thin is None:
        lock.state = "not held"
        return lock
    lock.form, lock.held, lock.recursion = "thin lock", True, thin.recursion
    lock.state = _entries(thin.recursion)
    _own(evidence, lock, evidence.row_of_managed_id.get(thin.owner_id, -1))
    return lock


def _of_block(evidence: Evidence, block: SyncBlock) -> Lock:
    lock = Lock(
        KIND, block.object, evidence.type_name(block.object), "sync block", block.index, block.held,
        recursion=block.recursion, stated_waiters=block.waiters + len(block.wait_list),
    )  # fmt: skip
    lock.state = _entries(block.recursion) if block.held else "not held"
    if block.wait_list:
        lock.state += f", {len(block.wait_list):,} in Monitor.Wait"
    if block.held:
        by_address = evidence.row_of_address.get(block.owner) if block.owner else evidence.row_of_managed_id.get(block.owner_id)
        _own(evidence, lock, -1 if by_address is None else by_address)
    return lock


def _entries(recursion: int) -> str:
    return "held" if recursion <= 1 else f"held, entered {recursion:,} times"


def _own(evidence: Evidence, lock: Lock, row: int) -> None:
    lock.owner = row
    lock.orphaned = evidence.ended(row)
    if lock.orphaned:
        lock.state += " by a thread that has ended"
    if row >= 0:
        lock.holders.append(Holder(row, "owner", _STATE))


def held(evidence: Evidence, explained: Container[int]) -> Iterator[LockKey]:
    """Every Monitor that is held or waited for by others than the threads of ``explained``."""
    for thin in evidence.thin_locks.values():
        # The header of a freed block is left over from the object that lay there.
        if evidence.fields.method_table(thin.object) != evidence.dump.runtime.types.free_method_table:
            yield KIND, thin.object
    for block in evidence.sync_table.blocks.values():
        if block.held or block.waiters or any(thread not in explained for thread in block.wait_list):
            yield KIND, block.object
