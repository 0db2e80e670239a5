"""Names that say a secret follows, and what follows: in settings, JSON, XML, forms, command lines and code."""

from __future__ import annotations

import re

from analysis.secrets.checks import is_one_word, is_placeholder, is_random
from analysis.secrets.kinds import Certainty, Kind
from analysis.secrets.surroundings import BETWEEN, QUOTE

_FAMILY = "setting"
_BETWEEN = rf"(?P<between>{BETWEEN})"
_VALUE = rf"(?:(?P<quote>{QUOTE})(?P<quoted>[^\r\n]{{1,300}}?)(?P=quote)|(?P<value>[^\s\"'`<>&;,\\)\]}}]{{3,300}}))"
#: Code and addresses: a name with a dot, a call, an index, a name of several words, a URL.
_CODE = re.compile(
    r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+[(;]?.{0,80}|[=:@?].*|\w+[\[(<].*|[a-z]+(?:_[a-z]+)+|[a-z]+://.*", re.DOTALL
)
_SHORTEST_PASSWORD, _SHORTEST_SECRET, _SHORTEST_TOKEN = 4, 8, 16


def _value(found: re.Match[str]) -> str:
    return found["quoted"] if found["quoted"] is not None else found["value"]


def _password(found: re.Match[str]) -> Certainty | None:
    """Prose has a colon and a space, and then a word; a password there has more than letters."""
    value = _value(found)
    if len(value) < _SHORTEST_PASSWORD or is_placeholder(value) or _CODE.fullmatch(value):
        return None
    if found["quote"] is None and is_one_word(value):
        return None if re.fullmatch(r"\s*[:=]\s+|>", found["between"]) else Certainty.POSSIBLE
    return Certainty.POSSIBLE if " " in value or is_one_word(value) else Certainty.LIKELY


def _secret(found: re.Match[str], least_entropy: float = 2.5) -> Certainty | None:
    value = _value(found)
    if len(value) < _SHORTEST_SECRET or " " in value or is_placeholder(value) or is_one_word(value) or _CODE.fullmatch(value):
        return None
    return Certainty.LIKELY if is_random(value, least_entropy) else None


def _token(found: re.Match[str]) -> Certainty | None:
    return _secret(found, 3.0) if len(_value(found)) >= _SHORTEST_TOKEN else None


def _on_command_line(found: re.Match[str]) -> Certainty | None:
    value = found["value"]
    return None if is_placeholder(value) or is_one_word(value) else Certainty.LIKELY


def _common(found: re.Match[str]) -> Certainty | None:
    """The word itself with letters replaced: what people choose when a password must have a digit or a mark."""
    return Certainty.POSSIBLE if found[0].lower()[:8] != "password" else None


def _spellings(*words: str) -> tuple[str, ...]:
    """Each name of two words as one, with an underscore and with a dash."""
    return tuple(word.replace(" ", mark) for word in words for mark in ("", "_", "-"))


_KEYS = _spellings(
    "api key",
    "access key",
    "private key",
    "signing key",
    "encryption key",
    "master key",
    "auth key",
    "subscription key",
    "shared key",
    "account key",
    "license key",
    "hmac key",
)

SETTINGS = (
    Kind(
        "password in a setting",
        _FAMILY,
        rf"(?i:password|passwd|passwort|passphrase|pwd)(?i:[_-]?(?:hash|text|value)|\d{{1,2}})?{_BETWEEN}{_VALUE}",
        ("password", "passwd", "passwort", "passphrase", "pwd"),
        check=_password,
        generic=True,
    ),
    Kind(
        "secret in a setting",
        _FAMILY,
        rf"(?i:secret)(?i:[_-]?(?:key|value|text|hash))?{_BETWEEN}{_VALUE}",
        ("secret",),
        check=_secret,
        generic=True,
    ),
    Kind(
        "key in a setting",
        _FAMILY,
        rf"(?i:{'|'.join(map(re.escape, _KEYS))}|credentials?)(?i:[_-]?(?:value|text)|\d{{1,2}})?{_BETWEEN}{_VALUE}",
        (*_KEYS, "credential"),
        check=_secret,
        generic=True,
    ),
    Kind(
        "token in a setting",
        _FAMILY,
        rf"(?<![Kk]ey)(?<![Kk]ey[_-])(?i:token)(?i:[_-]?(?:value|text))?{_BETWEEN}{_VALUE}",
        ("token",),
        check=_token,
        generic=True,
    ),
    Kind(
        "password on a command line",
        _FAMILY,
        r"(?<!\w)(?:--?|/)(?i:[a-z-]{0,20}password|[a-z-]{0,20}passwd|pwd|pass|passphrase)\s{1,3}"
        r"[\"']?(?P<value>[^\s\"'-][^\s\"']{3,200})",
        ("password ", "passwd ", "-pwd ", "/pwd ", "-pass ", "/pass ", "passphrase "),
        before=24,
        check=_on_command_line,
        generic=True,
    ),
    Kind(
        "password in SQL",
        _FAMILY,
        r"(?i:identified\s{1,3}by)\s{1,3}(?:password\s{1,3})?"
        r"(?P<mark>['\"])(?P<value>[^'\"]{4,200})(?P=mark)",
        ("identified by",),
        check=_on_command_line,
    ),
    Kind(
        "common password",
        _FAMILY,
        r"(?i:p[a@4][s5$]{2}w[o0]rd)(?![A-Za-z])\S{0,20}",
        ("w0rd", "p@ss", "p@$$", "p@55", "pa$$", "pa55", "p4ss", "p4$$", "p455"),
        before=5,
        check=_common,
        generic=True,
    ),
)
