"""Sync over async: threads of the pool that block on tasks, which need threads of the pool to complete.

Parallel.For and its like wait for their own tasks too, but run them meanwhile: a thread that waits for the task library's
own code does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, frame, listed, thread
from analysis.insight.waits.parts import Certainty, Wait

_TASK, _POOL_WORKER = "Task", "pool worker"
_TASK_LIBRARY = "System.Threading.Tasks."
_FEWEST, _MANY, _MOST_OF_THE_POOL, _MOST_SHOWN = 2, 3, 0.5, 8


def _workers(execution: Execution) -> list[int]:
    return [row for row in execution.alive if _POOL_WORKER in execution.threads[row].roles]


def _blocked(execution: Execution) -> list[Wait]:
    workers = set(_workers(execution))
    first = {wait.thread: wait for wait in execution.graph.waits
             if wait.thread in workers and execution.graph.locks[wait.lock].kind == _TASK}  # fmt: skip
    return [first[row] for row in sorted(first) if not _of_the_library(execution, first[row])]


def _of_the_library(execution: Execution, wait: Wait) -> bool:
    method = execution.stacks[wait.thread].frames[wait.frame].method if wait.frame >= 0 else None
    return method is not None and method.type_name.startswith(_TASK_LIBRARY)


def _look(execution: Execution) -> Iterator[Finding]:
    blocked, workers = _blocked(execution), len(_workers(execution))
    if len(blocked) < _FEWEST:
        return
    share = len(blocked) / workers
    own = Counter(found.method.name for wait in blocked if (found := execution.own_frame(wait.thread)) and found.method)
    place = f" Most of them block in {own.most_common(1)[0][0]}." if own else ""
    shown = blocked[:_MOST_SHOWN]
    yield Finding(
        severity=Severity.CRITICAL if share >= _MOST_OF_THE_POOL and len(blocked) >= _MANY else Severity.WARNING,
        confidence=Certainty.CERTAIN if all(wait.certainty == Certainty.CERTAIN for wait in blocked) else Certainty.LIKELY,
        impact=len(blocked) / max(len(execution.alive), 1),
        title=(f"{len(blocked):,} of {workers:,} threads of the pool block on tasks",),
        summary=(
            *listed([thread(wait.thread) for wait in blocked]),
            f" wait for a task with Wait, Result or GetResult while they keep a thread of the pool.{place} What would complete "
            "the tasks needs threads of the pool too; new ones come only one or two a second.",
        ),
        evidence=tuple(
            Evidence("blocks here", frame(execution.frame_row(wait.thread, wait.frame))) for wait in shown if wait.frame >= 0
        ),
    )


RULE = Rule(
    name="sync-over-async",
    title="Sync over async on pool threads",
    look=_look,
    looked_at=lambda execution: f"{len(_workers(execution)):,} threads of the pool",
    why="A thread that blocks on a task cannot run the continuation that would complete it. Under load the pool runs dry: "
    "requests wait although the processors are idle.",
    what_to_do=(
        "Await the task all the way up instead of calling Wait, Result or GetAwaiter().GetResult().",
        "Where the caller cannot be asynchronous, run the work on a thread of its own, outside the pool.",
        "ThreadPool.SetMinThreads hides the symptom for a while; it does not mend it.",
    ),
    false_alarm="When the tasks complete without the pool (a dedicated thread sets them) and few threads block at a time.",
)
