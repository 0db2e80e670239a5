"""Time the engine's stages in one process and print them as JSON: ``python -m benchmarks.stages DUMP``.

The first round loads the kernels and touches the file; the second is what a warm worker takes and is reported.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from analysis.dump import Dump


def _private_bytes() -> int:
    """Anonymous memory of this process; the mapped dump does not count."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def measure(path: Path) -> dict[str, float]:
    """Seconds of each stage, objects, bytes, and private bytes for each object with all columns made."""
    began = time.perf_counter()
    dump = Dump(path)
    before = _private_bytes()
    heap = dump.gc_heap
    opened = time.perf_counter()
    walked = dump.walk()
    if walked is None:
        raise SystemExit(f"no heap in {path}: {heap}")
    counted = time.perf_counter()
    for address in walked.types.method_tables:
        dump.runtime.types.name(address)
    named = time.perf_counter()
    columns = walked.columns
    filled = time.perf_counter()
    return {
        "open": opened - began, "walk": counted - opened, "names": named - counted, "columns": filled - named,
        "objects": len(columns.address), "bytes": int(walked.types.sizes.sum()), "types": len(walked.types),
        "private_bytes_per_object": (_private_bytes() - before) / max(len(columns.address), 1),
    }  # fmt: skip


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]))) + "\n")
