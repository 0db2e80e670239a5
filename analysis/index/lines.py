"""Source lines of one module in the form the index and the store of symbols keep them: small, checked, without pickle.

An ``.npz`` holds four arrays: ``documents`` (uint8, names in UTF-8 joined by zero bytes), ``methods`` (uint32, MethodDef
row numbers, ascending), ``first`` (uint32, one more than methods: where the points of each begin) and ``points`` (uint32,
shape (points, 3): IL offset, row of documents, line; within a method by ascending offset). Hidden points are left out.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.errors import Corrupt
from analysis.limits import LIMITS

_METHOD_DEF = 0x06
_PROLOG = -2
_SEPARATOR = "\0"
_PARTS = ("documents", "methods", "first", "points")


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines by method and IL offset. The arrays are those of the file."""

    documents: tuple[str, ...]
    methods: npt.NDArray[np.uint32]
    first: npt.NDArray[np.uint32]
    points: npt.NDArray[np.uint32]

    def lookup(self, token: int, il_offset: int) -> tuple[str, int] | None:
        """(document, line) of an IL offset in the method ``token`` (0x06xxxxxx); None where the PDB has nothing there.

        The last point at or before the offset counts, as in clrstack. The IL offset of a caller's frame must be that of
        the call, not of what follows it. The prolog stands for the start of the method.
        """
        il_offset = 0 if il_offset == _PROLOG else il_offset
        if token >> 24 != _METHOD_DEF or il_offset < 0:
            return None
        row = int(np.searchsorted(self.methods, token & 0xFFFFFF))
        if row >= len(self.methods) or self.methods[row] != token & 0xFFFFFF:
            return None
        start, end = int(self.first[row]), int(self.first[row + 1])
        place = start + int(np.searchsorted(self.points[start:end, 0], il_offset, "right")) - 1
        if place < start:
            return None
        _, document, line = self.points[place].tolist()
        return self.documents[document], line

    def save(self, path: Path) -> None:
        """Write the file, packed. Raises OSError."""
        names = np.frombuffer(_SEPARATOR.join(self.documents).encode("utf-8", "replace"), np.uint8)
        with path.open("wb") as file:
            np.savez_compressed(file, documents=names, methods=self.methods, first=self.first, points=self.points)


def load_lines(path: Path) -> Lines:
    """Open a file of lines and check it. Raises Corrupt for one that is damaged, OSError for one that is not there."""
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(part.file_size for part in packed.infolist())
        if unpacked > LIMITS.lines_bytes:
            raise _damaged(path)
        with np.load(path, allow_pickle=False) as file:
            parts: dict[str, npt.NDArray[Any]] = {name: file[name] for name in _PARTS}
    except (ValueError, KeyError, EOFError, MemoryError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        raise _damaged(path) from error
    types_fit = parts["documents"].dtype == np.uint8 and all(
        parts[name].dtype == np.uint32 for name in ("methods", "first", "points")
    )
    shapes_fit = (parts["methods"].ndim, parts["first"].shape, parts["points"].shape[1:]) == (
        1, (parts["methods"].size + 1,), (3,),
    )  # fmt: skip
    if not types_fit or not shapes_fit:
        raise _damaged(path)
    documents = tuple(parts["documents"].tobytes().decode("utf-8", "replace").split(_SEPARATOR))
    found = Lines(documents, parts["methods"], parts["first"], parts["points"])
    first = found.first.astype(np.int64)
    in_order = bool((np.diff(found.methods.astype(np.int64)) > 0).all() and (np.diff(first) >= 0).all())
    if not in_order or first[0] != 0 or first[-1] != len(found.points) or (found.points[:, 1] >= len(documents)).any():
        raise _damaged(path)
    return found


def _damaged(path: Path) -> Corrupt:
    return Corrupt("a file of source lines is damaged", where=path.name, remedy="Upload the PDB or run the analysis again.")
