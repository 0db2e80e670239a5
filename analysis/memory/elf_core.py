"""Open an ELF core dump of a Linux x64 process: headers, segments and notes.

Sources: the System V ABI (gABI) chapters on ELF headers and notes, ``man 5 elf``, and createdump's own writer
(``src/coreclr/debug/createdump/crashinfo.cpp`` and ``dumpwriterelf.cpp`` in dotnet/runtime).
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.errors import Corrupt, NotADump, OverLimit, Unsupported
from analysis.limits import LIMITS
from analysis.memory.reader import Memory
from analysis.memory.segments import SegmentTable
from analysis.sniff import sniff

_PROGRAM_HEADER = np.dtype(
    [("type", "<u4"), ("flags", "<u4"), ("offset", "<u8"), ("address", "<u8"), ("physical", "<u8"),
     ("file_size", "<u8"), ("memory_size", "<u8"), ("align", "<u8")]
)  # fmt: skip
_PT_LOAD, _PT_NOTE, _PN_XNUM = 1, 4, 0xFFFF
#: Formats that are dumps, though not ones this version reads.
_RECOGNISED = frozenset({"elf_core", "minidump", "gcdump", "mach_o_core", "nettrace", "kernel_dump", "hprof"})
_SNIFFED_BYTES = 1 << 16
#: Kinds of notes: a thread, the process, the auxiliary vector, the mapped files.
NOTE_THREAD, NOTE_PROCESS, NOTE_AUXILIARY_VECTOR, NOTE_FILES = 1, 3, 6, 0x46494C45
_OSABI_GNU = 3
_PROGRAM_HEADERS_AT = 32
_PRSTATUS_SIGNAL, _PRSTATUS_PID, _PRSTATUS_REGISTERS = 12, 32, 112
_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NativeThread:
    """One NT_PRSTATUS note: operating system thread id, signal delivered to it, registers by name."""

    os_id: int
    signal: int
    registers: dict[str, int]


@dataclass(frozen=True, slots=True)
class FileMapping:
    """One row of NT_FILE: addresses [start, end) show ``path`` from byte ``file_offset`` on."""

    start: int
    end: int
    file_offset: int
    path: str


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """What NT_PRPSINFO and the threads say about the process."""

    pid: int | None = None
    name: str = ""
    command_line: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """One note of the file: offsets of its header and its body, bytes of the body."""

    kind: int
    start: int
    body: int
    size: int


@dataclass(slots=True)
class ElfCore:
    """An opened core: ``memory`` reads it, the rest is what its notes say.

    ``program_headers``: where their table lies in the file (first byte, one behind the last); ``notes`` in the order of the file.
    """

    path: Path
    size_bytes: int
    memory: Memory
    threads: list[NativeThread] = field(default_factory=list)
    mappings: list[FileMapping] = field(default_factory=list)
    auxiliary_vector: dict[int, int] = field(default_factory=dict)
    process: ProcessInfo = field(default_factory=ProcessInfo)
    written_by: str = ""
    program_headers: tuple[int, int] = (0, 0)
    notes: list[Note] = field(default_factory=list)


def open_elf_core(path: Path, memory: type[Memory] = Memory) -> ElfCore:
    """Open ``path``. Raises NotADump, Unsupported, Corrupt or OverLimit, each saying what the file is and what to do."""
    size = path.stat().st_size
    if size == 0:
        raise NotADump("the file is empty", remedy="Take the dump again and check free disk space.")
    with path.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    headers = _program_headers(view, size)
    loads = headers[headers["type"] == _PT_LOAD]
    segments = SegmentTable.build(loads["address"], loads["file_size"], loads["memory_size"], loads["offset"], size)
    if not len(segments):
        raise Corrupt("the core holds no memory", where=f"{len(loads)} load segments, none with bytes in the file",
                      remedy="The file was probably cut off while it was copied; copy it again.")  # fmt: skip
    # createdump marks its files as GNU (byte 7 of the header); the kernel and gdb leave it at zero.
    writer = "createdump" if view[7] == _OSABI_GNU else "the kernel or gcore"
    core = ElfCore(path, size, memory(view, size, segments), written_by=writer)
    (first,) = struct.unpack_from("<Q", view, _PROGRAM_HEADERS_AT)
    core.program_headers = first, first + headers.nbytes
    for note in headers[headers["type"] == _PT_NOTE]:
        _read_notes(core, view, int(note["offset"]), min(int(note["file_size"]), size))
    core.memory.set_mappings([(m.start, m.end) for m in core.mappings])
    return core


def _program_headers(view: mmap.mmap, size: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    _refuse_foreign(view[:_SNIFFED_BYTES], size)
    header = view[:64]
    (offset,) = struct.unpack_from("<Q", header, _PROGRAM_HEADERS_AT)
    (section_offset,) = struct.unpack_from("<Q", header, 40)
    entry_size, count = struct.unpack_from("<HH", header, 54)
    if count == _PN_XNUM:
        # More than 65,534 segments: the true count is in sh_info of section header 0 (gABI, "extended numbering").
        if section_offset + 64 > size:
            raise Corrupt(
                "the core names more than 65,534 segments but not how many", where=f"section header at {section_offset:#x}"
            )
        (count,) = struct.unpack_from("<I", view, section_offset + 44)
    if entry_size != _PROGRAM_HEADER.itemsize:
        raise Corrupt(f"program headers of {entry_size} bytes, expected 56", where="ELF header, e_phentsize")
    if count > LIMITS.segments:
        raise OverLimit(f"the core names {count:,} segments, the limit is {LIMITS.segments:,}", where="ELF header, e_phnum")
    if not count or offset + count * entry_size > size:
        raise Corrupt(
            f"the table of {count:,} segments at byte {offset:,} lies beyond the end of the file ({size:,} bytes)",
            remedy="The file was cut off while it was written or copied; copy it again.",
        )
    return np.frombuffer(view, _PROGRAM_HEADER, count, offset)


def _refuse_foreign(head: bytes, size: int) -> None:
    """Say what the file is when it is no core this reader can open."""
    seen = sniff(head, size)
    if seen.compression:
        raise NotADump(f"this is an archive ({seen.title})", remedy="Unpack it first; an upload is unpacked by the server.")
    if not seen.accepted:
        kind = Unsupported if seen.format in _RECOGNISED else NotADump
        raise kind(seen.reason, where=seen.title, remedy=seen.remedy)


def _read_notes(core: ElfCore, view: mmap.mmap, offset: int, size: int) -> None:
    """Walk one PT_NOTE segment; a note that leaves it ends the walk (everything read so far is kept)."""
    end = min(offset + size, core.size_bytes)
    command, name, pid = core.process.command_line, core.process.name, core.process.pid
    while offset + 12 <= end:
        name_size, body_size, kind = struct.unpack_from("<III", view, offset)
        body = offset + 12 + (name_size + 3 & ~3)
        if body + body_size > end:
            break
        core.notes.append(Note(kind, offset, body, body_size))
        if kind == NOTE_THREAD and body_size >= _PRSTATUS_REGISTERS + 8 * len(_REGISTERS):
            if len(core.threads) >= LIMITS.threads:
                raise OverLimit(f"the core names more than {LIMITS.threads:,} threads", where="NT_PRSTATUS notes")
            core.threads.append(_thread(view, body))
        elif kind == NOTE_PROCESS and body_size >= 136:
            (pid,) = struct.unpack_from("<I", view, body + 24)
            name = _text(view[body + 40 : body + 56])
            command = _text(view[body + 56 : body + 136])
        elif kind == NOTE_AUXILIARY_VECTOR:
            words = struct.unpack_from(f"<{body_size // 8}Q", view, body)
            core.auxiliary_vector = dict(zip(words[::2], words[1::2], strict=False))
        elif kind == NOTE_FILES:
            core.mappings = _mappings(view, body, body_size)
        offset = body + (body_size + 3 & ~3)
    core.process = ProcessInfo(pid, name, command)


def _thread(view: mmap.mmap, at: int) -> NativeThread:
    (signal,) = struct.unpack_from("<H", view, at + _PRSTATUS_SIGNAL)
    (os_id,) = struct.unpack_from("<I", view, at + _PRSTATUS_PID)
    values = struct.unpack_from(f"<{len(_REGISTERS)}Q", view, at + _PRSTATUS_REGISTERS)
    return NativeThread(os_id, signal, dict(zip(_REGISTERS, values, strict=True)))


def _mappings(view: mmap.mmap, at: int, size: int) -> list[FileMapping]:
    if size < 16:
        return []
    count, page = struct.unpack_from("<QQ", view, at)
    if count > min(LIMITS.mappings, (size - 16) // 24):
        raise Corrupt(
            f"the list of mapped files names {count:,} rows, its note has room for {(size - 16) // 24:,}", where="NT_FILE"
        )
    rows = struct.unpack_from(f"<{count * 3}Q", view, at + 16)
    names = view[at + 16 + count * 24 : at + size].split(b"\0")
    # The rows of one file repeat its path; offsets are in pages, except that createdump writes page size 1.
    return [
        FileMapping(rows[3 * i], rows[3 * i + 1], rows[3 * i + 2] * page, _text(names[i])) for i in range(min(count, len(names)))
    ]


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "replace").strip()
