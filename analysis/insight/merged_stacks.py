"""All managed stacks as one tree, groups of identical stacks, and what repeats in a stack."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.limits import LIMITS
from analysis.runtime.stack_frames import FrameKind, StackFrame, ThreadStack

#: A turn of a recursion has at most so many frames, and must come so often to be folded.
_LONGEST_PERIOD, _FEWEST_TURNS = 16, 4


@dataclass(frozen=True, slots=True)
class Fold:
    """Elements [start, start + period * repeats) of a sequence are one turn, ``repeats`` times."""

    start: int
    period: int
    repeats: int


def find_folds(sequence: Sequence[Hashable]) -> list[Fold]:
    """Stretches that repeat, from left to right, none overlapping; the shortest period that covers most is taken."""
    numbers: dict[Hashable, int] = {}
    elements = np.array([numbers.setdefault(element, len(numbers)) for element in sequence], np.int64)
    covered, periods = np.zeros(len(elements), np.int64), np.zeros(len(elements), np.int64)
    for period in range(1, min(_LONGEST_PERIOD, len(elements) // _FEWEST_TURNS) + 1):
        repeats = 1 + _runs(elements, period) // period
        longer = (repeats >= _FEWEST_TURNS) & (repeats * period > covered)
        covered[longer], periods[longer] = (repeats * period)[longer], period
    found, end = [], 0
    starts = np.flatnonzero(covered)
    while (place := int(np.searchsorted(starts, end))) < len(starts):
        start = int(starts[place])
        period, end = int(periods[start]), start + int(covered[start])
        found.append(Fold(start, period, (end - start) // period))
    return found


def _runs(elements: npt.NDArray[np.int64], period: int) -> npt.NDArray[np.int64]:
    """For each place, how many elements from there on equal the element ``period`` further on."""
    length = len(elements)
    places = np.arange(length)
    differs = np.append(elements[:-period] != elements[period:], np.ones(period, bool))
    following = np.where(differs, places, length)
    # The next place, from each one on, where the two differ.
    return np.minimum.accumulate(following[::-1])[::-1] - places


def frame_key(frame: StackFrame) -> Hashable:
    """What makes two frames the same in a merged stack: the method, whatever code it runs."""
    if frame.method and frame.kind == FrameKind.MANAGED:
        return frame.method.address or frame.method.name
    return frame.label


@dataclass(slots=True)
class Node:
    """A frame of the merged tree. ``threads`` are rows of threads that pass through it."""

    frame: StackFrame
    parent: Node | None
    depth: int
    repeats: int = 1
    threads: list[int] = field(default_factory=list)
    children: dict[Hashable, Node] = field(default_factory=dict)
    row: int = -1
    end: int = -1


@dataclass(slots=True)
class MergedStacks:
    """The tree in preorder, and for every thread: its leaf, its group of identical stacks, its innermost own frame.

    Threads without managed frames have -1 for leaf and group; ``own_frame`` counts within the thread's stack.
    """

    nodes: list[Node] = field(default_factory=list)
    leaf: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    own_frame: list[int] = field(default_factory=list)


def merge_stacks(stacks: Sequence[ThreadStack]) -> MergedStacks:
    """Merge the stacks of managed threads, outermost frame first; the busiest branches come first."""
    merged, roots, leaves, groups = MergedStacks(), dict[Hashable, Node](), list[Node | None](), dict[Hashable, int]()
    made = 0
    for row, stack in enumerate(stacks):
        frames = [frame for frame in reversed(stack.frames) if frame.kind == FrameKind.MANAGED]
        keys = tuple(frame_key(frame) for frame in frames)
        merged.group.append(groups.setdefault(keys, len(groups)) if keys else -1)
        merged.own_frame.append(next((n for n, f in enumerate(stack.frames) if is_own(f)), -1))
        leaf: Node | None = None
        for place, repeats in _folded(keys):
            siblings = leaf.children if leaf else roots
            node = siblings.get(keys[place])
            if node is None:
                if made >= LIMITS.merged_nodes:
                    break
                made += 1
                node = siblings[keys[place]] = Node(frames[place], leaf, leaf.depth + 1 if leaf else 0)
            node.repeats = max(node.repeats, repeats)
            node.threads.append(row)
            leaf = node
        leaves.append(leaf)
    merged.nodes = _number(roots)
    merged.leaf = [leaf.row if leaf else -1 for leaf in leaves]
    return merged


def is_own(frame: StackFrame) -> bool:
    """Whether a frame runs the program's own code."""
    return frame.kind == FrameKind.MANAGED and frame.method is not None and frame.method.own_code


def _folded(keys: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Places of a stack with the turns of a recursion taken once: (place, how often)."""
    folds, at = iter(find_folds(keys)), 0
    fold = next(folds, None)
    while at < len(keys):
        if fold and at == fold.start:
            for step in range(fold.period):
                yield at + step, fold.repeats
            at += fold.period * fold.repeats
            fold = next(folds, None)
        else:
            yield at, 1
            at += 1


def _number(roots: dict[Hashable, Node]) -> list[Node]:
    """Give the nodes their rows in preorder; without recursion, for stacks are deep."""
    nodes: list[Node] = []
    waiting: list[tuple[Node, bool]] = [(node, False) for node in _busiest_last(roots)]
    while waiting:
        node, done = waiting.pop()
        if done:
            node.end = len(nodes)
            continue
        node.row = len(nodes)
        nodes.append(node)
        waiting.append((node, True))
        waiting += [(child, False) for child in _busiest_last(node.children)]
    return nodes


def _busiest_last(children: dict[Hashable, Node]) -> list[Node]:
    return sorted(children.values(), key=lambda node: len(node.threads))
