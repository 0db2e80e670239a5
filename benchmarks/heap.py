"""Hold the engine's speed against the reference reader's: ``python -m benchmarks.heap [ROUNDS]`` (``make bench``).

Needs the lab beside the project (``../shared/lab``): it makes the dumps and runs ClrMD. Every round runs each side once,
in turn, in fresh processes; equality of object count and bytes comes first, then medians and their ratio are printed
as a table. Ratios hold between machines, seconds do not.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1]
_LAB = _PROJECT.parent / "shared" / "lab"
_KEPT = Path("~/.cache/dump-explorer/bench").expanduser()
_WALK = re.compile(r"walk objects=(\d+) bytes=(\d+) seconds=([\d.]+)")
_PROGRAMS = _PROJECT / "tests" / "analysis" / "programs"
#: name -> arguments of make-dump.sh after the file: type, scenario, scale, environment
_RECIPES = {
    "big 10": ("heap", "big", "10"),
    "big 20": ("heap", "big", "20"),
    "big 40": ("heap", "big", "40"),
    "big 10, server GC": ("heap", "big", "10", "DOTNET_gcServer=1"),
    "leak": ("heap", "leak", "1"),
    "zoo": ("heap", "zoo", "1"),
    "deadlock": ("heap", "deadlock", "1"),
    "list of 10 million nodes": ("heap", "list", "10"),
    "40,000 types": ("heap", "types", "40"),
}
#: Scenarios of the project's own program; the others are the lab's.
_OWN = ("list", "types")
_DUMPS = ("big 10", "big 10, server GC", "leak", "zoo", "deadlock")
#: What dotnet-dump took for ``dumpheap -stat`` where ClrMD's walk of ``big 10`` took 2.1 s (whole processes, seconds).
_PEER_WALK, _PEER_STAT = 2.1, {"big 10": 3.4, "leak": 0.67, "deadlock": 0.35}


@dataclass
class _Series:
    """Seconds of one dump, one entry per round."""

    reference: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    process: list[float] = field(default_factory=list)
    objects: int = 0
    types: int = 0


def dump_of(name: str) -> Path:
    """The dump of that name, made by the lab when it is not there yet."""
    path = _KEPT / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.dmp"
    if not path.exists():
        _KEPT.mkdir(parents=True, exist_ok=True)
        kind, scenario, scale, *environment = _RECIPES[name]
        command = [str(_LAB / "make-dump.sh"), str(path), kind, scenario, scale, *environment]
        program = {"PROGRAM": str(_own_program())} if scenario in _OWN else {}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **program})
    return path


def _own_program() -> Path:
    """The program of the tests, compiled by the lab."""
    lab = subprocess.run([_LAB / "unpack.sh"], check=True, capture_output=True, text=True, cwd=_PROJECT).stdout.strip()
    program = _KEPT / "unusual.dll"
    sources = map(str, sorted(_PROGRAMS.glob("*.cs")))
    subprocess.run(
        [f"{lab}/csc.sh", program, "-nullable:enable", "-nowarn:0649,0414,0169", *sources], check=True, stdout=subprocess.DEVNULL
    )
    return program


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=_PROJECT).stdout


def _round(path: Path, series: _Series) -> None:
    found = _WALK.search(_output(str(_LAB / "oracle.sh"), "time", str(path)))
    ours = json.loads(_output(sys.executable, "-m", "benchmarks.stages", str(path)))
    if found is None or (ours["objects"], ours["bytes"]) != (int(found[1]), int(found[2])):
        raise SystemExit(f"{path.name}: the two readers disagree: {found and found[0]} against {ours}")
    began = time.perf_counter()
    _output(sys.executable, "-m", "analysis", "stat", str(path))
    series.process.append(time.perf_counter() - began)
    series.reference.append(float(found[3]))
    for stage in ("open", "walk", "names", "columns", "private_bytes_per_object"):
        series.stages.setdefault(stage, []).append(ours[stage])
    series.objects, series.types = ours["objects"], ours["types"]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str, row: _Series, scale: float) -> list[str]:
    stage = {key: statistics.median(values) for key, values in row.stages.items()}
    reference, process = statistics.median(row.reference), statistics.median(row.process)
    peer = _PEER_STAT[name] * scale if name in _PEER_STAT else 0.0
    return [
        name, f"{row.objects:,}", f"{row.types:,}",
        f"{reference:.3f}", f"{stage['walk']:.3f}", f"{reference / stage['walk']:.1f}",
        f"{stage['columns']:.3f}", f"{stage['open'] + stage['names']:.3f}", f"{stage['private_bytes_per_object']:.0f}",
        f"{process:.2f}", f"{peer:.2f}" if peer else "–", f"{peer / process:.1f}" if peer else "–",
    ]  # fmt: skip


def main(rounds: int) -> None:
    """Measure all dumps and print one table."""
    series = {name: _Series() for name in _DUMPS}
    for _ in range(rounds):
        for name, row in series.items():
            _round(dump_of(name), row)
    scale = statistics.median(series["big 10"].reference) / _PEER_WALK
    heads = ("dump", "objects", "types", "ClrMD walk s", "walk s", "ratio", "columns s", "open and names s", "B/object",
             "process s", "dotnet-dump s, scaled", "ratio")  # fmt: skip
    lines = [f"{rounds} rounds, medians; dotnet-dump's seconds scaled by {scale:.2f} for this machine", "", _line(heads)]
    lines += [_line(["---"] * len(heads)), *(_line(_cells(name, row, scale)) for name, row in series.items())]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
