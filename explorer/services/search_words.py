"""What a name is found by: its words, and what begins at each capital letter inside them, all in small letters.

``OrderRepository`` gives ``orderrepository`` and ``repository``, so that it is found by the beginning of either. What is
searched for is cut into words in the same way, and every word must begin one of the name's.

The index keeps each word behind a scope, the team and the class of the name: a search looks in the scopes of its person only.
"""

from __future__ import annotations

import re
from uuid import UUID

_WORD = re.compile(r"[^\W_]+")
#: Where a part of a word begins: a capital behind a small letter, the last of several capitals, a digit behind a letter.
_PART = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)")
_LONGEST_WORD, _MOST_WORDS, _MOST_ASKED = 60, 200, 12


def scope_of(team_id: UUID, data_class: int) -> str:
    """What stands before each word of the names of a team under a class: always nine characters. Two teams may share one,
    which tells neither of the other's names: postings decide."""
    return f"{team_id.hex[:8]}{int(data_class)}"


def in_scope(words: str, scope: str) -> str:
    """Words of a name as the index keeps them."""
    return " ".join(scope + word for word in words.split())


def words_of(name: str) -> str:
    """The words that a name is found by, each once, in alphabetical order, with spaces between."""
    found = set[str]()
    for word in _WORD.findall(name):
        starts = (0, *(match.start() for match in _PART.finditer(word)))
        for start in starts:
            found.update(_small(word[start:]))
        if len(found) >= _MOST_WORDS:
            break
    return " ".join(sorted(found)[:_MOST_WORDS])


def asked_words(text: str) -> list[str]:
    """The words of what somebody searches for; only so many count."""
    words = (part for word in _WORD.findall(text[:400]) for part in _small(word))
    return list(dict.fromkeys(words))[:_MOST_ASKED]


def _small(word: str) -> list[str]:
    """In small letters: some letters become two characters then, of which one is no letter."""
    return [part[:_LONGEST_WORD] for part in _WORD.findall(word[:_LONGEST_WORD].lower())]
