"""Files encrypted at rest: AES-256-GCM in frames of 1 MiB, written once and read from the beginning.

    16 bytes    mark and version of the format, length of the plain file
    frames      1 MiB of the plain file each, the last one shorter, every one with its tag of 16 bytes

The nonce is the frame's number. The key belongs to this one file and is never used again, so no number is used twice under a
key. Every tag also covers the header and the frame's number: frames that were swapped, cut off, repeated or taken out of another
file do not open.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from analysis.errors import AnalysisError

KEY_BYTES = 32
_MARK = b"DXSEAL\x00\x01"
_HEADER = struct.Struct(">8sQ")
_FRAME_BYTES = 1 << 20
_TAG_BYTES = 16
_DAMAGED = "It was altered or damaged outside of this program: restore it from a backup, or upload the dump again."


class Damaged(AnalysisError):
    """A sealed file is not as it was written."""

    code = "damaged"


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing found and made: SHA-256 of the plain file, and the key that opens the sealed one."""

    sha256: str
    key: bytes = field(repr=False)


def seal(source: Path, target: Path) -> Sealed:
    """Hash and encrypt ``source`` into the new file ``target`` in one pass, under a new key; it is safely on disk after that."""
    key, digest = os.urandom(KEY_BYTES), hashlib.sha256()
    # Used again for every frame: memory that is new each time takes as long as the cipher.
    room, sealed_room = memoryview(bytearray(_FRAME_BYTES)), memoryview(bytearray(_FRAME_BYTES + _TAG_BYTES))
    with FileIO(source) as plain, private_file(target) as sealed:
        header = _HEADER.pack(_MARK, os.fstat(plain.fileno()).st_size)
        cipher, number = AESGCM(key), 0
        write_all(sealed, header)
        while size := _fill(plain, room):
            digest.update(room[:size])
            frame = sealed_room[: size + _TAG_BYTES]
            cipher.encrypt_into(_nonce(number), room[:size], _bound(header, number), frame)
            write_all(sealed, frame)
            number += 1
        os.fsync(sealed.fileno())
    return Sealed(digest.hexdigest(), key)


def is_sealed(path: Path) -> bool:
    """Whether the file is there and was written by ``seal``."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MARK)) == _MARK
    except FileNotFoundError:
        return False


def plain_bytes(path: Path) -> int:
    """How long the plain file is. Raises Damaged where the sealed one is too long or too short for that."""
    with path.open("rb") as file:
        raw, size = file.read(_HEADER.size), os.fstat(file.fileno()).st_size
    length = _HEADER.unpack(raw)[1] if len(raw) == _HEADER.size else 0
    if size != _HEADER.size + length + _TAG_BYTES * -(-length // _FRAME_BYTES):
        raise Damaged("the stored file is not as long as it was written", remedy=_DAMAGED)
    return length


def unseal(path: Path, key: bytes) -> Iterator[bytes]:
    """The plain file, a frame at a time; never more than was written, and Damaged where it is not what was written."""
    length, cipher, room = plain_bytes(path), AESGCM(key), memoryview(bytearray(_FRAME_BYTES + _TAG_BYTES))
    with FileIO(path) as sealed:
        header = sealed.read(_HEADER.size)
        for number in range(-(-length // _FRAME_BYTES)):
            size = min(_FRAME_BYTES, length - number * _FRAME_BYTES) + _TAG_BYTES
            frame = room[: _fill(sealed, room[:size])]
            try:
                yield cipher.decrypt(_nonce(number), frame, _bound(header, number))
            except InvalidTag:
                where = f"byte {number * _FRAME_BYTES:,}"
                raise Damaged("the stored file is not what was written", where=where, remedy=_DAMAGED) from None


def private_file(path: Path) -> FileIO:
    """An empty file to be written, which nobody else on the machine may read."""
    path.unlink(missing_ok=True)
    return FileIO(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600))


def write_all(file: FileIO, content: bytes | memoryview) -> None:
    """All of it: one call of the system may write less."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _bound(header: bytes, number: int) -> bytes:
    return header + number.to_bytes(8, "big")


def _fill(file: FileIO, room: memoryview) -> int:
    """As many bytes as there is room for, fewer only at the end: frames are as long as their numbers say."""
    filled = 0
    while filled < len(room) and (more := file.readinto(room[filled:])):
        filled += more
    return filled
