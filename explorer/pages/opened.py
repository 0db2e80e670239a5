"""Indexes stay open between requests, together with what pages compute from them once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from analysis.index.schema import DataClass
from analysis.index.store import Index, open_index

#: Open indexes per process. Columns are memory-mapped; the decoded names of 100,000 types take about 20 MB.
_OPEN_INDEXES = 12
Arguments, Answer = ParamSpec("Arguments"), TypeVar("Answer")


def opened(directory: Path, highest: DataClass) -> Index:
    """The index in ``directory`` as somebody sees it who may see fields up to ``highest``.

    Raises ``analysis.errors.Corrupt`` when it is missing or damaged.
    """
    try:
        written = (directory / "manifest.json").stat().st_mtime_ns
    except OSError:
        written = 0
    return _opened(directory, written).up_to(highest)


@lru_cache(maxsize=_OPEN_INDEXES)
def _opened(directory: Path, written: int) -> Index:
    return open_index(directory)


def kept_structure(
    most: int,
) -> Callable[[Callable[Concatenate[Index, Arguments], Answer]], Callable[Concatenate[Index, Arguments], Answer]]:
    """Keep the last ``most`` results of a function of an index that reads structure only: all viewers share them."""

    def keep(compute: Callable[Concatenate[Index, Arguments], Answer]) -> Callable[Concatenate[Index, Arguments], Answer]:
        kept = lru_cache(maxsize=most)(compute)

        @wraps(compute)
        def of(index: Index, *arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
            return kept(index.structure, *arguments, **named)

        return of

    return keep
