"""Measure encryption at rest: ``python -m benchmarks.sealing [MEGABYTES]``.

Prints megabytes per second of one core, by processor time, for hashing and encrypting a file in one pass and for decrypting it,
and by the clock, with the disk.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from explorer.sealed_files import private_file, seal, unseal, write_all

_ROUNDS = 5
_BLOCK = os.urandom(1 << 20)


def _measure(what: str, megabytes: int, work: Callable[[], None]) -> None:
    rounds = []
    for _ in range(_ROUNDS):
        clock, processor = time.perf_counter(), time.process_time()
        work()
        rounds.append((megabytes / (time.process_time() - processor), megabytes / (time.perf_counter() - clock)))
    for name, speeds in zip(("one core", "by the clock"), zip(*rounds, strict=True), strict=True):
        print(f"{what:24} {name:14} median {sorted(speeds)[_ROUNDS // 2]:6,.0f} MB/s, {min(speeds):,.0f} to {max(speeds):,.0f}")


def main(megabytes: int) -> None:
    """Print the figures for a file of so many MB."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        plain, sealed, copy = (Path(directory) / name for name in ("plain", "sealed", "copy"))
        with private_file(plain) as file:
            for _ in range(megabytes * 1_000_000 // len(_BLOCK) + 1):
                write_all(file, _BLOCK)
        size = plain.stat().st_size // 1_000_000
        made = []
        _measure("hash and encrypt", size, lambda: made.append(seal(plain, sealed)))
        key = made[-1].key

        def read() -> None:
            for _ in unseal(sealed, key):
                pass

        def decrypt() -> None:
            with private_file(copy) as file:
                for piece in unseal(sealed, key):
                    write_all(file, piece)

        _measure("decrypt for a download", size, read)
        _measure("decrypt into a file", size, decrypt)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 512)
