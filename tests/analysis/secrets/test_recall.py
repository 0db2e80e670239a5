"""How many planted secrets are found: every kind in 25 forms, as strings of the heap lie and as UTF-8 bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from analysis.secrets.scan import KIND_NAMES, Hits, scan
from tests.analysis.secrets.planted import FORMS, KEYED, KEYED_FORMS, MADE, planted
from tests.goals import Goals

_FEWEST_KINDS, _FORMS_EACH, _RECALL = 40, 25, 0.95


def scan_texts(texts: list[bytes], size: int) -> Hits:
    """Look at texts that lie one behind the other on multiples of eight bytes, as on a heap."""
    padded = [text + bytes(-len(text) % 8 + 8) for text in texts]
    ends = np.cumsum([len(one) for one in padded])
    begins: npt.NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    lengths = np.array([len(text) // size for text in texts], np.int64)
    raw = b"".join(padded)
    return scan(np.frombuffer(raw, np.uint16) if size == 2 else np.frombuffer(raw, np.uint8), begins // size, lengths)


def _found(texts: list[bytes], size: int) -> set[tuple[int, str]]:
    hits = scan_texts(texts, size)
    assert hits.left_out == 0
    return {(text, KIND_NAMES[kind]) for text, kind in zip(hits.text.tolist(), hits.kind.tolist(), strict=True)}


def test_every_kind_is_planted_in_25_forms() -> None:
    assert {*MADE, *KEYED} == set(KIND_NAMES) and len(KIND_NAMES) >= _FEWEST_KINDS
    assert len(FORMS) == len(KEYED_FORMS) == _FORMS_EACH


@pytest.mark.parametrize(("encoding", "size"), [("utf-16-le", 2), ("utf-8", 1)])
def test_planted_secrets_are_found(encoding: str, size: int, goals: Goals) -> None:
    made = planted(seed=25)
    found = _found([text.encode(encoding) for _, _, text in made], size)
    missed = [(kind, form, text[:200]) for row, (kind, form, text) in enumerate(made) if (row, kind) not in found]
    goals.count(
        f"G25 secret hints: planted forms found in {encoding.upper().removesuffix('-LE')}", len(made) - len(missed), len(made)
    )
    by_kind = {kind: sum(one == kind for one, _, _ in missed) for kind in {one for one, _, _ in missed}}
    assert len(made) - len(missed) >= _RECALL * len(made), missed
    assert max(by_kind.values(), default=0) <= _FORMS_EACH // 5, missed
