"""The proof of scrubbed copies at full length, over every dump beside the project: ``python -m tests.scrubbed_pairs [REFILLS]``.

Each dump is scrubbed, then scrubbed again after every byte that the reference reader calls a value was replaced at random, as
often as asked for (20). The copies must be the same, byte for byte, and hold the structure of the original. The test suite
does a short form of it; 20 refills take about a quarter of an hour.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from analysis.dump import Dump
from analysis.reference_facts import reference_facts
from tests.analysis.fresh_dumps import LAB, unpacked_lab
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps
from tests.analysis.reference_reader import ReferenceReader
from tests.analysis.scrubbed import differences, make_copy, refill, told_payload

_REFILLS = 20


def main(refills: int = _REFILLS) -> int:
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        reader = ReferenceReader(Path(unpacked_lab()), directory) if LAB.exists() else None
        for dump in reference_dumps():
            told = _prove(dump, refills, reader, directory)
            found.update(told)
            print(dump.name, *(f"{name} {count:,}" for name, count in told.items()), sep=", ", flush=True)
    print(*(f"{name}: {count:,}" for name, count in found.items()), sep="\n")
    return int(found["pairs without a difference"] != found["pairs"] or found["same structure"] != found["dumps"])


def _prove(dump: ReferenceDump, refills: int, reader: ReferenceReader | None, directory: Path) -> dict[str, int]:
    copy, same, filled = make_copy(dump.path, directory), 0, 0
    structure = differences(reference_facts(Dump(dump.path)), reference_facts(Dump(copy.path)))
    again = make_copy(copy.path, directory, "again").certificate["result"] == copy.certificate["result"]
    payload, read, read_same = told_payload(dump.oracle), 0, 0
    if reader is not None:
        with suppress(AssertionError, subprocess.TimeoutExpired):  # another build of the runtime than the lab has
            payload = reader.payload(dump.path)
            theirs, read = differences(reader.facts(dump.path), reader.facts(copy.path)), 1
            read_same = int(not theirs)
            structure += theirs
    pairs = refills if len(payload) else 0
    for seed in range(pairs):
        other = directory / "refilled.dmp"
        filled = refill(dump.path, other, payload, seed)
        same += make_copy(other, directory, "other").certificate["result"] == copy.certificate["result"]
    for place in structure[:5]:
        print(f"  differs: {place}")
    return {
        "dumps": 1, "same structure": int(not structure), "read by the reference reader": read,
        "same structure for it": read_same, "same again": int(again), "bytes replaced": filled, "pairs": pairs,
        "pairs without a difference": same,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
