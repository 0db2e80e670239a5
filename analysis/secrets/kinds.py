"""What a kind of secret is: where it may begin, what it looks like, and how sure a match is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property


class Certainty(IntEnum):
    """How sure it is that a text is a secret: a check digit fits, the form is nobody else's, or it only looks like one."""

    POSSIBLE = 0
    LIKELY = 1
    CERTAIN = 2

    @property
    def word(self) -> str:
        return self.name.lower()


#: An upper bound that keeps the time at each place short: no form of a secret asks for one of a hundred characters or more.
_CAP = re.compile(r"\{(\d+),\d{3,}\}")
#: A match in its surroundings: how sure it is, or None when it is no secret after all.
Check = Callable[[re.Match[str]], Certainty | None]


@dataclass(frozen=True)
class Kind:
    """One kind of secret.

    A place is looked at where one of ``anchors`` stands (upper and lower case count as one) or the kernel saw ``shape``. The
    match of ``pattern`` has to begin there, or up to ``before`` characters earlier, and then to reach behind that place.
    ``check`` decides about matches; without one every match counts with ``certainty``. Of two kinds that match the same
    characters one that is not ``generic`` stands. ``block``: patterns of what opens and closes the block of which the match is a
    part; all of the block is secret.
    """

    name: str
    family: str
    pattern: str
    anchors: tuple[str, ...] = ()
    shape: int = -1
    before: int = 0
    certainty: Certainty = Certainty.LIKELY
    check: Check | None = None
    generic: bool = False
    block: tuple[str, ...] = ()

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.ASCII)

    @cached_property
    def without_caps(self) -> re.Pattern[str]:
        """The same of any length, for a place where the pattern matches: elsewhere this one may take long."""
        return re.compile(_CAP.sub(r"{\1,}", self.pattern), re.ASCII)

    def match(self, text: str, place: int) -> tuple[re.Match[str], Certainty] | None:
        """The match that an anchor at ``place`` of ``text`` belongs to, and how sure it is."""
        found = self._find(text, place)
        if found is None:
            return None
        certainty = self.check(found) if self.check else self.certainty
        return None if certainty is None else (found, certainty)

    def _find(self, text: str, place: int) -> re.Match[str] | None:
        for start in range(max(0, place - self.before), place + 1):
            if (found := self.compiled.match(text, start)) and found.end() > place:
                return found
        return None
