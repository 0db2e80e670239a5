"""Numbers and addresses of people: no secrets of a program, but nothing to hand out either."""

from __future__ import annotations

import re

from analysis.index.secrets import PERSON
from analysis.kernels.secrets import EMAIL, PHONE, SOCIAL_SECURITY
from analysis.secrets.kinds import Certainty, Kind

_FEWEST_DIGITS, _MOST_DIGITS = 9, 15


def _phone(found: re.Match[str]) -> Certainty | None:
    """E.164: a plus, a country and at most fifteen digits. Written in groups it is hardly anything else."""
    digits = sum(one.isdigit() for one in found[0])
    if not _FEWEST_DIGITS <= digits <= _MOST_DIGITS or len(set(found[0])) < 5:
        return None
    return Certainty.LIKELY if re.search(r"[ .()-]", found[0]) else Certainty.POSSIBLE


def _social_security(found: re.Match[str]) -> Certainty | None:
    """Areas 000, 666 and 9xx, group 00 and serial 0000 were never given out."""
    area, group, serial = found[0].split("-")
    never = area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000"
    return None if never else Certainty.LIKELY


PEOPLE = (
    Kind(
        "e-mail address",
        PERSON,
        r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@"
        r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}[A-Za-z]{2,18}(?![A-Za-z0-9@_-])",
        shape=EMAIL,
        before=64,
        generic=True,
    ),
    # Groups of digits are taken as a whole: of many ways to part them none would match where one does not.
    Kind(
        "telephone number",
        PERSON,
        r"(?<![\w+])\+[1-9]\d{0,14}+(?!\d)(?:[ .-]?+(?:\(\d{1,5}\)|\d{1,15}+(?!\d))){0,6}(?![\w-])",
        shape=PHONE,
        before=1,
        check=_phone,
        generic=True,
    ),
    Kind(
        "US social security number",
        PERSON,
        r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])",
        shape=SOCIAL_SECURITY,
        check=_social_security,
    ),
)
