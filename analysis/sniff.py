"""Say what a file is from its first bytes, before anything is stored or started.

Only Linux x64 core dumps are accepted so far, plain or as .gz, .zst or .zip. Everything else is refused by name, with
what to do instead. Nothing here reads more than the bytes it is given or unpacks more than a fixed amount.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

import zstandard

from analysis.limits import LIMITS
from analysis.sniff_text import sniff_text

_TAKE_A_DUMP = "Upload a core dump written by createdump, dotnet-dump collect, dotnet-monitor or the runtime as it crashed."
_MACHINES = {3: "x86", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "S/390", 40: "arm", 62: "x64", 183: "arm64", 243: "RISC-V",
             258: "LoongArch"}  # fmt: skip
_ELF_KINDS = {
    1: ("elf_object", "ELF object file"),
    2: ("elf_executable", "ELF program"),
    3: ("elf_shared_object", "ELF program or library"),
}
_MINIDUMP_PLATFORMS = {2: "Windows", 0x8101: "macOS", 0x8102: "iOS", 0x8201: "Linux", 0x8202: "Solaris", 0x8203: "Android"}
_MINIDUMP_MACHINES = {0: "x86", 5: "arm", 9: "x64", 12: "arm64", 0x8003: "arm64"}
_COMPRESSIONS = {"gz": "gzip", "zst": "Zstandard", "zip": "zip"}
_HEAD_BYTES = 1 << 20
_INNER_BYTES = 256 << 10
_TELLING_BYTES = 64
_ZIP_END = b"PK\x05\x06"


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What a file is. ``reason`` and ``remedy`` are empty when it is accepted.

    ``format`` is machine readable (``elf_core``, ``minidump``, ``text`` …), ``title`` is for people. ``compression`` is
    ``gz``, ``zst`` or ``zip`` when the bytes were wrapped; ``format`` and ``title`` then speak of what is inside as far as
    the first bytes tell, and an archive whose content cannot be told yet has itself as ``format``.
    """

    format: str
    accepted: bool
    compression: str | None
    title: str
    reason: str
    remedy: str


def sniff(head: bytes, size_bytes: int | None = None) -> Sniffed:
    """Judge a file by its first bytes, up to 1 MiB of them. ``size_bytes`` is the size of the whole file where known."""
    if not head or size_bytes == 0:
        return _refused("empty", "Empty file", "The file has no bytes.", "Take the dump again and check free disk space.")
    whole = len(head) >= size_bytes if size_bytes is not None else len(head) < _HEAD_BYTES
    for extension, recognise in (("gz", _gzip), ("zst", _zstandard), ("zip", _zip)):
        wrapped = recognise(head)
        if wrapped is not None:
            return _unwrapped(extension, wrapped, cut_off=whole and (extension != "zip" or _ZIP_END not in head))
    return _sniff_plain(head)


def _refused(name: str, title: str, reason: str, remedy: str = _TAKE_A_DUMP) -> Sniffed:
    return Sniffed(name, False, None, title, reason, remedy)


def _sniff_plain(head: bytes) -> Sniffed:
    if head[:4] == b"\x7fELF":
        return _elf(head)
    if head[:4] == b"MDMP":
        return _minidump(head)
    for magic, at, name, title, reason, remedy in _MAGICS:
        if head[at : at + len(magic)] == magic:
            return _refused(name, title, reason, remedy)
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce"):
        return _mach_o(head)
    if b"!FastSerialization.1" in head[:32]:
        return _recognised(
            "gcdump", "GC heap dump (.gcdump)", "a heap snapshot written by dotnet-gcdump, dotnet-monitor or PerfView"
        )
    text = sniff_text(head)
    if text is not None:
        return _refused(text.format, text.title, text.reason, text.remedy or _TAKE_A_DUMP)
    if not any(head):
        return _refused("zeros", "Only zero bytes", f"The first {len(head):,} bytes are all zero.",
                        "The dump was cut off while it was written or copied; take or copy it again.")  # fmt: skip
    start = head[:8].hex(" ")
    return _refused("unknown", "Unknown format", f"The file begins with {start}, which belongs to no dump format known here.")


def _recognised(name: str, title: str, what: str) -> Sniffed:
    return _refused(name, title, f"This is {what}: recognised, not readable yet.")


