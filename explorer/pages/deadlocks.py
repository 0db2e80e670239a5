"""Deadlocks in words: who holds what and waits for what around each cycle, and who cannot move behind it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from analysis.index.store import Index
from explorer.pages.references import Piece, References

#: Deadlocks told on a page and in a text for a ticket; steps of each cycle, bystanders by name and by stack.
MOST_ON_PAGE, MOST_IN_TEXT = 20, 200
_MOST_STEPS, _MOST_BYSTANDERS, _MOST_GROUPS = 50, 20, 10


@dataclass(frozen=True, slots=True)
class Step:
    """One thread of a deadlock."""

    thread: Piece
    holds: Piece
    waits: Piece
    holds_frame: Piece | None
    waits_frame: Piece | None


@dataclass(frozen=True, slots=True)
class BystanderGroup:
    """Bystanders with the same stack: how many, and the innermost method of the program they stand in."""

    count: int
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Deadlock:
    """A cycle of ``threads`` threads with the ``behind`` that cannot move behind it; lists hold the first of them."""

    number: int
    threads: int
    steps: list[Step]
    behind: int
    bystanders: list[Piece]
    groups: list[BystanderGroup]

    @property
    def stuck(self) -> int:
        return self.threads + self.behind

    @property
    def more_steps(self) -> int:
        return self.threads - len(self.steps)

    @property
    def more_bystanders(self) -> int:
        return self.behind - len(self.bystanders)

    @property
    def text(self) -> str:
        """For a ticket."""
        who = f"{self.threads:,} threads wait for each other" if self.threads > 1 else "a thread waits for itself"
        lines = [f"Deadlock {self.number}: {who}."]
        for step in self.steps:
            lines.append(f"  {_named(step.thread)} holds {_named(step.holds)} and waits for {_named(step.waits)}")
            lines += [f"      took it in {step.holds_frame.title}"] if step.holds_frame else []
            lines += [f"      waits in   {step.waits_frame.title}"] if step.waits_frame else []
        lines += [f"  … and {self.more_steps:,} more around the circle"] if self.more_steps else []
        if self.behind:
            names = ", ".join(piece.text for piece in self.bystanders)
            rest = f" and {self.more_bystanders:,} more" if self.more_bystanders else ""
            lines.append(f"  {self.behind:,} more {'threads' if self.behind > 1 else 'thread'} cannot move: {names}{rest}")
        return "\n".join(lines)


def _named(piece: Piece) -> str:
    return piece.text if piece.title in ("", piece.text) else f"{piece.text} ({piece.title})"


def deadlocks(index: Index, references: References, most: int) -> tuple[list[Deadlock], int]:
    """The ``most`` deadlocks that stop most threads, and how many there are."""
    steps: dict[int, list[int]] = defaultdict(list)
    for row, cycle in enumerate(index.column("cycles", "cycle").tolist()):
        steps[cycle].append(row)
    behind: dict[int, list[int]] = defaultdict(list)
    bystanders = (index.column("cycle_bystanders", name).tolist() for name in ("cycle", "thread"))
    for cycle, thread in zip(*bystanders, strict=True):
        behind[cycle].append(thread)
    worst = sorted(steps, key=lambda cycle: -len(steps[cycle]) - len(behind[cycle]))[:most]
    found = [
        Deadlock(
            number=number,
            threads=len(steps[cycle]),
            steps=[_step(index, references, row) for row in steps[cycle][:_MOST_STEPS]],
            behind=len(behind[cycle]),
            bystanders=[references.thread(thread) for thread in behind[cycle][:_MOST_BYSTANDERS]],
            groups=_groups(index, references, behind[cycle]),
        )
        for number, cycle in enumerate(worst, 1)
    ]
    return found, len(steps)


def _step(index: Index, references: References, row: int) -> Step:
    def column(name: str) -> int:
        return int(index.column("cycles", name)[row])

    frames: list[Any] = [references.frame(frame) if frame >= 0 else None for frame in map(column, ("holds_frame", "waits_frame"))]
    return Step(references.thread(column("thread")), references.lock(column("holds")), references.lock(column("waits")), *frames)


def _groups(index: Index, references: References, rows: list[int]) -> list[BystanderGroup]:
    """Bystanders by identical stacks, the largest group first."""
    groups, tops = index.column("threads", "stack_group"), index.column("threads", "top_own_frame")
    members: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        members[int(groups[row])].append(row)
    url = references.url("dump-threads")
    found = [
        BystanderGroup(
            len(threads),
            references.frame_label(int(tops[threads[0]])) if tops[threads[0]] >= 0 else "code of the framework",
            f"{url}?group={group}",
        )
        for group, threads in members.items()
        if group >= 0
    ]
    return sorted(found, key=lambda group: -group.count)[:_MOST_GROUPS]
