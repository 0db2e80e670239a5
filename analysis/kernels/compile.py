"""The one way kernels are compiled: cached on disk, without the interpreter lock.

numba stamps its cache by the source file of the function alone, so the cache directory carries a digest of all
kernel sources: an edited helper can never be paired with stale code. Where nothing is writable, kernels compile anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.kernels.cache import cache_base


def _cache_directory() -> Path | None:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    directory = cache_base() / f"kernels-{digest.hexdigest()[:16]}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return directory if os.access(directory, os.W_OK) else None
    except OSError:
        return None


_DIRECTORY = _cache_directory()
if _DIRECTORY is not None:
    os.environ["NUMBA_CACHE_DIR"] = str(_DIRECTORY)

import numba  # noqa: E402  (it reads NUMBA_CACHE_DIR when it is imported)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` in no-Python mode."""
    compiled: Callable[..., Any] = numba.njit(cache=_DIRECTORY is not None, nogil=True, boundscheck=False)(function)
    return compiled
