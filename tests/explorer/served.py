"""A real web server as its own process, with its own data directory and SQLite database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]


def clean_environment(data: Path, **more: str) -> dict[str, str]:
    """Settings of a server that shares nothing with the one who tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EXPLORER_", "DJANGO_"))}
    return {**kept, "EXPLORER_DATA_DIR": str(data), "EXPLORER_PLAIN_STATIC": "1", "PYTHONPATH": str(ROOT), **more}


def run_python(code: str, environment: dict[str, str]) -> str:
    """What ``code`` prints inside a Django process of that server."""
    setup = "import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'explorer.settings'; django.setup()\n"
    ended = subprocess.run([sys.executable, "-c", setup + code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def migrate(environment: dict[str, str]) -> None:
    command = [sys.executable, "manage.py", "migrate", "-v", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


class Server:
    """gunicorn with one worker of threads."""

    def __init__(self, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url, self.environment = f"http://127.0.0.1:{self.port}", environment

    def start(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "explorer.wsgi", "-k", "gthread", "--threads", "4"]
        command += ["-b", f"127.0.0.1:{self.port}", "--log-level", "error"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True)
        for _ in range(300):
            try:
                if requests.get(f"{self.url}/healthz", timeout=2).ok:
                    return
            except requests.RequestException:  # not there yet, or still loading
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def resident_bytes(self) -> int:
        """The most memory the workers ever held."""
        peaks = [Path(f"/proc/{worker}/status").read_text().split("VmHWM:")[1].split()[0] for worker in self.workers()]
        return max(int(peak) for peak in peaks) << 10

    def kill(self) -> None:
        """As a power cut would."""
        os.killpg(self.process.pid, 9)
        self.process.wait()
