"""Stacks: what lies above a thread's stack pointer is kept where it is a pointer; below it nothing is in use any more."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.dump import Dump
from analysis.errors import AnalysisError, MemoryFault
from analysis.limits import LIMITS
from analysis.runtime.frames import END, FrameReader
from analysis.scrub.intervals import Intervals, intervals

_WORD = 8


@dataclass(frozen=True, slots=True)
class Stacks:
    """Addresses: ``unused`` lie below the stack pointers, ``used`` above, ``frames`` are the marks of the runtime's Frames."""

    unused: Intervals
    used: Intervals
    frames: Intervals


def stacks(dump: Dump) -> Stacks:
    """The stacks of all threads: each is the captured range that its stack pointer lies in."""
    table = dump.core.memory.segments
    unused: list[tuple[int, int]] = []
    used: list[tuple[int, int]] = []
    pointers = sorted({state.registers["rsp"] & ~7 for state in dump.core.threads})
    for pointer in pointers:
        found = table.find(pointer)
        if found is None:
            continue
        below = max([found[0], *(other for other in pointers if other < pointer)])
        # Two stacks in one range: what lies between the lower one's pointer and this one is in use by the lower one.
        if below == found[0]:
            unused.append((found[0], pointer))
        used.append((pointer, found[1]))
    return Stacks(intervals(unused), intervals(used), intervals(_frames(dump)))


def _frames(dump: Dump) -> list[tuple[int, int]]:
    """The first word of every Frame says what kind it is: a number from .NET 10 on."""
    reader = FrameReader(dump.runtime.target, lambda address: False)
    found: list[tuple[int, int]] = []
    for thread in dump.threads.threads:
        try:
            at = reader.first(thread.address)
            for _ in range(LIMITS.explicit_frames):
                if at in (0, END):
                    break
                found.append((at, at + 2 * _WORD))
                at = reader.read(at).next
        except (MemoryFault, AnalysisError):
            continue
    return found
