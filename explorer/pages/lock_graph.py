"""The drawing of who waits for whom: few nodes, waiters of one lock collapsed into one, deadlocks first."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from analysis.index.store import Index
from explorer.pages.references import References

MOST_NODES = 150
#: So many locks of one kind and state, each with one waiter and nothing behind it, are drawn as one.
_FEWEST_ALIKE = 4
#: So many waiters of a lock are drawn one by one; more become one node with a count.
_MOST_SINGLE_WAITERS = 3


#: Threads by lock, each with how sure it is.
_ByLock = dict[int, list[tuple[int, str]]]


class _Graph:
    def __init__(self, index: Index, references: References) -> None:
        self.index, self.references = index, references
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.left_out = 0
        cycles = zip(*(index.column("cycles", name).tolist() for name in ("thread", "holds", "waits")), strict=True)
        self.red_threads: set[int] = set()
        self.red_locks: set[int] = set()
        self.red_waits: set[tuple[int, int]] = set()
        self.red_holds: set[tuple[int, int]] = set()
        for thread, holds, waits in cycles:
            self.red_threads.add(thread)
            self.red_locks |= {holds, waits}
            self.red_waits.add((thread, waits))
            self.red_holds.add((holds, thread))

    def room(self, nodes: int) -> bool:
        return len(self.nodes) + nodes <= MOST_NODES

    def thread(self, row: int) -> str:
        key = f"t{row}"
        if key not in self.nodes:
            piece = self.references.thread(row)
            second = piece.title if piece.title != piece.text else ""
            self.nodes[key] = {"id": key, "kind": "thread", "label": piece.text, "second": second, "url": piece.url,
                               "red": row in self.red_threads}  # fmt: skip
        return key

    def lock(self, row: int) -> str:
        key = f"l{row}"
        if key not in self.nodes:
            piece = self.references.lock(row)
            waiters = int(self.index.column("locks", "waiters")[row])
            second = str(self.index.text("locks", "kind")[row]) + (f" · {waiters} waiting" if waiters else "")
            self.nodes[key] = {"id": key, "kind": "lock", "label": piece.text, "second": second, "url": piece.url,
                               "red": row in self.red_locks}  # fmt: skip
        return key

    def crowd(self, lock: int, count: int) -> str:
        key = f"w{lock}"
        self.nodes[key] = {"id": key, "kind": "crowd", "label": f"{count:,} threads", "second": "in line",
                           "url": self.references.lock_url(lock), "red": False}  # fmt: skip
        return key

    def alike(self, rows: list[int]) -> None:
        """Locks that only differ by their address, and those who wait for them, as two nodes."""
        first, count = rows[0], len(rows)
        piece = self.references.lock(first)
        name = piece.text.rpartition(" …")[0]
        kind = str(self.index.text("locks", "kind")[first])
        key = f"a{first}"
        url = self.references.url("dump-locks")
        self.nodes[key] = {"id": key, "kind": "lock", "label": f"{count:,} × {name}", "second": kind, "url": url, "red": False}
        crowd = f"w{first}"
        self.nodes[crowd] = {"id": crowd, "kind": "crowd", "label": f"{count:,} threads", "second": "one each",
                             "url": url, "red": False}  # fmt: skip
        self.edge(crowd, key, "wait for", red=False, likely=False)

    def edge(self, source: str, target: str, label: str, *, red: bool, likely: bool) -> None:
        self.edges.setdefault((source, target, label), {"source": source, "target": target, "label": label, "red": red,
                                                        "likely": likely})  # fmt: skip


def lock_graph(index: Index, references: References) -> dict[str, Any]:
    """Nodes and edges to draw; ``left_out`` counts locks for which there was no room."""
    graph = _Graph(index, references)
    waits, holds = _edges(index)
    waited = [row for row in range(index.rows["locks"]) if waits[row]]
    alike, waited = _alike(index, graph, waited, waits, holds)
    for rows in alike:
        graph.alike(rows)
    waited.sort(key=lambda row: (row not in graph.red_locks, -len(waits[row])))
    for row in waited:
        single = (
            [edge for edge in waits[row] if edge[0] in graph.red_threads]
            if len(waits[row]) > _MOST_SINGLE_WAITERS
            else waits[row]
        )
        # Those of a deadlock first: a lock may have a thousand readers.
        shown = sorted(holds[row], key=lambda edge: (row, edge[0]) not in graph.red_holds)[:_MOST_SINGLE_WAITERS]
        if not graph.room(2 + len(single) + len(shown)):
            graph.left_out += 1
            continue
        key = graph.lock(row)
        for thread, certainty in single:
            red = (thread, row) in graph.red_waits
            graph.edge(graph.thread(thread), key, "waits for", red=red, likely=certainty != "certain")
        rest = len(waits[row]) - len(single)
        if rest:
            graph.edge(graph.crowd(row, rest), key, "wait for", red=False, likely=False)
        for thread, certainty in shown:
            red = (row, thread) in graph.red_holds
            graph.edge(key, graph.thread(thread), "held by", red=red, likely=certainty != "certain")
    _add_chains(index, graph)
    return {"nodes": list(graph.nodes.values()), "edges": list(graph.edges.values()), "left_out": graph.left_out}


def _alike(index: Index, graph: _Graph, rows: list[int], waits: _ByLock, holds: _ByLock) -> tuple[list[list[int]], list[int]]:
    """Groups of locks that look the same, and the others."""
    chained = set(index.column("lock_chains", "lock").tolist())
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in rows:
        if len(waits[row]) == 1 and not holds[row] and row not in chained and row not in graph.red_locks:
            kind, type_name, state = (str(index.text("locks", name)[row]) for name in ("kind", "type_name", "state"))
            groups[kind, type_name, state].append(row)
    found = sorted((group for group in groups.values() if len(group) >= _FEWEST_ALIKE), key=len, reverse=True)[:20]
    taken = {row for group in found for row in group}
    return found, [row for row in rows if row not in taken]


def _edges(index: Index) -> tuple[_ByLock, _ByLock]:
    """Waiters and holders by lock, with how sure each is."""
    found = []
    for table in ("lock_waits", "lock_holds"):
        by_lock: dict[int, list[tuple[int, str]]] = defaultdict(list)
        pairs = zip(
            index.column(table, "lock").tolist(),
            index.column(table, "thread").tolist(),
            index.text(table, "certainty").all,
            strict=True,
        )
        for lock, thread, certainty in pairs:
            if certainty != "possible":
                by_lock[lock].append((thread, certainty))
        found.append(by_lock)
    return found[0], found[1]


def _add_chains(index: Index, graph: _Graph) -> None:
    """What a drawn lock waits for in turn, as far as there is room."""
    names = ("lock", "next")
    for lock, following in zip(*(index.column("lock_chains", name).tolist() for name in names), strict=True):
        if f"l{lock}" in graph.nodes and (f"l{following}" in graph.nodes or graph.room(1)):
            graph.edge(graph.lock(lock), graph.lock(following), "needs", red=False, likely=False)
