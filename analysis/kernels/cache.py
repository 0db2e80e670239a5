"""Where compiled kernels are kept between runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_base() -> Path:
    """``NUMBA_CACHE_DIR``, or a directory of the person's own."""
    home = os.environ.get("HOME") or tempfile.gettempdir()
    return Path(os.environ.get("NUMBA_CACHE_DIR") or Path(home) / ".cache" / "dump-explorer")
