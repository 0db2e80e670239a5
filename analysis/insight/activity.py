"""What each thread does, in one sentence: from what it waits for, else from the code at the top of its stack.

Sentences name threads by managed id, locks by type and address, methods by type and name: nothing above structure (D1).
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.insight.deadlocks import Cycle
from analysis.insight.merged_stacks import is_own
from analysis.insight.wait_graph import WaitGraph
from analysis.insight.waits import class_constructor, countdown, finalizer, monitor, tasks, thread_join
from analysis.insight.waits.parts import Certainty, Found, Lock, Wait
from analysis.insight.waits.state_machine import asynchronous_method
from analysis.runtime.stack_frames import FrameKind, StackFrame, ThreadStack
from analysis.runtime.threads import ManagedThread

_ORDINALS = ("first", "second", "third")
_MOST_NAMED = 4
_ROLES = {"main": "Main thread", "finalizer": "Finalizer thread", "pool worker": "Pool worker", "background": "Background thread"}
#: What the runtime's own threads do, by type and method of a frame that is always on their stacks.
_KNOWN_LOOPS = (
    ("System.Threading.LowLevelLifoSemaphore", "Wait", "is idle and waits for work in the thread pool"),
    ("System.Threading.PortableThreadPool+GateThread", "GateThreadStart", "watches over the workers of the thread pool"),
    ("System.Threading.PortableThreadPool+WaitThread", "WaitThreadStart", "waits for registered handles of the thread pool"),
    ("System.Threading.TimerQueue", "TimerThread", "waits until the next timer is due"),
)
_SLEEP = ("System.Threading.Thread", "Sleep")
_MODES = {
    "enter": "waits to enter", "pulse": "waits to be pulsed on", "read": "waits to read under", "write": "waits to write under",
    "upgradeable read": "waits for the upgradeable read of", "signal": "waits for", "initialise": "waits for",
    "completion": "waits for", "join": "waits for the end of", "any": "waits for any of several, one being", "all": "waits for",
}  # fmt: skip


def describe_threads(
    threads: Sequence[ManagedThread], stacks: Sequence[ThreadStack], graph: WaitGraph, cycles: Sequence[Cycle]
) -> list[str]:
    """One sentence for each thread, in their order; ``stacks`` run along them."""
    return _Narrator(threads, stacks, graph, cycles).sentences()


class _Narrator:
    def __init__(
        self, threads: Sequence[ManagedThread], stacks: Sequence[ThreadStack], graph: WaitGraph, cycles: Sequence[Cycle]
    ) -> None:
        self._threads, self._stacks, self._graph = threads, stacks, graph
        self._waits = graph.waits_of()
        self._next = {chain.lock: chain.next for chain in reversed(graph.chains)}
        self._cycle_of = {step.thread: cycle for cycle in cycles for step in cycle.steps}
        self._behind = {row: cycle for cycle in cycles for row in cycle.bystanders}

    def sentences(self) -> list[str]:
        return [f"{_role(thread)} {self._doing(row)}." for row, thread in enumerate(self._threads)]

    def _doing(self, row: int) -> str:
        thread = self._threads[row]
        if not thread.alive:
            return "has ended" if "dead" in thread.state_words else "was never started"
        waits = self._waits.get(row)
        if waits:
            return self._waiting(row, waits)
        unknown = self._graph.unknown.get(row)
        return _lock_not_found(unknown) if unknown else f"{self._activity(row)}{_own_code(self._stacks[row])}"

    def _waiting(self, row: int, waits: list[Wait]) -> str:
        first = waits[0]
        lock = self._graph.locks[first.lock]
        place = f", {_ordinal(first.position)} in line" if first.position > 0 else ""
        place += ", for a limited time" if first.timed else ""
        more = f" and {len(waits) - 1:,} more" if len(waits) > 1 else ""
        likely = "" if first.certainty is Certainty.CERTAIN or first.mode == "any" else f" ({first.certainty.word})"
        target = f"{_MODES.get(first.mode, 'waits for')} {self._name(lock)}{more}{likely}{place}"
        return f"{target}{self._because(first)}{self._deadlock(row)}"

    def _name(self, lock: Lock) -> str:
        if lock.kind == thread_join.KIND:
            return f"thread {self._id(lock.owner)}" if lock.owner >= 0 else f"a thread, {lock.type_name} {lock.object:#x}"
        if lock.kind == finalizer.KIND:
            return "the finalizer thread to empty its queue"
        if lock.kind == class_constructor.KIND:
            return f"the static constructor of {lock.type_name}"
        if lock.kind == tasks.KIND:
            method = asynchronous_method(lock.type_name)
            return f"the asynchronous method {method}" if method else f"the task {lock.object:#x}"
        kind = "the lock of " if lock.kind == monitor.KIND else ""
        return f"{kind}{lock.type_name} {lock.object:#x}"

    def _because(self, wait: Wait) -> str:
        """Why it still waits: who holds the lock and what that thread does, or what the lock waits for in turn."""
        lock, seen = self._graph.locks[wait.lock], {wait.lock}
        text, row = "", wait.lock
        while not lock.holders and row in self._next and self._next[row] not in seen:
            row = self._next[row]
            seen.add(row)
            lock = self._graph.locks[row]
        if row != wait.lock:
            text = f", which goes on after {self._name(lock)}"
        if lock.orphaned:
            return f"{text}, held by a thread that has ended"
        if not lock.holders:
            return text + (f" ({lock.state})" if lock.kind in (tasks.KIND, countdown.COUNTDOWN, countdown.BARRIER) else "")
        return text + self._held(lock, wait.thread)

    def _held(self, lock: Lock, waiter: int) -> str:
        others = [holder for holder in lock.holders if holder.thread != waiter]
        if not others:
            return ", which it holds itself"
        named = ", ".join(self._id(holder.thread) for holder in others[:_MOST_NAMED])
        more = f" and {len(others) - _MOST_NAMED:,} more" if len(others) > _MOST_NAMED else ""
        plural = "threads" if len(others) > 1 else "thread"
        doing = f", which {self._short(others[0].thread)}" if len(others) == 1 else ""
        if lock.kind == thread_join.KIND or lock.kind == finalizer.KIND:
            return doing
        verb = "run by" if lock.kind in (tasks.KIND, class_constructor.KIND) else "held by"
        likely = "" if others[0].certainty is Certainty.CERTAIN else f" ({others[0].certainty.word})"
        return f", {verb} {plural} {named}{more}{likely}{doing}"

    def _short(self, row: int) -> str:
        """What another thread does, without going further along the chain."""
        waits = self._waits.get(row)
        if waits:
            return f"{_MODES.get(waits[0].mode, 'waits for')} {self._name(self._graph.locks[waits[0].lock])}"
        return self._activity(row)

    def _deadlock(self, row: int) -> str:
        cycle = self._cycle_of.get(row) or self._behind.get(row)
        if cycle is None:
            return ""
        members = [step.thread for step in cycle.steps if step.thread != row]
        named = ", ".join(self._id(member) for member in members[:_MOST_NAMED])
        more = f" and {len(members) - _MOST_NAMED:,} more" if len(members) > _MOST_NAMED else ""
        plural = "threads" if len(members) > 1 else "thread"
        if row in self._behind and row not in self._cycle_of:
            return f"; stands behind the deadlock of {plural} {named}{more}"
        return f"; deadlocked with {plural} {named}{more}" if members else "; deadlocked with itself"

    def _id(self, row: int) -> str:
        return str(self._threads[row].managed_id)

    def _activity(self, row: int) -> str:
        """What a thread does that waits for nothing anybody could hold."""
        thread, stack = self._threads[row], self._stacks[row]
        managed = [frame for frame in stack.frames if frame.kind is FrameKind.MANAGED and frame.method]
        if not managed:
            return "waits for objects to finalize" if thread.finalizer else "runs no managed code"
        for frame in managed[:_MOST_NAMED]:
            for type_name, method_name, words in _KNOWN_LOOPS:
                if frame.method and frame.method.type_name == type_name and frame.method.method_name.startswith(method_name):
                    return words
        top = managed[0]
        if top.method and (top.method.type_name, top.method.method_name[: len(_SLEEP[1])]) == _SLEEP:
            return "sleeps"
        return f"runs {_method(top)}" if thread.cooperative else f"is in native code called by {_method(top)}"


def _own_code(stack: ThreadStack) -> str:
    """The innermost frame of the program's own code, where it is not at the top anyway."""
    managed = [frame for frame in stack.frames if frame.kind is FrameKind.MANAGED and frame.method]
    place = next((n for n, frame in enumerate(managed) if is_own(frame)), -1)
    return f" in {_method(managed[place])}" if place > 0 else ""


def _method(frame: StackFrame) -> str:
    method = frame.method
    if method is None:
        return "a method that is not known"
    return f"{method.type_name}.{method.method_name}" if method.type_name else method.name


def _lock_not_found(found: Found) -> str:
    return f"waits for a {found.kind} that could not be told"


def _ordinal(place: int) -> str:
    return _ORDINALS[place - 1] if place <= len(_ORDINALS) else f"number {place:,}"


def _role(thread: ManagedThread) -> str:
    return next((text for role, text in _ROLES.items() if role in thread.roles), "Thread")
