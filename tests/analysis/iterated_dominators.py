"""A second algorithm for dominators, after Cooper, Harvey and Kennedy: iterate over the reverse postorder until nothing changes.

Slower than the product's and of another kind, so that both are not wrong in the same way. Compiled, for whole heaps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

_NONE = np.uint32(0xFFFFFFFF)


def iterated_dominators(offsets: npt.NDArray[np.uint64], targets: npt.NDArray[np.uint32], start: int) -> npt.NDArray[np.uint32]:
    """Immediate dominators uint32[nodes] of a graph in compressed rows, ``start`` its own; 0xFFFFFFFF: not reached."""
    found: npt.NDArray[np.uint32] = _iterated(offsets.astype(np.int64), targets, start)
    return found


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _iterated(offsets, targets, start):  # type: ignore[no-untyped-def]
    nodes = len(offsets) - 1
    order, number, count = _postorder(offsets, targets, start)
    first = np.zeros(nodes + 1, np.int64)
    for place in range(count):
        node = order[place]
        for edge in range(offsets[node], offsets[node + 1]):
            first[targets[edge] + 1] += 1
    for node in range(nodes):
        first[node + 1] += first[node]
    before, at = np.empty(first[nodes], np.uint32), first[:-1].copy()
    for place in range(count):
        node = order[place]
        for edge in range(offsets[node], offsets[node + 1]):
            before[at[targets[edge]]] = node
            at[targets[edge]] += 1
    found = np.full(nodes, _NONE, np.uint32)
    found[start] = start
    changed = True
    while changed:
        changed = False
        for place in range(count - 2, -1, -1):
            node = order[place]
            nearest = _NONE
            for edge in range(first[node], first[node + 1]):
                other = before[edge]
                if found[other] == _NONE:
                    continue
                if nearest == _NONE:
                    nearest = other
                while nearest != other:
                    while number[nearest] < number[other]:
                        nearest = found[nearest]
                    while number[other] < number[nearest]:
                        other = found[other]
            if found[node] != nearest:
                found[node] = nearest
                changed = True
    return found


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _postorder(offsets, targets, start):  # type: ignore[no-untyped-def]
    nodes = len(offsets) - 1
    order, number, edge = np.empty(nodes, np.uint32), np.full(nodes, -1, np.int64), offsets[:-1].copy()
    seen, stack = np.zeros(nodes, np.bool_), np.empty(nodes, np.uint32)
    count, depth = 0, 1
    stack[0], seen[start] = start, True
    while depth:
        node = stack[depth - 1]
        if edge[node] == offsets[node + 1]:
            depth -= 1
            number[node] = count
            order[count] = node
            count += 1
            continue
        target = targets[edge[node]]
        edge[node] += 1
        if not seen[target]:
            seen[target] = True
            stack[depth] = target
            depth += 1
    return order, number, count
