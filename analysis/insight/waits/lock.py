"""System.Threading.Lock (.NET 9 and later). Its owner is an operating system thread id.

Source: ``System/Threading/Lock.cs`` in dotnet/runtime for the bits of ``_state``.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.waits.blocked import BlockedStack
from analysis.insight.waits.choice import choose
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Found, Holder, Lock, LockKey

KIND = "Lock"
TYPE = "System.Threading.Lock"
CODE = (TYPE,)
_LOCKED, _WAITERS_SHIFT = 1, 7


def find(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    return [choose(evidence, blocked, KIND, "enter", TYPE, CODE, lambda address: _waiters(evidence, address) > 0)]


def describe(evidence: Evidence, kind: str, address: int) -> Lock:
    fields = evidence.fields
    lock = Lock(KIND, address, evidence.type_name(address), stated_waiters=_waiters(evidence, address))
    state = fields.number(address, "_state")
    lock.held = bool(state and state & _LOCKED)
    lock.state = "not known" if state is None else "not held"
    if not lock.held:
        return lock
    lock.recursion = (fields.number(address, "_recursionCount") or 0) + 1
    lock.state = "held" if lock.recursion == 1 else f"held, entered {lock.recursion:,} times"
    lock.owner = evidence.row_of_os_id.get(fields.number(address, "_owningThreadId") or 0, -1)
    if lock.owner >= 0:
        lock.holders.append(Holder(lock.owner, "owner", "the lock's own state"))
    lock.orphaned = evidence.ended(lock.owner)
    if lock.orphaned:
        lock.state += " by a thread that has ended"
    return lock


def _waiters(evidence: Evidence, address: int) -> int:
    state = evidence.fields.number(address, "_state")
    return -1 if state is None else state >> _WAITERS_SHIFT


def held(evidence: Evidence) -> Iterator[LockKey]:
    for address in evidence.instances_with(TYPE, "_state"):
        state = evidence.fields.number(address, "_state") or 0
        if state & _LOCKED or state >> _WAITERS_SHIFT:
            yield KIND, address
