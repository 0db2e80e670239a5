"""Which tasks complete another one when they complete themselves: the way back from continuations to what they hang on.

Source: ``System/Threading/Tasks/Task.cs`` (m_continuationObject) and ``TaskContinuation.cs`` in dotnet/runtime.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.insight.waits.evidence import Evidence

TASK = "System.Threading.Tasks.Task"
_DELEGATE = "System.MulticastDelegate"
_WRAPPER = "System.Runtime.CompilerServices.AsyncMethodBuilderCore+ContinuationWrapper"
_LIST = "System.Collections.Generic.List`1"
_CONTINUATION = "System.Threading.Tasks.TaskContinuation"
#: Tasks with continuations that are looked at, and continuations of one task.
_MOST_TASKS, _MOST_CONTINUATIONS = 200_000, 10_000
_DEEPEST = 8


def antecedents(evidence: Evidence) -> dict[int, list[int]]:
    """From a task to the tasks whose completion runs or completes it, for all tasks of the heap."""
    tasks = evidence.heap.of(TASK, derived=True)
    field = evidence.fields.find(int(tasks[0]), "m_continuationObject") if len(tasks) else None
    if field is None:
        return {}
    waiting = tasks[evidence.heap.words(tasks, field.offset) != np.uint64(0)]
    if len(waiting) > _MOST_TASKS:
        evidence.problems.append(f"continuations of the first {_MOST_TASKS:,} of {len(waiting):,} tasks were followed")
    found: dict[int, list[int]] = {}
    for task in waiting[:_MOST_TASKS].tolist():
        for completed in _completes(evidence, evidence.fields.reference(task, "m_continuationObject") or 0, _DEEPEST):
            found.setdefault(completed, []).append(task)
    return found


def _completes(evidence: Evidence, continuation: int, depth: int) -> Iterator[int]:
    """Tasks that a continuation object completes or runs."""
    fields = evidence.fields
    bases = fields.bases(fields.method_table(continuation)) if continuation and depth else ()
    if TASK in bases:
        yield continuation
    elif _DELEGATE in bases:
        yield from _completes(evidence, fields.reference(continuation, "_target") or 0, depth - 1)
    elif _WRAPPER in bases:
        yield from _completes(evidence, fields.reference(continuation, "_continuation") or 0, depth - 1)
    elif _CONTINUATION in bases:
        yield from _completes(evidence, fields.reference(continuation, "m_task", "m_action", "_action") or 0, depth - 1)
    elif _LIST in bases:
        for item in fields.list_references(continuation, _MOST_CONTINUATIONS):
            if item:
                yield from _completes(evidence, item, depth - 1)
