"""Memory that one holder keeps: much of the live heap hangs on one object, and below it lie many objects of one type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from analysis.graph.retention import Retention
from analysis.index.retention import READY, STACK, STATIC, THREAD_STATIC
from analysis.insight.execution import Execution
from analysis.insight.findings import (
    Evidence,
    Finding,
    Rule,
    Sentence,
    Severity,
    heap_object,
    heap_type,
    root,
)  # fmt: skip
from analysis.insight.findings import thread as thread_reference
from analysis.insight.live_objects import Rows, graph_of, live_bytes, most_common, referred_to
from analysis.insight.waits.parts import Certainty

#: Below this nobody's process dies of it, and start-up caches of the framework are as large.
_LEAST_BYTES = 2_000_000
_LEAST_SHARE, _LARGE_SHARE = 0.2, 0.5
#: So many objects of one type are an accumulation; a program writes fewer by hand.
_FEWEST = 500
#: So much of what the holder retains must hang on its children, one by one, for them to be the accumulation.
_IN_CHILDREN = 0.5
_MOST = 3
_LITTLE_MORE = 1.1
_DEEPEST = 1000
#: What lies deeper than this is in a chain, and chains are told.
_DEEPEST_TOLD = 100_000
#: What types of the framework that accumulate tell.
_CAUSES = {
    "System.Threading.Timer": " They are timers that were never disposed.",
    "System.Threading.CancellationTokenSource+CallbackNode": " They are registrations on a cancellation token, never disposed.",
}
_COLLECTIONS = "System.Collections."
_EVENT_BASES = ("System.MulticastDelegate", "System.Delegate")


@dataclass(frozen=True, slots=True)
class Accumulation:
    """``collection``: the object they hang on, ``holder`` the outermost one that is reached through nothing else; ``type``: row
    of the type that has accumulated, ``count`` objects of it."""

    holder: int
    collection: int
    retained: int
    type: int
    count: int


def _look(execution: Execution) -> Iterator[Finding]:
    retention = graph_of(execution)
    live = live_bytes(retention)
    least = max(_LEAST_BYTES, int(_LEAST_SHARE * live))
    for found in islice(find_accumulations(retention, least, _known(execution)), _MOST):
        yield _finding(execution, retention, found, live)


def _known(execution: Execution) -> Rows:
    """Rows of the objects that are collections of the framework, ascending."""
    return execution.collections.rows.astype(np.int64) if execution.collections else np.zeros(0, np.int64)


def find_accumulations(retention: Retention, least: int, known: Rows) -> Iterator[Accumulation]:
    """Accumulation points of ``least`` bytes and more, the largest first, none inside another. ``known``: see ``_known``.

    From the roots of the dominator tree downwards: a node whose bytes lie for the most part in one child passes them on;
    the first one whose bytes fall apart is the point, and the outermost object on the way there is the holder.
    """
    offsets, grouped = retention.dominated()
    tops = grouped[offsets[retention.start] : offsets[retention.start + 1]]
    # Roots and their groups are no objects: what hangs on them alone begins one or two steps below.
    pending, objects = tops.tolist(), list[int]()
    while pending:
        node = pending.pop()
        if node < retention.objects:
            objects.append(node)
        else:
            pending += grouped[offsets[node] : offsets[node + 1]].tolist()
    holders = [node for node in objects if int(retention.retained[node]) >= least]
    for holder in sorted(holders, key=lambda node: -int(retention.retained[node])):
        point = collection = holder
        passed: list[int] = []
        for _ in range(_DEEPEST):
            children = grouped[offsets[point] : offsets[point + 1]]
            sizes = retention.retained[children]
            if not len(children) or int(sizes.max()) < least * _IN_CHILDREN:
                break
            passed.append(point)
            point = int(children[int(sizes.argmax())])
            # A collection is called by its own name, not by that of the array in it.
            collection = collection if _is_array(retention, point) else point
        found = _chained(retention, holder, passed) if len(passed) == _DEEPEST else None
        collection = _named(retention, known, [*passed, point], collection)
        found = found or _accumulated(retention, holder, collection, grouped[offsets[point] : offsets[point + 1]])
        if found:
            yield found


def _named(retention: Retention, known: Rows, way: list[int], collection: int) -> int:
    """The outermost collection of the framework on the way that holds little more: a cache, not the dictionary inside it."""
    most = _LITTLE_MORE * int(retention.retained[collection])
    places = np.searchsorted(known, way)
    return next(
        (node for node, place in zip(way, places.tolist(), strict=True)
         if place < len(known) and known[place] == node and int(retention.retained[node]) <= most),
        collection,
    )  # fmt: skip


def _chained(retention: Retention, holder: int, passed: list[int]) -> Accumulation | None:
    """A list of nodes of one type, each of which holds the next one: it does not fall apart, however long it is."""
    kinds = retention.walked.columns.type[passed]
    kind, count = most_common(kinds)
    if count < _FEWEST:
        return None
    first = passed[int(np.flatnonzero(kinds == kind)[0])]
    # All live objects of the type: how many of them are in this chain only a walk to its end would tell.
    return Accumulation(holder, first, int(retention.retained[first]), kind, int(retention.live_count[kind].sum()))


def told_of(execution: Execution) -> Callable[[int], bool]:
    """Whether an object lies below what this rule tells of, so that no other rule tells of it again."""
    retention = graph_of(execution)
    least = max(_LEAST_BYTES, int(_LEAST_SHARE * live_bytes(retention)))
    collections = {found.collection for found in islice(find_accumulations(retention, least, _known(execution)), _MOST)}

    def told(row: int) -> bool:
        node = row
        for _ in range(_DEEPEST_TOLD):
            if node in collections or node >= retention.objects:
                return node in collections
            node = int(retention.dominator[node])
        return True

    return told


def _is_array(retention: Retention, node: int) -> bool:
    return bool(retention.walked.types.component_size[retention.walked.columns.type[node]])


def _accumulated(retention: Retention, holder: int, collection: int, children: np.ndarray) -> Accumulation | None:
    kinds = retention.walked.columns.type[children]
    sizes = np.bincount(kinds, retention.retained[children].astype(np.float64)) if len(children) else np.zeros(1)
    counts = np.bincount(kinds) if len(children) else np.zeros(1)
    largest = int(sizes.argmax())
    retained = int(retention.retained[collection])
    if counts[largest] < _FEWEST or sizes[largest] < _IN_CHILDREN * retained:
        return None
    return Accumulation(holder, collection, retained, *_contents(retention, children[kinds == largest], largest))


def _contents(retention: Retention, nodes: np.ndarray, kind: int) -> tuple[int, int]:
    """Type and number of what has accumulated: of nodes inside a collection of the framework what they hold."""
    name = retention.dump.runtime.types.name(retention.walked.types.method_tables[kind])
    if not (name.startswith(_COLLECTIONS) and "+" in name):
        return kind, len(nodes)
    types, held, level, count = retention.walked.columns.type, [np.zeros(0, np.int64)], nodes, len(nodes)
    offsets, grouped = retention.dominated()
    for _ in range(_DEEPEST):
        first, counts = offsets[level].astype(np.int64), np.diff(offsets)[level].astype(np.int64)
        below = grouped[np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))]
        # Nodes that share a bucket hang one on the other.
        same = types[below] == kind
        held.append(below[~same].astype(np.int64))
        level, count = below[same], count + int(same.sum())
        if not len(level):
            break
    inside = np.concatenate(held)
    if not len(inside):
        return kind, count
    largest = int(np.bincount(types[inside], retention.retained[inside].astype(np.float64)).argmax())
    found = int((types[inside] == largest).sum())
    return (largest, found) if found >= _FEWEST else (kind, count)


def _finding(execution: Execution, retention: Retention, found: Accumulation, live: int) -> Finding:
    share = found.retained / live
    by, evidence = held_by(retention, found.collection)
    what = heap_object(found.collection)
    words = f"{found.retained / 1e6:,.1f} MB, {share:.0%} of the live heap: {found.count:,} "
    return Finding(
        severity=Severity.CRITICAL if share >= _LARGE_SHARE else Severity.WARNING,
        confidence=Certainty.LIKELY if share >= _LARGE_SHARE else Certainty.POSSIBLE,
        impact=min(share, 1.0),
        title=(what, *by, " retains ", words, heap_type(found.type)),
        summary=(
            "Without ", what, f" {found.retained / 1e6:,.1f} MB would be free. They are kept in {found.count:,} objects of ",
            heap_type(found.type), " one by one, as in a collection that only grows.", *_cause(execution, retention, found),
        ),
        evidence=(
            Evidence(f"retains {found.retained:,} bytes", what),
            Evidence(f"{found.count:,} of them hang on it", heap_type(found.type)),
            *_outermost(found),
            *evidence,
        ),
    )  # fmt: skip


def _outermost(found: Accumulation) -> tuple[Evidence, ...]:
    if found.holder == found.collection:
        return ()
    return (Evidence("the outermost object on the way to it", heap_object(found.holder)),)


def held_by(retention: Retention, holder: int) -> tuple[Sentence, tuple[Evidence, ...]]:
    """The root at the end of the shortest path, in words."""
    row, hops = retention.root_above(holder)
    slot = retention.resolved.roots[row]
    group = retention.resolved.groups[int(retention.resolved.group[row])]
    way = "in" if hops == 1 else "reached from"
    if slot.kind == STATIC:
        return (f" {way} the static field ", root(row)), (Evidence("keeps it alive", root(row)),)
    if slot.kind == THREAD_STATIC:
        return (f" {way} the thread static field ", root(row)), (Evidence("keeps it alive", root(row)),)
    if slot.kind == STACK and group.thread >= 0:
        return (" on the stack of ", thread_reference(group.thread)), (Evidence("keeps it alive", root(row)),)
    if slot.kind == READY:
        return (" waiting for its finalizer",), (Evidence("keeps it alive", root(row)),)
    return (" held by a ", root(row)), (Evidence("keeps it alive", root(row)),)


def _cause(execution: Execution, retention: Retention, found: Accumulation) -> Sentence:
    """What kind of leak it is, where the type that has accumulated says so."""
    types, kinds = execution.dump.runtime.types, retention.walked.types.method_tables
    name, parent = types.name(kinds[found.type]), types.info(kinds[found.type]).parent
    if parent and types.name(parent) in _EVENT_BASES:
        delegates = np.flatnonzero((retention.walked.columns.type == found.type) & retention.live)
        kind, count = most_common(retention.walked.columns.type[referred_to(execution, delegates, "_target")[1]])
        whose = (f", {count:,} of them of ", heap_type(kind)) if count else ()
        return (" They are delegates: subscribers of an event that were never taken off again", *whose, ".")
    words = next((words for prefix, words in _CAUSES.items() if name.startswith(prefix)), "")
    return (words,) if words else ()


def _looked_at(execution: Execution) -> str:
    retention = graph_of(execution)
    live = int(retention.retained[retention.start])
    objects = int(retention.live.sum())
    return f"{objects:,} live objects; none keeps {_FEWEST:,} of one type and a fifth of {live / 1e6:,.1f} MB"


RULE = Rule(
    name="retained-memory",
    title="Memory kept by one holder",
    look=_look,
    looked_at=_looked_at,
    why="The collector frees nothing that a root still reaches. One collection that grows without end takes the process with it, "
    "however much memory the machine has.",
    what_to_do=(
        "Follow the path from the root to the holder: the first type of your own on it should take entries out again.",
        "Give a cache a size limit and an expiry; unsubscribe events, dispose timers and registrations.",
        "Take a second dump later and compare: a leak has grown, a cache that was filled on purpose has not.",
    ),
    false_alarm="When the data is meant to be there: a cache with a limit, reference data loaded at the start, a batch at work.",
)
