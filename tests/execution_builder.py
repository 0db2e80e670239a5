"""Stacks, exceptions, locks and findings for synthetic indexes: a deadlock of the first two threads, the others behind it.

Every living thread has the same five frames: native, a Frame of the runtime, Monitor.Enter, ``Shop.Checkout.Pay``, Main.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.index.store import IndexWriter

SECRET_MESSAGE, SECRET_REGISTER = "secret-message of a customer", 0x5EC2E75EC2E7
LOCKS_AT = 0x7F10_0000_0000
_OBJECT, _STACK, _CODE = 0x7F00_0000_0000, 0x7FFC_0000_0000, 0x7A00_0000_0000
_PAY, _ENTER, _MAIN = 0, 1, 2
_METHODS = ("Shop.Checkout.Pay(System.String)", "System.Threading.Monitor.Enter(System.Object)", "Shop.Program.Main()")
_DOING = "Main thread waits to enter the lock of Shop.Ledger, held by thread 2."


@dataclass(frozen=True)
class Execution:
    """``names`` of threads, the last one of which has ended; ``folded`` turns of recursion in the first thread.

    ``texts`` go where a dump has text of its own: methods, types of locks and exceptions, states, reasons.
    """

    names: Sequence[str]
    folded: int = 0
    texts: Sequence[str] = ()

    @property
    def alive(self) -> int:
        return max(len(self.names) - 1, 0)

    def text(self, place: int, otherwise: str) -> str:
        return self.texts[place % len(self.texts)] if self.texts else otherwise

    @property
    def frame_counts(self) -> list[int]:
        return [5 + (self.folded if row == 0 else 0) for row in range(self.alive)] + [0] * (len(self.names) - self.alive)

    @property
    def first_frames(self) -> list[int]:
        return [sum(self.frame_counts[:row]) for row in range(len(self.names))] if len(self.names) < 50 else self._many()

    def _many(self) -> list[int]:
        starts, at = [], 0
        for count in self.frame_counts:
            starts.append(at)
            at += count
        return starts


def thread_columns(spec: Execution) -> dict[str, list[Any]]:
    """The columns of threads that say where their stacks are."""
    alive, total = spec.alive, len(spec.names)
    ended = total - alive
    return {
        "first_frame": spec.first_frames,
        "frames": spec.frame_counts,
        "stopped": ["", *[spec.text(1, "")] * (total - 1)][:total],
        "stack_group": [0] * alive + [-1] * ended,
        "merged_leaf": [2] * alive + [-1] * ended,
        "top_own_frame": [start + 3 for start in spec.first_frames[:alive]] + [-1] * ended,
        "doing": [
            spec.text(row, "Main thread waits to enter the lock of Shop.Ledger, held by thread 2.") for row in range(total)
        ],
    }


def write_execution(writer: IndexWriter, spec: Execution) -> None:
    """Everything about execution but the table of threads."""
    _write_methods(writer, spec)
    _write_frames(writer, spec)
    _write_exceptions(writer, spec)
    _write_locks(writer, spec)
    writer.facts("crash", {})
    writer.facts("findings", _findings(spec))


def _write_methods(writer: IndexWriter, spec: Execution) -> None:
    names = [
        "Shop.Checkout.Pay(System.String)",
        "System.Threading.Monitor.Enter(System.Object)",
        "Shop.Program.Main()",
        *spec.texts,
    ]
    writer.table("methods", {
        "method_desc": [0x7B10_0000_0000 + 64 * row for row in range(len(names))],
        "name": names,
        "type_name": ["Shop.Checkout", "System.Threading.Monitor", "Shop.Program", *spec.texts],
        "method_name": ["Pay", "Enter", "Main", *spec.texts],
        "module": [1, 0, 1] + [1] * len(spec.texts),
        "token": [0x06000001 + row for row in range(len(names))],
        "code": ["JIT", "ReadyToRun", "JIT"] + ["JIT"] * len(spec.texts),
        "tier": ["tier 1", "", "tier 0"] + [""] * len(spec.texts),
        "start": [_CODE + 0x100 * row for row in range(len(names))],
        "own_code": [True, False, True] + [True] * len(spec.texts),
    })  # fmt: skip


def _write_frames(writer: IndexWriter, spec: Execution) -> None:
    pay = 3 if spec.texts else _PAY
    kinds, methods = [2, 1, 0, 0, 0], [-1, -1, _ENTER, pay, _MAIN]
    labels = ["libc.so.6+0x85f16", spec.text(2, "InlinedCallFrame"), "", "", ""]
    rows: list[tuple[int, int, int, str]] = []
    for thread in range(spec.alive):
        turns = spec.folded if thread == 0 else 0
        order = [0, 1, 2, *[3] * (1 + turns), 4]
        rows += [(thread, kinds[place], methods[place], labels[place]) for place in order]
    writer.table("frames", {
        "thread": [thread for thread, *_ in rows],
        "kind": [kind for _, kind, *_ in rows],
        "ip": [_CODE + row for row in range(len(rows))],
        "sp": [_STACK + 64 * row for row in range(len(rows))],
        "method": [method for *_, method, _ in rows],
        "label": [label for *_, label in rows],
        "il_offset": [5 if kind == 0 else -1 for _, kind, *_ in rows],
    })  # fmt: skip
    folds = [(0, 3, 1, spec.folded + 1)] if spec.folded else []
    names = ("thread", "first_frame", "period", "repeats")
    writer.table("frame_folds", {name: [fold[place] for fold in folds] for place, name in enumerate(names)})
    writer.table("native_threads", {"os_id": [], "first_frame": [], "frames": []})
    starts = spec.first_frames[: spec.alive]
    writer.table("stack_objects", {
        "frame": [start + 3 for start in starts],
        "slot": [_STACK + 64 * start for start in starts],
        "register": [""] * len(starts),
        "object": [_OBJECT] * len(starts),
        "type_name": [spec.text(3, "Shop.Order")] * len(starts),
        "interior": [False] * len(starts),
        "pinned": [False] * len(starts),
        "precise": [row % 2 == 0 for row in range(len(starts))],
    })  # fmt: skip
    writer.table("registers", {
        "thread": list(range(spec.alive)), "name": ["rip"] * spec.alive, "value": [SECRET_REGISTER] * spec.alive,
    })  # fmt: skip
    alive = spec.alive
    depth = 3 if alive else 0
    writer.table("merged_stacks", {
        "parent": [-1, 0, 1][:depth], "end": [3, 3, 3][:depth], "depth": [0, 1, 2][:depth],
        "method": [_MAIN, pay, _ENTER][:depth], "label": [""] * depth, "threads": [alive] * depth,
        "repeats": [1, spec.folded + 1, 1][:depth],
    })  # fmt: skip


def _write_exceptions(writer: IndexWriter, spec: Execution) -> None:
    """The second thread's exception with an inner one, and a third one on the heap."""
    count = 3 if spec.alive > 1 else 0
    writer.table("exceptions", {
        "address": [_OBJECT + 24 * row for row in range(count)],
        "type_name": [spec.text(row, "System.InvalidOperationException") for row in range(count)],
        "message": [spec.text(4, SECRET_MESSAGE)] * count,
        "has_message": [True] * count,
        "hresult": [-2146233079] * count,
        "inner": [1, -1, -1][:count],
        "thread": [1, -1, -1][:count],
        "nesting": [0, -1, -1][:count],
        "first_frame": [0, 1, 2][:count],
        "frames": [1, 1, 0][:count],
    })  # fmt: skip
    frames = min(count, 2)
    writer.table("exception_frames", {
        "exception": list(range(frames)), "ip": [_CODE] * frames, "sp": [_STACK] * frames, "method": [_PAY] * frames,
        "il_offset": [5] * frames,
    })  # fmt: skip


