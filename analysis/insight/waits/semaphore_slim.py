"""SemaphoreSlim: threads in Wait, and asynchronous waiters in its list. It does not know who took its counts."""

from __future__ import annotations

from dataclasses import replace

from analysis.insight.waits import monitor
from analysis.insight.waits.blocked import BlockedStack
from analysis.insight.waits.choice import choose
from analysis.insight.waits.evidence import MAXIMUM_LINKS, Evidence
from analysis.insight.waits.parts import Certainty, Found, Lock

KIND = "SemaphoreSlim"
TYPE = "System.Threading.SemaphoreSlim"
CODE = (TYPE,)
NODE = "System.Threading.SemaphoreSlim+TaskNode"
_BY_NODE = "the semaphore's list of asynchronous waiters, which holds a task that the waiting code keeps on the stack"
_NO_MAXIMUM = 0x7FFFFFFF


def find(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """The semaphore, with the place in line that the Monitor inside it gives; behind asynchronous waiters a thread stands in
    their line, by a task that belongs to the semaphore."""

    def has_waiters(address: int) -> bool:
        return (evidence.fields.number(address, "m_waitCount") or 0) > 0

    found = choose(evidence, blocked, KIND, "enter", TYPE, CODE, has_waiters)
    inner = monitor.find(evidence, blocked)
    place = inner[0].position if inner else -1
    nodes = [held for here in blocked.run for held in here.frame.objects if evidence.fields.is_a(held.object, NODE)]
    semaphore = of_node(evidence, nodes[0].object) if nodes else 0
    if semaphore:
        certainty = Certainty.CERTAIN if nodes[0].precise else Certainty.LIKELY
        return [Found(KIND, semaphore, "enter", _BY_NODE, certainty)]
    return [replace(found, position=place)]


def describe(evidence: Evidence, kind: str, address: int) -> Lock:
    fields = evidence.fields
    count, most = fields.number(address, "m_currentCount"), fields.number(address, "m_maxCount")
    lock = Lock(KIND, address, evidence.type_name(address), stated_waiters=_known(fields.number(address, "m_waitCount")))
    if count is None:
        lock.state = "not known"
        return lock
    limit = f" of {most:,}" if most is not None and most < _NO_MAXIMUM else ""
    asynchronous = async_waiters(evidence, address)
    lock.state = f"count {count:,}{limit}" + (f", {asynchronous:,} asynchronous waiters" if asynchronous else "")
    return lock


def exclusive(evidence: Evidence, address: int) -> bool:
    """Whether it is used up and lets one in at a time, so that whoever took it is the one who must release it."""
    count, most = evidence.fields.number(address, "m_currentCount"), evidence.fields.number(address, "m_maxCount")
    return count == 0 and most == 1


def async_waiters(evidence: Evidence, address: int) -> int:
    """Length of its list of asynchronous waiters."""
    node = evidence.fields.reference(address, "m_asyncHead") or 0
    seen: set[int] = set()
    while node and node not in seen and len(seen) < MAXIMUM_LINKS:
        seen.add(node)
        node = evidence.fields.reference(node, "Next") or 0
    return len(seen)


def of_node(evidence: Evidence, node: int) -> int:
    """The semaphore whose list of asynchronous waiters holds ``node``, 0 when none on the heap does."""
    head, steps = node, 0
    while steps < MAXIMUM_LINKS:
        previous = evidence.fields.reference(head, "Prev") or 0
        if not previous:
            break
        head, steps = previous, steps + 1
    return evidence.owner_by_field(TYPE, "m_asyncHead").get(head, 0)


def _known(count: int | None) -> int:
    return -1 if count is None else count
