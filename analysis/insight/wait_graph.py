"""Who waits for what: one graph over threads, locks and what stands between them.

Each edge says how it is known and how sure it is. Where the runtime keeps no record, objects on the stacks are taken,
confirmed by the state of the lock; where there are none, a lock whose own count of waiters is not accounted for.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from analysis.dump import Dump
from analysis.heap.walk import HeapWalk
from analysis.insight.waits import events, monitor, semaphore_slim
from analysis.insight.waits.blocked import BlockedStack
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Holder, Lock, LockKey, Wait
from analysis.insight.waits.primitives import describe, held_or_waited, waits_of
from analysis.insight.waits.tasks import TaskProgress
from analysis.runtime.stack_frames import ThreadStack

#: Locks in one graph; tasks can hang on each other by the million.
_MOST_LOCKS = 500_000
_BY_ELIMINATION = "the only lock of its kind with a waiter that is not accounted for"
_ENTERED_AGAIN = (monitor.KIND, events.HANDLE_KINDS[0])
_ON_STACK = "a frame of the thread keeps it for later"


@dataclass(frozen=True, slots=True)
class Chain:
    """An edge from a lock to another it waits for in turn; both are rows of the graph's locks."""

    lock: int
    next: int
    how: str
    certainty: Certainty


@dataclass(slots=True)
class WaitGraph:
    """Rows of ``locks`` are what waits and chains refer to; ``unknown`` holds, by row of thread, the kind of a lock that a
    thread waits for where its object was not found. ``problems`` says in words what could not be read."""

    locks: list[Lock] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    unknown: dict[int, Found] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def waits_of(self) -> dict[int, list[Wait]]:
        """Waits by row of thread."""
        found: dict[int, list[Wait]] = {}
        for wait in self.waits:
            found.setdefault(wait.thread, []).append(wait)
        return found


def build_wait_graph(dump: Dump, stacks: Sequence[ThreadStack], walked: HeapWalk | None) -> WaitGraph:
    """The graph of a dump. Never raises for damage; without a heap it holds what stacks and the runtime's records tell."""
    return _Builder(Evidence(dump, stacks, walked)).build()


