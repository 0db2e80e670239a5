"""Landlock: which files this process may still open, no TCP, no signals to others.

Source: Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h of Linux. A process gives rights up for
good; files that are open already stay open.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from analysis.sandbox.kernel import call

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_ASK_VERSION, _BENEATH_PATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIRECTORY, _REMOVE_FILE, _MAKE_DIRECTORY, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _READ_FILE | _READ_DIRECTORY
_WRITE = _READ | _OF_FILES | _REMOVE_DIRECTORY | _REMOVE_FILE | _MAKE_DIRECTORY | _MAKE_FILE
#: Rights that a version of the kernel's interface knows of files: all up to that bit.
_LAST_BIT = {1: 12, 2: 13, 3: 14, 4: 14}
_LAST_BIT_NOW = 15
_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
_TCP_SINCE, _SCOPES_SINCE = 4, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Version of the interface that this kernel offers. Raises OSError where it has none, or where it is switched off."""
    return call(_CREATE, None, 0, _ASK_VERSION)


def restrict(read: Iterable[Path], write: Iterable[Path]) -> None:
    """Keep only reading below ``read``, and reading and writing below ``write``; paths that do not exist are passed over.

    Needs ``PR_SET_NO_NEW_PRIVS``. Holds for this thread and for what it starts from now on. Raises OSError.
    """
    known = version()
    files = (2 << _LAST_BIT.get(known, _LAST_BIT_NOW)) - 1
    wanted = _Ruleset(files, _TCP if known >= _TCP_SINCE else 0, _ABSTRACT_SOCKETS_AND_SIGNALS if known >= _SCOPES_SINCE else 0)
    rules = call(_CREATE, ctypes.byref(wanted), ctypes.sizeof(wanted), 0)
    try:
        for path, rights in (*((path, _READ) for path in read), *((path, _WRITE) for path in write)):
            _allow(rules, path, rights & files)
        call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        beneath = _Beneath(rights if path.is_dir() else rights & _OF_FILES, place)
        call(_ADD, rules, _BENEATH_PATH, ctypes.byref(beneath), 0)
    finally:
        os.close(place)
