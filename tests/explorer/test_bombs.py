"""Bombs: small files that ask for a great deal are refused soon, in little memory, and leave nothing behind."""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django import Settings

from explorer.models import State
from explorer.services import analyses
from tests.explorer.bombs import BOMBS, MEGABYTE, zstandard_stream
from tests.explorer.elf_cores import core_bytes
from tests.explorer.waiting_analyses import again, received
from tests.goals import Goals

_LIMIT_BYTES = 16 * MEGABYTE
_MOST_SECONDS, _MOST_RESIDENT_BYTES = 2.0, 64 * MEGABYTE
_NOT_REFUSED = {"engine_crashed", "gave_up", "io_error"}


@dataclass(frozen=True)
class Outcome:
    """How the analysis of a file ended, and what the reader that refused it needed."""

    state: str
    code: str
    words: str
    resident_bytes: float
    processor_seconds: float
    left: list[str]


@pytest.fixture
def outcome_of(team, alice, settings: Settings):
    settings.MAXIMUM_UNPACKED_BYTES = _LIMIT_BYTES
    settings.ENGINE_COMMAND = [sys.executable, str(Path(__file__).parent / "measured_engine.py")]

    def analysed(content: bytes) -> Outcome:
        analysis = received(team, alice, content)
        analyses.run(analysis.pk)
        row = again(analysis)
        needed = json.loads(row.log.rpartition("NEEDED ")[2] or "{}")
        left = [*settings.SCRATCH_DIR.iterdir(), *(path for path in row.dump.directory.iterdir() if path != row.dump.original)]
        return Outcome(row.state, row.error_code, f"{row.error_what} {row.error_remedy}", **needed, left=[str(p) for p in left])

    return analysed


def test_bombs_are_refused_soon_and_in_little_memory(outcome_of, goals: Goals) -> None:
    usual = {kind: outcome_of(content) for kind, content in (("archive", gzip.compress(b"damaged")[:-1]), ("core", core_bytes()))}
    wrong = {}
    for name, make in BOMBS.items():
        found, base = outcome_of(make()), usual["core" if name.startswith("core") else "archive"]
        seconds = found.processor_seconds - base.processor_seconds
        resident = found.resident_bytes - base.resident_bytes
        refused = found.state == State.FAILED and found.code not in _NOT_REFUSED and len(found.words) > 20
        print(f"{name:42} {found.code:12} {seconds:6.2f} s {resident / MEGABYTE:6.1f} MiB  {found.words[:90]}")
        if not refused or seconds > _MOST_SECONDS or resident > _MOST_RESIDENT_BYTES or found.left:
            wrong[name] = found
    goals.count("G8 bombs refused within 2 s and 64 MiB, nothing left", len(BOMBS) - len(wrong), len(BOMBS))
    assert not wrong
    assert len(BOMBS) >= 25


def test_the_largest_window_that_is_taken_needs_no_more_than_itself(outcome_of, settings: Settings) -> None:
    settings.MAXIMUM_UNPACKED_BYTES = 200 * MEGABYTE
    usual = outcome_of(gzip.compress(b"damaged")[:-1])
    found = outcome_of(zstandard_stream(256, window_log=27))
    assert found.code == "over_limit"
    assert 128 * MEGABYTE < found.resident_bytes - usual.resident_bytes < _MOST_RESIDENT_BYTES + 128 * MEGABYTE
