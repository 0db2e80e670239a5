"""The engine as a child process: no Django, an empty environment, limits on memory, time and files.

Its standard output is JSON lines (``analysis.__main__``); its standard error is the analysis log.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from django.conf import settings

_REFUSED = 3
_HEARTBEAT_SECONDS = 3.0
_LOG_BYTES = 20_000
_OPEN_FILES = 256
_INDEX_BYTES_LIMIT = 64 << 30


class EngineRefused(Exception):
    """The engine read the file and says why it cannot be analysed."""

    def __init__(self, error: dict[str, str], log: str) -> None:
        super().__init__(error.get("what", ""))
        self.code, self.what = error.get("code", "refused"), error.get("what", "The file cannot be analysed.")
        self.where, self.remedy, self.log = error.get("where", ""), error.get("remedy", ""), log


class EngineCrashed(Exception):
    """The engine ended without an answer. ``retry`` says whether another start may help."""

    def __init__(self, what: str, log: str, *, retry: bool) -> None:
        super().__init__(what)
        self.log, self.retry = log, retry


class Progress(Protocol):
    """Called with the columns of an Analysis to change; raises to stop the engine."""

    def __call__(self, **changes: Any) -> None: ...


def run_engine(dump: Path, out: Path, progress: Progress) -> str:
    """Analyse ``dump`` into the directory ``out``; the engine's log. Raises EngineRefused, EngineCrashed, or what
    ``progress`` raises, after the engine and all its children were killed."""
    command = settings.ENGINE_COMMAND or [sys.executable, "-m", "analysis"]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(  # noqa: S603  (our own program, arguments are paths we made)
            [*command, str(dump), "--out", str(out)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            cwd=settings.BASE_DIR, env=_environment(out.parent), preexec_fn=_limit, start_new_session=True,
        )  # fmt: skip
        try:
            error = _follow(child, progress)
            code = child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
            error = None
        finally:
            _kill(child)
        log = _tail(errors)
    if code == 0:
        return log
    if code == _REFUSED and error:
        raise EngineRefused(error, log)
    raise _crash(code, log)


def _crash(code: int, log: str) -> EngineCrashed:
    if code >= 0:
        return EngineCrashed("out of memory" if "MemoryError" in log else f"exit code {code}", log, retry=False)
    if -code == signal.SIGXCPU:
        return EngineCrashed("it needed more processor time than is allowed", log, retry=False)
    return EngineCrashed(
        f"killed by signal {-code}" + (", often for lack of memory" if -code == signal.SIGKILL else ""), log, retry=True
    )


def _follow(child: subprocess.Popen[bytes], progress: Progress) -> dict[str, str] | None:
    """Pass progress lines on until the output ends; the error line when there was one. Renews at least every few seconds."""
    lines: queue.Queue[bytes | None] = queue.Queue(maxsize=1000)
    if child.stdout is None:
        raise EngineCrashed("no output", "", retry=False)
    threading.Thread(target=_read_lines, args=(child.stdout, lines), daemon=True).start()
    deadline, error = time.monotonic() + settings.ANALYSIS_SECONDS, None
    while True:
        try:
            line = lines.get(timeout=_HEARTBEAT_SECONDS)
        except queue.Empty:
            line = b""
        if time.monotonic() > deadline:
            raise EngineCrashed(f"it took longer than {settings.ANALYSIS_SECONDS} seconds", "", retry=False)
        if line is None:
            return error
        message = _parse(line)
        error = message.get("error", error)
        if "stage" in message:
            progress(
                stage=str(message["stage"])[:20],
                fraction=float(message.get("fraction", 0)),
                detail=str(message.get("detail", ""))[:200],
            )
        else:
            progress()


def _read_lines(output: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    for line in output:
        lines.put(line)
    lines.put(None)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _environment(scratch: Path) -> dict[str, str]:
    """Nothing of the server's own: no secrets, no database address."""
    cache = Path(settings.DATA_DIR) / "kernels"
    return {
        "PATH": "/usr/bin:/bin", "HOME": str(scratch), "LANG": "C.UTF-8", "NUMBA_CACHE_DIR": str(cache),
        "PYTHONPATH": str(settings.BASE_DIR),
    }  # fmt: skip


def _limit() -> None:
    """Runs in the child before the engine: what it may use at most."""
    for kind, limit in (
        (resource.RLIMIT_DATA, settings.ANALYSIS_MEMORY_BYTES),
        (resource.RLIMIT_CPU, settings.ANALYSIS_SECONDS * 2),
        (resource.RLIMIT_FSIZE, _INDEX_BYTES_LIMIT),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the engine and everything it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout:
        child.stdout.close()


def _tail(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(size - _LOG_BYTES, 0))
    return errors.read().decode("utf-8", "replace")
