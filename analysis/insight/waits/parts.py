"""The parts of a wait graph: locks, who waits for them, who holds them, and what stands in between.

Threads are rows of ``Dump.threads.threads``, frames the place in that thread's stack counted from the innermost one;
-1 means none or not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Certainty(IntEnum):
    """How sure an edge is; the names are those of the index."""

    POSSIBLE = 0
    LIKELY = 1
    CERTAIN = 2

    @property
    def word(self) -> str:
        return self.name.lower()


#: A lock is known by its kind and the address of its object.
LockKey = tuple[str, int]


@dataclass(slots=True)
class Lock:
    """Anything a thread can hold or wait for. ``stated_waiters`` is -1 where the lock itself keeps no count.

    ``recursion`` counts entries of the owner, 1 for once. ``held`` may be true without an owner who can be named.
    ``chain`` names what it waits for in turn: keys of other locks with the reason.
    """

    kind: str
    object: int
    type_name: str
    form: str = ""
    sync_index: int = -1
    held: bool = False
    owner: int = -1
    recursion: int = 0
    stated_waiters: int = -1
    state: str = ""
    orphaned: bool = False
    waiters: int = 0
    holders: list[Holder] = field(default_factory=list)
    chain: list[Link] = field(default_factory=list)

    @property
    def key(self) -> LockKey:
        return self.kind, self.object


@dataclass(slots=True)
class Holder:
    """A thread that holds a lock or would signal it, before the frame that took it is looked for."""

    thread: int
    mode: str
    how: str
    certainty: Certainty = Certainty.CERTAIN
    frame: int = -1


@dataclass(frozen=True, slots=True)
class Link:
    """From a lock to another one it waits for in turn."""

    next: LockKey
    how: str
    certainty: Certainty = Certainty.CERTAIN


@dataclass(frozen=True, slots=True)
class Found:
    """What one thread waits for. ``object`` is 0 where only the kind is known; ``timed`` when it gives up after a while."""

    kind: str
    object: int
    mode: str
    how: str
    certainty: Certainty = Certainty.CERTAIN
    position: int = -1
    timed: bool = False


@dataclass(slots=True)
class Wait:
    """An edge from a thread to the lock in row ``lock`` of the graph."""

    thread: int
    lock: int
    frame: int
    mode: str
    position: int
    how: str
    certainty: Certainty
    timed: bool = False
