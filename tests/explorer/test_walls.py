"""The walls round the reader of dumps: tried from inside, and seen to be needed by taking each away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from analysis.sandbox.confine import REQUIRED
from analysis.sandbox.probes import PROBES
from explorer.services import analyses, engine
from tests.explorer.waiting_analyses import again, received
from tests.goals import Goals

#: What each wall alone keeps from; everything else is held by two.
NEEDS_LANDLOCK = {"read another dump", "read another dump by a link", "write into another dump", "write outside its directory"}
NEEDS_SECCOMP = {
    "send by UDP", "start a process", "enter a namespace", "change a limit of the server", "change the priority of the server",
    "take processors from the server",
}  # fmt: skip


def tried(tmp_path: Path, setup: str, **environment: str) -> tuple[dict[str, str], subprocess.CompletedProcess[str]]:
    """``python -m analysis walls`` after some code has run in its process; the problem of each attempt."""
    scratch, other = tmp_path / "scratch", tmp_path / "elsewhere" / "dump"
    scratch.mkdir()
    other.parent.mkdir()
    other.write_bytes(b"secret")
    arguments = ["walls", "--other", str(other), "--scratch", str(scratch)]
    program = f"{setup}\nimport sys\nfrom analysis.__main__ import main\nsys.exit(main({arguments}))"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    return {line["attempt"]: line["problem"] for line in lines if "attempt" in line}, found


def test_every_attempt_from_inside_is_denied(goals: Goals) -> None:
    found = list(engine.attempts_from_inside())
    attempts = {one["attempt"]: one["problem"] for one in found if "attempt" in one}
    goals.count("G16 attempts from inside the reader that were denied", list(attempts.values()).count(""), len(PROBES))
    assert attempts == dict.fromkeys(PROBES, "")
    assert len(attempts) == 24
    assert [one["missing"] for one in found if "wall" in one] == [""] * 4


def test_without_landlock_other_files_are_open(tmp_path: Path) -> None:
    attempts, _ = tried(tmp_path, "from analysis.sandbox import landlock\nlandlock.restrict = lambda read, write: None")
    assert {name for name, problem in attempts.items() if problem} >= NEEDS_LANDLOCK
    assert attempts["start a process"] == ""


def test_without_seccomp_processes_and_sockets_are_open(tmp_path: Path) -> None:
    attempts, _ = tried(tmp_path, "from analysis.sandbox import seccomp\nseccomp.forbid = lambda: None")
    assert {name for name, problem in attempts.items() if problem} >= NEEDS_SECCOMP
    assert attempts["read another dump"] == ""


_NO_SECCOMP = """
import errno
from analysis.sandbox import seccomp
def missing():
    raise OSError(errno.ENOSYS, "not built into this kernel")
seccomp.forbid = missing
"""


def test_a_missing_wall_is_said_and_refused_where_all_are_demanded(tmp_path: Path) -> None:
    _, found = tried(tmp_path, _NO_SECCOMP, **{REQUIRED: "1"})
    error = json.loads(found.stdout)["error"]
    assert found.returncode == 3
    assert error["code"] == "no_walls"
    assert "seccomp: not built into this kernel" in error["where"]


def test_a_missing_wall_is_in_the_log_where_the_operator_lives_with_it(tmp_path: Path) -> None:
    _, found = tried(tmp_path, _NO_SECCOMP)
    assert "no wall for processes, network and the kernel: seccomp: not built into this kernel" in found.stderr


def test_threads_that_run_already_are_named(tmp_path: Path) -> None:
    _, found = tried(tmp_path, "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()")
    assert "threads run already" in found.stderr


def test_the_child_is_told_to_demand_walls(team, alice, settings: Settings, tmp_path: Path) -> None:
    settings.REQUIRE_WALLS = True
    settings.ENGINE_COMMAND = [sys.executable, "-c", f"import os, sys; sys.exit(9 if os.environ['{REQUIRED}'] == '1' else 8)"]
    with pytest.raises(engine.EngineCrashed, match="exit code 9"):
        engine.run_engine(tmp_path / "dump", tmp_path / "scratch" / "index", lambda **changes: None)


def test_what_an_analysis_does_to_its_kernels_stays_with_it(team, alice, settings: Settings) -> None:
    (settings.DATA_DIR / "kernels").mkdir()
    kept = settings.DATA_DIR / "kernels" / "one.nbi"
    kept.write_text("compiled")
    spoil = "import os, pathlib; pathlib.Path(os.environ['NUMBA_CACHE_DIR'], 'one.nbi').write_text('spoilt')"
    settings.ENGINE_COMMAND = [sys.executable, "-c", spoil]
    analysis = received(team, alice)
    analyses.run(analysis.pk)
    assert again(analysis).is_open is False
    assert kept.read_text() == "compiled"


def test_the_doctor_says_that_all_is_well() -> None:
    said = StringIO()
    call_command("doctor", stdout=said, no_color=True)
    assert "All 4 walls stand; 24 attempts from inside were denied." in said.getvalue()


def test_the_doctor_fails_where_something_was_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [{"wall": "files and TCP", "missing": "Landlock: not here"}, {"attempt": "read another dump", "problem": "possible"}]
    monkeypatch.setattr("explorer.management.commands.doctor.attempts_from_inside", lambda: iter(found))
    with pytest.raises(CommandError, match="2 of 2 are not as they should be"):
        call_command("doctor", stdout=StringIO())
    monkeypatch.setattr("explorer.management.commands.doctor.attempts_from_inside", lambda: iter(()))
    with pytest.raises(CommandError, match="did not start"):
        call_command("doctor", stdout=StringIO())


_OPENING = ("unpack d --limit 9", "symbols d", "query d d", "values d 10", "memory d 10 8")


@pytest.mark.parametrize("command", ["d", *_OPENING])
def test_every_command_that_opens_a_file_of_others_is_behind_the_walls(command: str, tmp_path: Path) -> None:
    arguments = [*command.split(), "--out", "x" if command == "d" else "x/y"]
    program = f"{_NO_SECCOMP}\nimport runpy, sys\nsys.argv[1:] = {arguments}\nrunpy.run_module('analysis', run_name='__main__')"
    environment = {**os.environ, REQUIRED: "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert json.loads(found.stdout)["error"]["code"] == "no_walls", found.stderr
