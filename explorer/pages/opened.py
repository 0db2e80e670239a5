"""Indexes stay open between requests, together with what pages compute from them once, until their dump is deleted."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from analysis.index.schema import DataClass
from analysis.index.store import Index, open_index

#: Open indexes per process. Columns are memory-mapped; the decoded names of 100,000 types take about 20 MB.
_OPEN_INDEXES = 12
#: As many are looked after; with one more all are let go.
_MOST_KNOWN = 100
_open: set[Path] = set()
_caches: list[Any] = []
Arguments, Answer = ParamSpec("Arguments"), TypeVar("Answer")


def opened(directory: Path, highest: DataClass) -> Index:
    """The index in ``directory`` as somebody sees it who may see fields up to ``highest``.

    Raises ``analysis.errors.Corrupt`` when it is missing or damaged.
    """
    too_many = len(_open) >= _MOST_KNOWN and directory not in _open
    if too_many or any(not known.exists() for known in _open):  # deleted by another process: a worker, the clock
        forget()
    try:
        written = (directory / "manifest.json").stat().st_mtime_ns
    except OSError:
        written = 0
    found = _opened(directory, written)
    _open.add(directory)
    return found.up_to(highest)


@lru_cache(maxsize=_OPEN_INDEXES)
def _opened(directory: Path, written: int) -> Index:
    return open_index(directory)


def forget() -> None:
    """Let go of all that is kept: deletions are rare, and what is still there is opened again."""
    _open.clear()
    for cached in (_opened, *_caches):
        cached.cache_clear()


def kept(most: int) -> Callable[[Callable[Arguments, Answer]], Callable[Arguments, Answer]]:
    """Keep the last ``most`` results of a function of an index, until one is deleted."""

    def keep(compute: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
        cached = lru_cache(maxsize=most)(compute)
        _caches.append(cached)

        @wraps(compute)
        def of(*arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
            return cached(*arguments, **named)

        return of

    return keep


def kept_structure(
    most: int,
) -> Callable[[Callable[Concatenate[Index, Arguments], Answer]], Callable[Concatenate[Index, Arguments], Answer]]:
    """Keep the last ``most`` results of a function of an index that reads structure only: all viewers share them."""

    def keep(compute: Callable[Concatenate[Index, Arguments], Answer]) -> Callable[Concatenate[Index, Arguments], Answer]:
        found = kept(most)(compute)

        @wraps(compute)
        def of(index: Index, *arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
            return found(index.structure, *arguments, **named)

        return of

    return keep
