"""How the process ended: the signal, the thread, the exception, and a signature by which the same crash is known again."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.dump import Dump
from analysis.insight.exceptions import ExceptionList
from analysis.insight.merged_stacks import find_folds, frame_key, is_own
from analysis.runtime.stack_frames import FrameKind, Method, StackFrame, ThreadStack

_OVERFLOW = "stack overflow"
_STACK_OVERFLOW = "System.StackOverflowException"
_OUT_OF_MEMORY = "System.OutOfMemoryException"
_FAIL_FAST = ("System.Environment.FailFast", "System.Environment._FailFast", "System.Environment.FailFastWithExitCode")
_FRAMES_OF_SIGNATURE, _EXCEPTIONS_OF_SIGNATURE = 5, 16


@dataclass(frozen=True, slots=True)
class Crash:
    """``kind`` is None for a dump taken on demand. ``thread`` and ``exception`` are rows, ``frame`` counts in the thread's
    stack; each is None where there is none. ``signature_of`` are the lines that went into the signature."""

    kind: str | None = None
    signal: str | None = None
    thread: int | None = None
    os_id: int | None = None
    exception: int | None = None
    frame: int | None = None
    signature: str | None = None
    signature_of: tuple[str, ...] = ()


def find_crash(dump: Dump, exceptions: ExceptionList) -> Crash:
    """What ended the process, by the signal in the dump and the exceptions of its threads."""
    faulting = next((state for state in dump.core.threads if state.signal), None)
    if faulting is None:
        return Crash()
    row = next((n for n, thread in enumerate(dump.threads.threads) if thread.os_id == faulting.os_id), None)
    held = [(entry.thread, n) for n, entry in enumerate(exceptions.rows) if entry.nesting == 0]
    # The runtime may hand the crash to another thread: then the one with an exception is the one that failed.
    if row is None or row not in dict(held):
        row = held[0][0] if held and (row is None or len(held) == 1) else row
    exception = dict(held).get(row) if row is not None else None
    stack = dump.stacks[row] if row is not None else None
    kind = _kind(dump, row, stack, faulting.signal)
    place = _place(stack)
    lines = _signature_lines(dump, exceptions, kind, exception, stack)
    return Crash(
        kind=kind,
        signal=signal_name(faulting.signal),
        thread=row,
        os_id=faulting.os_id,
        exception=exception,
        frame=place,
        signature=hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()[:16],
        signature_of=lines,
    )


def signal_name(number: int) -> str:
    """``SIGABRT (6)``; a number the system has no name for stays a number."""
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return str(number)


def _kind(dump: Dump, row: int | None, stack: ThreadStack | None, number: int) -> str:
    thrown = dump.threads.threads[row].exception_type if row is not None else ""
    if thrown == _STACK_OVERFLOW:
        return _OVERFLOW
    if stack and any(_method_name(frame) in _FAIL_FAST for frame in stack.frames):
        return "fail fast"
    if thrown:
        return "out of memory" if thrown == _OUT_OF_MEMORY else "unhandled exception"
    return "signal"


def _method_name(frame: StackFrame) -> str:
    return f"{frame.method.type_name}.{frame.method.method_name}" if frame.method else ""


def _place(stack: ThreadStack | None) -> int | None:
    """The innermost own frame, else the innermost managed one."""
    if stack is None:
        return None
    managed = [n for n, frame in enumerate(stack.frames) if frame.kind == FrameKind.MANAGED]
    return next((n for n in managed if is_own(stack.frames[n])), managed[0] if managed else None)


def _signature_lines(
    dump: Dump, exceptions: ExceptionList, kind: str, exception: int | None, stack: ThreadStack | None
) -> tuple[str, ...]:
    """Kind, types of the exception chain, and where the innermost one was thrown: names only, so that they survive a rebuild."""
    lines = [kind]
    methods: list[Method] = []
    if exception is not None:
        chain = [exceptions.rows[row].exception for row in exceptions.chain(exception)]
        lines += _distinct([one.type_name for one in chain])[:_EXCEPTIONS_OF_SIGNATURE]
        trace = next((one.trace for one in reversed(chain) if one.trace), ())
        methods = [dump.stack_walker.methods.of(element.method_desc) for element in trace]
    if not methods and stack and kind == _OVERFLOW:
        return (*lines, *_recursion(stack))
    if not methods and stack:
        methods = [frame.method for frame in stack.frames if frame.kind == FrameKind.MANAGED and frame.method]
    return (*lines, *_distinct([method.name for method in _telling(methods)])[:_FRAMES_OF_SIGNATURE])


def _recursion(stack: ThreadStack) -> Sequence[str]:
    """The methods of the longest recursion, beginning with the first by name: where it was when the stack ended is chance."""
    frames = [frame for frame in stack.frames if frame.kind == FrameKind.MANAGED and frame.method]
    fold = max(find_folds([frame_key(f) for f in frames]), key=lambda fold: fold.period * fold.repeats, default=None)
    turn = frames[fold.start : fold.start + fold.period] if fold else frames[:_FRAMES_OF_SIGNATURE]
    names = [frame.method.name for frame in turn if frame.method]
    return min((names[place:] + names[:place] for place in range(len(names))), default=[]) if fold else names


def _telling(methods: Sequence[Method]) -> Sequence[Method]:
    """The program's own methods, or all where there are none."""
    return [method for method in methods if method.own_code] or methods


def _distinct(names: Sequence[str]) -> list[str]:
    """Without neighbours that repeat: the depth of a recursion is no part of a signature."""
    return [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]
