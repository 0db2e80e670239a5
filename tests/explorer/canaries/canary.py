"""Values planted in a process, and a scanner that finds them in whatever the product wrote, in every usual spelling."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np

_WORD = 8
#: Shorter spellings (a small number in decimal digits) stand in many places by chance.
_SHORTEST = 8
_PIECE = 8
_BITMAP_BITS = 20
_CHUNK = 1 << 18
_U64 = np.dtype("<u8")


@dataclass(frozen=True)
class Canary:
    """One value that stands nowhere else: a text or bytes, and what holds it."""

    carrier: str
    text: str = ""
    raw: bytes = b""

    @property
    def in_memory(self) -> tuple[bytes, ...]:
        """How the process holds it."""
        return (self.text.encode("utf-16-le"), self.text.encode()) if self.text else (self.raw,)

    def spellings(self) -> Iterator[bytes]:
        """Everything it could be written as; of a text also every piece of eight characters."""
        for raw in self.in_memory if not self.text else (*self.in_memory, self.text.encode("utf-16-be")):
            yield from (raw, raw[::-1])
            yield from (form for held in (raw, raw[::-1]) for form in (held.hex().encode(), held.hex().upper().encode()))
            yield raw.hex(" ").encode()
            yield from _in_base64(raw)
        for text in {self.text, self.text.lower(), self.text.upper(), self.text[::-1]} - {""}:
            yield text.encode()
            yield from (text[place : place + _PIECE].encode() for place in range(len(text) - _PIECE + 1))
        if self.raw:
            numbers = (int.from_bytes(self.raw, order, signed=signed) for order in ("little", "big") for signed in (True, False))
            yield from (str(number).encode() for number in numbers)
        if len(self.raw) == 16:
            yield from (str(form).encode() for form in (UUID(bytes_le=self.raw), UUID(bytes=self.raw)))


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """The characters that no neighbour changes, wherever it begins."""
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + raw)
        kept = whole[math.ceil(shift * 8 / 6) : (shift + len(raw)) * 8 // 6]
        yield from (kept, kept.replace(b"+", b"-").replace(b"/", b"_"))


class Scanner:
    """Finds canaries in bytes: in every spelling, or only as a process holds them."""

    def __init__(self, canaries: Iterable[Canary], *, as_held: bool = False) -> None:
        self._starting: dict[int, list[tuple[bytes, Canary]]] = {}
        for canary in canaries:
            for spelling in {one for one in (canary.in_memory if as_held else canary.spellings()) if len(one) >= _SHORTEST}:
                word = int.from_bytes(spelling[:_WORD], "little")
                self._starting.setdefault(word, []).append((spelling, canary))
        self._words = np.sort(np.fromiter(self._starting, _U64, len(self._starting)))
        self._seen = np.zeros(1 << _BITMAP_BITS, np.bool_)
        self._seen[self._slots(self._words)] = True

    @staticmethod
    def _slots(words: np.ndarray) -> np.ndarray:
        return (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _BITMAP_BITS)

    def _begins_one(self, words: np.ndarray) -> np.ndarray:
        at = np.minimum(np.searchsorted(self._words, words), len(self._words) - 1)
        return self._words[at] == words

    def find(self, content: bytes) -> set[Canary]:
        """All that stand in it."""
        return {canary for _, _, canary in self.places(content)}

    def places(self, content: bytes) -> Iterator[tuple[int, bytes, Canary]]:
        """Where each stands and how it is spelled there."""
        for start in range(0, len(content), _CHUNK):
            chunk = content[start : start + _CHUNK + _WORD - 1]
            for shift in range(min(_WORD, max(0, len(chunk) - _WORD + 1))):
                words = np.frombuffer(chunk, _U64, (len(chunk) - shift) // _WORD, shift)
                places = np.flatnonzero(self._seen[self._slots(words)])
                for place in places[self._begins_one(words[places])].tolist():
                    at = start + place * _WORD + shift
                    for spelling, canary in self._starting[int(words[place])]:
                        if content.startswith(spelling, at):
                            yield at, spelling, canary
