"""All primitives: by which frames each is told, how its object is found, and what the object says about itself."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace

from analysis.insight.waits import (
    class_constructor,
    countdown,
    events,
    finalizer,
    lock,
    monitor,
    reader_writer_lock_slim,
    semaphore_slim,
    tasks,
    thread_join,
)  # fmt: skip
from analysis.insight.waits.blocked import BlockedStack
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Lock, LockKey

#: Threads of the class library that wait for their next piece of work, whatever they wait with.
_IDLE = (
    "System.Threading.PortableThreadPool+GateThread", "System.Threading.PortableThreadPool+WaitThread",
    "System.Threading.PortableThreadPool+WorkerThread", "System.Threading.TimerQueue",
)  # fmt: skip
_INSIDE = "the Monitor inside it, by the runtime's note of what blocks the thread"


@dataclass(frozen=True, slots=True)
class Primitive:
    """``code``: types whose frames tell that a thread waits for it. ``inside``: the type and the field that refers to the
    Monitor it waits with, where it is made of one."""

    code: tuple[str, ...]
    find: Callable[[Evidence, BlockedStack], list[Found]]
    kind: str = ""
    inside: tuple[str, str] = ("", "")


PRIMITIVES = (
    Primitive(lock.CODE, lock.find),
    Primitive(
        semaphore_slim.CODE, semaphore_slim.find, semaphore_slim.KIND, (semaphore_slim.TYPE, "m_lockObjAndDisposed")
    ),
    Primitive(reader_writer_lock_slim.CODE, reader_writer_lock_slim.find),
    Primitive(events.SLIM_CODE, events.find_slim, events.SLIM_KIND, (events.SLIM_TYPE, "m_lock")),
    Primitive(events.HANDLE_CODE, events.find_handle),
    Primitive(countdown.COUNTDOWN_CODE, countdown.find_countdown),
    Primitive(countdown.BARRIER_CODE, countdown.find_barrier),
    Primitive(thread_join.CODE, thread_join.find),
    Primitive(tasks.CODE, tasks.find),
    Primitive(finalizer.CODE, finalizer.find),
)  # fmt: skip

_DESCRIBE: dict[str, Callable[[Evidence, str, int], Lock]] = {
    monitor.KIND: monitor.describe, lock.KIND: lock.describe, semaphore_slim.KIND: semaphore_slim.describe,
    reader_writer_lock_slim.KIND: reader_writer_lock_slim.describe, events.SLIM_KIND: events.describe_slim,
    countdown.COUNTDOWN: countdown.describe_countdown, countdown.BARRIER: countdown.describe_barrier,
    thread_join.KIND: thread_join.describe, class_constructor.KIND: class_constructor.describe,
    finalizer.KIND: finalizer.describe,
    **{kind: events.describe_handle for kind in (*events.HANDLE_KINDS, events.OTHER_HANDLE)},
}  # fmt: skip


def waits_of(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """What a thread waits for. Nothing for one that does not wait; an object of 0 where only the kind is known."""
    if blocked.caller and blocked.caller.type_name in _IDLE:
        return []
    constructor = class_constructor.find(evidence, blocked)
    if constructor:
        return constructor
    inner = monitor.find(evidence, blocked)
    if inner and inner[0].mode == monitor.ENTER:
        return inner
    told = sorted(
        (primitive for primitive in PRIMITIVES if blocked.outermost(*primitive.code) >= 0),
        key=lambda primitive: -blocked.outermost(*primitive.code),
    )
    if not told:
        return inner or thread_join.find_by_helper(evidence, blocked)
    answers = [_by_primitive(evidence, blocked, primitive, inner) for primitive in told[:1]]
    while not _has_object(answers[-1]) and len(answers) < len(told):
        # One primitive is made of another: what the outer one does not keep on the stack, the inner one may.
        answers.append(_by_primitive(evidence, blocked, told[len(answers)], inner))
    if _has_object(answers[-1]):
        return answers[-1]
    # Better the Monitor inside than nothing, unless nothing can be said of it either.
    return inner if inner and evidence.fields.method_table(inner[0].object) else answers[0]


def _by_primitive(evidence: Evidence, blocked: BlockedStack, primitive: Primitive, inner: list[Found]) -> list[Found]:
    found = [replace(one, timed=bool(inner) and inner[0].timed) for one in primitive.find(evidence, blocked)]
    if inner and inner[0].object and any(one.certainty < Certainty.CERTAIN for one in found):
        found = _by_monitor_inside(evidence, primitive, inner[0]) or found
    return found


def _has_object(found: list[Found]) -> bool:
    return any(one.object for one in found)


def _by_monitor_inside(evidence: Evidence, primitive: Primitive, inner: Found) -> list[Found]:
    type_name, field_name = primitive.inside
    if not type_name:
        return []
    owner = evidence.owner_by_field(type_name, field_name, derived=True).get(inner.object, 0)
    mode = "enter" if primitive.kind == semaphore_slim.KIND else "signal"
    return [replace(inner, kind=primitive.kind, object=owner, mode=mode, how=_INSIDE)] if owner else []


def describe(evidence: Evidence, progress: tasks.TaskProgress, key: LockKey) -> Lock:
    """State, holders and chain of a lock."""
    kind, address = key
    return progress.describe(address) if kind == tasks.KIND else _DESCRIBE[kind](evidence, kind, address)


def held_or_waited(evidence: Evidence, explained: Container[int]) -> Iterator[LockKey]:
    """Locks that say of themselves that they are held or waited for, whether a thread was seen to wait or not.

    A Monitor that only threads of ``explained`` (addresses) stand in Monitor.Wait on is the inside of another primitive.
    """
    yield from monitor.held(evidence, explained)
    yield from lock.held(evidence)
    yield from reader_writer_lock_slim.held(evidence)
