"""The tables by which the kernel finds places that may begin a secret, made from the kinds once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.kernels import secrets as kernels
from analysis.secrets.checks import ACCOUNT_LENGTHS
from analysis.secrets.kinds import Kind

#: Letters of English text, the most frequent first; what is not among them is rarer still.
_FREQUENT = " etaoinshrdlucmfwypvbgk."
_TRIGRAM = 3


@dataclass(frozen=True)
class Anchors:
    """Arguments of ``kernels.find_candidates``, and the kinds that each anchor and shape may begin (``kinds`` along them)."""

    codes: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.uint8]
    ends_run: npt.NDArray[np.uint8]
    heads: npt.NDArray[np.int16]
    following: npt.NDArray[np.int16]
    letters: npt.NDArray[np.uint8]
    firsts: npt.NDArray[np.int32]
    marks: npt.NDArray[np.int32]
    kinds: tuple[tuple[Kind, ...], ...]


def character_codes() -> npt.NDArray[np.uint8]:
    """Code of every ASCII character, and of all others."""
    codes = np.zeros(kernels.ASCII + 1, np.uint8)
    for place, (upper, lower) in enumerate(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", strict=True)):
        codes[[ord(upper), ord(lower)]] = kernels.LETTERS + place
    codes[ord("0") : ord("9") + 1] = kernels.DIGITS + np.arange(10)
    for place, mark in enumerate(kernels.MARKS):
        codes[ord(mark)] = kernels.MARKS_FIRST + place
    return codes


def build_anchors(kinds: Sequence[Kind]) -> Anchors:
    """Tables for these kinds."""
    words = sorted({anchor for kind in kinds for anchor in kind.anchors})
    codes = character_codes()
    coded = [codes[list(word.encode())] for word in words]
    looked_at, heads = _trigrams_of_shapes(codes), np.full(kernels.TRIGRAMS, -1, np.int16)
    following, marks = np.full(len(words), -1, np.int16), np.zeros(len(words), np.int32)
    for number, word in enumerate(words):
        place = _rarest_trigram(word)
        one, two, three = coded[number][place : place + _TRIGRAM].tolist()
        trigram = (one << 2 * kernels.CODE_BITS) | (two << kernels.CODE_BITS) | three
        looked_at[trigram] = True
        following[number], heads[trigram] = heads[trigram], number
        marks[number] = place + _TRIGRAM - 1
    firsts = np.cumsum([0, *map(len, coded)]).astype(np.int32)
    begun = [tuple(kind for kind in kinds if word in kind.anchors) for word in words]
    shaped = [tuple(kind for kind in kinds if kind.shape == shape) for shape in range(kernels.SHAPES)]
    bits = np.packbits(looked_at, bitorder="little")
    return Anchors(codes, bits, _ends_run(), heads, following, np.concatenate(coded), firsts, marks, (*begun, *shaped))


def _trigrams_of_shapes(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which three codes in a row tell of a shape: bool[2**18]. The first of them is that of the earliest character."""
    found = np.zeros((kernels.CODES, kernels.CODES, kernels.CODES), np.bool_)
    word, digits = np.arange(kernels.LETTERS, kernels.LAST_DIGIT + 1), np.arange(kernels.DIGITS, kernels.LAST_DIGIT + 1)
    outside = np.setdiff1d(np.arange(kernels.CODES), word)
    found[:, outside[:, None], digits] = True
    found[:, word, kernels.AT] = True
    found[kernels.COLON, kernels.SLASH, kernels.SLASH] = True
    for country in ACCOUNT_LENGTHS:
        found[codes[ord(country[0])], codes[ord(country[1])], digits] = True
    return found.reshape(-1)


def _ends_run() -> npt.NDArray[np.uint8]:
    """Codes of characters that are not part of base64."""
    found = np.ones(kernels.CODES, np.uint8)
    found[[*range(kernels.LETTERS, kernels.LAST_DIGIT + 1), kernels.SLASH, kernels.PLUS]] = 0
    return found


def _rarest_trigram(word: str) -> int:
    """Where in an anchor the three characters begin that ordinary text has least often together."""

    def rarity(place: int) -> int:
        found = (_FREQUENT.find(letter) for letter in word[place : place + _TRIGRAM])
        return sum(rank if rank >= 0 else len(_FREQUENT) for rank in found)

    return max(range(len(word) - _TRIGRAM + 1), key=rarity)
