"""The arguments and the environment a Linux process was started with, from the top of its first thread's stack.

The kernel writes there, upwards: argc, pointers to the arguments, a null, pointers to the environment, a null, the auxiliary
vector, and behind it the strings themselves (``fs/binfmt_elf.c``, create_elf_tables). The vector is known from the dump's
notes, so the place is found by its bytes. What the program sets later (``setenv``) is not there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from analysis.limits import LIMITS
from analysis.memory.elf_core import ElfCore

_AT_EXECFN = 31
_WORD, _PAGE = 8, 4096
#: Entries of the vector that are searched for: enough to be found nowhere else.
_FIRST_ENTRIES = 4
_LONGEST_STRING = 128 << 10


@dataclass(frozen=True, slots=True)
class InitialStack:
    """``arguments``, and ``environment`` as (name, value) in the kernel's order; texts that are not in the dump are left out."""

    arguments: list[str]
    environment: list[tuple[str, str]]


def read_initial_stack(core: ElfCore) -> InitialStack | None:
    """What the process was started with; None where the dump does not hold that part of the stack."""
    end = core.auxiliary_vector.get(_AT_EXECFN)
    span = core.memory.segments.find(end) if end else None
    if end is None or span is None:
        return None
    start = max(span[0], end - LIMITS.environment_bytes) & ~(_WORD - 1)
    raw = core.memory.try_read(start, end - start)
    if raw is None:
        return None
    # The last place counts: programs copy the vector, and copies lie below.
    entries = list(core.auxiliary_vector.items())[:_FIRST_ENTRIES]
    vector = raw.rfind(b"".join(struct.pack("<QQ", *entry) for entry in entries))
    if vector < 2 * _WORD or vector % _WORD:
        return None
    variables, below = _pointers_below(raw, vector)
    arguments, _ = _pointers_below(raw, below)
    texts = _Strings(raw, start)
    pairs = [texts.at(pointer).partition("=") for pointer in variables]
    return InitialStack([texts.at(pointer) for pointer in arguments], [(name, value) for name, equals, value in pairs if equals])


def _pointers_below(raw: bytes, end: int) -> tuple[list[int], int]:
    """Pointers before the null that ends at ``end``, and where they begin. Below them lies a null again, or the number of
    arguments, which is no pointer either."""
    place = end - _WORD
    found: list[int] = []
    if place < 0 or _word(raw, place):
        return [], place
    while place >= _WORD and _word(raw, place - _WORD) >= _PAGE and len(found) < LIMITS.environment_variables:
        place -= _WORD
        found.append(_word(raw, place))
    return found[::-1], place


def _word(raw: bytes, place: int) -> int:
    word: int = struct.unpack_from("<Q", raw, place)[0]
    return word


class _Strings:
    """Strings in the top of the stack, as many bytes of them in all as it has: pointers of a damaged one may overlap."""

    def __init__(self, raw: bytes, start: int) -> None:
        self._raw, self._start, self._left = raw, start, len(raw)

    def at(self, address: int) -> str:
        place = address - self._start
        if not 0 <= place < len(self._raw):
            return ""
        end = self._raw.find(b"\0", place, place + _LONGEST_STRING)
        text = self._raw[place : end if end >= 0 else place + _LONGEST_STRING][: self._left]
        self._left -= len(text)
        return text.decode("utf-8", "replace")
