"""Tables of the wait graph: locks, lock_waits, lock_holds, lock_chains, cycles, cycle_bystanders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.index.store import IndexWriter
from analysis.insight.deadlocks import Cycle
from analysis.insight.wait_graph import WaitGraph


def write_locks(writer: IndexWriter, graph: WaitGraph, cycles: Sequence[Cycle], first_frames: Sequence[int]) -> None:
    """All tables of locks. ``first_frames``: the row of ``frames`` at which the stack of each thread begins."""
    _write_locks(writer, graph)
    _write_edges(writer, graph, first_frames)
    _write_cycles(writer, cycles, first_frames)


def _write_locks(writer: IndexWriter, graph: WaitGraph) -> None:
    locks = graph.locks
    writer.table("locks", {
        "kind": [lock.kind for lock in locks],
        "object": np.array([lock.object for lock in locks], np.uint64),
        "type_name": [lock.type_name for lock in locks],
        "form": [lock.form for lock in locks],
        "sync_index": [lock.sync_index for lock in locks],
        "held": [lock.held for lock in locks],
        "owner": [lock.owner for lock in locks],
        "recursion": [lock.recursion for lock in locks],
        "waiters": [lock.waiters for lock in locks],
        "stated_waiters": [lock.stated_waiters for lock in locks],
        "state": [lock.state for lock in locks],
        "orphaned": [lock.orphaned for lock in locks],
    })  # fmt: skip


def _write_edges(writer: IndexWriter, graph: WaitGraph, first_frames: Sequence[int]) -> None:
    waits = graph.waits
    writer.table("lock_waits", {
        "thread": [wait.thread for wait in waits],
        "lock": [wait.lock for wait in waits],
        "frame": [_frame(first_frames, wait.thread, wait.frame) for wait in waits],
        "mode": [wait.mode for wait in waits],
        "position": [wait.position for wait in waits],
        "how": [wait.how for wait in waits],
        "certainty": [wait.certainty.word for wait in waits],
    })  # fmt: skip
    holds = [(row, holder) for row, lock in enumerate(graph.locks) for holder in lock.holders]
    writer.table("lock_holds", {
        "lock": [row for row, _ in holds],
        "thread": [holder.thread for _, holder in holds],
        "frame": [_frame(first_frames, holder.thread, holder.frame) for _, holder in holds],
        "mode": [holder.mode for _, holder in holds],
        "how": [holder.how for _, holder in holds],
        "certainty": [holder.certainty.word for _, holder in holds],
    })  # fmt: skip
    writer.table("lock_chains", {
        "lock": [chain.lock for chain in graph.chains],
        "next": [chain.next for chain in graph.chains],
        "how": [chain.how for chain in graph.chains],
        "certainty": [chain.certainty.word for chain in graph.chains],
    })  # fmt: skip


def _write_cycles(writer: IndexWriter, cycles: Sequence[Cycle], first_frames: Sequence[int]) -> None:
    steps = [(number, step) for number, cycle in enumerate(cycles) for step in cycle.steps]
    writer.table("cycles", {
        "cycle": [number for number, _ in steps],
        "thread": [step.thread for _, step in steps],
        "holds": [step.holds for _, step in steps],
        "waits": [step.waits for _, step in steps],
        "holds_frame": [_frame(first_frames, step.thread, step.holds_frame) for _, step in steps],
        "waits_frame": [_frame(first_frames, step.thread, step.waits_frame) for _, step in steps],
    })  # fmt: skip
    bystanders = [(number, thread) for number, cycle in enumerate(cycles) for thread in cycle.bystanders]
    writer.table("cycle_bystanders", {
        "cycle": [number for number, _ in bystanders],
        "thread": [thread for _, thread in bystanders],
    })  # fmt: skip


def _frame(first_frames: Sequence[int], thread: int, place: int) -> int:
    """Row of ``frames`` of the frame at a place of a thread's stack, -1 for none."""
    return first_frames[thread] + place if place >= 0 else -1
