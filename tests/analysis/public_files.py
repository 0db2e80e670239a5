"""Files of public repositories: real cores, minidumps and heap snapshots that nobody here made.

Looked for in the directory named by ``DUMP_EXPLORER_PUBLIC_FILES``, else beside the project in ``../shared/corpus-public``.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "corpus-public"


@lru_cache
def public_files() -> tuple[Path, ...]:
    """Every file but the list of them; empty where the files are not there."""
    root = Path(os.environ.get("DUMP_EXPLORER_PUBLIC_FILES", _BESIDE))
    return tuple(sorted(path for path in root.rglob("*") if path.is_file() and path.name != "MANIFEST.md"))
