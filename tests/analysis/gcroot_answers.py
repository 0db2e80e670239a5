"""What SOS's ``gcroot`` printed for some objects of a dump: every root that leads there, with the way from it.

Its output, one block for each root::

    Thread 1494:                                                        operating system id
        7ffe0ff9d2c0 7f9d672ac15c System.Threading.Tasks.Task.Wait()    stack pointer, instruction pointer, method
            rbp-38: 00007ffe0ff9d2d8                                    place on the stack, or a register and nothing
              -> 7f5d5406aed8     Program                               the way, from the root down to the object asked for

    HandleTable:
        00007f42ac3f13e8 (strong handle)

    Finalizer Queue:
        000056234bfa8888 (finalizer root)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HANDLES, QUEUE = "HandleTable:", "Finalizer Queue:"
_ASKED = re.compile(r"=== gcroot 0x([0-9a-f]+)\n")
_THREAD = re.compile(r"Thread ([0-9a-f]+):")
_FRAME = re.compile(r"    ([0-9a-f]+) ([0-9a-f]+) (.*)")
_PLACE = re.compile(r"        (\w+)([+-][0-9a-f]+)?:(?: ([0-9a-f]{16}))?")
_SLOT = re.compile(r"    ([0-9a-f]{16}) \(([a-z -]+)\)")
_HOP = re.compile(r"          -> ([0-9a-f]+)     (.*?) *")
_END = re.compile(r"Found (\d+) unique roots\.")
_PREAMBLE = re.compile(
    r"\S+\.dmp \.\.\.|Caching GC roots, this may take a while\.|Subsequent runs of this command will be faster\.|"
)


@dataclass(frozen=True)
class PrintedRoot:
    """One root and the way from it: ``path`` are addresses of objects, the last one is the object asked for.

    ``section`` is the thread's id in hexadecimal, HANDLES or QUEUE; ``address`` that of the slot, 0 for a register, whose name
    ``register`` is then. ``frame`` are stack pointer and instruction pointer, ``kind`` is what SOS calls a root elsewhere.
    """

    section: str
    address: int
    kind: str
    frame: tuple[int, int]
    register: str
    path: tuple[int, ...]


def gcroot_answers(path: Path) -> dict[int, list[PrintedRoot]]:
    """All answers in a file by the address of the object asked for. A line that is not understood is an error."""
    text = path.read_text()
    answers = {}
    for match in _ASKED.finditer(text):
        asked, part = int(match[1], 16), text[match.end() :].partition("\n=== ")[0]
        answers[asked] = _roots(part.splitlines())
        assert all(root.path[-1] == asked for root in answers[asked])
    return answers


def _roots(lines: list[str]) -> list[PrintedRoot]:
    section, frame, found, counted = "", (0, 0), list[tuple[PrintedRoot, list[int]]](), None
    for line in lines:
        if match := _HOP.fullmatch(line):
            found[-1][1].append(int(match[1], 16))
        elif match := _THREAD.fullmatch(line):
            section = match[1]
        elif line in (HANDLES, QUEUE):
            section, frame = line, (0, 0)
        elif match := _SLOT.fullmatch(line):
            found.append((PrintedRoot(section, int(match[1], 16), match[2], frame, "", ()), []))
        elif match := _PLACE.fullmatch(line):
            register = "" if match[3] else match[1]
            found.append((PrintedRoot(section, int(match[3] or "0", 16), "", frame, register, ()), []))
        elif match := _FRAME.fullmatch(line):
            frame = int(match[1], 16), int(match[2], 16)
        elif match := _END.fullmatch(line):
            counted = int(match[1])
        else:
            assert _PREAMBLE.fullmatch(line), line
    roots = [PrintedRoot(r.section, r.address, r.kind, r.frame, r.register, tuple(way)) for r, way in found]
    assert len(roots) == counted
    return roots
