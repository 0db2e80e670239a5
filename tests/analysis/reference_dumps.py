"""Where real dumps with reference answers are found.

Looked for in this order: the directory named by ``DUMP_EXPLORER_DUMPS``; the archives beside the project
(``../shared/dumps``), which are unpacked once into the user's cache; dumps already in that cache.
The small dumps in ``tests/data`` are always there.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from tests.analysis.bundled_dumps import bundled_dumps

PROJECT = Path(__file__).resolve().parents[2]
FAMILIES = ("net10", "net9", "net8", "web")
#: Unpacks the families; there where the dumps lie beside the project.
UNPACK = PROJECT.parent / "shared" / "dumps" / "unpack.py"
_CACHE = Path("~/.cache/dump-explorer/dumps").expanduser()


@dataclass(frozen=True)
class ReferenceDump:
    """A dump and the answers of the reference reader beside it. The closing lines of a run count them."""

    path: Path
    counted_as: ClassVar = "real dumps"

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def oracle(self) -> dict[str, Any]:
        return _oracle(self.path)


@lru_cache(maxsize=2)
def _oracle(path: Path) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads(path.with_suffix(".oracle.json").read_text())
    return answers


@lru_cache
def reference_dumps() -> tuple[ReferenceDump, ...]:
    """The dumps that come with the project, and every dump of the families that has reference answers."""
    root = _root()
    found = [*bundled_dumps(), *(path for family in FAMILIES for path in sorted((root / family).glob("*.dmp")))]
    return tuple(ReferenceDump(path) for path in found if path.with_suffix(".oracle.json").exists())


def _root() -> Path:
    named = os.environ.get("DUMP_EXPLORER_DUMPS")
    if named:
        return Path(named)
    if UNPACK.exists():
        with one_at_a_time("unpack-dumps"):
            subprocess.run([sys.executable, str(UNPACK), str(_CACHE), *FAMILIES], check=True, stdout=subprocess.DEVNULL)
    return _CACHE


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Other processes of the test run wait here."""
    with (Path(tempfile.gettempdir()) / f"dump-explorer-tests-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
