"""Hold the speed of stacks and of the wait graph against the reference reader: ``python -m benchmarks.stacks [ROUNDS]``.

Needs the lab beside the project. Each round runs each side once, in turn, in fresh processes. ClrMD's time is that of its
stage alone (every frame with its method's signature), ours that of opening, walking and naming; the whole process is
``python -m analysis clrstack``, held against dotnet-dump's ``clrstack -all`` scaled to this machine.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from analysis.dump import Dump
from analysis.insight.execution import Execution
from analysis.runtime.stack_frames import FrameKind
from benchmarks.heap import _KEPT, _LAB, _PEER_WALK, _PROJECT

_STAGE = re.compile(r"stacks frames=(\d+) seconds=([\d.]+)")
_WALK = re.compile(r"walk objects=\d+ bytes=\d+ seconds=([\d.]+)")
#: name -> arguments of make-dump.sh after the file; a program of the tests where the name says so.
_DUMPS = {
    "stacks, 40 threads": ("heap", "stacks", "1"),
    "deadlock, 19 threads": ("heap", "deadlock", "1"),
    "own program, 4,600 threads": ("heap", "threads", "46"),
    "own program, 5,100 threads": ("heap", "threads", "51"),
}
_PEER_CLRSTACK = {"stacks, 40 threads": 0.41}


def _dump(name: str) -> Path:
    path = _KEPT / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.dmp"
    if not path.exists():
        _KEPT.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **({"PROGRAM": _program()} if name.startswith("own") else {})}
        command = [str(_LAB / "make-dump.sh"), str(path), *_DUMPS[name]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return path


def _program() -> str:
    lab = subprocess.run([str(_LAB / "unpack.sh")], check=True, capture_output=True, text=True).stdout.strip()
    program = Path(tempfile.mkdtemp()) / "unusual.dll"
    sources = sorted((_PROJECT / "tests" / "analysis" / "programs").glob("*.cs"))
    options = ("-nullable:enable", "-nowarn:0649,0414,0169")
    subprocess.run([f"{lab}/csc.sh", str(program), *options, *map(str, sources)], check=True, stdout=subprocess.DEVNULL)
    return str(program)


def measure(path: Path) -> dict[str, float]:
    """Seconds of one fresh process: stacks with opening, the wait graph, and what they hold."""
    began = time.perf_counter()
    dump = Dump(path)
    frames = sum(frame.kind != FrameKind.NATIVE for stack in dump.stacks for frame in stack.frames if stack.thread)
    walked = time.perf_counter()
    execution = Execution(dump, dump.walk())
    ready = time.perf_counter()
    waits = len(execution.graph.waits)
    cycles = len(execution.cycles)
    done = time.perf_counter()
    return {"frames": frames, "stacks": walked - began, "graph": done - ready, "waits": waits, "cycles": cycles}


def _round(path: Path) -> dict[str, float]:
    asked = subprocess.run([str(_LAB / "oracle.sh"), "time", str(path)], capture_output=True, text=True, check=False)
    stage = _STAGE.search(asked.stdout)
    ours = json.loads(
        subprocess.run([sys.executable, "-m", "benchmarks.stacks", str(path)], check=True, capture_output=True, text=True,
                       cwd=_PROJECT).stdout
    )  # fmt: skip
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "analysis", "clrstack", str(path)], check=True, capture_output=True, cwd=_PROJECT)
    return {**ours, "process": time.perf_counter() - began, "reference": float(stage[2]) if stage else 0.0,
            "reference_frames": float(stage[1]) if stage else 0.0}  # fmt: skip


def _scale() -> float:
    """How much slower this machine is than the one dotnet-dump was measured on, by ClrMD's walk of the same heap."""
    big = _KEPT / "big-10.dmp"
    if not big.exists():
        subprocess.run([str(_LAB / "make-dump.sh"), str(big), "heap", "big", "10"], check=True, stdout=subprocess.DEVNULL)
    asked = subprocess.run([str(_LAB / "oracle.sh"), "time", str(big)], capture_output=True, text=True, check=False)
    found = _WALK.search(asked.stdout)
    return float(found[1]) / _PEER_WALK if found else 1.0


def main(rounds: int) -> None:
    """Measure all dumps and print one table."""
    scale = _scale()
    heads = (
        "dump",
        "frames",
        "ClrMD stage s",
        "stacks s",
        "ratio",
        "ms per frame",
        "graph s",
        "process s",
        "dotnet-dump s, scaled",
        "ratio",
    )
    rows = []
    for name in _DUMPS:
        taken = [_round(_dump(name)) for _ in range(rounds)]
        found = {key: statistics.median(one[key] for one in taken) for key in taken[0]}
        peer, reference = _PEER_CLRSTACK.get(name, 0.0) * scale, found["reference"]
        rows.append((
            name, f"{found['frames']:,.0f}", f"{reference:.3f}" if reference else "–", f"{found['stacks']:.3f}",
            f"{reference / found['stacks']:.1f}" if reference else "–", f"{1000 * found['stacks'] / found['frames']:.2f}",
            f"{found['graph']:.3f}", f"{found['process']:.2f}", f"{peer:.2f}" if peer else "–",
            f"{peer / found['process']:.1f}" if peer else "–",
        ))  # fmt: skip
    lines = [f"{rounds} rounds, medians; dotnet-dump's seconds scaled by {scale:.2f} for this machine", ""]
    lines += [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else "3"
    if argument.isdigit():
        main(int(argument))
    else:
        sys.stdout.write(json.dumps(measure(Path(argument))))
