"""Places that the kernel names, against a slow twin that looks for every anchor at every place of every text."""

from __future__ import annotations

import random

import numpy as np
import pytest

from analysis.kernels import secrets as kernels
from analysis.limits import LIMITS
from analysis.secrets.anchors import build_anchors, character_codes
from analysis.secrets.families import ALL_KINDS
from tests.analysis.secrets.planted import planted
from tests.analysis.secrets.test_recall import scan_texts

_WORDS = sorted({anchor for kind in ALL_KINDS for anchor in kind.anchors})
_Place = tuple[int, int, int]


def _places(texts: list[str], per_text: int = 1000, per_anchor: int = 100_000, room: int = 100_000) -> tuple[set[_Place], int]:
    """(text, place, anchor or shape) of everything the kernel names, and how many it left out."""
    tables = build_anchors(ALL_KINDS)
    raw = [text.encode("utf-16-le", "surrogatepass") for text in texts]
    lengths = np.array([len(one) // 2 for one in raw], np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[:-1]
    found = np.empty(room, np.uint32), np.empty(room, np.uint32), np.empty(room, np.uint16)
    tally = np.zeros((len(tables.kinds), 4), np.int64)
    tally[:, kernels.LAST_TEXT] = -1
    count = kernels.find_candidates(
        np.frombuffer(b"".join(raw), np.uint16), begins, lengths, tables.codes, tables.bits, tables.ends_run, tables.heads,
        tables.following, tables.letters, tables.firsts, tables.marks, np.array([per_text, per_anchor]), tally, *found,
    )  # fmt: skip
    rows = zip(*(column[:count].tolist() for column in found), strict=True)
    return set(rows), int(tally[:, kernels.LEFT_OUT].sum())


def _anchors_in(texts: list[str]) -> set[_Place]:
    """The slow twin. Characters beyond ASCII whose lower-case form is ASCII are none of the anchors' letters."""
    found = set()
    for number, text in enumerate(texts):
        lower = "".join(one.lower() if one < "\x80" else "\x00" for one in text)
        for anchor, word in enumerate(_WORDS):
            place = lower.find(word)
            while place >= 0:
                found.add((number, place, anchor))
                place = lower.find(word, place + 1)
    return found


def test_every_character_of_an_anchor_has_a_code() -> None:
    codes = character_codes()
    assert all(codes[ord(letter)] for word in _WORDS for letter in word)
    assert all(len(word) >= 3 and word == word.lower() for word in _WORDS)
    assert int(codes.max()) < kernels.CODES and codes[kernels.ASCII] == 0


@pytest.mark.parametrize("seed", range(3))
def test_anchors_equal_a_slow_twin(seed: int) -> None:
    chosen = random.Random(seed)
    texts = [text for _, _, text in planted(seed) if len(text) < 2000]
    pieces = [*_WORDS, *(word.upper() for word in _WORDS), "ſ", "K", "İ", "é", " ", "ab", "\ud800"]
    texts += ["".join(chosen.choices(pieces, k=chosen.randint(0, 40))) for _ in range(300)]
    found, left_out = _places(texts)
    assert left_out == 0
    assert {place for place in found if place[2] < len(_WORDS)} == _anchors_in(texts)


def test_an_anchor_across_the_seam_of_two_looks_is_found() -> None:
    for place in range(kernels.CHUNK - 12, kernels.CHUNK + 2):
        found, _ = _places(["x" * place + "password" + "y" * 50])
        assert (0, place, _WORDS.index("password")) in found, place
        key = "aB3/" * 10
        found, _ = _places([" " * place + key + " ."])
        assert (0, place, len(_WORDS) + kernels.KEY_40) in found, place


def test_nothing_is_read_across_texts() -> None:
    found, _ = _places(["pass", "word=", "4111 1111 1111", "1111", "a@b.", "com", "http:/", "/a:b@c"])
    assert found == set()


def test_too_many_places_are_counted_not_kept() -> None:
    found, left_out = _places(["password " * 50, "password " * 50], per_text=20)
    words = [place for place in found if place[2] == _WORDS.index("password")]
    assert len(words) == 40 and left_out >= 60
    found, left_out = _places(["password " * 50] * 4, room=30)
    assert len(found) == 30 and left_out > 0
    hits = scan_texts([("password=Xy9!abcd" + str(one)).encode("utf-16-le") * 2000 for one in range(3)], 2)
    assert hits.left_out >= 3 * (2000 - LIMITS.secret_places_per_text)


@pytest.mark.parametrize(
    "text", ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005"]
)
def test_card_numbers_have_their_shape(text: str) -> None:
    shape = len(_WORDS) + kernels.CARD
    assert (0, 2, shape) in _places([f"x {text}."])[0]
    wrong = text[:-1] + str((int(text[-1]) + 1) % 10)
    assert not [place for place in _places([f"x {wrong}."])[0] if place[2] == shape]
