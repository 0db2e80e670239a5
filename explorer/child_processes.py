"""What holds for every process the product starts."""

from __future__ import annotations

import ctypes
import sys

_SIGNAL_WHEN_PARENT_ENDS = 1  # PR_SET_PDEATHSIG of prctl(2)
_LIBC = ctypes.CDLL(None)  # loaded before the fork: little is safe between fork and exec


def end_with_parent(signal_number: int) -> None:
    """Runs in a child between fork and exec: Linux then sends it ``signal_number`` when the process that started it ends."""
    if sys.platform == "linux":
        _LIBC.prctl(_SIGNAL_WHEN_PARENT_ENDS, signal_number)
