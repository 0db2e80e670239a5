"""The engine as a child process: no Django, an empty environment, limits on memory, time and files.

Its standard output is JSON lines (``analysis.__main__``); its standard error is the analysis log.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from django.conf import settings

from analysis.index import DataClass
from explorer.child_processes import end_with_parent
from explorer.services.plain_text import plain, without_nul

_REFUSED = 3
_KERNELS = "kernels"
_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_HEARTBEAT_SECONDS = 3.0
_PROGRESS_SECONDS = 0.5
_LINE_BYTES = 1 << 16
_LOG_BYTES = 20_000
_OPEN_FILES = 256
_INDEX_BYTES_LIMIT = 64 << 30
# The window of an archive and what comes out of one step; a few bytes more in a file than may be kept tell that there are more.
_UNPACKING_MEMORY_BYTES = 512 << 20
_BEYOND_LIMIT_BYTES = 1 << 20
_CERTIFICATE_BYTES_LIMIT = 64 << 20
# A PDB is read while somebody waits for the page; what it may use is far more than an honest one needs.
_SYMBOL_SECONDS = 20
_SYMBOL_MEMORY_BYTES = 2 << 30
_LINES_BYTES_LIMIT = 256 << 20
# Somebody waits for a query too; it stops itself before these end it.
_QUERY_SECONDS = 15
_QUERY_MEMORY_BYTES = 2 << 30
_RESULT_BYTES_LIMIT = 64 << 20
# Opening a dump for one object.
_VALUES_SECONDS = 30
_VALUES_MEMORY_BYTES = 4 << 30


class EngineRefused(Exception):
    """The engine read the file and says why it cannot be analysed."""

    def __init__(self, error: dict[str, str], log: str) -> None:
        self.code, self.what = error.get("code", "refused"), error.get("what", "The file cannot be analysed.")
        self.where, self.remedy, self.log = error.get("where", ""), error.get("remedy", ""), log
        super().__init__(self.what)


class EngineCrashed(Exception):
    """The engine ended without an answer. ``retry`` says whether another start may help."""

    def __init__(self, what: str, log: str, *, retry: bool) -> None:
        super().__init__(what)
        self.log, self.retry = log, retry


class EngineStopped(EngineCrashed):
    """Somebody ended the engine, as a machine does that goes down: not the dump's doing."""


