"""Compressed uploads are unpacked behind the walls; what comes out is looked at before it is kept."""

from __future__ import annotations

import gzip
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from pytest_django import Settings

from analysis.errors import Corrupt
from explorer.models import Analysis, State
from explorer.services import analyses
from explorer.services.engine import EngineRefused
from explorer.services.leases import LeaseLost
from explorer.services.plain_dumps import plain_dump
from tests.explorer.elf_cores import core_bytes
from tests.explorer.waiting_analyses import again, received

#: An engine whose decompressor was taken over: ``unpack`` does what the test says.
CAPTURED = """
import os, runpy, sys, time
from pathlib import Path
from analysis import archives
def unpack(source, target, *, limit_bytes, progress):
    {what}
archives.unpack = unpack
{before}
runpy.run_module("analysis", run_name="__main__", alter_sys=True)
"""
NO_WALLS = "import analysis.sandbox; analysis.sandbox.confine = lambda read, write: []"


@pytest.fixture
def analysis(team, alice) -> Analysis:
    return received(team, alice, gzip.compress(core_bytes(100_000)))


def captured(settings: Settings, what: str, before: str = "") -> None:
    settings.ENGINE_COMMAND = [sys.executable, "-c", CAPTURED.format(what=what, before=before)]


def unpacked(analysis: Analysis, scratch: Path) -> bytes:
    with plain_dump(analysis.dump, scratch=scratch) as path:
        return path.read_bytes()


def test_a_captured_decompressor_reaches_no_other_dump(analysis: Analysis, settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"secret")
    for what in (f"target.write_bytes(Path({str(other)!r}).read_bytes())", f"Path({str(other)!r}).write_bytes(b'x')",
                 f"Path({str(tmp_path / 'new')!r}).touch()", "os.fork()"):  # fmt: skip
        captured(settings, what)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        with pytest.raises(EngineRefused) as refused:
            unpacked(analysis, scratch)
        assert "denied" in refused.value.what or "not permitted" in refused.value.what
        captured(settings, what, NO_WALLS)
        without = tmp_path / "without"
        without.mkdir()
        _ends_without_denial(analysis, without)
        for directory in (scratch, without):
            shutil.rmtree(directory)


def _ends_without_denial(analysis: Analysis, scratch: Path) -> None:
    """Where the wall is away the same attempt goes through: it is the wall that denied it."""
    with suppress(Corrupt):  # nothing was written, but nothing was denied either
        unpacked(analysis, scratch)


@pytest.mark.parametrize(
    "what",
    ["target.symlink_to('/etc/passwd')", "target.mkdir()", "os.mkfifo(target)", "pass",
     "target.write_bytes(b'x'); os.link(target, target.with_name('again'))"],
)  # fmt: skip
def test_only_a_plain_file_is_kept(analysis: Analysis, settings: Settings, what: str) -> None:
    captured(settings, what, NO_WALLS)
    analyses.run(analysis.pk)
    row = again(analysis)
    assert (row.state, row.error_code) == (State.FAILED, "corrupt")
    assert "unpacking left" in row.error_what
    assert [path.name for path in row.dump.directory.iterdir()] == ["original"]
    assert not list(settings.SCRATCH_DIR.iterdir())


def test_more_than_the_limit_cannot_be_written(analysis: Analysis, settings: Settings) -> None:
    settings.MAXIMUM_UNPACKED_BYTES = 5_000_000
    captured(settings, "target.write_bytes(bytes(7_000_000))")
    analyses.run(analysis.pk)
    assert again(analysis).state == State.FAILED
    assert again(analysis).error_what == "File too large"


def test_the_lease_is_renewed_while_the_decompressor_works(analysis: Analysis, settings: Settings) -> None:
    said: list[dict] = []
    captured(settings, "target.write_bytes(b'x'); progress(7 << 20)")
    settings.SCRATCH_DIR.mkdir()
    with plain_dump(analysis.dump, scratch=settings.SCRATCH_DIR, progress=lambda **changes: said.append(changes)):
        pass
    assert said[0] == {"stage": "unpack", "fraction": 0.0, "detail": "7 MiB unpacked"}


def test_a_cancelled_analysis_stops_its_decompressor(analysis: Analysis, settings: Settings) -> None:
    captured(settings, "progress(1); time.sleep(60)")
    lease = analyses.claim(analysis.pk)
    assert lease is not None
    analyses.cancel(analysis=again(analysis))
    settings.SCRATCH_DIR.mkdir()
    with pytest.raises(LeaseLost), plain_dump(analysis.dump, scratch=settings.SCRATCH_DIR, progress=lease.renew):
        pass
