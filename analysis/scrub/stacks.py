"""Stacks: what lies above a thread's stack pointer is kept where it is a pointer; below it nothing is in use any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.limits import LIMITS
from analysis.runtime.frames import END, FrameReader
from analysis.scrub.intervals import Intervals, contains, intervals

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
    """The stacks of all threads: each lies in the captured range that its stack pointer lies in. A thread that handles a signal
    on another stack, as after an overflow, has its frames elsewhere: that stack begins at the lowest of them."""
    pointers = [(state.registers["rsp"], state.registers["fs_base"]) for state in dump.core.threads]
    _, used = _ranges(dump, pointers)
    control_blocks = {state.os_id: state.registers["fs_base"] for state in dump.core.threads}
    for stack in dump.stacks:
        places = np.array([frame.sp for frame in stack.frames if 0 <= frame.sp < 1 << 62], np.uint64)
        elsewhere = places[~contains(used, places)]
        pointers += [(int(lowest), control_blocks.get(stack.os_id, 0)) for lowest in _lowest_of_each_range(dump, elsewhere)]
    unused, used = _ranges(dump, pointers)
    return Stacks(unused, used, intervals(_marks(dump)))


def _ranges(dump: Dump, pointers: list[tuple[int, int]]) -> tuple[Intervals, Intervals]:
    """What lies below and above these stack pointers, each with the control block of its thread."""
    unused: list[tuple[int, int]] = []
    used: list[tuple[int, int]] = []
    bottom = 0
    for pointer, control_block in sorted(pointers):
        pointer &= ~(_WORD - 1)
        found = _range_of(dump, pointer)
        if found is None:
            continue
        # Where two stacks lie in one range, the upper one begins no lower than the other one ends.
        unused.append((max(found[0], bottom), pointer))
        bottom = max(bottom, _end(control_block, pointer, found[1]))
        used.append((pointer, bottom))
    return intervals(unused), intervals(used)


def _lowest_of_each_range(dump: Dump, places: npt.NDArray[np.uint64]) -> list[int]:
    """The lowest of these addresses in each captured range that holds some."""
    lowest: dict[int, int] = {}
    for place in np.sort(places).tolist():
        found = _range_of(dump, place)
        if found is not None:
            lowest.setdefault(found[0], place)
    return list(lowest.values())


def _range_of(dump: Dump, place: int) -> tuple[int, int, int] | None:
    """The captured range of a place on a stack; that of the page above it for a frame that begins where the stack overflowed."""
    segments = dump.core.memory.segments
    return segments.find(place) or segments.find(place + _PAGE)


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
