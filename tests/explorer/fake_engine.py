"""Stands in for the engine: ``python fake_engine.py MODE [ARGUMENT…] DUMP --out DIR``, with the same protocol."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

STAGES = ("open", "runtime", "heap", "types", "retention", "threads", "write")


def say(message: dict) -> None:
    print(json.dumps(message), flush=True)


def write_index(out: Path) -> None:
    from tests.index_builder import small_index

    small_index(out)


def done(out: Path) -> int:
    for stage in STAGES:
        say({"stage": stage, "fraction": 0.5, "detail": "half"})
    write_index(out)
    say({"done": True})
    return 0


def slow(out: Path, wait_in: str, marker: str = "") -> int:
    """Stop in one stage for long, unless the marker file says that this happened before."""
    for stage in STAGES:
        say({"stage": stage, "fraction": 0.5})
        if stage == wait_in and not Path(marker).exists():
            Path(marker).write_text(str(os.getpid()))
            time.sleep(60)
    write_index(out)
    return 0


def refused(out: Path) -> int:
    say({"error": {"code": "not_a_dump", "what": "no runtime\0 here", "where": "byte 7", "remedy": "Take it again."}})
    return 3


def crash(out: Path) -> int:
    print("last words\0", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def ended(out: Path) -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    return 0


def hang(out: Path, marker: str = "") -> int:
    if marker:
        Path(marker).write_text(str(os.getpid()))
    print("still thinking", file=sys.stderr, flush=True)
    time.sleep(600)
    return 0


def told(out: Path, directory: str) -> int:
    """What the file ``behaviour`` in the directory says; that it began is told by a file in ``begun`` with its process id."""
    (Path(directory) / "begun" / str(os.getpid())).touch()
    return globals()[(Path(directory) / "behaviour").read_text()](out)


def out_of_memory(out: Path) -> int:
    hoard = [bytearray(64 << 20) for _ in range(10_000)]
    return len(hoard)


def spin(out: Path) -> int:
    while True:
        pass


def chatter(out: Path) -> int:
    """Nonsense on stdout: lines that are no JSON, numbers that are none, one endless line, far too many lines."""
    for line in (
        "no json",
        "[1, 2]",
        '{"stage": "heap", "fraction": NaN}',
        '{"stage": "he\\u0000ap", "fraction": "x"}',
        "[" * 9000,
    ):
        print(line)
    print("x" * 5_000_000)
    for number in range(50_000):
        print(json.dumps({"stage": "heap", "fraction": number / 50_000, "detail": "y" * 300}))
    sys.stdout.flush()
    return done(out)


def report(out: Path) -> int:
    """Tell the log what a child sees and may use."""
    limits = {name: resource.getrlimit(getattr(resource, name))[0] for name in dir(resource) if name.startswith("RLIMIT_")}
    try:
        from django.conf import settings

        found = settings.SECRET_KEY
    except Exception as error:
        found = type(error).__name__
    out_files = sorted(os.listdir("/proc/self/fd"))
    seen = {"environment": dict(os.environ), "limits": limits, "secret_key": found, "files": out_files}
    print(json.dumps(seen), file=sys.stderr)
    return done(out)


def torn(out: Path) -> int:
    write_index(out)
    (out / "columns" / "types.count.npy").write_bytes(b"")
    return 0


def wordless(out: Path) -> int:
    """A complete index whose summary lacks what lists show."""
    write_index(out)
    summary = out / "facts" / "summary.json"
    broken = summary.read_text().replace('"threads"', '"thraeds"')
    assert len(broken) == len(summary.read_text())
    summary.write_text(broken)
    return 0


def linked(out: Path) -> int:
    write_index(out)
    (out / "facts" / "more.json").symlink_to("/etc/passwd")
    return 0


def elsewhere(out: Path) -> int:
    """A sound index, which lies where its writer can go on changing it."""
    write_index(out.with_name("other"))
    out.symlink_to(out.with_name("other"))
    return 0


def nothing(out: Path) -> int:
    return 0


def main(mode: str, *rest: str) -> int:
    if "unpack" in rest:  # that is what the real one does, also for tests of what follows
        from analysis.__main__ import confine_to, main

        return main([*rest[rest.index("unpack") :]], confine_to)
    *arguments, dump, flag, out = rest
    assert flag == "--out" and Path(dump).is_file()
    return globals()[mode](Path(out), *arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
