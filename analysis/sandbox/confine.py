"""Give up, for good, what reading one dump does not need.

A dump is written by a stranger. If one ever takes the reader over, it finds a process that can open no other file, start
nothing, speak to nobody, and write into one directory that is thrown away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.sandbox import landlock, seccomp
from analysis.sandbox.kernel import prctl

_NO_NEW_PRIVILEGES, _DUMPABLE = 38, 4
#: Set to 1 where an analysis without all walls must not begin.
REQUIRED = "DUMP_EXPLORER_REQUIRE_WALLS"
_FIRST_TO_END = "1000"
_TASKS = Path("/proc/self/task")
#: What an interpreter and its libraries read; none of it is anybody's data.
_LIBRARIES = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime")
_MACHINE = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/dev/urandom")
_NOWHERE = "/dev/null"


class NoWalls(AnalysisError):
    """The system lacks a wall, and the operator demands all of them."""

    code = "no_walls"


@dataclass(frozen=True, slots=True)
class Wall:
    """One wall: what it keeps from, and why it is missing ("" when it stands)."""

    name: str
    missing: str = ""


def confine(read: Iterable[Path], write: Iterable[Path]) -> list[Wall]:
    """Keep reading below ``read`` (and of the interpreter's own files), writing below ``write``, threads and memory.

    Call it before anything of the input is looked at and before a library has started threads. Raises NoWalls where a wall
    is missing and ``REQUIRED`` is set in the environment; otherwise the answer says which stand.
    """
    walls = [_first_to_end(), _closed_to_others()]
    code = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).resolve().parents[1]]
    system = [Path(one) for one in (*_LIBRARIES, *_MACHINE)]
    walls.append(_files([*code, *system, *read], [Path(_NOWHERE), *write]))
    walls.append(_calls())
    missing = [wall for wall in walls if wall.missing]
    if missing and os.environ.get(REQUIRED) == "1":
        raise NoWalls(
            "this system cannot keep the reader of dumps behind walls",
            where="; ".join(f"{wall.name}: {wall.missing}" for wall in missing),
            remedy="Run on Linux 5.13 or later with Landlock and seccomp, or allow analyses without them (docs/operating.md).",
        )
    for wall in missing:
        sys.stderr.write(f"no wall for {wall.name}: {wall.missing}\n")
    return walls


def _first_to_end() -> Wall:
    """When memory runs out, this process goes and not the server."""
    try:
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_END)
    except OSError as error:
        return Wall("memory of the machine", _reason(error))
    return Wall("memory of the machine")


def _closed_to_others() -> Wall:
    """No core file with somebody's memory in it, and no other process may look into this one."""
    try:
        prctl(_DUMPABLE, 0)
        prctl(_NO_NEW_PRIVILEGES, 1)
    except OSError as error:
        return Wall("privileges", _reason(error))
    return Wall("privileges")


def _files(read: list[Path], write: list[Path]) -> Wall:
    name = "files and TCP"
    try:
        if len(list(_TASKS.iterdir())) > 1:
            return Wall(name, "threads run already, which it would not hold for")
        landlock.restrict(read, write)
    except OSError as error:
        return Wall(name, f"Landlock: {_reason(error)}")
    return Wall(name)


def _calls() -> Wall:
    name = "processes, network and the kernel"
    try:
        seccomp.forbid()
    except OSError as error:
        return Wall(name, f"seccomp: {_reason(error)}")
    return Wall(name)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