_USE_GZIP = "Pack the dump itself with gzip, zstd or zip (one file in it) and upload that."
_WHOLE_MACHINE = "This is a memory dump of a whole Windows machine, not of one process."
_SYMBOLS = "This is a symbol file, not a dump of a process."
_TRACE = "This is an event trace of dotnet-trace, which holds no memory: recognised, not readable yet."
_JAVA = "This is a heap dump of a Java process, not of a .NET one."
_PROGRAM = "This is an executable or a library, not a dump of a process."
#: (bytes, where they stand, format, title, reason, remedy)
_MAGICS: tuple[tuple[bytes, int, str, str, str, str], ...] = (
    (b"Nettrace", 0, "nettrace", "Event trace (.nettrace)", _TRACE, _TAKE_A_DUMP),
    (b"PAGEDU64", 0, "kernel_dump", "Windows kernel dump", _WHOLE_MACHINE, _TAKE_A_DUMP),
    (b"PAGEDUMP", 0, "kernel_dump", "Windows kernel dump", _WHOLE_MACHINE, _TAKE_A_DUMP),
    (b"MZ", 0, "pe_image", "Windows program or .NET assembly", _PROGRAM, _TAKE_A_DUMP),
    (b"Microsoft C/C++ MSF 7.00", 0, "pdb", "Symbol file (.pdb)", _SYMBOLS, _TAKE_A_DUMP),
    (b"BSJB", 0, "portable_pdb", "Symbol file (portable .pdb)", _SYMBOLS, _TAKE_A_DUMP),
    (b"JAVA PROFILE", 0, "hprof", "Java heap dump (.hprof)", _JAVA, _TAKE_A_DUMP),
    (b"\xfd7zXZ\0", 0, "xz", "xz archive", "Archives of xz cannot be unpacked here.", _USE_GZIP),
    (b"BZh", 0, "bzip2", "bzip2 archive", "Archives of bzip2 cannot be unpacked here.", _USE_GZIP),
    (b"7z\xbc\xaf\x27\x1c", 0, "7z", "7-Zip archive", "Archives of 7-Zip cannot be unpacked here.", _USE_GZIP),
    (b"Rar!\x1a\x07", 0, "rar", "RAR archive", "Archives of RAR cannot be unpacked here.", _USE_GZIP),
    (b"\x04\x22\x4d\x18", 0, "lz4", "lz4 archive", "Archives of lz4 cannot be unpacked here.", _USE_GZIP),
    (b"MSCF", 0, "cab", "Windows cabinet", "Cabinet files cannot be unpacked here.", _USE_GZIP),
    (b"ustar", 257, "tar", "tar archive", "Archives of tar cannot be unpacked here.", _USE_GZIP),
)


def _elf(head: bytes) -> Sniffed:
    if len(head) < 64:
        return _refused("elf", "ELF file, cut off", f"The file ends inside its header, after {len(head)} bytes.",
                        "The file was cut off while it was copied; copy it again.")  # fmt: skip
    order = ">" if head[5] == 2 else "<"
    kind, machine = struct.unpack_from(order + "HH", head, 16)
    architecture = _MACHINES.get(machine, f"machine {machine}")
    if kind != 4:
        name, words = _ELF_KINDS.get(kind, ("elf", f"ELF file of type {kind}"))
        return _refused(name, f"{words} ({architecture})", f"This is an {words}, not a dump of a process.")
    title = f"ELF core dump ({architecture})"
    remedy = "Only dumps of 64-bit x64 processes on Linux can be read so far."
    if head[5] != 1:
        return _refused("elf_core", title, "This is a core dump of a big-endian process: recognised, not readable.", remedy)
    if head[4] != 2:
        return _refused("elf_core", title, "This is a core dump of a 32-bit process: recognised, not readable.", remedy)
    if machine != 62:
        return _refused(
            "elf_core", title, f"This is a core dump of an {architecture} process: recognised, not readable yet.", remedy
        )
    system = _other_system(head)
    if system:
        return _refused("elf_core", f"ELF core dump ({system})", f"This is a core dump of a {system} process.", remedy)
    return Sniffed("elf_core", True, None, "Linux core dump (x64)", "", "")


def _other_system(head: bytes) -> str:
    """Name of the BSD whose kernel wrote the notes of a core, "" for Linux or when the first note is not in ``head``."""
    table, entry_size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    for row in range(min(count, 64)):
        at = table + row * entry_size
        if entry_size < 56 or at + 56 > len(head):
            break
        kind, _, offset = struct.unpack_from("<IIQ", head, at)
        if kind == 4:
            owner = head[offset + 12 : offset + 32]
            return next((name for name in ("NetBSD", "FreeBSD", "OpenBSD") if owner.startswith(name.encode())), "")
    return ""


