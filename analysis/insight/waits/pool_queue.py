"""Work that waits in the thread pool's queues: tasks and continuations that no thread has taken yet.

Source: ``System/Threading/ThreadPoolWorkQueue.cs`` and ``ConcurrentQueueSegment.cs`` in dotnet/runtime.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.waits.evidence import MAXIMUM_LINKS, Evidence

_QUEUE = "System.Threading.ThreadPoolWorkQueue"
_LOCAL_QUEUE = "System.Threading.ThreadPoolWorkQueue+WorkStealingQueue"
_SHARED = ("workItems", "highPriorityWorkItems", "lowPriorityWorkItems")
#: Slots of one array that are looked at; the segments of a ConcurrentQueue hold at most a million.
_MOST_SLOTS = 1 << 21


def queued_work(evidence: Evidence) -> frozenset[int]:
    """Addresses of everything that lies in a queue of the thread pool; empty for a dump without a heap."""
    found: set[int] = set()
    for queue in evidence.instances(_QUEUE):
        for shared in _shared_queues(evidence, queue):
            for segment in _segments(evidence, shared):
                found.update(_slots(evidence, evidence.fields.reference(segment, "_slots") or 0))
    for local in evidence.instances(_LOCAL_QUEUE):
        found.update(_slots(evidence, evidence.fields.reference(local, "m_array") or 0))
    found.discard(0)
    return frozenset(found)


def _shared_queues(evidence: Evidence, queue: int) -> Iterator[int]:
    for name in _SHARED:
        yield evidence.fields.reference(queue, name) or 0
    assignable = evidence.fields.reference(queue, "_assignableWorkItemQueues") or 0
    if assignable:
        yield from evidence.fields.array_references(assignable, min(evidence.fields.array_length(assignable), MAXIMUM_LINKS))


def _segments(evidence: Evidence, queue: int) -> Iterator[int]:
    """Segments of a ConcurrentQueue from its head on."""
    segment = evidence.fields.reference(queue, "_head") if queue else 0
    seen: set[int] = set()
    while segment and segment not in seen and len(seen) < MAXIMUM_LINKS:
        seen.add(segment)
        yield segment
        segment = evidence.fields.reference(segment, "_nextSegment")


def _slots(evidence: Evidence, array: int) -> tuple[int, ...]:
    """All words of an array: work items, and the sequence numbers between them, which are no addresses of objects."""
    if not array:
        return ()
    words = evidence.fields.element_bytes(array) // 8
    return evidence.fields.array_references(array, min(evidence.fields.array_length(array), _MOST_SLOTS) * words)
