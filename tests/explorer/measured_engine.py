"""The engine, which says at its end what it needed: ``python measured_engine.py ARGUMENT…``, as ``python -m analysis``."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def needed() -> dict[str, float]:
    """The most memory this program ever held, and its processor time."""
    most = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"resident_bytes": int(most) << 10, "processor_seconds": used.ru_utime + used.ru_stime}


if __name__ == "__main__":
    from analysis.__main__ import confine_to, main

    code = main(sys.argv[1:], confine_to)
    print("NEEDED " + json.dumps(needed()), file=sys.stderr)
    sys.exit(code)
