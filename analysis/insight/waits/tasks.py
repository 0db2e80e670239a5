"""Tasks: Task.Wait, Result and GetResult, to the task, and on through what it awaits to the thread that runs it.

Source: ``System/Threading/Tasks/Task.cs`` in dotnet/runtime for the bits of ``m_stateFlags``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from analysis.insight.waits import semaphore_slim, state_machine
from analysis.insight.waits.blocked import BlockedStack, distinct
from analysis.insight.waits.choice import judge
from analysis.insight.waits.continuations import TASK, antecedents
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Holder, Link, Lock
from analysis.insight.waits.pool_queue import queued_work

KIND = "Task"
CODE = (
    "System.Threading.Tasks.Task", "System.Threading.Tasks.Task`1", "System.Runtime.CompilerServices.TaskAwaiter",
    "System.Runtime.CompilerServices.TaskAwaiter`1",
    "System.Runtime.CompilerServices.ConfiguredTaskAwaitable+ConfiguredTaskAwaiter",
    "System.Runtime.CompilerServices.ConfiguredTaskAwaitable`1+ConfiguredTaskAwaiter",
    "System.Runtime.CompilerServices.ValueTaskAwaiter", "System.Runtime.CompilerServices.ValueTaskAwaiter`1",
    "System.Threading.Tasks.ValueTask", "System.Threading.Tasks.ValueTask`1",
)  # fmt: skip
_STARTED, _INVOKED, _FAULTED, _CANCELLED, _RAN = 0x10000, 0x20000, 0x200000, 0x400000, 0x1000000
_COMPLETED = _FAULTED | _CANCELLED | _RAN
_DELAY = "System.Threading.Tasks.Task+DelayPromise"
_NEVER = 0xFFFFFFFF
_LISTS = ("System.Threading.Tasks.Task[]", "System.Collections.Generic.List<System.Threading.Tasks.Task>")
_GOES_ON = "the task it goes on after"
#: Parts of the names of tasks that complete as soon as one of several things has happened.
_ANY_OF_SEVERAL = ("WhenAnyPromise", "CompleteOnInvokePromise", "CancellationPromise")
#: Tasks of one WaitAll that are looked at, and links from one task to others.
_MOST_TASKS, _MOST_LINKS = 10_000, 1_000


def find(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """The task a thread waits for; several for WaitAll and WaitAny."""
    names = " ".join(blocked.methods(TASK))
    if "WaitAny" in names or "WaitAll" in names:
        return _several(evidence, blocked, every="WaitAll" in names)
    candidates = distinct(blocked.candidates(*CODE), lambda address: evidence.fields.is_a(address, TASK))
    return [judge(candidates, KIND, "completion", lambda address: not completed(evidence, address))]


def _several(evidence: Evidence, blocked: BlockedStack, *, every: bool) -> list[Found]:
    """Tasks of the list that WaitAll or WaitAny was called with and that are not completed."""
    fields, mode = evidence.fields, "all" if every else "any"
    lists = distinct(blocked.candidates(*CODE), lambda address: fields.type_name(address) in _LISTS)
    found: dict[int, Found] = {}
    for candidate in sorted(lists, key=lambda one: not one.own)[:1]:
        certainty = Certainty.POSSIBLE if not every else Certainty.CERTAIN if candidate.precise else Certainty.LIKELY
        for task in _tasks_of(evidence, candidate.object):
            if fields.is_a(task, TASK) and not completed(evidence, task):
                found[task] = Found(KIND, task, mode, "the list of tasks that the waiting code keeps on the stack", certainty)
    return list(found.values()) or [Found(KIND, 0, mode, "", Certainty.POSSIBLE)]


def _tasks_of(evidence: Evidence, address: int) -> tuple[int, ...]:
    fields = evidence.fields
    if fields.type_name(address) == _LISTS[0]:
        return fields.array_references(address, min(fields.array_length(address), _MOST_TASKS))
    return fields.list_references(address, _MOST_TASKS)


def completed(evidence: Evidence, task: int) -> bool:
    flags = evidence.fields.number(task, "m_stateFlags")
    return flags is not None and bool(flags & _COMPLETED)


class TaskProgress:
    """Answers what would complete a task. Looks the heap and the stacks over once, when first asked."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence, self._fields = evidence, evidence.fields

    @cached_property
    def _current(self) -> dict[int, int]:
        """Tasks that threads say they run, to their rows."""
        found = {}
        for row, thread in enumerate(self._evidence.threads):
            task = self._evidence.statics.reference(thread.address, TASK, "t_currentTask") if thread.alive else 0
            if task:
                found[task] = row
        return found

    @cached_property
    def _running(self) -> dict[int, tuple[int, int]]:
        return state_machine.running(self._evidence)

    @cached_property
    def _queued(self) -> frozenset[int]:
        return queued_work(self._evidence)

    @cached_property
    def _antecedents(self) -> dict[int, list[int]]:
        return antecedents(self._evidence)

    def describe(self, address: int) -> Lock:
        """The task with who runs it, or what it waits for in turn, or why nobody is about to complete it."""
        lock = Lock(KIND, address, self._evidence.type_name(address))
        flags = self._fields.number(address, "m_stateFlags")
        if flags is None:
            lock.state = "not known"
        elif flags & _COMPLETED:
            lock.state = "failed" if flags & _FAULTED else "cancelled" if flags & _CANCELLED else "completed"
        else:
            self._find_runner(lock)
            if not lock.holders:
                self._follow(lock, flags)
        return lock

    def _find_runner(self, lock: Lock) -> None:
        row, place, how = self._current.get(lock.object, -1), -1, "the thread's own note of the task it runs"
        if row < 0 and lock.object in self._running:
            row, place = self._running[lock.object]
            how = "its code runs on the thread's stack"
        if row >= 0:
            lock.held, lock.owner, lock.state = True, row, "running"
            lock.holders.append(Holder(row, "runs", how, Certainty.CERTAIN, place))

    def _follow(self, lock: Lock, flags: int) -> None:
        """Nobody runs it: what it hangs on."""
        bases = self._fields.bases(self._fields.method_table(lock.object))
        if state_machine.BOX in bases:
            self._suspended(lock)
        elif _DELAY in bases:
            lock.state = self._timer(lock.object)
        elif semaphore_slim.NODE in bases:
            self._semaphore(lock)
        else:
            self._hangs_on(lock, self._links_of(lock.object))
        if not lock.state:
            lock.state = self._without_links(lock.object, flags)

    def _suspended(self, lock: Lock) -> None:
        """An asynchronous method between two of its steps."""
        waits = state_machine.awaited(self._evidence, lock.object)
        tasks = [a for a in waits if self._fields.is_a(a, TASK)]
        if lock.object in self._queued:
            lock.state = "its continuation is queued in the thread pool, no thread has taken it"
        elif tasks:
            self._hangs_on(lock, iter(tasks))
        elif waits:
            lock.state = f"awaits a {self._evidence.type_name(waits[0])}"

    def _timer(self, task: int) -> str:
        timer = self._fields.reference(task, "_timer")
        due = self._fields.number(timer, "_dueTime") if timer else None
        if due is None or due == _NEVER:
            return "a delay without end" if due == _NEVER or timer == 0 else "completes by a timer"
        return f"completes by a timer of {due:,} ms"

    def _semaphore(self, lock: Lock) -> None:
        semaphore = semaphore_slim.of_node(self._evidence, lock.object)
        lock.state = "in line for a SemaphoreSlim"
        if semaphore:
            lock.chain.append(Link((semaphore_slim.KIND, semaphore), "the semaphore's list of asynchronous waiters"))

    def _links_of(self, task: int) -> Iterator[int]:
        antecedent = self._fields.reference(task, "m_antecedent")
        if antecedent:
            yield antecedent
        yield from self._antecedents.get(task, ())

    def _hangs_on(self, lock: Lock, others: Iterator[int]) -> None:
        """Links to the tasks whose completion goes on with this one; those completed already are none."""
        tasks = [task for task in dict.fromkeys(others) if task != lock.object]
        waiting = [task for task in tasks if not completed(self._evidence, task)]
        how, certainty = _GOES_ON, Certainty.CERTAIN
        if any(name in lock.type_name for name in _ANY_OF_SEVERAL):
            how, certainty = "one of the tasks it can go on after", Certainty.POSSIBLE
        for task in waiting[:_MOST_LINKS]:
            lock.chain.append(Link((KIND, task), how, certainty))
        if waiting:
            more = f", {len(waiting):,} of them" if len(waiting) > 1 else ""
            lock.state = f"waits for {'other tasks' if more else 'another task'}{more}"
        elif tasks:
            lock.state = "what it waits for is completed; it has not gone on yet"

    def _without_links(self, task: int, flags: int) -> str:
        if task in self._queued:
            return "queued in the thread pool, no thread has taken it"
        if self._fields.reference(task, "m_action"):
            if flags & _INVOKED:
                return "started, its thread is not known"
            return "given to a scheduler, no thread has taken it" if flags & _STARTED else "never started"
        if state_machine.is_box(self._evidence, task):
            return "suspended; what it awaits is not known"
        return "nobody is known to be about to complete it: some code must set its result"
