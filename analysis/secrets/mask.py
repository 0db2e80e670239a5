"""Texts that are context (messages, names, the command line) without the secrets in them, which are values.

More is cut out than was recognised: a secret goes on to the end of its token and a private key to the end of its block, what
overlaps goes as one, and nothing stays behind the last place that was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from analysis.secrets.kinds import Certainty
from analysis.secrets.scan import Found, Match, look_at, scan

#: Characters that go on with a token of any kind.
_TOKEN = re.compile(r"[A-Za-z0-9_-]*")
_OPENS, _INSIDE, _CLOSES = range(3)
#: What names a stretch: of several the least.
_Rank = tuple[bool, int, str]
#: The first character, one behind the last, and what is written in their place.
_Span = tuple[int, int, _Rank]


def masked(texts: Sequence[str]) -> list[str]:
    """The same texts with the kind in brackets in place of what is certainly or likely a secret."""
    encoded = [text.encode("utf-16-le", "surrogatepass") for text in texts]
    lengths = np.array([len(one) // 2 for one in encoded], np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[:-1]
    units = np.frombuffer(b"".join(encoded) + bytes(2), np.uint16)
    hits, found = scan(units, begins, lengths), list(texts)
    # Where places were left out, a text without a hit may be one that nobody looked at.
    for row in range(len(texts)) if hits.left_out else set(hits.text.tolist()):
        found[row] = _masked(encoded[row], look_at(texts[row]))
    return found


def _masked(encoded: bytes, found: Found) -> str:
    """Places count units of 16 bits, which are not always the characters of a text."""

    def between(first: int, last: int) -> str:
        return encoded[2 * first : 2 * last].decode("utf-16-le", "surrogatepass")

    parts, end = [], 0
    for first, last, (*_, name) in _joined(_spans(found)):
        if first < found.looked_up_to:
            parts += [between(end, first), f"[{name}]"]
            end = last
    parts.append(between(end, found.looked_up_to))
    return "".join(parts) + ("[the rest was not looked at]" if max(end, found.looked_up_to) < len(found.text) else "")


def _joined(spans: Iterable[_Span]) -> list[_Span]:
    """In their order, those that overlap as one."""
    joined: list[_Span] = []
    for first, last, rank in sorted(spans):
        if joined and first < joined[-1][1]:
            begin, end, other = joined[-1]
            joined[-1] = begin, max(end, last), min(rank, other)
        else:
            joined.append((first, last, rank))
    return joined


def _spans(found: Found) -> Iterator[_Span]:
    sure = [match for match in found.matches if match.certainty >= Certainty.LIKELY]
    best = set(found.best)
    for match in sure:
        # Of what is named better by another match the name of a setting may stay, but no part of its value.
        first = match.start if match in best else match.value
        yield first, _end_of_token(found.text, match), (match.kind.generic, -match.certainty, match.kind.name)
    for kind in {match.kind for match in sure if match.kind.block}:
        places = [match.start for match in sure if match.kind == kind]
        for first, last in _blocks(found.text, kind.block, places):
            yield first, last, (kind.generic, -Certainty.CERTAIN, kind.name)


def _end_of_token(text: str, match: Match) -> int:
    """Patterns stop at a length that hardly any secret has; this one may."""
    longer = match.kind.without_caps.match(text, match.start)
    end = max(match.end, longer.end() if longer else 0)
    rest = _TOKEN.match(text, end)
    return rest.end() if rest else end


def _blocks(text: str, marks: tuple[str, ...], places: list[int]) -> Iterator[tuple[int, int]]:
    """The innermost block round each of ``places``. What is not closed goes on to the end of the text, and what was opened
    nowhere begins with the text, or behind the last block that was closed without."""
    opens, closes = marks
    events = [(one.start(), _OPENS, one.end()) for one in re.finditer(opens, text)]
    events += [(one.start(), _CLOSES, one.end()) for one in re.finditer(closes, text)]
    events += [(place, _INSIDE, place) for place in places]
    waiting = [(0, False)]
    for start, event, end in sorted(events):
        if event == _OPENS:
            waiting.append((start, False))
        elif event == _INSIDE:
            waiting[-1] = waiting[-1][0], True
        else:
            first, wanted = waiting.pop()
            if wanted:
                yield first, end
            waiting = waiting or [(end, False)]
    yield from ((first, len(text)) for first, wanted in waiting if wanted)
