"""What is found in real dumps: all that the scenario planted, hardly anything in programs without secrets, no text kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.graph.strings import find_strings
from analysis.heap.walk import HeapWalk
from analysis.index.secrets import BYTES, CHARACTERS, STRING
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


@dataclass(frozen=True)
class _Looked:
    """A dump and what was found in it."""

    dump: Dump
    walked: HeapWalk
    found: Secrets

    def rows(self) -> list[tuple[str, str, int]]:
        """Text, kind and place of each row; the text is read from the dump."""
        return [(self._text(row), KIND_NAMES[row[KIND]], int(row[PLACE])) for row in self.found.rows]

    def _text(self, row: npt.NDArray[np.int64]) -> str:
        memory, address = self.dump.core.memory, int(self.walked.columns.address[row[OBJECT]])
        length = memory.u32(address + 8)
        if row[PLACE] == BYTES:
            return memory.read(address + 16, length).decode("utf-8", "replace")
        return memory.read(address + (12 if row[PLACE] == STRING else 16), 2 * length).decode("utf-16-le", "replace")


def _look(reference: ReferenceDump) -> _Looked:
    dump = Dump(reference.path)
    walked = dump.walk()
    assert walked is not None
    return _Looked(dump, walked, find_secrets(dump, walked, find_strings(dump, walked), Retention(dump, walked)))


@pytest.mark.parametrize("family", ["net10", "net9", "net8"])
def test_everything_that_was_planted_is_found(family: str, goals: Goals) -> None:
    reference = _DUMPS.get(f"{family}/secrets")
    if reference is None:
        pytest.skip("the dumps of the scenario are not here")
    truth = json.loads(reference.path.with_suffix(".truth.json").read_text())
    assert truth["secrets"] == len(_PLANTED)
    looked = _look(reference)
    found, texts = looked.found, looked.rows()
    missed = [
        planted for planted in _PLANTED
        if not any(planted[0] in text and planted[1:] == (kind, place) for text, kind, place in texts)
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
        looked = _look(reference)
        rows = [(reference.name, kind, text[:100]) for text, kind, _ in looked.rows()]
        good += len(rows) <= looked.found.scanned.bytes / 1e6
        read_bytes += looked.found.scanned.bytes
        false += rows
    goals.count("G25 secret hints: clean dumps with at most one false hit per MB of text", good, len(clean))
    megabytes = round(read_bytes / 1e6)
    goals.count("G25 secret hints: MB of text in clean dumps without a false hit", megabytes - len(false), megabytes)
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
