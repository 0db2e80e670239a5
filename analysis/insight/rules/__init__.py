"""The rules, one file each. To add one, write its file and name it here; docs/rules.md shows how."""

from __future__ import annotations

from analysis.insight.findings import Rule
from analysis.insight.rules import (
    blocked_finalizer,
    deadlock,
    finalizer_backlog,
    fragmented_heap,
    lock_convoy,
    orphaned_lock,
    piled_threads,
    retained_memory,
    stack_overflow,
    sync_over_async,
    unhandled_exception,
    unloadable_context,
)

RULES: tuple[Rule, ...] = (
    unhandled_exception.RULE,
    stack_overflow.RULE,
    deadlock.RULE,
    orphaned_lock.RULE,
    lock_convoy.RULE,
    blocked_finalizer.RULE,
    sync_over_async.RULE,
    piled_threads.RULE,
    retained_memory.RULE,
    unloadable_context.RULE,
    finalizer_backlog.RULE,
    fragmented_heap.RULE,
)
