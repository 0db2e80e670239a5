"""What holds for every process the product starts."""

from __future__ import annotations

import ctypes
import resource
import sys

_SIGNAL_WHEN_PARENT_ENDS = 1  # PR_SET_PDEATHSIG of prctl(2)
_LIBC = ctypes.CDLL(None)  # loaded before the fork: little is safe between fork and exec


def leave_no_core_dump() -> None:
    """What a process of the server holds of dumps and their keys does not come to lie on the disk when it crashes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def end_with_parent(signal_number: int) -> None:
    """Runs in a child between fork and exec: Linux then sends it ``signal_number`` when the process that started it ends."""
    if sys.platform == "linux":
        _LIBC.prctl(_SIGNAL_WHEN_PARENT_ENDS, signal_number)
