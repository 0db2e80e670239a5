"""What is found in real dumps: everything that the scenario planted, hardly anything in programs without secrets, no text kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.graph.strings import find_strings
from analysis.index.secrets import BYTES, CHARACTERS, SECRET_PLACES, STRING
from analysis.index.store import open_index
from analysis.pipeline import analyse
from analysis.secrets.find import COPIES, KIND, LIVE_COPIES, OBJECT, PLACE, Secrets, find_secrets
from analysis.secrets.scan import FAMILIES, KIND_NAMES
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps
from tests.goals import Goals

#: What the scenario ``secrets`` plants: a piece of the text, its kind, and where it lies.
_PLANTED = (
    ("Tr0ub4dor&3", "SQL Server connection string", STRING), ("app:hunter2@", "PostgreSQL address", STRING),
    ("SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c", "JSON Web Token", STRING), ("IOSFODNN7EXAMPLE", "AWS access key id", STRING),
    ("wJalrXUtnFEMI/K7MDENG", "AWS secret access key", STRING), ("4111 1111 1111 1111", "payment card number", STRING),
    ("5500005555555559", "payment card number", STRING), ("MIIEowIBAAKCAQEAfake", "private key (PEM)", STRING),
    ("jane.doe@", "e-mail address", STRING), ("+1-202-555-0143", "telephone number", STRING),
    ("078-05-1120", "US social security number", STRING), ("DE89370400440532013000", "bank account (IBAN)", STRING),
    ("16C7e42F292c6912E7710c838347Ae178B4a", "GitHub token", STRING), ("000000000000-FAKEFAKE", "Slack token", STRING),
    ("RmFrZUtleUZha2VLZXlGYWtl", "Azure storage account key", STRING), ("bytes-secret-999", "password in a setting", BYTES),
    ("passw0rd in char array", "common password", CHARACTERS), ("sb-secret-777", "key in a setting", CHARACTERS),
)  # fmt: skip
_CUSTOMERS = 300
#: Programs that hold no secrets and no persons, as different as there are.
_CLEAN = (
    "net10/alc", "net10/async", "net10/events", "net10/frag", "net10/stacks", "net10/zoo", "net9/crash", "net9/zoo", "net8/zoo",
    "web/webshop",
)  # fmt: skip
_DUMPS = {dump.name: dump for dump in reference_dumps()}


def _secrets(reference: ReferenceDump) -> tuple[Dump, Secrets]:
    dump = Dump(reference.path)
    walked = dump.walk()
    assert walked is not None
    return dump, find_secrets(dump, walked, find_strings(dump, walked), Retention(dump, walked))


def _text(dump: Dump, found: Secrets, row: int) -> str:
    """The text a row tells of, read from the dump."""
    walked = dump.walk()
    assert walked is not None
    address, place = int(walked.columns.address[found.rows[row, OBJECT]]), int(found.rows[row, PLACE])
    length = dump.core.memory.u32(address + 8)
    if place == BYTES:
        return dump.core.memory.read(address + 16, length).decode("utf-8", "replace")
    return dump.core.memory.read(address + (12 if place == STRING else 16), 2 * length).decode("utf-16-le", "replace")


@pytest.mark.parametrize("family", ["net10", "net9", "net8"])
def test_everything_that_was_planted_is_found(family: str, goals: Goals) -> None:
    reference = _DUMPS.get(f"{family}/secrets")
    if reference is None:
        pytest.skip("the dumps of the scenario are not here")
    truth = json.loads(reference.path.with_suffix(".truth.json").read_text())
    assert truth["secrets"] == len(_PLANTED)
    dump, found = _secrets(reference)
    texts = [
        (_text(dump, found, row), KIND_NAMES[found.rows[row, KIND]], int(found.rows[row, PLACE]))
        for row in range(len(found.rows))
    ]
    missed = [
        (piece, kind, SECRET_PLACES[place]) for piece, kind, place in _PLANTED
        if not any(piece in text and (kind, place) == rest for text, *pair in texts for rest in [tuple(pair)])
    ]  # fmt: skip
    goals.count("G25 secret hints: secrets of the scenario found in dumps", len(_PLANTED) - len(missed), len(_PLANTED))
    assert missed == []
    known = [text for text, kind, place in texts if kind == "e-mail address" and place == STRING]
    assert len(known) == _CUSTOMERS + 1
    held = found.rows[np.isin(found.rows[:, OBJECT], found.objects), :]
    assert (held[:, LIVE_COPIES] <= held[:, COPIES]).all() and (held[:, LIVE_COPIES] > 0).sum() >= _CUSTOMERS
    assert found.holders is not None and len(found.holders.rank) >= _CUSTOMERS


def test_programs_without_secrets_give_hardly_a_false_hit(goals: Goals) -> None:
    clean = [_DUMPS[name] for name in _CLEAN if name in _DUMPS]
    if not clean:
        pytest.skip("the dumps are not here")
    good, false, read_bytes = 0, [], 0
    for reference in clean:
        dump, found = _secrets(reference)
        rows = [
            (reference.name, KIND_NAMES[found.rows[row, KIND]], _text(dump, found, row)[:100]) for row in range(len(found.rows))
        ]
        good += len(rows) <= found.scanned.bytes / 1e6
        read_bytes += found.scanned.bytes
        false += rows
    goals.count("G25 secret hints: clean dumps with at most one false hit per MB of text", good, len(clean))
    goals.count(
        "G25 secret hints: MB of text in clean dumps without a false hit",
        round(read_bytes / 1e6) - len(false),
        round(read_bytes / 1e6),
    )
    assert false == []


def test_an_index_holds_kinds_and_places_and_no_text(tmp_path: Path) -> None:
    reference = _DUMPS.get("net10/secrets")
    if reference is None:
        pytest.skip("the dumps of the scenario are not here")
    analyse(reference.path, tmp_path / "index", lambda stage, fraction, detail: None)
    index = open_index(tmp_path / "index")
    facts = index.facts("secrets")
    assert {kind for _, kind, _ in _PLANTED} <= {kind["name"] for kind in facts["kinds"]} <= set(FAMILIES)
    assert (
        facts["texts"] >= 16
        and facts["personal_texts"] >= _CUSTOMERS
        and index.rows["secrets"] == sum(one["texts"] for one in facts["kinds"])
    )
    assert "secrets" in {stage["name"] for stage in index.facts("summary")["analysis"]["stages"]}
    for path in sorted((tmp_path / "index").rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        for piece, _, _ in _PLANTED:
            assert piece.encode() not in content and piece.encode("utf-16-le") not in content, (path.name, piece)
