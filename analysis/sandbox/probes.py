"""What a captured reader would try, tried from inside the walls; every attempt must fail.

``python -m analysis walls`` runs them all. None does harm where a wall is missing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis.sandbox import seccomp
from analysis.sandbox.kernel import call

_NOBODY = "192.0.2.1"  # an address for documentation (RFC 5737): nothing answers there
_ATTACH = 16
_DENIED = {errno.EPERM, errno.EACCES}


@dataclass(frozen=True, slots=True)
class Place:
    """Where probes aim: somebody else's file, the directory that may be written, and one that may not."""

    other: Path
    scratch: Path
    outside: Path


def _system_call(name: str, *arguments: object) -> int:
    number = seccomp.number_of(name)
    if number is None:
        raise PermissionError(errno.EPERM, "this architecture has no such call")
    return call(number, *arguments)


def _tcp(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.settimeout(0.2)
        one.connect((_NOBODY, 80))


def _udp(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"", (_NOBODY, 9))


def _unix_socket(place: Place) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.connect("\0nobody")


def _other_dump(place: Place) -> None:
    place.other.open("rb").close()


def _by_symlink(place: Place) -> None:
    link = place.scratch / "link"
    link.symlink_to(place.other)
    link.open("rb").close()


def _parents_environment(place: Place) -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


def _write_outside(place: Place) -> None:
    (place.outside / "written").write_bytes(b"")


def _write_other(place: Place) -> None:
    place.other.open("r+b").close()


def _execute(place: Place) -> None:
    os.execv("/bin/true", ["/bin/true"])  # noqa: S606  (no shell; it must fail)


def _fork(place: Place) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _trace_parent(place: Place) -> None:
    _system_call("ptrace", _ATTACH, os.getppid(), 0, 0)


def _mount(place: Place) -> None:
    _system_call("mount", b"none", bytes(place.scratch), b"tmpfs", 0, None)


def _keys(place: Place) -> None:
    _system_call("keyctl", 0, -3, 0)  # KEYCTL_GET_KEYRING_ID of the session


def _kernel_program(place: Place) -> None:
    _system_call("bpf", 0, None, 0)


def _page_faults(place: Place) -> None:
    os.close(_system_call("userfaultfd", os.O_CLOEXEC))


def _ring(place: Place) -> None:
    _system_call("io_uring_setup", 1, None)


def _kill_parent(place: Place) -> None:
    os.kill(os.getppid(), 0)


def _signal_thread_of_parent(place: Place) -> None:
    _system_call("tgkill", os.getppid(), os.getppid(), 0)


def _limits_of_parent(place: Place) -> None:
    now = resource.prlimit(0, resource.RLIMIT_CORE)
    _system_call("prlimit64", os.getppid(), resource.RLIMIT_CORE, struct.pack("<2q", *now), None)


def _priority_of_parent(place: Place) -> None:
    _system_call("setpriority", os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))


def _processors_of_parent(place: Place) -> None:
    os.sched_setaffinity(os.getppid(), os.sched_getaffinity(os.getppid()))


def _memory_of_parent(place: Place) -> None:
    _system_call("process_vm_readv", os.getppid(), None, 0, None, 0, 0)


def _namespace(place: Place) -> None:
    _system_call("unshare", 0)


def _open_by_handle(place: Place) -> None:
    _system_call("open_by_handle_at", -1, None, 0)


#: What is tried, by its name.
PROBES: dict[str, Callable[[Place], None]] = {
    "connect by TCP": _tcp,
    "send by UDP": _udp,
    "connect to a local socket": _unix_socket,
    "read another dump": _other_dump,
    "read another dump by a link": _by_symlink,
    "write into another dump": _write_other,
    "read the environment of the server": _parents_environment,
    "write outside its directory": _write_outside,
    "run a program": _execute,
    "start a process": _fork,
    "trace the server": _trace_parent,
    "read the memory of the server": _memory_of_parent,
    "signal the server": _kill_parent,
    "signal a thread of the server": _signal_thread_of_parent,
    "change a limit of the server": _limits_of_parent,
    "change the priority of the server": _priority_of_parent,
    "take processors from the server": _processors_of_parent,
    "mount a file system": _mount,
    "enter a namespace": _namespace,
    "read keys of the kernel": _keys,
    "load a program into the kernel": _kernel_program,
    "catch page faults": _page_faults,
    "use an I/O ring": _ring,
    "open a file by its handle": _open_by_handle,
}


def attempt(name: str, place: Place) -> str:
    """Try it; "" when it was denied, else what happened instead."""
    try:
        PROBES[name](place)
    except OSError as error:
        if error.errno in _DENIED:
            return ""
        return f"not denied: {error.strerror or error}"
    except ctypes.ArgumentError as error:
        return f"not tried: {error}"
    return "it was possible"
