"""The file of a copy: as long as the original, empty at first, under another name until it is whole."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.errors import Corrupt
from analysis.scrub.certificate import Fingerprint

_HASHED_BYTES = 16 << 20


@contextmanager
def new_file(out: Path, size: int) -> Iterator[tuple[npt.NDArray[np.uint8], Callable[[], None]]]:
    """The bytes of a file to be, all zero, and what to call when they are final. Without that call, or when anything is raised,
    no file is left."""
    partial = out.with_name(out.name + ".partial")
    finished = False

    def finish() -> None:
        nonlocal finished
        view.flush()
        os.fsync(file.fileno())
        partial.replace(out)
        directory = os.open(out.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        finished = True

    with partial.open("w+b") as file:
        try:
            # A disk that is full says so here; a page that it cannot take later would end the process without a word.
            os.posix_fallocate(file.fileno(), 0, size)
            view = mmap.mmap(file.fileno(), size)
            yield np.frombuffer(view, np.uint8), finish
        finally:
            if not finished:
                partial.unlink(missing_ok=True)


def fingerprints(original: Path, size: int, copied: npt.NDArray[np.uint8]) -> tuple[Fingerprint, Fingerprint]:
    """Of the original and of the copy, at the same time. Raises Corrupt when the original changed its size meanwhile."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(_of_file, original), pool.submit(_of_bytes, copied)
        found = first.result(), second.result()
    if found[0].size_bytes != size:
        raise Corrupt("the dump changed its size while it was copied", where=f"{size:,} bytes, then {found[0].size_bytes:,}")
    return found


def _of_file(path: Path) -> Fingerprint:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_HASHED_BYTES):
            digest.update(piece)
            size += len(piece)
    return Fingerprint(digest.hexdigest(), size)


def _of_bytes(raw: npt.NDArray[np.uint8]) -> Fingerprint:
    return Fingerprint(hashlib.sha256(raw.data).hexdigest(), len(raw))