class Progress(Protocol):
    """Called with the columns of an Analysis to change; raises to stop the engine."""

    def __call__(self, **changes: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What one child may use."""

    seconds: int
    memory_bytes: int
    file_bytes: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """The line with which the engine said that it is done, and its log."""

    done: dict[str, Any]
    log: str


def run_engine(dump: Path, out: Path, progress: Progress) -> str:
    """Analyse ``dump`` into the directory ``out``; the engine's log. Raises EngineRefused, EngineCrashed, or what
    ``progress`` raises, after the engine and all its children were killed."""
    allowed = _Allowed(settings.ANALYSIS_SECONDS, settings.ANALYSIS_MEMORY_BYTES, _INDEX_BYTES_LIMIT)
    _give_kernels(out.parent)
    return _run([str(dump), "--out", str(out)], out.parent, allowed, progress).log


def unpack_archive(archive: Path, plain_file: Path, limit_bytes: int, progress: Progress) -> None:
    """Unpack ``archive`` into the new file ``plain_file``, the only thing in its directory. Raises as ``run_engine``."""
    allowed = _allowed(settings.ANALYSIS_SECONDS, _UNPACKING_MEMORY_BYTES, limit_bytes + _BEYOND_LIMIT_BYTES)
    arguments = ["unpack", str(archive), "--out", str(plain_file), "--limit", str(limit_bytes)]
    _run(arguments, plain_file.parent, allowed, progress)


def scrub_dump(dump: Path, out: Path, certificate: Path, progress: Progress) -> None:
    """Make a scrubbed copy of ``dump``, in a directory of its own. Raises as ``run_engine``."""
    size = dump.stat().st_size + _CERTIFICATE_BYTES_LIMIT
    allowed = _Allowed(settings.ANALYSIS_SECONDS, settings.ANALYSIS_MEMORY_BYTES, size)
    _give_kernels(out.parent)
    _run(["scrub", str(dump), "--out", str(out), "--certificate", str(certificate)], out.parent, allowed, progress)


def read_symbols(pdb: Path, lines: Path) -> dict[str, Any]:
    """Read a PDB and keep its source lines in the file ``lines``; what the engine says of it: ``pdb_id``, ``methods``,
    ``problems`` … Raises as ``run_engine``."""
    allowed = _allowed(_SYMBOL_SECONDS, _SYMBOL_MEMORY_BYTES, _LINES_BYTES_LIMIT)
    return _run(["symbols", str(pdb), "--out", str(lines)], lines.parent, allowed, _nobody_listens).done


def query_index(index: Path, sql: Path, result: Path, highest: DataClass) -> None:
    """Answer the SELECT in the file ``sql`` over an index, as JSON in the file ``result``. Raises as ``run_engine``."""
    allowed = _allowed(_QUERY_SECONDS, _QUERY_MEMORY_BYTES, _RESULT_BYTES_LIMIT)
    arguments = ["query", str(index), str(sql), "--out", str(result), "--highest", str(int(highest))]
    _run(arguments, result.parent, allowed, _nobody_listens)


def read_values(dump: Path, address: int, result: Path) -> None:
    """Read what one object of a dump holds, as JSON in the file ``result``. Raises as ``run_engine``."""
    _ask_dump(["values", str(dump), f"{address:x}"], result)


def search_texts(dump: Path, index: Path, text: Path, result: Path, *, any_case: bool) -> None:
    """Find strings that contain what the file ``text`` holds, as JSON in the file ``result``. Raises as ``run_engine``."""
    _give_kernels(result.parent)
    _ask_dump(["search", str(dump), str(index), str(text), *(["--any-case"] if any_case else [])], result)


def read_registers(dump: Path, os_id: int, result: Path) -> None:
    """Read registers of a thread of a dump, as JSON in the file ``result``. Raises as ``run_engine``."""
    _ask_dump(["registers", str(dump), str(os_id)], result)


def read_memory(dump: Path, address: int, length: int, result: Path) -> None:
    """Read raw memory of a dump, as JSON in the file ``result``. Raises as ``run_engine``."""
    _ask_dump(["memory", str(dump), f"{address:x}", str(length)], result)


def _give_kernels(scratch: Path) -> None:
    """Compiled kernels as a copy: whoever takes one reader over must not reach the next one through what it compiled."""
    if kernel_directory().exists():
        shutil.copytree(kernel_directory(), scratch / _KERNELS)


def _ask_dump(arguments: list[str], result: Path) -> None:
    allowed = _allowed(_VALUES_SECONDS, _VALUES_MEMORY_BYTES, _RESULT_BYTES_LIMIT)
    _run([*arguments, "--out", str(result)], result.parent, allowed, _nobody_listens)


def _allowed(seconds: int, memory_bytes: int, file_bytes: int) -> _Allowed:
    """For a child that somebody waits for: no more memory than an analysis may use."""
    return _Allowed(seconds, min(memory_bytes, settings.ANALYSIS_MEMORY_BYTES), file_bytes)


def _nobody_listens(**changes: Any) -> None:
    pass


def _run(arguments: list[str], scratch: Path, allowed: _Allowed, progress: Progress) -> _Answer:
    command = settings.ENGINE_COMMAND or [sys.executable, "-m", "analysis"]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(  # noqa: S603  (our own program, arguments are paths we made)
            [*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            cwd=settings.BASE_DIR, env=_environment(scratch), preexec_fn=partial(_limit, allowed), start_new_session=True,
        )  # fmt: skip
        error, late = None, False
        done: dict[str, Any] = {}
        try:
            error, done = _follow(child, progress, allowed.seconds)
            code = child.wait(timeout=30)
        except TimeoutError:
            late = True
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        finally:
            _kill(child)
        log = _tail(errors)
    if late:
        raise EngineCrashed(f"it took longer than {allowed.seconds:,} seconds", log, retry=False)
    if code == 0:
        return _Answer(done, log)
    if code == _REFUSED and error:
        raise EngineRefused(error, log)
    raise _crash(code, log)


def _crash(code: int, log: str) -> EngineCrashed:
    if code >= 0:
        return EngineCrashed("out of memory" if "MemoryError" in log else f"exit code {code}", log, retry=False)
    if -code == signal.SIGXCPU:
        return EngineCrashed("it needed more processor time than is allowed", log, retry=False)
    if -code in _ASKED_TO_END:
        return EngineStopped(f"ended by signal {-code}", log, retry=True)
    return EngineCrashed(
        f"killed by signal {-code}" + (", often for lack of memory" if -code == signal.SIGKILL else ""), log, retry=True
    )


def _follow(child: subprocess.Popen[bytes], progress: Progress, seconds: int) -> tuple[dict[str, str] | None, dict[str, Any]]:
    """Pass progress on until the output ends; the error line when there was one, and the line that says done. Progress is
    called at least every few seconds, and not for every line of an engine that says much. Raises TimeoutError past the
    deadline."""
    deadline, told = time.monotonic() + seconds, 0.0
    changes: dict[str, Any] = {}
    done: dict[str, Any] = {}
    error, stage = None, ""
    for line in _lines(child.stdout):
        now = time.monotonic()
        if now > deadline:
            raise TimeoutError
        message = _parse(line)
        error = _error_in(message) or error
        done = message if message.get("done") is True else done
        if "stage" in message:
            changes = _progress_in(message)
        if now - told >= _PROGRESS_SECONDS or changes.get("stage", stage) != stage:
            progress(**changes)
            stage, told, changes = changes.get("stage", stage), now, {}
    return error, done


def _lines(output: IO[bytes] | None) -> Iterator[bytes]:
    """Lines as they come, an empty one after a few seconds of silence, and none longer than is sensible."""
    if output is None:
        return
    rest = b""
    while True:
        if not select.select([output], [], [], _HEARTBEAT_SECONDS)[0]:
            yield b""
            continue
        read = os.read(output.fileno(), _LINE_BYTES)
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        yield from lines
        if len(rest) > _LINE_BYTES:
            rest = b""
            yield b""


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _progress_in(message: dict[str, Any]) -> dict[str, Any]:
    fraction = message.get("fraction", 0)
    sound = isinstance(fraction, int | float) and math.isfinite(fraction)
    return {
        "stage": plain(str(message["stage"]), 20),
        "fraction": min(1.0, max(0.0, float(fraction))) if sound else 0.0,
        "detail": plain(str(message.get("detail", "")), 200),
    }


def _error_in(message: dict[str, Any]) -> dict[str, str] | None:
    error = message.get("error")
    return {str(key): str(value) for key, value in error.items()} if isinstance(error, dict) else None


def kernel_directory() -> Path:
    """Where compiled kernels are kept. Each analysis reads a copy of its own."""
    return Path(settings.DATA_DIR) / _KERNELS


def kernels_ready() -> bool:
    return any(kernel_directory().glob("kernels-*/*/*.nbi"))


def warm_kernels() -> None:
    """Compile the kernels ahead; without a working compiler the first analysis says what is wrong."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(kernel_directory())}
    subprocess.run(
        [sys.executable, "-m", "analysis", "warm"], cwd=settings.BASE_DIR, env=environment, check=False, stdout=subprocess.DEVNULL
    )


def attempts_from_inside() -> Iterator[dict[str, str]]:
    """What the walls of a child are, and what was tried from inside: ``wall`` or ``attempt``, with ``missing`` or ``problem``
    ("" when all is well)."""
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as elsewhere:
        other = Path(elsewhere) / "other"
        other.touch()
        allowed = _Allowed(_SYMBOL_SECONDS, _SYMBOL_MEMORY_BYTES, _LINES_BYTES_LIMIT)
        command = [sys.executable, "-m", "analysis", "walls", "--other", str(other), "--scratch", scratch]
        found = subprocess.run(  # noqa: S603  (our own program, arguments are paths we made)
            command, cwd=settings.BASE_DIR, env=_environment(Path(scratch)), preexec_fn=partial(_limit, allowed),
            capture_output=True, timeout=_SYMBOL_SECONDS, check=False,
        )  # fmt: skip
    yield from (_parse(line) for line in found.stdout.splitlines())


def _environment(scratch: Path) -> dict[str, str]:
    """Nothing of the server's own: no secrets, no database address."""
    return {
        "PATH": "/usr/bin:/bin", "HOME": str(scratch), "LANG": "C.UTF-8", "NUMBA_CACHE_DIR": str(scratch / _KERNELS),
        "PYTHONPATH": str(settings.BASE_DIR), "DUMP_EXPLORER_REQUIRE_WALLS": "1" if settings.REQUIRE_WALLS else "0",
        # Threads that a library starts before the walls stand would not be held by them.
        "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip


def _limit(allowed: _Allowed) -> None:
    """Runs in the child before the engine: what it may use at most, and that it ends with the worker that started it."""
    end_with_parent(signal.SIGKILL)
    for kind, limit in (
        (resource.RLIMIT_DATA, allowed.memory_bytes),
        (resource.RLIMIT_CPU, allowed.seconds * 2),
        (resource.RLIMIT_FSIZE, allowed.file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        highest = resource.getrlimit(kind)[1]
        limit = limit if highest == resource.RLIM_INFINITY else min(limit, highest)
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
    return without_nul(errors.read().decode("utf-8", "replace"), _LOG_BYTES)