def _minidump(head: bytes) -> Sniffed:
    system = machine = ""
    if len(head) >= 32:
        count, directory = struct.unpack_from("<II", head, 8)
        for row in range(min(count, 256)):
            at = directory + 12 * row
            if at + 12 > len(head):
                break
            kind, _, where = struct.unpack_from("<III", head, at)
            if kind == 7 and where + 24 <= len(head):
                machine = _MINIDUMP_MACHINES.get(struct.unpack_from("<H", head, where)[0], "")
                system = _MINIDUMP_PLATFORMS.get(struct.unpack_from("<I", head, where + 20)[0], "")
                break
    words = f"{system or 'Windows'} minidump" + (f" ({machine})" if machine else "")
    if system in ("", "Windows"):
        return _recognised("minidump", words, f"a {words}")
    return _recognised("minidump", words, f"a minidump of a process on {system}, as Breakpad and Crashpad write them")


def _mach_o(head: bytes) -> Sniffed:
    order = "<" if head[0] in (0xCE, 0xCF) else ">"
    kind = struct.unpack_from(order + "I", head, 12)[0] if len(head) >= 16 else 0
    if kind == 4:
        return _recognised("mach_core", "macOS core dump (Mach-O)", "a core dump of a macOS process")
    return _refused(
        "mach_image", "macOS program or library (Mach-O)", "This is a Mach-O program or library, not a dump of a process."
    )


# Compressed files. Each recogniser returns None for other files, a Sniffed that refuses, or the first bytes inside.


def _gzip(head: bytes) -> Sniffed | bytes | None:
    if head[:2] != b"\x1f\x8b":
        return None
    try:
        return zlib.decompressobj(31).decompress(head, _INNER_BYTES)
    except zlib.error as error:
        return _damaged("gzip", str(error))


def _zstandard(head: bytes) -> Sniffed | bytes | None:
    if head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=LIMITS.archive_window_bytes).stream_reader(head)
        return reader.read(_INNER_BYTES)
    except zstandard.ZstdError as error:
        if "memory" in str(error):
            return _refused("zst", "Zstandard archive", "The archive needs more memory to unpack than is allowed.",
                            "Compress the dump without zstd's --long or --ultra options.")  # fmt: skip
        return _damaged("Zstandard", str(error))


def _zip(head: bytes) -> Sniffed | bytes | None:
    if head[:4] == _ZIP_END:
        return _refused("zip", "Empty zip archive", "The zip archive holds no file.", _USE_GZIP)
    if head[:4] != b"PK\x03\x04":
        return None
    if len(head) < 30:
        return _damaged("zip", "it ends inside its first header")
    flags, method = struct.unpack_from("<HH", head, 6)
    name_length, extra_length = struct.unpack_from("<HH", head, 26)
    if flags & 1:
        return _refused("zip", "Encrypted zip archive", "The zip archive is protected by a password.",
                        "Upload the dump without a password.")  # fmt: skip
    name = head[30 : 30 + name_length]
    body = head[30 + name_length + extra_length :]
    if name.endswith(b"/") or name.startswith(b"__MACOSX/") or method not in (0, 8):
        return b""
    if method == 0:
        return body[:_INNER_BYTES]
    try:
        return zlib.decompressobj(-15).decompress(body, _INNER_BYTES)
    except zlib.error as error:
        return _damaged("zip", str(error))


def _damaged(what: str, detail: str) -> Sniffed:
    name = next(extension for extension, words in _COMPRESSIONS.items() if words == what)
    return _refused(name, f"Damaged {what} archive", f"The {what} archive cannot be unpacked: {detail}.",
                    "It was probably cut off or altered while it was copied; pack and copy it again.")  # fmt: skip


def _unwrapped(extension: str, content: Sniffed | bytes, *, cut_off: bool) -> Sniffed:
    """Judge what is inside. ``cut_off`` says that no more of the archive can follow."""
    if isinstance(content, Sniffed):
        return replace(content, compression=extension)
    words = _COMPRESSIONS[extension]
    if len(content) < _TELLING_BYTES:
        if cut_off:
            return replace(_damaged(words, "it holds too little or is cut off"), compression=extension)
        return Sniffed(extension, True, extension, f"{words} archive", "", "")
    if any(recognise(content) is not None for recognise in (_gzip, _zstandard, _zip)):
        return replace(
            _refused(extension, f"{words} archive of an archive", "The file is compressed twice.", _USE_GZIP),
            compression=extension,
        )
    inner = _sniff_plain(content)
    reason = f"Inside the {words} archive: {inner.reason}" if inner.reason else ""
    return replace(inner, compression=extension, title=f"{inner.title}, packed with {words}", reason=reason)
