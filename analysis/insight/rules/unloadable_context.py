"""Collectible assemblies that nobody uses as such any more and that stay: something still refers to an object of theirs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.graph.retention import Retention
from analysis.heap.field_columns import FieldColumns
from analysis.index.retention import NOT_LIVE
from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, heap_object
from analysis.insight.live_objects import graph_of
from analysis.insight.rules.retained_memory import held_by
from analysis.insight.waits.parts import Certainty

_CONTEXT = "System.Runtime.Loader.AssemblyLoadContext"
#: AssemblyLoadContext.InternalState.Unloading.
_UNLOADING = 1
#: Fewer without a context may be dynamic assemblies that are meant to be there.
_FEWEST = 3
#: The process runs on; what it loses cannot be told from the heap alone.
_IMPACT = 0.1
_DEEPEST = 100


def _contexts(execution: Execution, retention: Retention) -> tuple[np.ndarray, int]:
    """Object ids of live load contexts that were told to unload, and how many other collectible ones there are."""
    types, walked = execution.dump.runtime.types, retention.walked
    wanted = np.zeros(len(walked.types), bool)
    for row, method_table in enumerate(walked.types.method_tables[1:], 1):
        for _ in range(_DEEPEST):
            if not method_table:
                break
            if types.name(method_table) == _CONTEXT:
                wanted[row] = True
                break
            method_table = types.info(method_table).parent
    rows = np.flatnonzero(wanted[walked.columns.type] & retention.live)
    fields = FieldColumns(walked, types, execution.dump.named_fields)
    rows = rows[fields.numbers(walked.columns.address[rows], "_isCollectible") == 1]
    unloading = fields.numbers(walked.columns.address[rows], "_state") == _UNLOADING
    return rows[unloading], int((~unloading).sum())


def _allocators(retention: Retention) -> list[int]:
    """Object ids of live loader allocators of types that may be unloaded."""
    addresses = np.unique(np.array(list(retention.roots.loader_allocators.values()), np.uint64))
    rows = retention.places.find(addresses)
    rows = rows[rows != NOT_LIVE]
    return [int(row) for row in rows[retention.live[rows]]]


def _look(execution: Execution) -> Iterator[Finding]:
    retention = graph_of(execution)
    (contexts, in_use), allocators = _contexts(execution, retention), _allocators(retention)
    left = len(allocators) - in_use
    if left < (1 if len(contexts) else _FEWEST):
        return
    # The object that a collectible type's allocator hangs on is the one from outside that keeps all of it.
    path = [(int(retention.parent[row]), row) for row in allocators]
    keepers = [above if above < retention.objects else row for above, row in path]
    by, evidence = held_by(retention, keepers[0])
    yield Finding(
        severity=Severity.WARNING,
        confidence=Certainty.LIKELY if len(contexts) else Certainty.POSSIBLE,
        impact=_IMPACT,
        title=(f"{left:,} collectible assemblies are kept in memory: ", heap_object(keepers[0]), *by),
        summary=(f"{len(allocators):,} loader allocators of collectible assemblies are alive and only {in_use:,} load contexts "
                 f"use one; {len(contexts):,} were told to unload. Objects of their types are still referred to, the first is ",
                 heap_object(keepers[0]), *by, "."),
        evidence=(
            *(Evidence("was told to unload", heap_object(int(row))) for row in contexts[:8]),
            *(Evidence("an object of its assemblies, still referred to", heap_object(row)) for row in keepers[:8]),
            *evidence,
        ),
    )  # fmt: skip


def _looked_at(execution: Execution) -> str:
    retention = graph_of(execution)
    return f"{len(_allocators(retention)):,} collectible loader allocators alive, no more than are in use"


RULE = Rule(
    name="unloadable-context",
    title="Load context that cannot unload",
    look=_look,
    looked_at=_looked_at,
    why="Unloading is cooperative: assemblies, their types, statics and compiled code stay until nothing outside refers to any "
    "object of theirs. Every reload of a plug-in then costs its whole size again.",
    what_to_do=(
        "Follow the path from the root to the object: the first reference from outside the context is the one to take out.",
        "Look for event subscriptions, caches keyed by type, thread statics and running threads of the plug-in.",
    ),
    false_alarm="When the context was told to unload just before the dump and its threads were still finishing.",
)
