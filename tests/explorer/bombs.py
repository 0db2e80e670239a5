"""Small files that ask for a great deal: archives that unpack to far more than they should, cores that promise too much."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import zstandard

from tests.explorer.elf_cores import core_bytes

MEGABYTE = 1 << 20
_ZEROS = bytes(MEGABYTE)


def _gzip_stream(megabytes: int) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(deflate.compress(_ZEROS) for _ in range(megabytes)) + deflate.flush()


def _gzip_with_long_name() -> bytes:
    return b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (24 * MEGABYTE)


def zstandard_stream(megabytes: int, window_log: int = 20) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, compression_level=1)
    pack = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return b"".join(pack.compress(_ZEROS) for _ in range(megabytes)) + pack.flush()


def _zstandard_frame(descriptor: int, rest: bytes) -> bytes:
    """A frame whose header is written by hand, then blocks that repeat one zero 128 KiB long."""
    block = struct.pack("<I", 128 << 10 << 3 | 1 << 1)[:3] + b"\0"
    return struct.pack("<IB", 0xFD2FB528, descriptor) + rest + block * 100_000


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def _zip_with_directory(change: Callable[[bytearray, int, int], None]) -> bytes:
    """A zip of 40 MiB of zeros; ``change`` gets it with the places of its directory entry and of its end."""
    raw = bytearray(_zip(("core", bytes(40 * MEGABYTE))))
    change(raw, raw.rindex(b"PK\x01\x02"), raw.rindex(b"PK\x05\x06"))
    return bytes(raw)


def _lying_about_size(raw: bytearray, entry: int, end: int) -> None:
    struct.pack_into("<I", raw, entry + 24, 1000)


def _lying_about_packed_size(raw: bytearray, entry: int, end: int) -> None:
    struct.pack_into("<I", raw, entry + 20, 0xFFFFFFF0)


def _directory_far_away(raw: bytearray, entry: int, end: int) -> None:
    struct.pack_into("<I", raw, end + 16, 0xFFFFFFF0)


def _zip64(size: int, directory_bytes: int) -> Callable[[bytearray, int, int], None]:
    """Sizes of 64 bits: of the member, and of the directory."""

    def change(raw: bytearray, entry: int, end: int) -> None:
        extra = struct.pack("<HHQ", 1, 8, size)
        struct.pack_into("<I", raw, entry + 24, 0xFFFFFFFF)
        struct.pack_into("<H", raw, entry + 30, len(extra))
        entry_bytes = bytes(raw[entry:end]) + extra
        tail = bytes(raw[end:])
        record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, directory_bytes or len(entry_bytes), entry)
        locator = struct.pack("<IIQI", 0x07064B50, 0, entry + len(entry_bytes), 1)
        raw[entry:] = entry_bytes + record + locator + tail[:12] + struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF) + tail[20:]

    return change


def _overlapping() -> bytes:
    """Many members that share one stretch of packed zeros, as in David Fifield's zip bombs."""
    raw = _zip(("core", bytes(16 * MEGABYTE)))
    at = raw.rindex(b"PK\x01\x02")
    entry, end = raw[at : raw.rindex(b"PK\x05\x06")], raw[raw.rindex(b"PK\x05\x06") :]
    count = 1000
    directory = b"".join(entry[:46] + f"{number:04}".encode() for number in range(count))
    return raw[:at] + directory + end[:8] + struct.pack("<HHII", count, count, len(directory), at) + b"\0\0"


def _core(*headers: tuple[int, int, int, int, int], count: int | None = None, tail: bytes = b"", extended: int = 0) -> bytes:
    """A core with program headers of (type, offset, address, bytes in the file, bytes in memory)."""
    header = bytearray(core_bytes(64))
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<H", header, 56, len(headers) if count is None else count)
    rows = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, at, address, 0, size, memory, 1) for kind, at, address, size, memory in headers
    )
    if extended:
        struct.pack_into("<Q", header, 40, 64 + len(rows))
        tail = bytes(44) + struct.pack("<I", extended) + bytes(16) + tail
    return bytes(header) + rows + tail


def _note(name_size: int, body_size: int, kind: int, body: bytes = b"") -> bytes:
    return struct.pack("<III", name_size, body_size, kind) + b"CORE\0\0\0\0" + body