def _write_locks(writer: IndexWriter, spec: Execution) -> None:
    """Two ledgers: each held by one of the first two threads and awaited by the other; all others wait for the first."""
    alive = spec.alive
    locks = 2 if alive > 1 else 0
    others = list(range(2, alive)) if locks else []
    waits = [(0, 1), (1, 0), *((row, 0) for row in others)] if locks else []
    starts = spec.first_frames
    writer.table("locks", {
        "kind": ["Monitor"] * locks,
        "object": [LOCKS_AT + 24 * row for row in range(locks)],
        "type_name": [spec.text(5, "Shop.Ledger")] * locks,
        "form": ["sync block"] * locks,
        "sync_index": [1, 2][:locks],
        "held": [True] * locks,
        "owner": [0, 1][:locks],
        "recursion": [1] * locks,
        "waiters": [1 + len(others), 1][:locks],
        "stated_waiters": [1 + len(others), 1][:locks],
        "state": [spec.text(6, "held")] * locks,
        "orphaned": [False] * locks,
    })  # fmt: skip
    writer.table("lock_waits", {
        "thread": [thread for thread, _ in waits],
        "lock": [lock for _, lock in waits],
        "frame": [starts[thread] + 3 for thread, _ in waits],
        "mode": ["enter"] * len(waits),
        "position": [max(place - 1, 1) for place in range(len(waits))],
        "how": [spec.text(7, "the runtime's note of what blocks the thread")] * len(waits),
        "certainty": ["certain"] * len(waits),
    })  # fmt: skip
    writer.table("lock_holds", {
        "lock": [0, 1][:locks], "thread": [0, 1][:locks], "frame": [starts[row] + 4 for row in range(locks)],
        "mode": ["owner"] * locks, "how": [spec.text(8, "the lock's own state")] * locks, "certainty": ["certain"] * locks,
    })  # fmt: skip
    writer.table("lock_chains", {"lock": [], "next": [], "how": [], "certainty": []})
    writer.table("cycles", {
        "cycle": [0] * locks, "thread": [0, 1][:locks], "holds": [0, 1][:locks], "waits": [1, 0][:locks],
        "holds_frame": [starts[row] + 4 for row in range(locks)], "waits_frame": [starts[row] + 3 for row in range(locks)],
    })  # fmt: skip
    writer.table("cycle_bystanders", {"cycle": [0] * len(others), "thread": others})


def _findings(spec: Execution) -> dict[str, Any]:
    passed = [{"rule": "stack-overflow", "title": "Stack overflow", "text": spec.text(9, "5 frames in the deepest stack")}]
    not_run = [{"rule": "blocked-finalizer", "title": "Blocked finalizer", "text": "the finalizer thread was not found"}]
    items = [
        {
            "rule": "deadlock",
            "version": 1,
            "severity": "critical",
            "confidence": "certain",
            "impact": 1.0,
            "title": [
                {"ref": "thread", "row": 0},
                {"text": " and "},
                {"ref": "thread", "row": 1},
                {"text": " wait for each other"},
            ],
            "summary": [{"text": spec.text(10, "Held: ")}, {"ref": "lock", "row": 0}],
            "evidence": [{"text": "took it here", "ref": "frame", "row": 3}, {"text": "threw", "ref": "exception", "row": 0}],
            "why": "Each holds what the other needs.",
            "what_to_do": ["Take the locks in the same order."],
            "false_alarm": "When a wait has a timeout.",
        }
    ]
    return {"items": items if spec.alive > 1 else [], "passed": passed, "not_run": not_run}
