"""Threads piled on one frame: many threads whose innermost own code is the same place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, frame, listed, thread
from analysis.insight.waits.parts import Certainty

_FEWEST, _LEAST_SHARE = 10, 0.25
_TASK = "Task"


def _explained(execution: Execution) -> set[int]:
    """Threads of which a deadlock, a convoy or blocking on tasks tells already."""
    lines = {convoy.lock for convoy in execution.convoys}
    lines |= {row for row, lock in enumerate(execution.graph.locks) if lock.kind == _TASK}
    found = {wait.thread for wait in execution.graph.waits if wait.lock in lines}
    for cycle in execution.cycles:
        found |= {step.thread for step in cycle.steps} | set(cycle.bystanders)
    return found


def _look(execution: Execution) -> Iterator[Finding]:
    explained = _explained(execution)
    piles: dict[tuple[int | str, int], list[int]] = defaultdict(list)
    with_own_code = 0
    for row in execution.alive:
        found = execution.own_frame(row)
        if found is None or found.method is None:
            continue
        with_own_code += 1
        if row not in explained:
            piles[found.method.address or found.method.name, found.il_offset].append(row)
    for rows in piles.values():
        share = len(rows) / max(with_own_code, 1)
        if len(rows) < _FEWEST or share < _LEAST_SHARE:
            continue
        found = execution.own_frame(rows[0])
        name = found.method.name if found and found.method else ""
        place = execution.frame_row(rows[0], execution.merged.own_frame[rows[0]])
        yield Finding(
            severity=Severity.NOTICE,
            confidence=Certainty.POSSIBLE,
            impact=len(rows) / max(len(execution.alive), 1),
            title=(f"{len(rows):,} threads are at the same place: {name}",),
            summary=(*listed([thread(row) for row in rows]),
                     f" have the same innermost frame of the program's own code, {share:.0%} of all threads that run such code. "
                     f"One of them: {execution.doing[rows[0]]}"),
            evidence=(Evidence("the place, on one of these threads", frame(place)),),
        )  # fmt: skip


RULE = Rule(
    name="piled-threads",
    title="Threads piled on one frame",
    look=_look,
    looked_at=lambda execution: (
        f"{sum(place >= 0 for place in execution.merged.own_frame):,} threads with code of the program's own; no place holds "
        f"{_FEWEST} of them and a quarter"
    ),
    why="Where many threads stand at once is where the process spends its time: a slow call, a hidden queue, or a place "
    "they all have to pass.",
    what_to_do=(
        "Look at what this place waits for: a remote call needs a timeout, a shared resource needs more of it or fewer users.",
        "Take a second dump: threads that are still there are stuck, others pass through.",
    ),
    false_alarm="When the threads are workers that wait there for something to do.",
)
