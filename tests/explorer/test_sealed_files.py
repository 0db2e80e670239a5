"""Files encrypted at rest: what comes out is what went in, or nothing does."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer.sealed_files import Damaged, is_sealed, plain_bytes, seal, unseal
from tests.goals import Goals

FRAME, TAG, HEADER = 1 << 20, 16, 16
SIZES = (0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 77)


@pytest.fixture
def made(tmp_path: Path) -> Callable[[bytes], tuple[Path, bytes]]:
    def make(content: bytes) -> tuple[Path, bytes]:
        plain, sealed = tmp_path / "plain", tmp_path / f"sealed {len(list(tmp_path.iterdir()))}"
        plain.write_bytes(content)
        found = seal(plain, sealed)
        assert found.sha256 == hashlib.sha256(content).hexdigest()
        return sealed, found.key

    return make


@pytest.mark.parametrize("size", SIZES)
def test_what_went_in_comes_out(size: int, made: Callable) -> None:
    content = random.Random(size).randbytes(size)
    sealed, key = made(content)
    assert is_sealed(sealed) and sealed.stat().st_mode & 0o077 == 0
    assert plain_bytes(sealed) == size
    assert b"".join(unseal(sealed, key)) == content
    assert max((len(piece) for piece in unseal(sealed, key)), default=0) <= FRAME
    raw = sealed.read_bytes()
    assert not any(content[at : at + 16] in raw for at in range(0, size - 16, FRAME // 3))


def test_the_same_file_twice_has_two_keys_and_no_frame_in_common(made: Callable) -> None:
    content = bytes(2 * FRAME)
    (first, key), (second, other) = made(content), made(content)
    assert key != other
    frames = [path.read_bytes()[HEADER:][at : at + FRAME + TAG] for path in (first, second) for at in (0, FRAME + TAG)]
    assert len(set(frames)) == 4
    with pytest.raises(Damaged):
        next(unseal(first, other))


def frame(raw: bytes, number: int) -> bytes:
    start = HEADER + number * (FRAME + TAG)
    return raw[start : start + FRAME + TAG]


def swapped(raw: bytes) -> bytes:
    return raw[:HEADER] + frame(raw, 1) + frame(raw, 0) + raw[HEADER + 2 * (FRAME + TAG) :]


def shorter(raw: bytes) -> bytes:
    """A frame less, and a header that says so."""
    return raw[:8] + (2 * FRAME).to_bytes(8, "big") + frame(raw, 0) + frame(raw, 1)


#: What somebody does to a sealed file of three frames and a little more.
ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the first frame": lambda raw: flipped(raw, HEADER),
    "a bit of the last frame": lambda raw: flipped(raw, len(raw) - TAG - 1),
    "a bit of a tag": lambda raw: flipped(raw, HEADER + FRAME),
    "a bit of the version": lambda raw: flipped(raw, 7),
    "a bit of the length": lambda raw: flipped(raw, 15),
    "frames swapped": swapped,
    "a frame repeated": lambda raw: raw[:HEADER] + frame(raw, 0) * 2 + raw[HEADER + 2 * (FRAME + TAG) :],
    "a frame left out": lambda raw: raw[:HEADER] + raw[HEADER + FRAME + TAG :],
    "cut at a frame": lambda raw: raw[: HEADER + 2 * (FRAME + TAG)],
    "cut at a frame, with another header": shorter,
    "cut in a frame": lambda raw: raw[: HEADER + FRAME],
    "cut by a byte": lambda raw: raw[:-1],
    "a byte more": lambda raw: raw + b"\0",
    "nothing but the header": lambda raw: raw[:HEADER],
    "half of the header": lambda raw: raw[:8],
}


def flipped(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


def test_no_change_goes_unnoticed(made: Callable, goals: Goals) -> None:
    """Whatever came out before the change was noticed is the beginning of what went in."""
    content = random.Random(3).randbytes(3 * FRAME + 77)
    sealed, key = made(content)
    raw, noticed = sealed.read_bytes(), 0
    for name, attack in ATTACKS.items():
        sealed.write_bytes(attack(raw))
        out = b""
        try:
            for piece in unseal(sealed, key):
                out += piece
        except Damaged:
            noticed += 1
        assert content.startswith(out) and len(out) < len(content), name
    goals.count("G23 changes of an encrypted file that were noticed", noticed, len(ATTACKS))
    assert noticed == len(ATTACKS)


def test_a_file_of_another_dump_does_not_open(made: Callable) -> None:
    (first, key), (second, _) = made(os.urandom(2 * FRAME)), made(os.urandom(2 * FRAME))
    raw, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(raw[:HEADER] + frame(raw, 0) + frame(other, 1))
    pieces = unseal(first, key)
    next(pieces)
    with pytest.raises(Damaged):
        next(pieces)


def test_what_is_no_sealed_file(tmp_path: Path) -> None:
    assert not is_sealed(tmp_path / "nothing")
    (tmp_path / "plain").write_bytes(b"\x7fELF")
    assert not is_sealed(tmp_path / "plain")


def test_a_key_is_not_in_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"x")
    sealed = seal(tmp_path / "plain", tmp_path / "sealed")
    assert repr(sealed.key) not in repr(sealed)
