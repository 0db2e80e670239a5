"""The document about how the process ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from analysis.dump import Dump
from analysis.insight.crash import Crash
from analysis.tables.stacks import first_frames


def build_crash(dump: Dump, crash: Crash) -> dict[str, Any]:
    """facts/crash.json: rows of the index in the place of rows of lists."""
    document = asdict(crash)
    if crash.thread is not None and crash.frame is not None:
        document["frame"] = first_frames(dump.stacks)[crash.thread] + crash.frame
    return {**document, "signature_of": list(crash.signature_of)}
