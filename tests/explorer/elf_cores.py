"""Files that look like a Linux core dump of an x64 process to whoever reads their first bytes."""

from __future__ import annotations

import random
import struct


def core_bytes(size: int = 4096, seed: int = 1) -> bytes:
    """An ELF header of type core with no segments, then bytes that differ by ``seed`` and do not compress."""
    header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 4, 62, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0)
    return header + random.Random(seed).randbytes(size - len(header))
