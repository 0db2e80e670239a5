"""Texts that are shown without their secrets: nothing of one stays, whatever its length, its form and what surrounds it."""

from __future__ import annotations

import json
import time

import pytest

from analysis.secrets import scan
from analysis.secrets.mask import masked
from tests.analysis.secrets.planted import Random

_R = Random(11)
_BODY = "\n".join(_R.base64(48) for _ in range(12))
_PARTS = {name: _R.base64(96) for name in ("Modulus", "P", "Q", "DP", "DQ", "InverseQ", "D")}
_XML = "".join(f"<{name}>{part}</{name}>" for name, part in _PARTS.items())
_MEMBERS = {"kty": "RSA", "n": _R.safe(80), **{name: _R.safe(80) for name in ("p", "d", "q", "dp", "dq", "qi")}}
_LONG = _R.word(2_000)
_QUOTED = _R.word(700)
_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
_BASE = "Server=db;User Id=app;Pass" + "word="


def _pem(name: str, end: bool = True) -> str:
    return f"-----BEGIN {name}-----\n{_BODY}\n" + (f"-----END {name}-----" if end else "")


def _putty(end: bool = True) -> str:
    body = "PuTTY-User-Key-" + f"File-2: ssh-rsa\nEncryption: none\nPublic-Lines: 6\n{_BODY}\nPrivate-Lines: 14\n{_BODY}\n"
    return body + ("Private-MAC: " + "3f" * 20 if end else "")


#: What stands in a text, and what is written in its place.
_WHOLE = (
    (_pem("RSA " + "PRIVATE KEY"), "[private key (PEM)]"),
    (_pem("PRIVATE " + "KEY").replace("\n", "\\n"), "[private key (PEM)]"),
    (_pem("PGP " + "PRIVATE KEY BLOCK"), "[private key (PGP)]"),
    (_putty(), "[private key (PuTTY)]"),
    (f"<RSAKeyValue>{_XML}</RSAKeyValue>", "[private key (RSA as XML)]"),
    (json.dumps(_MEMBERS), "[private key (JSON Web Key)]"),
    (_BASE + _LONG, "Server=db;User Id=app;[SQL Server connection string]"),
    (_BASE + f"'{_QUOTED}'", "Server=db;User Id=app;[SQL Server connection string]"),
    ("gl" + "pat-" + _LONG, "[GitLab token]"),
    ("https://shop.webhook.office.com/webhook" + f"b2/{_ID}@{_ID}/Incoming" + f"Webhook/{_R.hexadecimal(32)}/{_ID}",
     "https://shop[Teams webhook]"),
    ("postgres" + f"://app:{_R.password()}@db.example.test/shop", "[PostgreSQL address]/shop"),
)  # fmt: skip


@pytest.mark.parametrize(("secret", "shown"), _WHOLE)
def test_a_secret_goes_as_a_whole(secret: str, shown: str) -> None:
    after = "" if secret.endswith("shop") else "; more"
    assert masked([f"before {secret}{after}"]) == [f"before {shown}{after}"]


@pytest.mark.parametrize("secret", [
    _pem("EC " + "PRIVATE KEY", end=False), _pem("PGP " + "PRIVATE KEY BLOCK", end=False), _putty(end=False),
    f"<RSAKeyValue>{_XML}", json.dumps(_MEMBERS)[:-1], _BASE + "'" + _QUOTED,
])  # fmt: skip
def test_a_secret_that_does_not_end_goes_up_to_the_end_of_the_text(secret: str) -> None:
    (shown,) = masked([f"before {secret}"])
    assert shown.startswith("before ") and shown.endswith("]") and len(shown) < 80


def test_a_key_that_was_opened_nowhere_takes_what_stands_before_it() -> None:
    assert masked([f"{_XML} and {_XML}</RSAKeyValue> after"]) == ["[private key (RSA as XML)] after"]


def test_of_secrets_that_overlap_nothing_stays() -> None:
    token = "gh" + "p_" + _R.word(36)
    tail = _R.word(80)
    (shown,) = masked(["pass" + f"word={token}:{tail} done"])
    assert token not in shown and tail not in shown and shown.endswith(" done") and "[GitHub token]" in shown
    # A card number that is only possible does not hide that it is a password.
    (shown,) = masked(["pass" + "word=4222222222222-x9"])
    assert "4222" not in shown


def test_signs_outside_the_first_plane_do_not_move_what_is_cut_out() -> None:
    token = "gh" + "p_" + _R.word(36)
    assert masked([f"{'🙂' * 60} {token} 🙂"]) == [f"{'🙂' * 60} [GitHub token] 🙂"]


def test_nothing_stays_behind_the_last_place_that_was_looked_at() -> None:
    tokens = ["gh" + "p_" + _R.word(36) for _ in range(130)]
    (shown,) = masked([" ".join(tokens) + " the end"])
    assert not [token for token in tokens if token in shown or token[8:] in shown]
    assert shown.endswith("[the rest was not looked at]")


def test_texts_that_come_after_too_many_places_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = ["gh" + "p_" + _R.word(36) for _ in range(5)]
    few = scan.LIMITS.__class__(secret_places=2)
    monkeypatch.setattr(scan, "LIMITS", few)
    assert masked(tokens) == ["[GitHub token]"] * 5


def test_masking_takes_no_text_long() -> None:
    texts = ['{"d":"' + "A" * 50 + '"' * 2, "{}", "{", "<D>" + "A" * 40 + "</D>", _BASE]
    began = time.thread_time()
    masked([text * (200_000 // len(text)) for text in texts])
    assert time.thread_time() - began < 5
