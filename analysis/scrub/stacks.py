"""Stacks: what lies above a thread's stack pointer is kept where it is a pointer; below it nothing is in use any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.limits import LIMITS
from analysis.runtime.frames import END, FrameReader
from analysis.scrub.intervals import Intervals, intervals

_WORD, _PAGE = 8, 0x1000
#: At least this long is the C library's ``struct pthread``, and no page longer.
_CONTROL_BLOCK_BYTES = 0x800
_FRAME_BYTES, _TRACKER_BYTES = 16, 72


@dataclass(frozen=True, slots=True)
class Stacks:
    """Addresses: ``unused`` lie below the stack pointers, ``used`` above, ``marks`` are what the runtime's Frames and trackers of
    exceptions begin with."""

    unused: Intervals
    used: Intervals
    marks: Intervals


def stacks(dump: Dump) -> Stacks:
    """The stacks of all threads: each lies in the captured range that its stack pointer lies in."""
    table = dump.core.memory.segments
    unused: list[tuple[int, int]] = []
    used: list[tuple[int, int]] = []
    bottom = 0
    for state in sorted(dump.core.threads, key=lambda state: state.registers["rsp"]):
        pointer = state.registers["rsp"] & ~(_WORD - 1)
        found = table.find(pointer)
        if found is None:
            continue
        # Where two stacks lie in one range, the upper one begins no lower than the other one ends.
        unused.append((max(found[0], bottom), pointer))
        bottom = _end(state.registers["fs_base"], pointer, found[1])
        used.append((pointer, bottom))
    return Stacks(intervals(unused), intervals(used), intervals(_marks(dump)))


def _end(control_block: int, pointer: int, range_end: int) -> int:
    """Where a stack ends. A thread that was started has its control block at the end of its stack; the first thread of a
    process has it elsewhere, and on its stack arguments and environment up to the end."""
    if pointer <= control_block < range_end:
        return min((control_block + _CONTROL_BLOCK_BYTES + _PAGE - 1) & -_PAGE, range_end)
    return range_end


def _marks(dump: Dump) -> list[tuple[int, int]]:
    """The first words of every Frame say what kind it is, a number from .NET 10 on; those of a tracker of exceptions how far its
    exception came."""
    target = dump.runtime.target
    reader = FrameReader(target, lambda address: False)
    found: list[tuple[int, int]] = []
    for thread in dump.threads.threads:
        found += [(at, at + _FRAME_BYTES) for at in _followed(lambda at: reader.read(at).next, reader.first, thread.address)]
        found += [
            (at, at + _TRACKER_BYTES)
            for at in _followed(
                lambda at: target.pointer(at, "ExceptionInfo", "PreviousNestedInfo"),
                lambda at: target.pointer(at, "Thread", "ExceptionTracker"),
                thread.address,
            )
        ]
    return found


def _followed(following: Callable[[int], int], first: Callable[[int], int], thread: int) -> list[int]:
    """Addresses of the links of a chain, as far as it can be read."""
    found: dict[int, None] = {}
    try:
        at = first(thread)
        while at not in (0, END) and at not in found and len(found) < LIMITS.explicit_frames:
            found[at] = None
            at = following(at)
    except AnalysisError:
        pass  # what was followed so far stands
    return list(found)
