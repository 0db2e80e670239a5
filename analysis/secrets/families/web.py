"""What requests carry to say who they are."""

from __future__ import annotations

import re

from analysis.secrets.checks import basic_credentials, is_placeholder, is_random, web_token
from analysis.secrets.kinds import Certainty, Kind
from analysis.secrets.surroundings import UP_TO_VALUE

_FAMILY = "request"


def _random(found: re.Match[str]) -> Certainty | None:
    return Certainty.LIKELY if is_random(found["value"], 3.2) and not is_placeholder(found["value"]) else None


WEB = (
    Kind(
        "JSON Web Token",
        _FAMILY,
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{0,6000}\.[A-Za-z0-9_-]{16,2000}(?:\.[A-Za-z0-9_-]{8,2000}){0,2}",
        ("eyj",),
        check=web_token,
    ),
    Kind(
        "bearer token",
        _FAMILY,
        r"(?<![A-Za-z])(?i:bearer)(?:\s|%20|\+){1,3}(?P<value>[A-Za-z0-9._~+/=-]{16,4000})",
        ("bearer",),
        check=_random,
    ),
    Kind(
        "basic authentication",
        _FAMILY,
        r"(?<![A-Za-z])(?i:basic)(?:\s|%20|\+){1,3}(?P<value>[A-Za-z0-9+/]{6,400}={0,2})(?![A-Za-z0-9+/])",
        ("basic ", "basic%20", "basic+"),
        check=basic_credentials,
    ),
    Kind(
        "API key in a header",
        _FAMILY,
        r"(?i:x-(?:[a-z]{2,20}-){0,3}(?:api-?key|auth-token|access-token|functions-key)|ocp-apim-subscription-key)"
        rf"{UP_TO_VALUE}(?P<value>[A-Za-z0-9._~+/=-]{{16,400}})",
        ("api-key", "apikey", "auth-token", "access-token", "functions-key", "subscription-key"),
        before=64,
        check=_random,
    ),
    Kind(
        "session id",
        _FAMILY,
        rf"(?i:session_?id|phpsessid|jsessionid|connect\.sid|sess_?token){UP_TO_VALUE}(?P<value>[A-Za-z0-9._~+/%-]{{16,300}})",
        ("sessionid", "session_id", "sessid", "connect.sid", "sesstoken", "sess_token"),
        before=4,
        check=_random,
    ),
)