_LOAD, _NOTE, _HUGE = 1, 4, 1 << 62
_HONEST_LOAD = (_LOAD, 0, 0x400000, 4096, 4096)

#: What is sent, by what it is; made when it is needed.
BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip: one stream": lambda: _gzip_stream(256),
    "gzip: many members": lambda: gzip.compress(bytes(MEGABYTE), 1) * 500,
    "gzip: empty members without end": lambda: gzip.compress(b"") * 100_000,
    "gzip: a name of 24 MiB": _gzip_with_long_name,
    "gzip in gzip": lambda: gzip.compress(_gzip_stream(256)),
    "gzip in zstd": lambda: zstandard.compress(_gzip_stream(256)),
    "zstd in gzip": lambda: gzip.compress(zstandard_stream(1024)),
    "zstd: one frame": lambda: zstandard_stream(1024),
    "zstd: many frames": lambda: zstandard.compress(_ZEROS) * 1000,
    "zstd: empty frames without end": lambda: zstandard.compress(b"") * 100_000,
    "zstd: blocks of four bytes for 128 KiB": lambda: _zstandard_frame(0, b"\x50"),
    "zstd: a promised size of 2^62": lambda: _zstandard_frame(0xC0, b"\x50" + struct.pack("<Q", _HUGE)),
    "zstd: a window of 2 GiB": lambda: _zstandard_frame(0, bytes([21 << 3])),
    "zstd: a window of 3.75 TiB": lambda: _zstandard_frame(0, b"\xff"),
    "zstd: a dictionary that is not there": lambda: _zstandard_frame(3, b"\x50" + struct.pack("<I", 7)),
    "zstd: bytes to skip without end": lambda: zstandard.compress(b"x") + struct.pack("<II", 0x184D2A50, 0xFFFFFFFF) + bytes(99),
    "zip: zeros": lambda: _zip(("core", bytes(256 * MEGABYTE))),
    "zip in zip": lambda: _zip(("core.zip", _zip(("core", bytes(64 * MEGABYTE))))),
    "zip: smaller than it says": lambda: _zip_with_directory(_lying_about_size),
    "zip: packed in 4 GiB, it says": lambda: _zip_with_directory(_lying_about_packed_size),
    "zip: a directory beyond the end": lambda: _zip_with_directory(_directory_far_away),
    "zip: 2^62 bytes, it says": lambda: _zip_with_directory(_zip64(_HUGE, 0)),
    "zip: a directory of 2^62 bytes": lambda: _zip_with_directory(_zip64(1, _HUGE)),
    "zip: overlapping members": _overlapping,
    "zip: 30,000 members": lambda: _zip(*((str(number), b"") for number in range(30_000)), method=zipfile.ZIP_STORED),
    "core: a segment of 2^62 bytes": lambda: _core((_LOAD, 0, 0x400000, _HUGE, _HUGE), tail=bytes(4096)),
    "core: 2^62 bytes of memory for 4 KiB": lambda: _core((_LOAD, 0, 0x400000, 4096, _HUGE), tail=bytes(4096)),
    "core: a note of 2^62 bytes": lambda: _core(_HONEST_LOAD, (_NOTE, 176, 0, _HUGE, 0), tail=_note(5, 8, 6) + bytes(4096)),
    "core: a name of 4 GiB in a note": lambda: _core(_HONEST_LOAD, (_NOTE, 176, 0, 4096, 0), tail=_note(0xFFFFFFF0, 8, 6) * 200),
    "core: 2^60 mapped files": lambda: _core(
        _HONEST_LOAD, (_NOTE, 176, 0, 4096, 0), tail=_note(5, 2048, 0x46494C45, struct.pack("<QQ", 1 << 60, 1)) + bytes(4096)
    ),
    "core: four thousand million segments": lambda: _core(_HONEST_LOAD, count=0xFFFF, extended=0xFFFFFFFF),
    "core: 30,000 segments of 2^40 bytes": lambda: _core(
        *((_LOAD, 0, number << 20, 1 << 40, 1 << 40) for number in range(30_000)), tail=bytes(4096)
    ),
}  # fmt: skip
