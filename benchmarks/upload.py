"""Measure a large upload to a real server: ``python -m benchmarks.upload [MEGABYTES]``.

Starts gunicorn as the product does, on a free port with a throw-away data directory, sends one file in PATCHes of 64 MiB and
prints megabytes per second (hashing and rename included) and the highest memory of the web process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests
import zstandard

_PROJECT = Path(__file__).resolve().parents[1]
_PIECE = 64 << 20
_MAKE_PERSON = (
    "from explorer.models import *; u = User.objects.create_user('bench'); t = Team.objects.create(name='bench');"
    "Membership.objects.create(team=t, user=u, role='lead'); print(ApiToken.issue(u, 'bench')[1])"
)


def _memory(pid: int) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    for entry in Path("/proc").iterdir():
        try:
            status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
        except (OSError, ValueError):
            continue
        if status.get("PPid", "").strip() == str(pid):
            total = max(total, int(status.get("VmRSS", "0 kB").split()[0]) * 1024)
    return total


def main(megabytes: int) -> None:
    """Send ``megabytes`` MB and print the figures."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "EXPLORER_DATA_DIR": directory, "EXPLORER_PLAIN_STATIC": "1"}
        run = [sys.executable, "manage.py"]
        subprocess.run([*run, "migrate", "-v", "0"], check=True, cwd=_PROJECT, env=environment)
        made = subprocess.run(
            [*run, "shell", "-v", "0", "-c", _MAKE_PERSON], check=True, cwd=_PROJECT, env=environment, capture_output=True
        )
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "explorer.wsgi:application", "--worker-class", "gthread", "--threads", "8",
             "--bind", f"127.0.0.1:{port}", "--log-level", "warning", "--no-control-socket"], cwd=_PROJECT, env=environment,
        )  # fmt: skip
        try:
            _measure(server.pid, f"http://127.0.0.1:{port}", made.stdout.decode().strip(), megabytes)
        finally:
            server.terminate()
            server.wait()


def _measure(pid: int, base: str, token: str, megabytes: int) -> None:
    highest, sending = [0], True

    def watch() -> None:
        while sending:
            highest[0] = max(highest[0], _memory(pid))
            time.sleep(0.2)

    threading.Thread(target=watch, daemon=True).start()
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    time.sleep(3)
    size, piece = megabytes * 1_000_000, os.urandom(_PIECE)
    # The first bytes are those of a Linux core, the rest is noise: the server does not read further while it receives.
    with (_PROJECT / "explorer" / "samples" / "zoo-net10.dmp.zst").open("rb") as sample:
        head = zstandard.ZstdDecompressor().stream_reader(sample).read(4096)
    began = time.monotonic()
    place = session.post(f"{base}/api/uploads/", headers={"Upload-Length": str(size)}).headers["Location"]
    offset = 0
    while offset < size:
        body = ((head + piece[len(head) :]) if offset == 0 else piece)[: size - offset]
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        answer = session.patch(f"{base}{place}", data=body, headers=headers)
        answer.raise_for_status()
        offset = int(answer.headers["Upload-Offset"])
    seconds, sending = time.monotonic() - began, False
    sys.stdout.write(
        f"{megabytes} MB in {seconds:.1f} s: {megabytes / seconds:.0f} MB/s, web process at most {highest[0] / 1e6:.0f} MB\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
