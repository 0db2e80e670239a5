"""What is a secret and what only looks like one; no text takes long to look at."""

from __future__ import annotations

import time

import numpy as np
import pytest

from analysis.secrets.families import ALL_KINDS
from analysis.secrets.kinds import Certainty
from analysis.secrets.mask import masked
from analysis.secrets.scan import FAMILIES, Match, find_in_text, scan, without_overlaps
from tests.analysis.secrets.planted import MADE, Random, planted

_LONG, _SECONDS = 200_000, 20.0

#: Texts of programs, frameworks and people that hold no secret.
HARMLESS = (
    "System.Private.CoreLib, Version=10.0.0.0, Culture=neutral, PublicKeyToken=7cec85d7bea7798e",
    "The password must be at least 8 characters long.",
    "Password: {0}", "password=<your password>", "Password=;Integrated Security=true", 'password: ""', "password=null",
    "Server=db;Database=shop;User Id=app;Password=********;Encrypt=true",
    "Server=db;Database=shop;Integrated Security=SSPI;Encrypt=true",
    "Host=db;Username=app;Password=${DB_PASSWORD}", "postgres://app:{password}@db/shop", "https://user:password@host/",
    "SELECT u.Id, u.Password FROM Users u WHERE u.Password = @p0", '"Password" TEXT NOT NULL', "password = request.Password;",
    "this.password = password", "grant_type=password&scope=api", "Microsoft.AspNetCore.Identity.PasswordHasher`1[Shop.User]",
    "PasswordRequiredLength=6", "CancellationToken token = default", "token: System.Threading.CancellationToken",
    "Bearer error=\"invalid_token\"", "Authorization: Bearer", "Basic authentication is not supported here",
    "eyJhb.GciOi.JIUzI1NiJ9", "3f786850e387550fdab836ed7e6dc881de23001b", "/usr/share/dotnet/shared/Microsoft.NET",
    "Microsoft/Extensions/Logging/ConsoleLog1", "4111 1111 1111 1112", "1234567890123456", "0000000000000000",
    "2026-11-30 02:00:22.1234567", "DE89370400440532013001", "GB82 WEST 1234", "000-12-3456", "666-12-3456", "12-34-5678",
    "user@localhost", "@media (min-width: 10px)", "System.Collections.Generic.List`1@4f2a", "git@", "a@b",
    "+1", "1+1=2", "GMT+01:00", "C++ 17", "sk-learn-is-a-library", "ghp_short", "AKIAshortkey", "key-value", "en-us1",
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkq", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOC",
    '{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"}', "https://hooks.slack.com/help",
    "://", "http://example.test:80/a@b", "mailto:someone", "secret=true", "client_secret", "apikey: required",
    "<add key=\"Title\" value=\"Shop\" />", "aws_secret_access_key = ", "<D>short</D>", "PasswOrd", "password password password",
)  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_are_left_alone(text: str) -> None:
    assert [(match.kind.name, text[match.start : match.end]) for match in find_in_text(text)] == []


def test_a_made_up_checksum_makes_a_token_likely_and_a_true_one_certain() -> None:
    token = MADE["GitHub token"](Random(1))
    (true,) = find_in_text(token)
    (made_up,) = find_in_text(token[:-1] + ("A" if token[-1] != "A" else "B"))
    assert (true.certainty, made_up.certainty) == (Certainty.CERTAIN, Certainty.LIKELY)


def test_what_is_named_best_stands() -> None:
    text = f"password={MADE['Stripe key'](Random(2))}"
    assert [match.kind.name for match in find_in_text(text)] == ["Stripe key"]
    (match,) = find_in_text(MADE["SQL Server connection string"](Random(3)))
    assert match.kind.name == "SQL Server connection string"


def test_two_secrets_in_one_text_are_two() -> None:
    r = Random(4)
    text = f"{MADE['Slack token'](r)} and {MADE['Slack token'](r)}, {MADE['npm token'](r)}"
    assert [match.kind.name for match in find_in_text(text)] == ["Slack token", "Slack token", "npm token"]


def test_every_kind_has_one_family_and_begins_somewhere() -> None:
    assert all(FAMILIES[kind.name] == kind.family for kind in ALL_KINDS)
    assert all(kind.anchors or kind.shape >= 0 for kind in ALL_KINDS)


def test_masked_texts_keep_everything_but_the_secret() -> None:
    token = MADE["GitLab token"](Random(5))
    texts = ["no secret here", f"Login failed for {token} at 10:00 🙂", "", "passw0rd is only possible"]
    assert masked(texts) == [texts[0], "Login failed for [GitLab token] at 10:00 🙂", "", texts[3]]


def test_no_planted_secret_survives_in_a_masked_text() -> None:
    """What is certain or likely is gone as a whole: what is left of the text holds nothing that is found again."""
    texts = [text for _, form, text in planted(6) if form in ("JSON", "log line", "query")]
    for before, after in zip(texts, masked(texts), strict=True):
        sure = [match for match in find_in_text(before) if match.certainty >= Certainty.LIKELY]
        assert all(before[match.start : match.end] not in after for match in sure)


def test_numbers_and_matches_without_end_take_no_time() -> None:
    """A telephone number that goes on behind its last digit, at as many places as are looked at; and thousands of matches."""
    numbers = [f"+{'1' * length}{end}" for length in (12, 15, 40) for end in "a-"] * 3_000
    units = np.frombuffer("".join(numbers).encode("utf-16-le"), np.uint16)
    lengths = np.array([len(one) for one in numbers])
    began = time.thread_time()
    scan(units, np.cumsum(lengths) - lengths, lengths)
    kind = ALL_KINDS[-1]
    many = {Match(place, place + 1, kind, Certainty.LIKELY, place) for place in range(20_000)}
    assert len(without_overlaps(many)) == len(many)
    assert time.thread_time() - began < 5


def test_no_text_takes_long() -> None:
    """Beginnings over and over, alone and with what patterns allow to follow."""
    words = sorted({anchor for kind in ALL_KINDS for anchor in kind.anchors})
    began = time.thread_time()
    for word in words:
        find_in_text(word * (_LONG // len(word)))
        find_in_text((word + " : \"'" + "A" * 60 + "\n") * 1000)
    for text in (
        "a@",
        "://",
        "http://" + "a:" * 150 + "@",
        "1234 ",
        "+12 (34) ",
        "DE12 ",
        "eyJ" + "a" * 2000 + ".",
        "masterKey><!---->",
    ):
        find_in_text(text * (_LONG // len(text)))
    assert time.thread_time() - began < _SECONDS
