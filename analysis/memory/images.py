"""The files mapped into the process, put together from the rows of NT_FILE."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from analysis.memory.elf_core import FileMapping


@dataclass(frozen=True, slots=True)
class MappedImage:
    """One mapping of one file: load address (its byte 0), end of its last contiguous row, path."""

    base: int
    end: int
    path: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def size(self) -> int:
        return self.end - self.base


def mapped_images(mappings: list[FileMapping]) -> list[MappedImage]:
    """Images in address order. A file mapped twice gives two images; rows without a row for byte 0 before them give none."""
    images: list[MappedImage] = []
    current: MappedImage | None = None
    for row in sorted(mappings, key=lambda m: m.start):
        if row.file_offset == 0 and not (current and current.path == row.path and current.base == row.start):
            if current:
                images.append(current)
            current = MappedImage(row.start, row.end, row.path)
        elif current and row.path == current.path:
            current = MappedImage(current.base, max(current.end, row.end), current.path)
    return [*images, current] if current else images
