"""Seccomp: system calls that reading a dump never needs fail with EPERM.

Source: Documentation/userspace-api/seccomp_filter.rst and the system call tables of Linux. The filter is a program for the
kernel's classic packet filter: the architecture and the number of a call are looked at, and of ``clone`` its flags.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from analysis.sandbox.kernel import ARM64, MACHINE, X64, call

_NUMBERS = {
    X64: {
        "socket": 41, "socketpair": 53, "connect": 42, "bind": 49, "listen": 50, "sendto": 44, "sendmsg": 46, "sendmmsg": 307,
        "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "kill": 62, "ptrace": 101, "process_vm_readv": 310,
        "process_vm_writev": 311, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424, "kcmp": 312, "mount": 165,
        "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
        "fsmount": 432, "fspick": 433, "mount_setattr": 442, "unshare": 272, "setns": 308, "name_to_handle_at": 303,
        "open_by_handle_at": 304, "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "init_module": 175,
        "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320, "reboot": 169, "swapon": 167,
        "swapoff": 168, "acct": 163, "quotactl": 179, "syslog": 103, "iopl": 172, "ioperm": 173, "settimeofday": 164,
        "clock_settime": 227, "sethostname": 170, "setdomainname": 171, "fanotify_init": 300, "inotify_init1": 294,
        "lookup_dcookie": 212, "vhangup": 153, "personality": 135, "modify_ldt": 154, "mq_open": 240, "shmget": 29,
        "semget": 64, "msgget": 68, "migrate_pages": 256, "move_pages": 279, "memfd_secret": 447, "process_madvise": 440,
        "tkill": 200, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "sched_setparam": 142, "sched_setscheduler": 144,
        "sched_setattr": 314, "ioprio_set": 251, "setpriority": 141,
    },
    ARM64: {
        "socket": 198, "socketpair": 199, "connect": 203, "bind": 200, "listen": 201, "sendto": 206, "sendmsg": 211,
        "sendmmsg": 269, "execve": 221, "execveat": 281, "kill": 129, "ptrace": 117, "process_vm_readv": 270,
        "process_vm_writev": 271, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424, "kcmp": 272, "mount": 40,
        "umount2": 39, "pivot_root": 41, "chroot": 51, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
        "fsmount": 432, "fspick": 433, "mount_setattr": 442, "unshare": 97, "setns": 268, "name_to_handle_at": 264,
        "open_by_handle_at": 265, "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "init_module": 105,
        "finit_module": 273, "delete_module": 106, "kexec_load": 104, "kexec_file_load": 294, "reboot": 142, "swapon": 224,
        "swapoff": 225, "acct": 89, "quotactl": 60, "syslog": 116, "settimeofday": 170, "clock_settime": 112,
        "sethostname": 161, "setdomainname": 162, "fanotify_init": 262, "inotify_init1": 26, "lookup_dcookie": 18,
        "vhangup": 58, "personality": 92, "mq_open": 180, "shmget": 194, "semget": 190, "msgget": 186, "migrate_pages": 238,
        "move_pages": 239, "memfd_secret": 447, "process_madvise": 440, "tkill": 130, "rt_sigqueueinfo": 138,
        "rt_tgsigqueueinfo": 240, "sched_setparam": 118, "sched_setscheduler": 119, "sched_setattr": 274, "ioprio_set": 30,
        "setpriority": 140,
    },
}  # fmt: skip
#: Calls whose first argument must be the caller: 0 stands for it; ``tgkill``, by which the C library ends a process that gives
#: up, wants the process id.
_AIMED = {
    X64: {"prlimit64": 302, "sched_setaffinity": 203, "tgkill": 234},
    ARM64: {"prlimit64": 261, "sched_setaffinity": 122, "tgkill": 131},
}
_ARCHITECTURE = {X64: 0xC000003E, ARM64: 0xC00000B7}
_SECCOMP, _CLONE = {X64: 317, ARM64: 277}, {X64: 56, ARM64: 220}
_CLONE3, _THREAD = 435, 0x00010000
#: Numbers from here on are those of the x32 interface of x64.
_X32 = 0x40000000
_SET_FILTER, _ALL_THREADS = 1, 1
# BPF instructions and the places in ``struct seccomp_data``.
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def number_of(name: str) -> int | None:
    """Number of a call that is forbidden, at all or when it is aimed at others; None where this architecture has no such call."""
    return {**_NUMBERS[MACHINE], **_AIMED[MACHINE]}.get(name)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _filter() -> bytes:
    denied, missing = _FAIL | errno.EPERM, _FAIL | errno.ENOSYS
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_JUMP_EQUAL, _ARCHITECTURE[MACHINE], 1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER_AT),
        _instruction(_JUMP_AT_LEAST, _X32, 0, 1),
        _instruction(_RETURN, denied),
        # The C library falls back on clone, whose flags can be looked at, when it is told that there is no clone3.
        _instruction(_JUMP_EQUAL, _CLONE3, 0, 1),
        _instruction(_RETURN, missing),
        _instruction(_JUMP_EQUAL, _CLONE[MACHINE], 0, 4),
        _instruction(_LOAD, _FIRST_ARGUMENT_AT),
        _instruction(_JUMP_ANY_BIT, _THREAD, 0, 1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, denied),
    ]
    for name, number in _AIMED[MACHINE].items():
        program += [
            _instruction(_JUMP_EQUAL, number, 0, 4),
            _instruction(_LOAD, _FIRST_ARGUMENT_AT),
            _instruction(_JUMP_EQUAL, os.getpid() if name == "tgkill" else 0, 0, 1),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, denied),
        ]
    for number in sorted(_NUMBERS[MACHINE].values()):
        program += [_instruction(_JUMP_EQUAL, number, 0, 1), _instruction(_RETURN, denied)]
    return b"".join([*program, _instruction(_RETURN, _ALLOW)])


def forbid() -> None:
    """Install the filter for all threads of this process. Needs ``PR_SET_NO_NEW_PRIVS``. Raises OSError."""
    if MACHINE not in _NUMBERS:
        raise OSError(errno.ENOSYS, f"system calls of {MACHINE} are not known here")
    instructions = _filter()
    program = _Program(len(instructions) // 8, instructions)
    call(_SECCOMP[MACHINE], _SET_FILTER, _ALL_THREADS, ctypes.byref(program))
