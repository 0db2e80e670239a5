"""Deadlocks and convoys: cycles in a wait graph, who waits behind them, and locks with many waiters that are in no cycle.

A thread that waits for any of several things, or for a limited time, is not stuck for good, so such waits are no part of a
cycle; neither are edges that are only possible.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from analysis.insight.wait_graph import WaitGraph
from analysis.insight.waits import reader_writer_lock_slim
from analysis.insight.waits.parts import Certainty, Wait

#: Waiters from which on a lock is a convoy.
CONVOY_WAITERS = 5
_ANY = "any"
#: Modes in which a thread waits for others to do something that holding the same lock does not prevent.
_NO_ENTRY = (_ANY, "pulse")
#: Kinds that a thread can hold in one way while it waits for another.
_SHARED = (reader_writer_lock_slim.KIND,)

_Edges = list[list[int]]


@dataclass(slots=True)
class _Net:
    """The graph as numbered nodes: threads from 0 on, locks behind them. ``lock_rows``: the lock of each node behind them.

    A thread that reads under a lock and waits to become its writer waits for the other readers, not for itself: it has a
    node of its own for that lock.
    """

    threads: int
    edges: _Edges
    lock_rows: list[int]

    def lock(self, node: int) -> int:
        return self.lock_rows[node - self.threads]


@dataclass(frozen=True, slots=True)
class Step:
    """One thread of a cycle: it waits for the lock ``waits`` and holds ``holds``, what the step before it waits for.

    Locks are rows of the graph; frames are places in the thread's stack, -1 where not known.
    """

    thread: int
    holds: int
    waits: int
    holds_frame: int
    waits_frame: int
    certainty: Certainty


@dataclass(slots=True)
class Cycle:
    """A deadlock. ``bystanders``: rows of threads that wait for it, directly or not, without being part of it."""

    steps: list[Step] = field(default_factory=list)
    bystanders: list[int] = field(default_factory=list)

    @property
    def certainty(self) -> Certainty:
        return min(step.certainty for step in self.steps)


@dataclass(frozen=True, slots=True)
class Convoy:
    """A lock many threads wait for, whose holder is stuck in no cycle. ``waiters`` counts direct ones, ``behind`` all of them."""

    lock: int
    waiters: int
    behind: int


def find_cycles(graph: WaitGraph) -> list[Cycle]:
    """All deadlocks; one shortest cycle for each group of threads that wait for each other. Linear in edges."""
    net = _net(graph)
    waits = graph.waits_of()
    found = []
    for component in _components(net.edges):
        steps = _steps(graph, net, waits, _shortest_cycle(net.edges, component))
        if steps:
            found.append(Cycle(steps))
    found.sort(key=lambda cycle: min(step.thread for step in cycle.steps))
    _add_bystanders(net, found)
    return found


def _net(graph: WaitGraph) -> _Net:
    """Certain and likely edges: thread to lock it waits for, lock to holder, lock to lock it waits for in turn."""
    named = [wait.thread for wait in graph.waits] + [holder.thread for lock in graph.locks for holder in lock.holders]
    threads = 1 + max(named, default=-1)
    net = _Net(threads, [[] for _ in range(threads + len(graph.locks))], list(range(len(graph.locks))))
    held_by = [[h.thread for h in lock.holders if h.certainty > Certainty.POSSIBLE] for lock in graph.locks]
    for row, holders in enumerate(held_by):
        net.edges[threads + row] += holders
    for wait in graph.waits:
        if wait.mode in _NO_ENTRY or wait.timed or wait.certainty <= Certainty.POSSIBLE:
            continue
        node = threads + wait.lock
        if graph.locks[wait.lock].kind in _SHARED and wait.thread in held_by[wait.lock]:
            node = len(net.edges)
            net.edges.append([holder for holder in held_by[wait.lock] if holder != wait.thread])
            net.lock_rows.append(wait.lock)
        net.edges[wait.thread].append(node)
    for chain in graph.chains:
        if chain.certainty > Certainty.POSSIBLE:
            net.edges[threads + chain.lock].append(threads + chain.next)
    return net


def _components(edges: _Edges) -> list[list[int]]:
    """Strongly connected components in which there is a cycle (Tarjan's algorithm without recursion)."""
    index, low = [-1] * len(edges), [0] * len(edges)
    on_stack, stack, found, counter = [False] * len(edges), list[int](), list[list[int]](), 0
    for root in range(len(edges)):
        if index[root] >= 0 or not edges[root]:
            continue
        work = [(root, 0)]
        while work:
            node, place = work.pop()
            if place == 0:
                index[node] = low[node] = counter
                counter += 1
                stack.append(node)
                on_stack[node] = True
            else:
                low[node] = min(low[node], low[edges[node][place - 1]])
            place = _next_unseen(edges[node], place, node, index, low, on_stack)
            if place < len(edges[node]):
                work += [(node, place + 1), (edges[node][place], 0)]
            elif low[node] == index[node]:
                component = _pop(stack, on_stack, node)
                if len(component) > 1 or node in edges[node]:
                    found.append(component)
    return found


def _next_unseen(following: list[int], place: int, node: int, index: list[int], low: list[int], on_stack: list[bool]) -> int:
    """Place of the first node from ``place`` on that was not visited; ``low`` takes in those on the stack before it."""
    while place < len(following) and index[following[place]] >= 0:
        if on_stack[following[place]]:
            low[node] = min(low[node], index[following[place]])
        place += 1
    return place


def _pop(stack: list[int], on_stack: list[bool], node: int) -> list[int]:
    component: list[int] = []
    while not component or component[-1] != node:
        component.append(stack.pop())
        on_stack[component[-1]] = False
    return component


def _shortest_cycle(edges: _Edges, component: list[int]) -> list[int]:
    """Nodes of a shortest cycle through the first node of a component: it leads through all others of a plain ring."""
    inside, start = set(component), min(component)
    came_from: dict[int, int] = {}
    pending = deque([start])
    while pending:
        node = pending.popleft()
        for following in edges[node]:
            if following == start:
                return _path(came_from, start, node)
            if following in inside and following not in came_from:
                came_from[following] = node
                pending.append(following)
    return []


def _path(came_from: dict[int, int], start: int, node: int) -> list[int]:
    path = [node]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def _steps(graph: WaitGraph, net: _Net, waits: dict[int, list[Wait]], nodes: list[int]) -> list[Step]:
    """Steps of the threads in a cycle of nodes; none for a cycle of tasks alone."""
    rows = [place for place, node in enumerate(nodes) if node < net.threads]
    steps = []
    for number, place in enumerate(rows):
        thread, waited = nodes[place], net.lock(nodes[(place + 1) % len(nodes)])
        held = net.lock(nodes[(rows[number - 1] + 1) % len(nodes)])
        holder_lock = net.lock(nodes[place - 1])
        wait = next(wait for wait in waits[thread] if wait.lock == waited)
        holder = next(h for h in graph.locks[holder_lock].holders if h.thread == thread)
        certainty = min(wait.certainty, holder.certainty)
        steps.append(Step(thread, held, waited, holder.frame, wait.frame, certainty))
    return steps


def _add_bystanders(net: _Net, cycles: list[Cycle]) -> None:
    """Threads from which a cycle is reached; one behind several cycles counts for the first."""
    back: _Edges = [[] for _ in net.edges]
    for node, following in enumerate(net.edges):
        for other in following:
            back[other].append(node)
    members = {step.thread for cycle in cycles for step in cycle.steps}
    seen: set[int] = set()
    for cycle in cycles:
        pending = deque(step.thread for step in cycle.steps)
        seen.update(pending)
        while pending:
            for node in back[pending.popleft()]:
                if node not in seen:
                    seen.add(node)
                    pending.append(node)
                    if node < net.threads and node not in members:
                        cycle.bystanders.append(node)
        cycle.bystanders.sort()


def find_convoys(graph: WaitGraph, cycles: list[Cycle]) -> list[Convoy]:
    """Locks with at least CONVOY_WAITERS waiters and a holder that no cycle has stuck, the longest line first."""
    stuck = {step.thread for cycle in cycles for step in cycle.steps} | {row for cycle in cycles for row in cycle.bystanders}
    direct = dict[int, list[int]]()
    for wait in graph.waits:
        if wait.mode not in _NO_ENTRY:
            direct.setdefault(wait.lock, []).append(wait.thread)
    held_by = dict[int, list[int]]()
    for row, lock in enumerate(graph.locks):
        for holder in lock.holders:
            held_by.setdefault(holder.thread, []).append(row)
    found = []
    for row, waiters in direct.items():
        holders = graph.locks[row].holders
        if len(waiters) >= CONVOY_WAITERS and holders and not any(h.thread in stuck for h in holders):
            found.append(Convoy(row, len(waiters), len(_behind(waiters, direct, held_by))))
    return sorted(found, key=lambda convoy: (-convoy.waiters, convoy.lock))


def _behind(waiters: list[int], direct: dict[int, list[int]], held_by: dict[int, list[int]]) -> set[int]:
    """Threads that wait for a lock, or for a lock held by one of those."""
    seen = set(waiters)
    pending = deque(waiters)
    while pending:
        for lock in held_by.get(pending.popleft(), ()):
            for thread in direct.get(lock, ()):
                if thread not in seen:
                    seen.add(thread)
                    pending.append(thread)
    return seen
