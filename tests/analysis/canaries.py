"""The marks that ``programs/Canaries.cs`` leaves in a process, and a search for them at every place of a file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

MARK_BYTES = 16
ENCODINGS: tuple[Callable[[bytes, bytes], bytes], ...] = (
    lambda plain, digest: plain,
    lambda plain, digest: plain.decode().encode("utf-16-le"),
    lambda plain, digest: plain.decode().encode("utf-16-be"),
    lambda plain, digest: plain.decode().encode("utf-32-le"),
    lambda plain, digest: plain.decode().encode("utf-32-be"),
    lambda plain, digest: plain.hex().upper().encode(),
    lambda plain, digest: plain.hex().upper().encode("utf-16-le"),
    lambda plain, digest: base64.b64encode(plain),
    lambda plain, digest: base64.b64encode(plain).decode().encode("utf-16-le"),
    lambda plain, digest: b"".join(b"%%%02X" % letter for letter in plain),
    lambda plain, digest: plain[::-1],
    lambda plain, digest: digest[8:24],
)
#: What a compiler put where it is, and what came with the start of the program: text, or numbers in code.
_FIXED_TEXT = {
    "literal": "e81f60d3b95c27a4", "bytes in the image": "5a0cf7e2b1934d68", "constant": "9d40b7c2e6153fa8",
    "attribute": "7c1ee52fa8904b3d", "environment": "b3f8a1d65e7042c9",
}  # fmt: skip
_FIXED_NUMBERS = {"number in code": 0x3F5A91C7D20E8B64, "another number in code": 0x5B17E3A8F4920D6C}
_BLOCK_BYTES = 32 << 20
_TELLING = 3


def marks(places: Iterable[str]) -> dict[bytes, str]:
    """Every mark -> the place it was left in."""
    found: dict[bytes, str] = {}
    for place in places:
        for number, encode in enumerate(ENCODINGS):
            digest = hashlib.sha256(f"{place}/{number}".encode()).digest()
            found[encode(digest[:8].hex().encode(), digest)[:MARK_BYTES]] = place
    return found


def fixed_marks() -> dict[str, tuple[bytes, ...]]:
    """Place -> how its mark may look there."""
    texts = {place: (text.encode(), text.encode("utf-16-le")) for place, text in _FIXED_TEXT.items()}
    return texts | {place: (number.to_bytes(8, "little"),) for place, number in _FIXED_NUMBERS.items()}


def count_marks(paths: Iterable[Path], wanted: dict[bytes, str]) -> dict[str, int]:
    """How often the marks of each place occur in these files, at any alignment."""
    keys = np.sort(np.array([np.frombuffer(mark[:8], "<u8")[0] for mark in wanted], np.uint64))
    found = dict.fromkeys(wanted.values(), 0)
    for path in paths:
        data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        for start in range(0, len(data), _BLOCK_BYTES):
            raw = data[start : start + _BLOCK_BYTES + MARK_BYTES].tobytes()
            for at in _places(np.frombuffer(raw, np.uint8), keys):
                place = wanted.get(raw[at : at + MARK_BYTES])
                if place is not None and at < _BLOCK_BYTES:
                    found[place] += 1
    return found


def _places(raw: npt.NDArray[np.uint8], keys: npt.NDArray[np.uint64]) -> list[int]:
    """Where eight bytes stand that begin a mark: looked at closely only where the fourth and fifth do, which are not both
    zero in any encoding."""
    likely = np.zeros(1 << 16, np.bool_)
    likely[(keys >> np.uint64(8 * _TELLING)) & np.uint64(0xFFFF)] = True
    found: list[int] = []
    for shift in range(2):
        pairs = np.frombuffer(raw[shift : shift + (len(raw) - shift) // 2 * 2], "<u2")
        places = 2 * np.flatnonzero(likely[pairs]) + shift - _TELLING
        places = places[(places >= 0) & (places + 8 <= len(raw))]
        words = raw[places[:, None] + np.arange(8)].reshape(-1).view("<u8")
        row = np.minimum(np.searchsorted(keys, words), len(keys) - 1)
        found += places[keys[row] == words].tolist()
    return found


def count_fixed(path: Path) -> dict[str, int]:
    """How often each of the fixed marks occurs in a file."""
    raw = path.read_bytes()
    return {place: sum(raw.count(form) for form in forms) for place, forms in fixed_marks().items()}
