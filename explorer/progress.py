"""How far an analysis is, in the words of the page that waits for it."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.models import Analysis, State

#: The stages of the child process in order, and about how much of the whole time each takes.
STAGES = (
    ("open", "Reading the file's segments", 0.05),
    ("runtime", "Finding the runtime", 0.05),
    ("heap", "Walking the heap", 0.3),
    ("types", "Naming types and fields", 0.2),
    ("retention", "Following references", 0.27),
    ("secrets", "Looking for secrets in texts", 0.03),
    ("threads", "Reading threads", 0.05),
    ("write", "Writing the result", 0.05),
)
_HEADINGS = {
    State.RECEIVED: "Received",
    State.CHECKING: "Checking the file",
    State.QUEUED: "Waiting for a worker",
    State.RUNNING: "Analysing",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage as drawn: passed, current or ahead."""

    label: str
    state: str
    percent: int
    detail: str


@dataclass(frozen=True)
class Progress:
    """An open analysis as drawn."""

    heading: str
    words: str
    percent: int
    stages: tuple[Stage, ...]


def progress_of(analysis: Analysis) -> Progress:
    """The progress of an open analysis."""
    names = [name for name, _, _ in STAGES]
    running = analysis.state == State.RUNNING
    at = names.index(analysis.stage) if running and analysis.stage in names else -1
    fraction = min(1.0, max(0.0, analysis.fraction))
    done = sum(weight for _, _, weight in STAGES[: max(at, 0)])
    percent = round(100 * (done + (STAGES[at][2] * fraction if at >= 0 else 0.0)))
    stages = tuple(
        Stage(
            label=label,
            state="passed" if number < at else "current" if number == at else "ahead",
            percent=round(100 * fraction),
            detail=analysis.detail if number == at else "",
        )
        for number, (_, label, _) in enumerate(STAGES)
    )
    now = f"{analysis.detail.rstrip('.')}. " if analysis.detail and not running else ""
    again = f" This is start {analysis.attempts}." if analysis.attempts > 1 else ""
    died = " The process that reads the dump died once; a second time ends the analysis." if analysis.crashes else ""
    words = now + "This page follows by itself; closing it stops nothing." + again + died
    return Progress(_HEADINGS.get(State(analysis.state), "Analysing"), words, percent, stages)
