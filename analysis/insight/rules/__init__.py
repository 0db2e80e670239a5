"""The rules, one file each. To add one, write its file and name it here; docs/rules.md shows how."""

from __future__ import annotations

from analysis.insight.findings import Rule
from analysis.insight.rules import (
    blocked_finalizer,
    cancellation_registrations,
    deadlock,
    duplicate_strings,
    event_subscribers,
    finalizer_backlog,
    fragmented_heap,
    lock_convoy,
    orphaned_lock,
    oversized_collections,
    piled_threads,
    pinned_objects,
    retained_memory,
    stack_overflow,
    sync_over_async,
    timers,
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
    event_subscribers.RULE,
    timers.RULE,
    cancellation_registrations.RULE,
    duplicate_strings.RULE,
    oversized_collections.RULE,
    pinned_objects.RULE,
    unloadable_context.RULE,
    finalizer_backlog.RULE,
    fragmented_heap.RULE,
)
