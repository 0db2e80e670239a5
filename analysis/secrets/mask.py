"""Texts that are context (messages, names, the command line) without the secrets in them, which are values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.secrets.kinds import Certainty
from analysis.secrets.scan import find_in_text, scan


def masked(texts: Sequence[str]) -> list[str]:
    """The same texts with the kind in brackets in place of what is certainly or likely a secret."""
    encoded = [text.encode("utf-16-le", "surrogatepass") for text in texts]
    lengths = np.array([len(one) // 2 for one in encoded], np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[:-1]
    units = np.frombuffer(b"".join(encoded) + bytes(2), np.uint16)
    found = list(texts)
    for row in set(scan(units, begins, lengths).text.tolist()):
        found[row] = _masked(texts[row])
    return found


def _masked(text: str) -> str:
    parts, end = [], 0
    for match in find_in_text(text):
        if match.certainty >= Certainty.LIKELY and match.start >= end:
            parts += [text[end : match.start], f"[{match.kind.name}]"]
            end = match.end
    return "".join(parts) + text[end:]
