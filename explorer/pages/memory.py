"""Raw memory as lines of a hex dump."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.pages import numbers

_BYTES_IN_A_LINE = 16
_PRINTABLE = range(0x20, 0x7F)


@dataclass(frozen=True, slots=True)
class MemoryLine:
    """Sixteen bytes: where they lie, in hexadecimal digits, and as ASCII with dots for all else."""

    address: str
    digits: str
    text: str


def memory_lines(address: int, content: bytes) -> list[MemoryLine]:
    """The lines of ``content``, which begins at ``address``."""
    pieces = [(at, content[at : at + _BYTES_IN_A_LINE]) for at in range(0, len(content), _BYTES_IN_A_LINE)]
    return [
        MemoryLine(numbers.address(address + at), piece.hex(" "), "".join(chr(c) if c in _PRINTABLE else "." for c in piece))
        for at, piece in pieces
    ]
