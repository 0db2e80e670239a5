"""Hold the graph against the reference reader: ``python -m benchmarks.retention [ROUNDS] [--fresh-memory]``.

Needs the lab beside the project. Every round runs each side once, in turn, in fresh processes; equality of the number of
references comes first, then medians and ratios are printed as a table. Ratios hold between machines, seconds do not.

A virtual machine that gives free memory back to its host pays about 3 ms for each MB that is touched again, whoever touches
it, which is more than most of these stages take. Before each side runs, a process therefore touches what either may need and
ends, so that the machine has the pages at hand, as one that owns its memory has. ``--fresh-memory`` leaves that out and
waits until the machine has given its memory back.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.heap import dump_of

_PROJECT = Path(__file__).resolve().parents[1]
_LAB = _PROJECT.parent / "shared" / "lab"
_ORACLE = re.compile(r"^(walk|references|reachable) .*?(?:refs=(\d+) )?.*?seconds=([\d.]+)", re.M)
_DUMPS = ("big 10", "big 20", "big 40", "big 10, server GC", "list of 10 million nodes", "40,000 types", "leak")

#: Runs in a process of its own with kernels loaded; prints seconds of each stage and private memory at its peak.
_OURS = """
import json, sys, threading, time
from pathlib import Path
from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.graph.warm import compile_graph_kernels
from analysis.heap.warm import compile_kernels
compile_kernels(); compile_graph_kernels()
peak = 0
def watch():
    global peak
    while True:
        private = int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1])
        peak = max(peak, private)
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
began = time.perf_counter()
dump = Dump(Path(sys.argv[1])); walked = dump.walk(); walked.columns
walk = time.perf_counter() - began
found = Retention(dump, walked)
print(json.dumps({**found.seconds, "walk": walk, "all": time.perf_counter() - began, "objects": found.objects,
                  "found": found.references.found, "peak": peak * 1024}))
"""

#: Bytes that either side may need on the largest dump, and seconds after which the host has taken free memory back.
_TOUCHED_BYTES, _GIVEN_BACK_SECONDS = 6 << 30, 8


def _prepare_memory(fresh: bool) -> None:
    """The same for both sides: pages at hand, or none."""
    if fresh:
        time.sleep(_GIVEN_BACK_SECONDS)
    else:
        subprocess.run([sys.executable, "-c", f"import numpy; numpy.ones({_TOUCHED_BYTES}, numpy.uint8)"], check=True)


def _reference(path: Path) -> dict[str, float]:
    said = subprocess.run([_LAB / "oracle.sh", "time", path], capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = {}
    for stage, references, seconds in _ORACLE.findall(said):
        found[stage] = float(seconds)
        if references:
            found["found"] = int(references)
    return found


def _own(path: Path) -> dict[str, float]:
    said = subprocess.run([sys.executable, "-c", _OURS, path], cwd=_PROJECT, capture_output=True, text=True, check=True).stdout
    answers: dict[str, float] = json.loads(said)
    return answers


def main(rounds: int, fresh: bool) -> None:
    """Measure, compare, print."""
    columns = ("dump", "objects", "references", "ClrMD references s", "references s", "ratio", "ClrMD live set s", "live set s",
               "ratio", "walk s", "dominators s", "groups s", "all from the file s", "private B/object", "goal")  # fmt: skip
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    for name in _DUMPS:
        path = dump_of(name)
        theirs: dict[str, list[float]] = defaultdict(list)
        ours: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for into, read in ((theirs, _reference), (ours, _own)):
                _prepare_memory(fresh)
                for key, value in read(path).items():
                    into[key].append(value)
        reference = {key: statistics.median(values) for key, values in theirs.items()}
        own = {key: statistics.median(values) for key, values in ours.items()}
        if abs(reference.get("found", own["found"]) - own["found"]) > own["found"] * 1e-4:
            raise SystemExit(f"{name}: {own['found']:,.0f} references here, {reference['found']:,.0f} there")
        # As ClrMD's stage: roots, references and the search, on a heap that has been walked.
        live = own["roots"] + own["references"] + own["paths"] - own["dominators"] - own["groups"]
        print(f"| {name} | {own['objects']:,.0f} | {own['found']:,.0f} | {reference['references']:.2f} | "
              f"{own['references']:.2f} | "
              f"{reference['references'] / own['references']:.1f} | {reference['reachable']:.2f} | {live:.2f} | "
              f"{reference['reachable'] / live:.1f} | {own['walk']:.2f} | {own['dominators']:.2f} | {own['groups']:.2f} | "
              f"{own['all']:.2f} | "
              f"{own['peak'] / own['objects']:.0f} | {75 + 8 * own['found'] / own['objects']:.0f} |")  # fmt: skip


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    main(numbers[0] if numbers else 3, "--fresh-memory" in sys.argv)
