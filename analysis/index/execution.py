"""Tables and facts about what the threads were doing: stacks, exceptions, locks, findings.

Threads are named by their row in ``threads``, frames by their row in ``frames``, and so on; -1 means none or not known.
"""

from __future__ import annotations

from analysis.index.columns import D1, D2, DataClass, Table, column

#: Values of ``frames.kind``.
FRAME_KINDS = ("managed", "runtime", "native")
MANAGED, RUNTIME, NATIVE = range(3)

_STACKS = (
    Table(
        "methods",
        "One row per body of code met on a stack or in an exception's stack trace.",
        (
            column("method_desc", "u8", "address of the MethodDesc"),
            column("name", "text", "type, method, generic arguments and parameters, as clrstack prints them"),
            column("type_name", "text", "declaring type as heap pages write it; empty for a dynamic method"),
            column("method_name", "text", "simple name without type and parameters"),
            column("module", "i4", "row of modules, -1 where it has none"),
            column("token", "u4", "metadata token 0x06xxxxxx, 0 for a dynamic method or stub"),
            column("code", "text", "JIT, ReadyToRun, dynamic method or IL stub; empty where the code was not found"),
            column("tier", "text", "how far it was optimised: tier 0, tier 1 …; empty where the dump does not tell"),
            column("start", "u8", "first address of the code, 0 where unknown"),
            column("own_code", "?", "the program's own code: its module is no part of the framework"),
        ),
    ),
    Table(
        "frames",
        "Frames of every thread, innermost first, threads in the order of threads, then those of native_threads.",
        (
            column("thread", "i4", "row of threads, -1 for a thread the runtime does not manage"),
            column("kind", "u1", "index into FRAME_KINDS"),
            column("ip", "u8", "instruction pointer: the next instruction this frame would execute"),
            column("sp", "u8", "stack pointer; for a runtime frame its own address"),
            column("method", "i4", "row of methods (managed frames; the method called through an InlinedCallFrame), -1 for none"),
            column("label", "text", "runtime frame: its name; native frame: module!function+0x… or module+0x…; managed: empty"),
            column("il_offset", "i4", "offset in the method's IL; -1 no mapping, -2 in the prolog, -3 in the epilog"),
        ),
    ),
    Table(
        "frame_folds",
        "Stretches of a stack that repeat: shown once with a count.",
        (
            column("thread", "i4", "row of threads"),
            column("first_frame", "i8", "row of frames where the first turn begins"),
            column("period", "u4", "frames in one turn", "frames"),
            column("repeats", "u4", "how often the turn is repeated", "turns"),
        ),
    ),
    Table(
        "native_threads",
        "Threads of the process that the runtime does not manage (the collector's, the diagnostics server's …).",
        (
            column("os_id", "u4", "operating system thread id"),
            column("first_frame", "u8", "first row of its frames"),
            column("frames", "u4", "rows of frames that belong to it"),
        ),
    ),
    Table(
        "stack_objects",
        "Object references found on stacks, by frame.",
        (
            column("frame", "i8", "row of frames"),
            column("slot", "u8", "address of the stack slot, 0 for a register"),
            column("register", "text", "name of the register, empty for a stack slot"),
            column("object", "u8", "address of the object; for an interior reference an address inside it"),
            column("type_name", "text", "type of the object, empty for an interior reference or where unreadable"),
            column("interior", "?", "points into an object"),
            column("pinned", "?", "the object may not move"),
            column("precise", "?", "from the method's GC info; otherwise found by scanning, and only likely"),
        ),
    ),
    Table(
        "merged_stacks",
        "All managed stacks as one tree, outermost frame at the top, in preorder.",
        (
            column("parent", "i4", "row of merged_stacks, -1 for a root"),
            column("end", "i4", "row after the last one below this node"),
            column("depth", "u4", "0 for a root"),
            column("method", "i4", "row of methods, -1 for a runtime or native frame"),
            column("label", "text", "name of a frame without a method, otherwise empty"),
            column("threads", "u4", "threads that pass through this node", "threads"),
            column("repeats", "u4", "turns folded into this node, 1 for an ordinary one", "turns"),
        ),
    ),
)

_EXCEPTIONS = (
    Table(
        "exceptions",
        "Exception objects: those the threads hold with their inner chains, then the others of the heap by address.",
        (
            column("address", "u8", "address of the object"),
            column("type_name", "text", "full type name"),
            column("message", "text", "_message as stored, empty for none", data_class=D2),
            column("has_message", "?", "_message is not null"),
            column("hresult", "i4", "HResult"),
            column("inner", "i4", "row of exceptions: the inner exception"),
            column("thread", "i4", "row of threads whose exception this is (current or nested)"),
            column("nesting", "i4", "0 current, 1 the one being handled when it was thrown, …; -1 when no thread's"),
            column("first_frame", "u8", "first row of its exception_frames, the innermost one"),
            column("frames", "u4", "rows of exception_frames"),
        ),
    ),
    Table(
        "exception_frames",
        "Stack traces kept in exception objects.",
        (
            column("exception", "i4", "row of exceptions"),
            column("ip", "u8", "instruction pointer"),
            column("sp", "u8", "stack pointer"),
            column("method", "i4", "row of methods"),
            column("il_offset", "i4", "offset in the method's IL; -1 no mapping, -2 in the prolog, -3 in the epilog"),
        ),
    ),
)

