"""Words that people wrote, for display: lines with hidden marks made visible, and what is an address of the web as a link."""

from __future__ import annotations

import re
from dataclasses import dataclass

from explorer.pages.names import visible

_ADDRESS = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]]+", re.IGNORECASE)
#: A sentence's own marks behind an address are no part of it.
_BEHIND = ".,;:!?)"
_LONGEST_LINE, _LONGEST_ADDRESS = 5000, 2000


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of a text; with ``url`` it is a link. A line ends with the piece whose text is a line break."""

    text: str
    url: str = ""


def written(text: str) -> list[Written]:
    """The pieces of a text, in order."""
    pieces: list[Written] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            pieces.append(Written("\n"))
        end = 0
        for match in _ADDRESS.finditer(line):
            address = match.group().rstrip(_BEHIND)
            if address != visible(address, _LONGEST_ADDRESS):
                continue  # what it shows would not be where it leads
            pieces += [Written(visible(line[end : match.start()], _LONGEST_LINE)), Written(address, address)]
            end = match.start() + len(address)
        pieces.append(Written(visible(line[end:], _LONGEST_LINE)))
    return [piece for piece in pieces if piece.text]
