"""Which rule each byte of the file falls under: the first that claims it, and what that rule kept and wiped.

Rules are claimed in order of strictness. What no rule claims is wiped. At the end kept and wiped add up to the size of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from analysis.errors import AnalysisError
from analysis.scrub.intervals import Intervals, intervals, subtract, total

UNCLAIMED = "claimed by no rule"


class Treatment(Enum):
    """What is done with the bytes that a rule claims."""

    #: Copied as they are.
    COPY = "copied"
    #: Not copied: zero in the copy.
    WIPE = "wiped"
    #: Words that point into memory the process had are copied, all others wiped.
    POINTERS = "pointers copied"
    #: The same, and a word that is wiped is marked unless it was zero.
    STACK = "pointers copied, others marked"
    #: Objects: copied by the descriptor of their type.
    OBJECTS = "objects"


@dataclass(frozen=True, slots=True)
class Claim:
    """Bytes of the file that fall under a rule."""

    rule: str
    treatment: Treatment
    spans: Intervals


@dataclass(slots=True)
class Ledger:
    """``kept`` and ``wiped`` in bytes by rule, in the order of claims."""

    size_bytes: int
    kept: dict[str, int] = field(default_factory=dict)
    wiped: dict[str, int] = field(default_factory=dict)
    _taken: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def claim(self, rule: str, treatment: Treatment, wanted: Intervals) -> Claim:
        """The part of ``wanted`` that no earlier rule has."""
        whole = np.array([[0, self.size_bytes]], np.int64)
        if len(wanted) and (wanted.min() < 0 or wanted.max() > self.size_bytes):
            raise AnalysisError(f"the rule “{rule}” claims bytes outside the file")
        free = subtract(intervals(wanted), self._taken) if len(wanted) else whole[:0]
        self._taken = intervals(np.concatenate([self._taken, free]))
        return Claim(rule, treatment, free)

    def rest(self) -> Claim:
        """Everything that no rule claimed."""
        return self.claim(UNCLAIMED, Treatment.WIPE, np.array([[0, self.size_bytes]], np.int64))

    def enter(self, rule: str, kept: int, wiped: int) -> None:
        """Write down what became of bytes that a rule claimed."""
        self.kept[rule] = self.kept.get(rule, 0) + kept
        self.wiped[rule] = self.wiped.get(rule, 0) + wiped

    def check(self) -> None:
        """Raises AnalysisError unless every byte was written down exactly once."""
        written = sum(self.kept.values()) + sum(self.wiped.values())
        if written != self.size_bytes or total(self._taken) != self.size_bytes:
            raise AnalysisError(
                f"the ledger of the copy does not add up: {written:,} of {self.size_bytes:,} bytes",
                remedy="This is a fault of the program; no copy was made.",
            )
