"""Calls into Linux that the standard library does not offer."""

from __future__ import annotations

import ctypes
import os
import platform

#: The processors whose system call numbers are known here.
X64, ARM64 = "x86_64", "aarch64"
MACHINE = platform.machine()
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def call(number: int, *arguments: object) -> int:
    """``syscall(2)``: its result. Raises OSError for a negative one. Numbers, and pointers of ctypes, are passed whole."""
    _pass = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(_LIBC.syscall(ctypes.c_long(number), *_pass))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def prctl(option: int, *arguments: int) -> None:
    """``prctl(2)``. Raises OSError."""
    if _LIBC.prctl(option, *(ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4])) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
