"""Connection strings and addresses that carry a password."""

from __future__ import annotations

import re

from analysis.kernels.secrets import LOGIN
from analysis.secrets.checks import is_placeholder
from analysis.secrets.kinds import Certainty, Check, Kind

_FAMILY = "connection"
_REACH = 1500
_ENDS = re.compile(r"[\"<>`\r\n|]|&quot;|\\[nr]")
_ANY_DATABASE = r"(?:data ?source|server|addr|address|network address|host|dsn|driver)\s{0,2}="
_MYSQL = (
    r"port\s?=\s?3306|sslmode\s?=|char(?:acter )?set\s?=|convert ?zero ?datetime\s?="
    r"|allow(?:uservariables|publickeyretrieval|zerodatetime)\s?="
)
_ORACLE = r"\(\s?description\s?=|(?:data ?source)\s?=\s?[^;]{1,120}(?::1521|/[\w.]{2,40}(?:;|$))"
#: Of a quoted text whose end is too far away the beginning counts.
_QUOTED = r"'(?:[^']{1,200}'|[^']{200,200})|\\?\"(?:[^\"]{1,200}\"|[^\"]{200,200})"
_ASSIGNED = rf"(?<![A-Za-z_])(?i:password|pwd)\s{{0,2}}=\s{{0,2}}(?P<value>{_QUOTED}|[^;\"'<>\r\n]{{1,200}})"
_WORDS = ("password", "pwd")


def _surroundings(found: re.Match[str]) -> str:
    """The connection string around a password: up to what cannot be part of one."""
    before = _ENDS.split(found.string[max(0, found.start() - _REACH) : found.start()])[-1]
    after = _ENDS.split(found.string[found.end() : found.end() + _REACH])[0]
    return before + after


def _connection(marks: str, never: str = "") -> Check:
    """A check for a password among settings that only one database knows."""
    wanted, unwanted = re.compile(marks, re.IGNORECASE), re.compile(never, re.IGNORECASE) if never else None

    def check(found: re.Match[str]) -> Certainty | None:
        if is_placeholder(found["value"].strip("\\\"'")):
            return None
        around = _surroundings(found)
        return Certainty.CERTAIN if wanted.search(around) and not (unwanted and unwanted.search(around)) else None

    return check


def _login(found: re.Match[str]) -> Certainty | None:
    return None if is_placeholder(found["value"]) or is_placeholder(found["host"]) else Certainty.CERTAIN


def _address(name: str, schemes: str, *, generic: bool = False) -> Kind:
    """A URL with a password in it."""
    pattern = rf"(?<![A-Za-z0-9])(?i:{schemes})://[^\s:/@\"'<>]{{0,120}}:(?P<value>[^\s/\"'<>]{{1,200}})@(?P<host>[\w.\[\]{{}}<-][\w.\[\]:{{}}-]{{0,255}})"
    return Kind(name, _FAMILY, pattern, shape=LOGIN, before=24, check=_login, generic=generic)


DATABASES = (
    Kind(
        "SQL Server connection string",
        _FAMILY,
        _ASSIGNED,
        _WORDS,
        check=_connection(r"(?:data ?source|server|addr|address|network address)\s{0,2}=", f"{_MYSQL}|{_ORACLE}"),
    ),
    Kind("MySQL connection string", _FAMILY, _ASSIGNED, _WORDS, check=_connection(rf"(?<=.)(?:{_MYSQL})", r"(?<![a-z])host\s?=")),
    Kind("PostgreSQL connection string", _FAMILY, _ASSIGNED, _WORDS, check=_connection(r"(?<![a-z])host\s{0,2}=")),
    Kind("Oracle connection string", _FAMILY, _ASSIGNED, _WORDS, check=_connection(_ORACLE, _MYSQL)),
    Kind(
        "Redis connection string",
        _FAMILY,
        r"(?<=,)(?i:password)\s?=\s?(?P<value>[^,\s\"'<>]{1,200})",
        _WORDS,
        check=_connection(r"[\w.-]{1,100}:\d{2,5},|,\s?(?:ssl|abortconnect|defaultdatabase|allowadmin|connecttimeout|user)\s?="),
    ),
    Kind("connection string", _FAMILY, _ASSIGNED, _WORDS, check=_connection(_ANY_DATABASE), generic=True),
    _address("PostgreSQL address", r"postgres(?:ql)?"),
    _address("MySQL address", r"mysqlx?|mariadb"),
    _address("SQL Server address", r"sqlserver|mssql"),
    _address("MongoDB address", r"mongodb(?:\+srv)?"),
    _address("Redis address", r"rediss?"),
    _address("AMQP address", r"amqps?"),
    _address("address with a password", r"[a-z][a-z0-9+.-]{1,20}", generic=True),
)
