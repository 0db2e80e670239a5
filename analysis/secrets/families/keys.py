"""Private keys and what .NET protects its own data with."""

from __future__ import annotations

from analysis.secrets.kinds import Certainty, Kind
from analysis.secrets.surroundings import CLOSES, OPENS, QUOTE

_FAMILY = "private key"
_ARMOURED = (r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY", r"-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_RSA = "RSA(?:KeyValue|Parameters)"

KEYS = (
    Kind(
        "private key (PEM)",
        _FAMILY,
        r"-----BEGIN (?:RSA |EC |DSA |OPENSSH |ENCRYPTED |ANY )?PRIVATE KEY-----"
        r"(?:\s|\\{1,4}[rn]|%0[AaDd]|&#1[03];|[A-Za-z0-9+/=:,-]){12}",
        ("-----begin",),
        certainty=Certainty.CERTAIN,
        block=_ARMOURED,
    ),
    Kind(
        "private key (PGP)",
        _FAMILY,
        r"-----BEGIN PGP PRIVATE KEY BLOCK-----",
        ("-----begin pgp",),
        certainty=Certainty.CERTAIN,
        block=_ARMOURED,
    ),
    Kind(
        "private key (PuTTY)",
        _FAMILY,
        r"PuTTY-User-Key-File-\d: ?[a-z0-9-]{4,40}",
        ("putty-user-key-file-",),
        certainty=Certainty.CERTAIN,
        block=(r"PuTTY-User-Key-File-\d", r"Private-(?:MAC|Hash): ?[0-9A-Fa-f]{1,128}"),
    ),
    Kind(
        "private key (age)",
        _FAMILY,
        r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
        ("age-secret-key-1",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "private key (RSA as XML)",
        _FAMILY,
        rf"{OPENS}D{CLOSES}(?:[A-Za-z0-9+/=\s]|\\u002[Bb]){{40,2000}}{OPENS}/D{CLOSES}",
        ("<d>", "&lt;d&gt;", "u003cd\\u003e"),
        before=4,
        certainty=Certainty.CERTAIN,
        block=(rf"{OPENS}{_RSA}", rf"{OPENS}/{_RSA}\s{{0,3}}{CLOSES}"),
    ),
    Kind(
        "private key (JSON Web Key)",
        _FAMILY,
        rf"{QUOTE}d{QUOTE}\s{{0,3}}:\s{{0,3}}{QUOTE}[A-Za-z0-9_-]{{40,700}}={{0,2}}{QUOTE}",
        ('"d"', '"d\\', "&quot;d&quot;", "u0022d\\u0022"),
        before=8,
        certainty=Certainty.LIKELY,
        block=(r"\{", r"\}"),
    ),
    Kind(
        "ASP.NET machine key",
        _FAMILY,
        r"(?i:(?:validation|decryption)Key)\W{1,12}[0-9A-Fa-f]{32,256}(?![A-Za-z0-9])",
        ("validationkey", "decryptionkey"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "ASP.NET data protection key",
        _FAMILY,
        rf"(?i:masterKey\b)[^>]{{0,200}}?{CLOSES}(?:\s|<!--[^>]{{0,200}}-->){{0,10}}"
        rf"{OPENS}value{CLOSES}[A-Za-z0-9+/=\s]{{40,400}}",
        ("masterkey",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "ASP.NET protected cookie or token",
        _FAMILY,
        r"(?<![A-Za-z0-9_-])CfDJ8[A-Za-z0-9_-]{60,8000}",
        ("cfdj8",),
        certainty=Certainty.CERTAIN,
    ),
)
