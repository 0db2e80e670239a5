"""Stacks, exceptions, locks and findings for synthetic indexes: deadlocked pairs of threads, the others behind the first.

Every living thread has the same frames: native, a Frame of the runtime, Monitor.Enter, ``Shop.Checkout.Pay``, and Main or,
for those that are no part of a deadlock, the start of a thread. One thread more is none of the runtime's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from analysis.index.lines import Lines
from analysis.index.store import IndexWriter

SECRET_MESSAGE, SECRET_SOURCE = "secret-message of a customer", "/src/secret-source/Shop.cs"
LOCKS_AT, NATIVE_THREAD, SHOP_PDB = 0x7F10_0000_0000, 3999, "66666666-7777-8888-9999-000000000000,1"
_OBJECT, _STACK, _CODE = 0x7F00_0000_0000, 0x7FFC_0000_0000, 0x7A00_0000_0000
_METHODS = (
    ("Shop.Checkout", "Pay", "(System.String)", 1, "JIT", "tier 1"),
    ("System.Threading.Monitor", "Enter", "(System.Object)", 0, "ReadyToRun", ""),
    ("Shop.Program", "Main", "()", 1, "JIT", "tier 0"),
    ("System.Threading.Thread", "StartCallback", "()", 0, "ReadyToRun", ""),
)
_PAY, _ENTER, _MAIN, _START, _OF_TEXTS = range(5)
_NATIVE, _RUNTIME, _MANAGED = 2, 1, 0


@dataclass(frozen=True)
class Execution:
    """What the threads were doing.

    ``names`` of threads, the last one of which has ended; ``folded`` turns of recursion in the first thread; ``pairs`` of
    deadlocked threads; ``readers``: so many of the last threads share the first lock with its owner; ``task``: the first
    bystander waits for a task that needs the first lock; ``crash``: how the process ended. ``texts`` go where a dump has
    text of its own: methods, types of locks and exceptions, states, reasons.
    """

    names: Sequence[str] = ("", "secret-thread-name", "worker")
    folded: int = 0
    texts: Sequence[str] = ()
    pairs: int = 1
    readers: int = 0
    task: bool = False
    crash: str | None = None
    message: str = SECRET_MESSAGE
    throwing_threads: int = 1

    @property
    def alive(self) -> int:
        return max(len(self.names) - 1, 0)

    @property
    def stuck(self) -> int:
        """Threads that are part of a deadlock: the first ones."""
        return 2 * self.pairs if self.alive >= 2 * self.pairs else 0

    def text(self, place: int, otherwise: str) -> str:
        return self.texts[place % len(self.texts)] if self.texts else otherwise

    @cached_property
    def frame_counts(self) -> list[int]:
        return [5 + (self.folded if row == 0 else 0) for row in range(self.alive)] + [0] * (len(self.names) - self.alive)

    @cached_property
    def first_frames(self) -> list[int]:
        return [0, *accumulate(self.frame_counts)][: len(self.names)]

    @cached_property
    def throwers(self) -> range:
        """Threads with an exception: the second and those after it."""
        return range(1, min(1 + self.throwing_threads, self.alive))


def thread_columns(spec: Execution) -> dict[str, list[Any]]:
    """The columns of threads that say where their stacks are and what they throw."""
    alive, total, throwers = spec.alive, len(spec.names), set(spec.throwers)
    ended = [-1] * (total - alive)
    others = alive - spec.stuck
    return {
        "exception_type": ["System.InvalidOperationException" if row in throwers else "" for row in range(total)],
        "exception_address": [_OBJECT if row in throwers else 0 for row in range(total)],
        "first_frame": spec.first_frames,
        "frames": spec.frame_counts,
        "stopped": ["", *[spec.text(1, "")] * (total - 1)][:total],
        "stack_group": [0] * spec.stuck + [1] * others + ended,
        "merged_leaf": [2] * spec.stuck + [5 if spec.stuck else 2] * others + ended,
        "top_own_frame": [start + 3 for start in spec.first_frames[:alive]] + ended,
        "doing": [spec.text(row, f"Waits to enter a lock of Shop.Ledger: {row}.") for row in range(total)],
    }


def write_execution(writer: IndexWriter, spec: Execution) -> None:
    """Everything about execution but the table of threads."""
    _write_methods(writer, spec)
    _write_frames(writer, spec)
    _write_objects(writer, spec)
    _write_merged(writer, spec)
    _write_exceptions(writer, spec)
    _write_locks(writer, spec)
    _write_edges(writer, spec)
    writer.facts("crash", _crash(spec))
    writer.facts("findings", _findings(spec))


def _write_methods(writer: IndexWriter, spec: Execution) -> None:
    rows = [*_METHODS, *((text, text, "", 1, "JIT", "") for text in spec.texts)]
    types, methods, parameters, modules, codes, tiers = (list(part) for part in zip(*rows, strict=True))
    dots = ["."] * len(_METHODS) + [""] * len(spec.texts)
    writer.table("methods", {
        "method_desc": [0x7B10_0000_0000 + 64 * row for row in range(len(rows))],
        "name": [
            f"{owner}{dot}{method}{rest}" if dot else owner
            for owner, dot, method, rest in zip(types, dots, methods, parameters, strict=True)
        ],
        "type_name": types,
        "method_name": methods,
        "module": modules,
        "token": [0x06000001 + row for row in range(len(rows))],
        "code": codes,
        "tier": tiers,
        "start": [_CODE + 0x100 * row for row in range(len(rows))],
        "own_code": [module == 1 for module in modules],
    })  # fmt: skip
    own = [row + 1 for row, module in enumerate(modules) if module == 1]
    lines = Lines(
        (spec.text(11, SECRET_SOURCE).replace("\0", ""),),
        np.array(own, np.uint32),
        np.arange(len(own) + 1, dtype=np.uint32),
        np.array([(0, 0, 16 + row) for row in own], np.uint32),
    )
    writer.lines(SHOP_PDB, lines)


def _write_frames(writer: IndexWriter, spec: Execution) -> None:
    pay = _OF_TEXTS if spec.texts else _PAY
    frame, native = spec.text(2, "InlinedCallFrame"), "libc.so.6+0x85f16"
    rows: list[tuple[int, int, int, str]] = []
    for thread in range(spec.alive):
        turns = 1 + (spec.folded if thread == 0 else 0)
        outermost = _MAIN if thread < spec.stuck or not spec.stuck else _START
        rows += [(thread, _NATIVE, -1, native), (thread, _RUNTIME, -1, frame), (thread, _MANAGED, _ENTER, "")]
        rows += [(thread, _MANAGED, pay, "")] * turns + [(thread, _MANAGED, outermost, "")]
    rows += [(-1, _NATIVE, -1, "libcoreclr.so!ds_server_thread+0x1b")]
    threads, kinds, methods, labels = (list(part) for part in zip(*rows, strict=True))
    writer.table("frames", {
        "thread": threads,
        "kind": kinds,
        "ip": [_CODE + row for row in range(len(rows))],
        "sp": [_STACK + 64 * row for row in range(len(rows))],
        "method": methods,
        "label": labels,
        "il_offset": [5 if kind == _MANAGED else -1 for kind in kinds],
    })  # fmt: skip
    folds = [(0, 3, 1, spec.folded + 1)] if spec.folded else []
    names = ("thread", "first_frame", "period", "repeats")
    writer.table("frame_folds", {name: [fold[place] for fold in folds] for place, name in enumerate(names)})
    writer.table("native_threads", {"os_id": [NATIVE_THREAD], "first_frame": [len(rows) - 1], "frames": [1]})


def _write_objects(writer: IndexWriter, spec: Execution) -> None:
    """One object in ``Pay`` of every thread, in turn precise, inside an object, pinned; and a register of each thread."""
    starts = spec.first_frames[: spec.alive]
    rows = range(len(starts))
    writer.table("stack_objects", {
        "frame": [start + 3 for start in starts],
        "slot": [_STACK + 64 * start if row % 2 == 0 else 0 for row, start in enumerate(starts)],
        "register": ["" if row % 2 == 0 else "rbx" for row in rows],
        "object": [_OBJECT] * len(starts),
        "type_name": ["" if row % 4 == 1 else spec.text(3, "Shop.Order") for row in rows],
        "interior": [row % 4 == 1 for row in rows],
        "pinned": [row % 4 == 2 for row in rows],
        "precise": [row % 2 == 0 for row in rows],
    })  # fmt: skip


def _write_merged(writer: IndexWriter, spec: Execution) -> None:
    """A branch for deadlocked threads and one for the others: outermost frame, ``Pay``, ``Monitor.Enter``."""
    pay = _OF_TEXTS if spec.texts else _PAY
    counts = [(_MAIN, spec.stuck), (_START if spec.stuck else _MAIN, spec.alive - spec.stuck)]
    branches = [(outermost, count) for outermost, count in counts if count]
    rows = []
    for number, (outermost, count) in enumerate(branches):
        root, turns = 3 * number, spec.folded + 1 if number == 0 else 1
        rows += [(-1, root + 3, 0, outermost, "", count, 1), (root, root + 3, 1, pay, "", count, turns),
                 (root + 1, root + 3, 2, _ENTER, "", count, 1)]  # fmt: skip
    names = ("parent", "end", "depth", "method", "label", "threads", "repeats")
    writer.table("merged_stacks", {name: [row[place] for row in rows] for place, name in enumerate(names)})


def _write_exceptions(writer: IndexWriter, spec: Execution) -> None:
    """The exceptions of threads, for the first of them an inner one and one it was handling, and one only on the heap."""
    throwers = list(spec.throwers)
    count = len(throwers) + (3 if throwers else 0)
    inner, handled, last = len(throwers), len(throwers) + 1, len(throwers) + 2
    frames = [row for row in range(count) if row not in (handled, last)]
    starts = [0, *accumulate(1 if row in frames else 0 for row in range(count))][:count]
    writer.table("exceptions", {
        "address": [_OBJECT + 24 * row for row in range(count)],
        "type_name": [spec.text(row, "System.InvalidOperationException") for row in range(count)],
        "message": [spec.text(4, spec.message)] * count,
        "has_message": [True] * count,
        "hresult": [-2146233079] * count,
        "inner": [inner if row == 0 else -1 for row in range(count)],
        "thread": [*throwers, -1, throwers[0], -1] if throwers else [],
        "nesting": [*[0] * len(throwers), -1, 1, -1] if throwers else [],
        "first_frame": starts,
        "frames": [int(row in frames) for row in range(count)],
    })  # fmt: skip
    writer.table("exception_frames", {
        "exception": frames, "ip": [_CODE] * len(frames), "sp": [_STACK] * len(frames), "method": [_PAY] * len(frames),
        "il_offset": [5] * len(frames),
    })  # fmt: skip


def _write_locks(writer: IndexWriter, spec: Execution) -> None:
    """A ledger for each deadlocked thread, held by it, and perhaps a task."""
    ledgers, tasks, others = spec.stuck, int(spec.task and spec.alive > spec.stuck > 0), spec.alive - spec.stuck
    behind = others - tasks
    waiters = [1 + (behind if row == 0 else 0) for row in range(ledgers)] + [1] * tasks
    writer.table("locks", {
        "kind": ["Monitor"] * ledgers + ["Task"] * tasks,
        "object": [LOCKS_AT + 24 * row for row in range(ledgers + tasks)],
        "type_name": [spec.text(5, "Shop.Ledger")] * ledgers + ["System.Threading.Tasks.Task"] * tasks,
        "form": ["sync block"] * ledgers + [""] * tasks,
        "sync_index": [*range(1, ledgers + 1), *[-1] * tasks],
        "held": [True] * ledgers + [False] * tasks,
        "owner": [*range(ledgers), *[-1] * tasks],
        "recursion": [1] * ledgers + [0] * tasks,
        "waiters": waiters,
        "stated_waiters": waiters[:ledgers] + [-1] * tasks,
        "state": [spec.text(6, "held")] * ledgers + ["not completed"] * tasks,
        "orphaned": [False] * (ledgers + tasks),
    })  # fmt: skip
    chains = [(ledgers, 0, "the task awaits what needs the lock", "likely")] * tasks
    names = ("lock", "next", "how", "certainty")
    writer.table("lock_chains", {name: [chain[place] for chain in chains] for place, name in enumerate(names)})


def _write_edges(writer: IndexWriter, spec: Execution) -> None:
    """Each of a pair waits for the lock of the other; all others wait for the first lock."""
    stuck, starts = list(range(spec.stuck)), spec.first_frames
    others = list(range(spec.stuck, spec.alive)) if stuck else []
    waits = [(row, row ^ 1) for row in stuck] + [(row, 0) for row in others]
    if spec.task and others:
        waits[len(stuck)] = (others[0], len(stuck))
    writer.table("lock_waits", {
        "thread": [thread for thread, _ in waits],
        "lock": [lock for _, lock in waits],
        "frame": [starts[thread] + 3 for thread, _ in waits],
        "mode": ["enter"] * len(waits),
        "position": [max(place - 1, 1) for place in range(len(waits))],
        "how": [spec.text(7, "the runtime's note of what blocks the thread")] * len(waits),
        "certainty": ["certain"] * len(waits),
    })  # fmt: skip
    readers = others[len(others) - spec.readers :] if spec.readers else []
    holds = [*((0, row, "reader") for row in readers), *((row, row, "owner") for row in stuck)]
    writer.table("lock_holds", {
        "lock": [lock for lock, _, _ in holds], "thread": [thread for _, thread, _ in holds],
        "frame": [starts[thread] + 4 for _, thread, _ in holds], "mode": [mode for *_, mode in holds],
        "how": [spec.text(8, "the lock's own state")] * len(holds), "certainty": ["certain"] * len(holds),
    })  # fmt: skip
    writer.table("cycles", {
        "cycle": [row // 2 for row in stuck], "thread": stuck, "holds": stuck, "waits": [row ^ 1 for row in stuck],
        "holds_frame": [starts[row] + 4 for row in stuck], "waits_frame": [starts[row] + 3 for row in stuck],
    })  # fmt: skip
    writer.table("cycle_bystanders", {"cycle": [0] * len(others), "thread": others})


def _crash(spec: Execution) -> dict[str, Any]:
    """The second thread crashed, in ``Pay``; or nobody did."""
    fields = ("kind", "signal", "thread", "os_id", "exception", "frame", "signature")
    if spec.crash is None or spec.alive < 2:
        return {**dict.fromkeys(fields), "signature_of": []}
    thrown = 0 if spec.crash == "unhandled exception" else None
    values = (spec.crash, "SIGABRT (6)", 1, 4001, thrown, spec.first_frames[1] + 3, "0123456789abcdef")
    return {**dict(zip(fields, values, strict=True)), "signature_of": [spec.text(12, "Shop.Checkout.Pay")]}


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
    return {"items": items if spec.stuck else [], "passed": passed, "not_run": not_run}
