"""Stack overflow: a recursion that did not end."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, frame, thread
from analysis.insight.merged_stacks import Fold, find_folds, frame_key
from analysis.insight.waits.parts import Certainty

_KIND = "stack overflow"


def _look(execution: Execution) -> Iterator[Finding]:
    crash = execution.crash
    if crash.kind != _KIND or crash.thread is None:
        return
    stack = execution.stacks[crash.thread]
    fold = max(find_folds([frame_key(f) for f in stack.frames]), key=lambda f: f.period * f.repeats, default=Fold(0, 1, 1))
    turn = stack.frames[fold.start : fold.start + fold.period]
    names = " → ".join(f.method.name for f in reversed(turn) if f.method)
    if fold.repeats > 1:
        recursion = f"{names} repeats {fold.repeats:,} times."
    else:
        recursion = f"The stack has {len(stack.frames):,} frames, none repeats."
    yield Finding(
        severity=Severity.CRITICAL,
        confidence=Certainty.CERTAIN,
        impact=1.0,
        title=("The stack of ", thread(crash.thread), " overflowed"),
        summary=(f"{recursion} The runtime ended the process; a stack overflow cannot be caught.",),
        evidence=(
            Evidence("the thread", thread(crash.thread)),
            Evidence("where the last turn begins", frame(execution.frame_row(crash.thread, fold.start))),
        ),
    )


RULE = Rule(
    name="stack-overflow",
    title="Stack overflow",
    look=_look,
    looked_at=lambda execution: f"{max((len(s.frames) for s in execution.stacks), default=0):,} frames in the deepest stack",
    why="A recursion without an end, or over data deeper than the stack, kills the whole process at once.",
    what_to_do=(
        "Find the case in which the recursion should end: the first turns, at the bottom of the stack, show how it began.",
        "For deep data use a loop with a stack of its own.",
    ),
    false_alarm="None: the runtime itself reported it.",
)
