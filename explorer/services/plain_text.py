"""Words people and programs send, made fit to store and show: one line, no control characters, a bounded length."""

from __future__ import annotations

import unicodedata

#: Marks that turn the direction of text round: a name may not look like another one.
_DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: str, limit: int) -> str:
    """One line without control characters and direction marks, of at most ``limit`` characters."""
    kept = (" " if c.isspace() else c for c in text[: 4 * limit] if c.isspace() or _shown(c))
    return "".join(kept).strip()[:limit]


def file_name(text: str, limit: int) -> str:
    """The last part of a path, as ``plain``."""
    return plain(text.replace("\\", "/").rstrip("/").rpartition("/")[2], limit)


def sentences(what: str, remedy: str) -> str:
    """What is wrong and what to do about it, which errors keep as parts."""
    return f"{what[:1].upper()}{what[1:].rstrip('.')}. {remedy}".strip()


def without_nul(text: str, limit: int) -> str:
    """Text of many lines: NUL, which PostgreSQL cannot store, and lone surrogates are replaced; the end is kept."""
    return text[-limit:].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _shown(character: str) -> bool:
    return character not in _DIRECTION_MARKS and unicodedata.category(character) not in ("Cc", "Cs")
