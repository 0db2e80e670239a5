"""Checks of what a pattern found: check digits, structure, and whether a value is a secret or only stands for one."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections import Counter
from itertools import pairwise

from analysis.secrets.kinds import Certainty

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_DIGITS = 6
#: What people write where a secret would stand: nothing, a word for it, a variable, marks in place of letters.
_PLACEHOLDER = re.compile(
    r"\W*|[*x.•#?-]+|(?P<one>.)(?P=one)+|<.*|\[.*|\{.*|\(.*|[$%@][\w({].*|\\?[nrt]"
    r"|(?:null|none|nil|true|false|undefined|default|empty|optional|required|invalid|missing|string|value|text|system\..*"
    r"|redacted|hidden|masked|removed|(?:my|your|the|some|new|old|an?|enter|insert|current|confirm)?[-_ ]?"
    r"(?:user)?[-_ ]?(?:password|passwd|pwd|passphrase|secret|token|key|credentials?|api[-_]?key|pass)(?:[-_ ]?here)?"
    r"|change[-_]?(?:me|it)|example|sample|placeholder|todo|tbd|your[-_ ].*)[.,;:!]?",
    re.IGNORECASE,
)
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]+")
_WORDY = re.compile(r"[A-Z]?[a-z]+(?:[A-Z][a-z]+)*[.!?]?")


def entropy(text: str) -> float:
    """Shannon's entropy in bits for each character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values()) if text else 0.0


def is_placeholder(value: str) -> bool:
    """Whether a value stands for a secret without being one."""
    return _PLACEHOLDER.fullmatch(value.strip()) is not None


def is_one_word(value: str) -> bool:
    """Letters only, as a word or a name of a program is written."""
    return _WORDY.fullmatch(value) is not None


def is_random(value: str, least: float) -> bool:
    """Letters and digits without an order a person would choose, by entropy and by what kinds of characters there are."""
    has_digit, has_letter = any(one.isdigit() for one in value), any(one.isalpha() for one in value)
    # Sixteen digits of a hexadecimal number hold four bits at most.
    wanted = min(least, 3.0) if _HEXADECIMAL.fullmatch(value) else least
    return has_digit and has_letter and entropy(value) >= wanted


def class_changes(text: str) -> int:
    """How often an upper-case letter, lower-case letter, digit or mark is followed by one of another class."""
    classes = [0 if one.isupper() else 1 if one.islower() else 2 if one.isdigit() else 3 for one in text]
    return sum(left != right for left, right in pairwise(classes))


def checksum_fits(token: str, body: str) -> bool:
    """Whether a token ends in the CRC-32 of its body in base 62 (GitHub's and npm's tokens)."""
    number, digits = zlib.crc32(body[:-_CHECKSUM_DIGITS].encode()), ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return token.endswith(digits.rjust(_CHECKSUM_DIGITS, "0"))


def decoded(text: str) -> bytes:
    """Bytes of base64 in either alphabet, with or without its padding; nothing where it is none."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def web_token(found: re.Match[str]) -> Certainty | None:
    """A JSON Web Token has a JSON object with ``alg`` or ``typ`` as its first part."""
    try:
        header = json.loads(decoded(found[0].split(".")[0]))
    except (ValueError, RecursionError):
        return None
    return Certainty.CERTAIN if isinstance(header, dict) and {"alg", "typ", "enc"} & set(header) else None


def basic_credentials(found: re.Match[str]) -> Certainty | None:
    """Base64 of user:password."""
    user, colon, password = decoded(found["value"]).partition(b":")
    printable = bool(colon and password) and all(32 <= one < 127 or one > 160 for one in user + password)
    return Certainty.CERTAIN if printable else None


def bank_account(found: re.Match[str]) -> Certainty | None:
    """ISO 13616: the number moved round and read as digits leaves 1 when divided by 97; each country has its length."""
    plain = found[0].replace(" ", "")
    if len(plain) != ACCOUNT_LENGTHS.get(plain[:2]):
        return None
    digits = "".join(str(int(one, 36)) for one in plain[4:] + plain[:4])
    return Certainty.CERTAIN if int(digits) % 97 == 1 else None


#: Characters of an account number by country.
ACCOUNT_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22,
    "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24,
    "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "XK": 20,
}  # fmt: skip