_LOCKS = (
    Table(
        "locks",
        "Everything a thread can hold or wait for, and that is held or waited for.",
        (
            column("kind", "text", "Monitor, Lock, SemaphoreSlim, ReaderWriterLockSlim, Task, Thread, class constructor …"),
            column("object", "u8", "address of the object; for a class constructor the MethodTable"),
            column("type_name", "text", "type of the object"),
            column("form", "text", "thin lock, sync block or empty"),
            column("sync_index", "i4", "sync block index, -1 without one"),
            column("held", "?", "somebody holds it"),
            column("owner", "i4", "row of threads; with several holders (readers) -1: see lock_holds"),
            column("recursion", "u4", "how often the owner entered it, 1 for once, 0 when not held", "entries"),
            column("waiters", "u4", "threads known to wait for it", "threads"),
            column("stated_waiters", "i4", "waiters by the lock's own count, -1 where it keeps none", "threads"),
            column("state", "text", "its state in words: count 0 of 1, 2 readers, not set …"),
            column("orphaned", "?", "held by a thread that has ended"),
        ),
    ),
    Table(
        "lock_waits",
        "Edges from a thread to what it waits for.",
        (
            column("thread", "i4", "row of threads"),
            column("lock", "i4", "row of locks"),
            column("frame", "i8", "row of frames: the innermost managed frame above the wait that is not the lock's own code"),
            column("mode", "text", "enter, pulse, read, write, upgrade, signal, join, completion …"),
            column("position", "i4", "place in line from 1, -1 where the order is not known"),
            column("how", "text", "how this is known, in words"),
            column("certainty", "text", "certain, likely or possible"),
        ),
    ),
    Table(
        "lock_holds",
        "Edges from a lock to who holds it or would signal it.",
        (
            column("lock", "i4", "row of locks"),
            column("thread", "i4", "row of threads"),
            column("frame", "i8", "row of frames: the frame that took it"),
            column("mode", "text", "owner, reader, upgradeable reader, writer, runs (the thread that would complete a task) …"),
            column("how", "text", "how this is known, in words"),
            column("certainty", "text", "certain, likely or possible"),
        ),
    ),
    Table(
        "lock_chains",
        "Edges from a thing waited for to another it waits for in turn (a task to the task it awaits).",
        (
            column("lock", "i4", "row of locks"),
            column("next", "i4", "row of locks"),
            column("how", "text", "how this is known, in words"),
            column("certainty", "text", "certain, likely or possible"),
        ),
    ),
    Table(
        "cycles",
        "Deadlocks: step after step around each cycle.",
        (
            column("cycle", "i4", "number of the cycle"),
            column("thread", "i4", "row of threads: waits for ``waits`` and holds ``holds``"),
            column("holds", "i4", "row of locks: what the step before it waits for"),
            column("waits", "i4", "row of locks"),
            column("holds_frame", "i8", "row of frames that took ``holds``"),
            column("waits_frame", "i8", "row of frames that waits for ``waits``"),
        ),
    ),
    Table(
        "cycle_bystanders",
        "Threads that no cycle holds but that wait, directly or not, for a lock inside one.",
        (column("cycle", "i4", "number of the cycle"), column("thread", "i4", "row of threads")),
    ),
)

EXECUTION_TABLES: tuple[Table, ...] = (*_STACKS, *_EXCEPTIONS, *_LOCKS)

#: facts/crash.json: how the process ended. Every field is null where there is nothing to say.
_CRASH: dict[str, DataClass] = {
    "kind": D1,  # unhandled exception, stack overflow, fail fast, signal; null for a dump on demand
    "signal": D1,  # "SIGABRT (6)"
    "thread": D1,  # row of threads
    "os_id": D1,  # the faulting operating system thread
    "exception": D1,  # row of exceptions
    "frame": D1,  # row of frames: the place of the fault
    "signature": D1,  # 16 hexadecimal digits: the same crash has the same signature
    "signature_of": D1,  # what went into it, line by line
}

#: A sentence is a list of pieces: {"text": …}, or {"ref": thread | lock | frame | exception | object | type | root, "row": …}.
_SENTENCES = ("title", "summary")

#: facts/findings.json: what the rules found, the most important first.
_FINDINGS: dict[str, DataClass] = {
    "items.rule": D1,  # name of the rule: deadlock, lock-convoy …
    "items.version": D1,
    "items.severity": D1,  # critical, warning or notice
    "items.confidence": D1,  # certain, likely or possible
    "items.impact": D1,  # 0 to 1: share of the process that suffers
    **{f"items.{sentence}.{part}": D1 for sentence in _SENTENCES for part in ("text", "ref", "row")},
    "items.evidence.text": D1,
    "items.evidence.ref": D1,
    "items.evidence.row": D1,
    "items.why": D1,
    "items.what_to_do": D1,
    "items.false_alarm": D1,
    "passed.rule": D1,
    "passed.title": D1,
    "passed.text": D1,  # what was looked at: "412 threads, 18 locks"
    "not_run.rule": D1,
    "not_run.title": D1,
    "not_run.text": D1,  # why it could not run
}

EXECUTION_FACTS: dict[str, dict[str, DataClass]] = {"crash": _CRASH, "findings": _FINDINGS}
