"""Originals of dumps lie encrypted, each under a key of its own; who destroys the key has deleted the dump, wherever copies are.

A key lies wrapped under the server's store key, bound to the id of its dump, in a directory of its own: neither in the database
nor in the store, so that a backup of those two opens nothing once the key is gone. Only this module reads and writes keys.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from analysis.errors import AnalysisError
from explorer.models import Dump
from explorer.sealed_files import KEY_BYTES, Damaged, Sealed, is_sealed, plain_bytes, private_file, unseal, write_all

_MARK = b"DXKEY\x00\x01"
_NONCE_BYTES = 12
_PIECE_BYTES = 1 << 20
#: Labels under which store keys are derived: what is derived for anything else is another key.
_GIVEN, _FROM_SECRET_KEY = b"dump-explorer store key", b"dump-explorer store key out of the secret key"


class OriginalGone(AnalysisError):
    """The file itself is no longer kept."""

    code = "original_gone"


class KeyGone(AnalysisError):
    """What the file held cannot be read: its key is gone, or this server's store key does not open it."""

    code = "key_gone"


@dataclass(frozen=True, slots=True)
class Original:
    """The file of a dump as it was uploaded, opened to be read; ``key`` is empty for one that was stored plain."""

    path: Path
    size_bytes: int
    key: bytes = field(repr=False)

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, a little at a time. Raises Damaged at the first that are not those that were written."""
        if self.key:
            yield from unseal(self.path, self.key)
        else:
            with self.path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece

    def head(self) -> bytes:
        """Its first bytes, at most one MiB."""
        return next(self.pieces(), b"")


def open_original(dump: Dump) -> Original:
    """The file of a dump. Raises OriginalGone, KeyGone, or Damaged where it was cut."""
    if dump.without_original or not dump.original.exists():
        kind = OriginalGone if dump.original_removed_at or not dump.original.exists() else KeyGone
        raise kind(dump.without_original or "The dump itself is no longer kept; its analysis holds no values.")
    if not is_sealed(dump.original):
        if dump.key.exists():  # or what somebody put in its place would be taken for one
            remedy = "Restore it from a backup; where encrypting it was interrupted, run manage.py encrypt_dumps again."
            raise Damaged("the stored file is not the encrypted one that belongs to its key", remedy=remedy)
        return Original(dump.original, dump.original.stat().st_size, b"")
    return Original(dump.original, plain_bytes(dump.original), _key_of(dump))


def keep(dump: Dump, made: Path, sealed: Sealed) -> None:
    """Make the sealed file ``made`` the original of a dump: first its key, then the file by one rename. What is there is
    replaced, so whoever was killed in the middle does it again."""
    destroy_key(dump.key)
    _write_key(dump, sealed.key)
    dump.directory.mkdir(parents=True, exist_ok=True)
    made.replace(dump.original)
    _sync(dump.directory)
    _sync(dump.directory.parent)


def destroy_key(path: Path) -> None:
    """Overwrite a key and forget it: what was encrypted under it is gone with that, in backups too."""
    with suppress(FileNotFoundError):
        with path.open("r+b", buffering=0) as file:
            file.write(secrets.token_bytes(path.stat().st_size))
            os.fsync(file.fileno())
        path.unlink()
        _sync(path.parent)


def rewrap(dump: Dump) -> bool:
    """Wrap the key of a dump under the present store key; False where it is already. Raises KeyGone."""
    with suppress(InvalidTag, ValueError):
        _unwrapped(dump, _store_keys()[0])
        return False
    _write_key(dump, _key_of(dump))
    return True


def _key_of(dump: Dump) -> bytes:
    for store_key in _store_keys():
        with suppress(InvalidTag, ValueError):
            return _unwrapped(dump, store_key)
    remedy = "Give the server the EXPLORER_STORE_KEY that it had, or the right copy of the key directory."
    raise KeyGone("the key of this dump does not open with the store key of this server", remedy=remedy)


def _unwrapped(dump: Dump, store_key: bytes) -> bytes:
    try:
        kept = dump.key.read_bytes()
    except FileNotFoundError:  # destroyed at this moment
        raise KeyGone(dump.without_original) from None
    start = len(_MARK) + _NONCE_BYTES
    return AESGCM(store_key).decrypt(kept[len(_MARK) : start], kept[start:], _MARK + dump.pk.bytes)


def _write_key(dump: Dump, key: bytes) -> None:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    wrapped = _MARK + nonce + AESGCM(_store_keys()[0]).encrypt(nonce, key, _MARK + dump.pk.bytes)
    directory = dump.key.parent
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = dump.key.with_suffix(".new")
    with private_file(made) as file:
        write_all(file, wrapped)
        os.fsync(file.fileno())
    made.replace(dump.key)
    _sync(directory)


def _store_keys() -> list[bytes]:
    """The key under which keys are wrapped, then those under which they may have been wrapped before."""
    given = [_derived(text, _GIVEN) for text in (settings.STORE_KEY, *settings.STORE_KEYS_BEFORE) if text]
    return [*given, _derived(settings.SECRET_KEY, _FROM_SECRET_KEY)]


def _derived(text: str, label: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=label).derive(text.encode())


def _sync(directory: Path) -> None:
    """Make a rename or a removal itself survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