class _Builder:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence, self._progress = evidence, TaskProgress(evidence)
        self._graph = WaitGraph(problems=evidence.problems)
        self._rows: dict[LockKey, int] = {}
        self._left_out = 0
        self._blocked = [BlockedStack(stack, evidence.methods) for stack in evidence.stacks]

    def build(self) -> WaitGraph:
        for row, blocked in enumerate(self._blocked):
            for found in waits_of(self._evidence, blocked) if self._evidence.threads[row].alive else ():
                if found.object:
                    self._wait(row, found)
                else:
                    self._graph.unknown[row] = found
        explained = {self._evidence.threads[wait.thread].address for wait in self._graph.waits}
        for key in held_or_waited(self._evidence, explained):
            self._lock(key)
        self._follow_chains()
        self._eliminate()
        self._look_for_holders()
        for wait in self._graph.waits:
            self._graph.locks[wait.lock].waiters += 1
        if self._left_out:
            problem = f"the graph ends at {_MOST_LOCKS:,} locks; {self._left_out:,} mentions of others were left out"
            self._graph.problems.append(problem)
        return self._graph

    def _lock(self, key: LockKey) -> int:
        """Row of a lock; -1 beyond the cap."""
        row = self._rows.get(key)
        if row is None:
            if len(self._graph.locks) >= _MOST_LOCKS:
                self._left_out += 1
                return -1
            row = self._rows[key] = len(self._graph.locks)
            self._graph.locks.append(describe(self._evidence, self._progress, key))
        return row

    def _wait(self, thread: int, found: Found) -> None:
        lock = self._lock((found.kind, found.object))
        if lock >= 0:
            frame = self._blocked[thread].frame
            how = f"{found.how}; it gives up after a while" if found.timed else found.how
            self._graph.waits.append(Wait(thread, lock, frame, found.mode, found.position, how, found.certainty, found.timed))

    def _follow_chains(self) -> None:
        """Add what locks wait for in turn, until nothing new is found."""
        pending = deque(range(len(self._graph.locks)))
        while pending:
            row = pending.popleft()
            for link in self._graph.locks[row].chain:
                before = len(self._graph.locks)
                following = self._lock(link.next)
                if following >= 0:
                    self._graph.chains.append(Chain(row, following, link.how, link.certainty))
                if following == before:
                    pending.append(following)

    def _eliminate(self) -> None:
        """Give a thread whose lock was not found the only lock of that kind that counts more waiters than are known."""
        known = Counter(wait.lock for wait in self._graph.waits)
        rest: dict[str, list[int]] = {}
        for row, lock in enumerate(self._graph.locks):
            if lock.stated_waiters > known[row]:
                rest.setdefault(lock.kind, []).append(row)
        for thread, found in list(self._graph.unknown.items()):
            rows = rest.get(found.kind, ())
            if len(rows) != 1 or self._graph.locks[rows[0]].stated_waiters <= known[rows[0]]:
                continue
            known[rows[0]] += 1
            lock = self._graph.locks[rows[0]]
            self._wait(thread, Found(lock.kind, lock.object, found.mode, _BY_ELIMINATION, Certainty.LIKELY))
            del self._graph.unknown[thread]

    def _look_for_holders(self) -> None:
        """Find the frames that took the locks; and holders of those that do not remember them, by who keeps them for later."""
        wanted: dict[int, list[Lock]] = {}
        for lock in self._graph.locks:
            if lock.holders or self._exclusive(lock):
                wanted.setdefault(lock.object, []).append(lock)
        entering = {(wait.thread, self._graph.locks[wait.lock].object): wait.lock for wait in self._graph.waits}
        kept: dict[int, dict[int, tuple[int, bool]]] = {}
        for row, blocked in enumerate(self._blocked):
            last = blocked.run[-1].place if blocked.run else blocked.top - 1
            for place, frame in enumerate(blocked.stack.frames[last + 1 :], last + 1):
                for found in frame.objects:
                    if found.object in wanted and not self._enters(entering.get((row, found.object)), place == blocked.frame):
                        kept.setdefault(found.object, {}).setdefault(row, (place, found.precise))
        for address, threads in kept.items():
            for lock in wanted[address]:
                _took(lock, threads) if lock.holders else _hold_by_stack(lock, threads)

    def _enters(self, lock: int | None, calling: bool) -> bool:
        """Whether a thread refers to a lock only because it waits for it. One that can be entered again by its owner is never
        waited for by its owner; of any other, the frame that calls the waiting code does not hold it yet."""
        return lock is not None and (calling or self._graph.locks[lock].kind in _ENTERED_AGAIN)

    def _exclusive(self, lock: Lock) -> bool:
        """Whether a lock lets one thread in at a time without saying which."""
        if lock.kind == semaphore_slim.KIND:
            return semaphore_slim.exclusive(self._evidence, lock.object)
        return lock.kind == events.HANDLE_KINDS[0] or (lock.kind == monitor.KIND and lock.state == monitor.NOT_IN_DUMP)


def _took(lock: Lock, threads: dict[int, tuple[int, bool]]) -> None:
    """The innermost frame outside waiting code that refers to a lock is the one that took it."""
    for holder in lock.holders:
        if holder.frame < 0 and holder.thread in threads:
            holder.frame = threads[holder.thread][0]


def _hold_by_stack(lock: Lock, threads: dict[int, tuple[int, bool]]) -> None:
    """Threads that keep a lock for later, which does not say who holds it: likely, if there is only one of them."""
    sure = len(threads) == 1 and all(precise for _, precise in threads.values())
    for row, (place, _) in threads.items():
        lock.holders.append(Holder(row, "owner", _ON_STACK, Certainty.LIKELY if sure else Certainty.POSSIBLE, place))
    if sure:
        lock.held, lock.owner = True, next(iter(threads))
