"""The small real dumps that come with the project, unpacked once into the user's cache (see tests/data/README.md)."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import zstandard

from analysis.archives import unpack

_PROJECT = Path(__file__).resolve().parents[2]
_ANSWERS = _PROJECT / "tests" / "data"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "dump-explorer" / "bundled"
_LIMIT_BYTES = 1 << 30


@lru_cache
def bundled_dump(name: str) -> Path:
    """Path of the plain dump, e.g. of ``zoo-net10``, with ``NAME.oracle.json`` beside it."""
    folder = _ANSWERS if (_ANSWERS / f"{name}.dmp.zst").exists() else _PROJECT / "explorer" / "samples"
    packed = folder / f"{name}.dmp.zst"
    answers_size = (_ANSWERS / f"{name}.oracle.json.zst").stat().st_size
    plain = _CACHE / f"{name}-{packed.stat().st_size}-{answers_size}" / f"{name}.dmp"
    if not plain.exists():
        plain.parent.mkdir(parents=True, exist_ok=True)
        answers = zstandard.ZstdDecompressor().decompress((_ANSWERS / f"{name}.oracle.json.zst").read_bytes())
        plain.with_suffix(".oracle.json").write_bytes(answers)
        partial = plain.with_suffix(f".{os.getpid()}")
        unpack(packed, partial, limit_bytes=_LIMIT_BYTES)
        partial.replace(plain)
    return plain


def bundled_dumps() -> tuple[Path, ...]:
    """All of them."""
    names = sorted(path.name.removesuffix(".oracle.json.zst") for path in _ANSWERS.glob("*.oracle.json.zst"))
    return tuple(bundled_dump(name) for name in names)
