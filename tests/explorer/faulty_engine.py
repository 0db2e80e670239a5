"""An engine with a prepared result that meets a fault once: ``python faulty_engine.py RESULT FAULT STAGE MARKER ARGUMENT…``.

What becomes of an error is what the real engine makes of it; the walls are away, for the result lies elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

STAGES = ("open", "runtime", "heap", "types", "retention", "threads", "write")


def analyse(result: str, fault: str, stage: str, marker: Path, out: str) -> None:
    for name in STAGES:
        print(json.dumps({"stage": name, "fraction": 0.5}), flush=True)
        if name == "write":
            shutil.copytree(result, out, dirs_exist_ok=True)
        if name == stage and not marker.exists():
            marker.touch()
            if fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(int(fault), os.strerror(int(fault)))


def main(result: str, fault: str, stage: str, marker: str, *arguments: str) -> int:
    if "unpack" not in arguments and not fault.isdecimal():  # nothing of the engine is needed: quickly, then
        analyse(result, fault, stage, Path(marker), arguments[-1])
        return 0
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import types

    from analysis.__main__ import main

    pipeline = types.ModuleType("analysis.pipeline")
    pipeline.analyse = lambda path, out, progress: analyse(result, fault, stage, Path(marker), str(out))
    sys.modules["analysis.pipeline"] = pipeline
    return main(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
