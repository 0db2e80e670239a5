"""Indexes stay open between requests, together with what pages compute from them once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from analysis.index.store import Index, open_index

#: Open indexes per process. Columns are memory-mapped; the decoded names of 100,000 types take about 20 MB.
_OPEN_INDEXES = 12


def opened(directory: Path) -> Index:
    """The index in ``directory``. Raises ``analysis.errors.Corrupt`` when it is missing or damaged."""
    try:
        written = (directory / "manifest.json").stat().st_mtime_ns
    except OSError:
        written = 0
    return _opened(directory, written)


@lru_cache(maxsize=_OPEN_INDEXES)
def _opened(directory: Path, written: int) -> Index:
    return open_index(directory)
