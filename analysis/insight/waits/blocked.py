"""The innermost managed frames of a thread: which of them are a primitive's own code, and which objects they refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from analysis.errors import AnalysisError
from analysis.runtime.stack_frames import FrameKind, Method, StackFrame, ThreadStack

#: Frames looked at from the innermost one on: waiting code is never deeper than this.
_MAXIMUM_RUN = 64

_STUB = "IL stub"

#: Types as metadata names them, and how the names of their methods begin that wait. "" stands for all methods.
WAITING_CODE: dict[str, tuple[str, ...]] = {
    "System.Threading.Monitor": ("Enter", "TryEnter", "ReliableEnter", "Wait", "ObjWait"),
    "System.Threading.ObjectHeader": ("Acquire", "TryAcquire"),
    "System.Threading.Lock": ("Enter", "TryEnter"),
    "System.Threading.Condition": ("Wait",),
    "System.Threading.SemaphoreSlim": ("Wait",),
    "System.Threading.ReaderWriterLockSlim": ("Enter", "TryEnter", "WaitOnEvent"),
    "System.Threading.ReaderWriterLock": ("Acquire", "UpgradeToWriterLock"),
    "System.Threading.ManualResetEventSlim": ("Wait",),
    "System.Threading.CountdownEvent": ("Wait",),
    "System.Threading.Barrier": ("SignalAndWait", "DiscontinuousWait"),
    "System.Threading.WaitHandle": ("Wait", "SignalAndWait"),
    "System.Threading.WaitSubsystem": ("",),
    "System.Threading.SynchronizationContext": ("Wait", "InvokeWaitMethodHelper"),
    "System.Threading.Thread": ("Join",),
    "System.Threading.SpinWait": ("",),
    "System.Threading.SpinLock": ("",),
    "System.Threading.Tasks.Task": ("Wait", "InternalWait", "SpinThenBlockingWait", "SpinWait"),
    "System.Threading.Tasks.Task`1": ("get_Result", "GetResultCore"),
    "System.Runtime.CompilerServices.TaskAwaiter": ("GetResult", "HandleNonSuccess", "ValidateEnd"),
    "System.Runtime.CompilerServices.TaskAwaiter`1": ("GetResult",),
    "System.Runtime.CompilerServices.ConfiguredTaskAwaitable+ConfiguredTaskAwaiter": ("GetResult",),
    "System.Runtime.CompilerServices.ConfiguredTaskAwaitable`1+ConfiguredTaskAwaiter": ("GetResult",),
    "System.Runtime.CompilerServices.ValueTaskAwaiter": ("GetResult",),
    "System.Runtime.CompilerServices.ValueTaskAwaiter`1": ("GetResult",),
    "System.Threading.Tasks.ValueTask": ("ThrowIfCompletedUnsuccessfully",),
    "System.Threading.Tasks.ValueTask`1": ("get_Result",),
    "System.GC": ("WaitForPendingFinalizers", "_WaitForPendingFinalizers"),
    "System.Runtime.CompilerServices.InitHelpers": ("",),
    "System.Runtime.CompilerServices.StaticsHelpers": ("",),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object one of the frames refers to; ``own`` when it is a frame of the primitive itself, not of its caller."""

    object: int
    own: bool
    precise: bool


@dataclass(frozen=True, slots=True)
class RunFrame:
    """A managed frame with its place in the stack and the name of its type as metadata has it."""

    place: int
    frame: StackFrame
    type_name: str
    method_name: str


class DefinedTypes:
    """Names of the types that declare methods, as metadata has them; remembered by method."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def name(self, method: Method) -> str:
        known = self._names.get(method.address)
        if known is None:
            known = self._names[method.address] = _defined_type(method)
        return known


def _defined_type(method: Method) -> str:
    try:
        metadata = method.module.metadata if method.module else None
        if metadata is None or not method.token & 0xFFFFFF:
            return method.type_name
        return "+".join(metadata.type_parts(metadata.method_owner(method.token & 0xFFFFFF)))
    except AnalysisError:
        return method.type_name


class BlockedStack:
    """The top of one stack. ``run``: frames of waiting code, innermost first; ``caller``: the frame that called them.

    Code that was optimised leaves few frames of its own. What it calls in the runtime is then told by the runtime's frame
    on top, which names the method, with a stub under it that stands for nothing.
    """

    def __init__(self, stack: ThreadStack, names: DefinedTypes) -> None:
        self.stack = stack
        self.run: list[RunFrame] = []
        self.caller: RunFrame | None = None
        #: Place of the innermost managed frame, -1 without one.
        self.top = -1
        for place, frame in enumerate(stack.frames):
            if frame.method is None or frame.kind is FrameKind.NATIVE:
                continue
            if self.top < 0 and frame.kind is FrameKind.MANAGED:
                self.top = place
            if frame.kind is FrameKind.RUNTIME and self.top >= 0:
                continue
            here = RunFrame(place, frame, names.name(frame.method), frame.method.method_name)
            if waits(here) and len(self.run) < _MAXIMUM_RUN:
                self.run.append(here)
            elif frame.kind is FrameKind.MANAGED and frame.method.kind != _STUB:
                self.caller = here
                break

    @property
    def frame(self) -> int:
        """Place of the frame that called the waiting code, -1 when there is none."""
        return self.caller.place if self.caller else -1

    def outermost(self, *type_names: str) -> int:
        """Row of ``run`` of the outermost frame of one of the types, -1 for none."""
        return max((row for row, here in enumerate(self.run) if here.type_name in type_names), default=-1)

    def methods(self, *type_names: str) -> list[str]:
        """Names of the methods of these types in the run, innermost first."""
        return [here.method_name for here in self.run if here.type_name in type_names]

    def candidates(self, *type_names: str) -> Iterator[Candidate]:
        """Objects of frames of these types, of everything called between, then of the frame that called them."""
        last = self.outermost(*type_names)
        for here in self.run[: last + 1]:
            if here.type_name in type_names:
                yield from _objects(here.frame, own=True)
        following = self.run[last + 1] if last + 1 < len(self.run) else self.caller
        if following:
            yield from _objects(following.frame, own=False)

    def runtime_objects(self) -> Iterator[Candidate]:
        """Objects that runtime frames above the innermost managed one protect: arguments of a helper of the runtime."""
        for frame in self.stack.frames[: self.top if self.top >= 0 else None]:
            if frame.kind is FrameKind.RUNTIME:
                yield from _objects(frame, own=True)


def waits(here: RunFrame) -> bool:
    """Whether the frame is code of a primitive that waits."""
    prefixes = WAITING_CODE.get(here.type_name)
    # Calls into the runtime are local functions of the method that needs them: <Wait>g____PInvoke|24_0.
    return prefixes is not None and here.method_name.removeprefix("<").startswith(prefixes)


def _objects(frame: StackFrame, *, own: bool) -> Iterator[Candidate]:
    for found in frame.objects:
        if not found.interior and found.object:
            yield Candidate(found.object, own, found.precise)


def distinct(candidates: Iterator[Candidate], wanted: Callable[[int], bool]) -> list[Candidate]:
    """Candidates that are wanted, each object once, as its best occurrence."""
    best: dict[int, Candidate] = {}
    refused: set[int] = set()
    for candidate in candidates:
        if candidate.object in refused:
            continue
        known = best.get(candidate.object)
        if known is None and not wanted(candidate.object):
            refused.add(candidate.object)
        elif known is None or (candidate.own, candidate.precise) > (known.own, known.precise):
            best[candidate.object] = candidate
    return list(best.values())
