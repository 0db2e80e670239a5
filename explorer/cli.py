"""``dump-explorer``: send dumps to a server, or analyse one here without any.

    dump-explorer upload FILE… --server https://dumps.example.com --token dex_…
    dump-explorer analyse FILE

Uploads resume: an interrupted command goes on from where the server stands when it is given the same file again.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests

from analysis.index import Index, open_index

_PIECE_BYTES = 16 << 20
_READ_BYTES = 1 << 20
_TRIES = 5
_AGAIN = (423, 460, 500, 502, 503, 504)  # another request writes, damaged on the way, the server is busy
_SECONDS_BETWEEN_TRIES = 2.0
_TYPES_SHOWN = 20
_STATE = Path("~/.cache/dump-explorer/uploads.json").expanduser()


class _TryAgain(Exception):
    """The server could not take a piece now, or it arrived damaged."""


class CommandFailed(Exception):
    """What went wrong, for the person at the terminal."""


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="dump-explorer", description="Explore .NET process dumps.")
    commands = parser.add_subparsers(dest="command", required=True)
    upload = commands.add_parser("upload", help="send dumps to a server; interrupted uploads resume")
    upload.add_argument("files", nargs="+", type=Path)
    upload.add_argument("--server", default=os.environ.get("EXPLORER_SERVER", "http://127.0.0.1:8000"))
    upload.add_argument(
        "--token", default=os.environ.get("EXPLORER_TOKEN", ""), help="API token from your account page (EXPLORER_TOKEN)"
    )
    upload.add_argument("--team", default="", help="id of the team; only needed when you belong to several")
    for label in ("service", "build", "environment"):
        upload.add_argument(f"--{label}", default="")
    analyse = commands.add_parser("analyse", help="read a dump here, without a server, and print the summary")
    analyse.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "analyse":
            return _analyse(options.file)
        for file in options.files:
            _Uploader(options.server, options.token).upload(file, options)
    except (CommandFailed, OSError) as failure:
        _say(f"dump-explorer: {failure}", aside=True)
        return 1
    return 0


def _say(text: str, *, aside: bool = False) -> None:
    """Results go to standard output, progress and complaints aside to standard error."""
    stream = sys.stderr if aside else sys.stdout
    stream.write(text + "\n")
    stream.flush()


class _Uploader:
    """The client's side of tus 1.0."""

    def __init__(self, server: str, token: str) -> None:
        if not token:
            raise CommandFailed("no token: make one on your account page and give it with --token or EXPLORER_TOKEN")
        self._server = server.rstrip("/") + "/"
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"})

    def upload(self, file: Path, options: argparse.Namespace) -> None:
        """Send one file; prints progress and where the dump is."""
        size = file.stat().st_size
        key = f"{self._server}|{file.resolve()}|{size}|{file.stat().st_mtime_ns}"
        location, offset = self._resume(key)
        if not location:
            location = self._create(file, size, options)
            _remember(key, location)
        began, first = time.monotonic(), offset
        failures = 0
        while offset < size:
            try:
                if failures:
                    offset = self._offset(location, file)
                offset = self._send(location, file, offset, min(_PIECE_BYTES, size - offset)) if offset < size else offset
                failures = 0
            except (requests.ConnectionError, _TryAgain) as error:
                failures += 1
                if failures >= _TRIES:
                    raise CommandFailed(f"{file.name}: not sent yet; run the command again to go on ({error})") from error
                time.sleep(_SECONDS_BETWEEN_TRIES)
                continue
            rate = (offset - first) / max(time.monotonic() - began, 0.001)
            _say(f"{file.name}: {offset / size:.0%} of {size:,} bytes, {rate / 1e6:.0f} MB/s", aside=True)
        _forget(key)
        answer = self._session.head(location)
        _say(urljoin(self._server, answer.headers.get("Dump-Location", "")))

    def _resume(self, key: str) -> tuple[str, int]:
        location = _remembered().get(key, "")
        if not location:
            return "", 0
        answer = self._session.head(location)
        return (location, int(answer.headers["Upload-Offset"])) if answer.status_code == 200 else ("", 0)

    def _create(self, file: Path, size: int, options: argparse.Namespace) -> str:
        said = {"filename": file.name, "team": options.team, "service": options.service, "build": options.build,
                "environment": options.environment}  # fmt: skip
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items() if value)
        try:
            answer = self._session.post(
                urljoin(self._server, "api/uploads/"), headers={"Upload-Length": str(size), "Upload-Metadata": metadata}
            )
        except requests.ConnectionError as error:
            raise CommandFailed(f"no server answers at {self._server}") from error
        return urljoin(self._server, _checked(answer, file).headers["Location"])

    def _send(self, location: str, file: Path, offset: int, length: int) -> int:
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        with _Part(file, offset, length) as part:
            headers["Upload-Checksum"] = f"sha256 {base64.b64encode(_digest(part)).decode()}"
        with _Part(file, offset, length) as part:
            answer = self._session.patch(location, data=part, headers=headers)
        if answer.status_code in _AGAIN:
            raise _TryAgain(f"the server answered {answer.status_code}")
        return int(_checked(answer, file).headers["Upload-Offset"])

    def _offset(self, location: str, file: Path) -> int:
        return int(_checked(self._session.head(location), file).headers["Upload-Offset"])


class _Part:
    """A stretch of a file as the body of one request; its length is known, so that it is not sent in chunks."""

    def __init__(self, file: Path, offset: int, length: int) -> None:
        self._source, self._left = file.open("rb"), length
        self._source.seek(offset)

    def __len__(self) -> int:
        return self._left

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(min(self._left, size if size > 0 else _READ_BYTES))
        self._left -= len(piece)
        return piece

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *error: object) -> None:
        self._source.close()


def _digest(part: _Part) -> bytes:
    found = hashlib.sha256()
    while piece := part.read(_READ_BYTES):
        found.update(piece)
    return found.digest()


def _checked(answer: requests.Response, file: Path) -> requests.Response:
    if answer.ok:
        return answer
    try:
        said = answer.json()
        text = " ".join(part for part in (said.get("what"), said.get("remedy")) if part)
    except ValueError:
        text = f"the server answered {answer.status_code}"
    raise CommandFailed(f"{file.name}: {text}")


def _remembered() -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(_STATE.read_text())
    except (OSError, ValueError):
        return {}
    return known


def _remember(key: str, location: str) -> None:
    _STATE.parent.mkdir(parents=True, exist_ok=True)
    _STATE.write_text(json.dumps({**_remembered(), key: location}))


def _forget(key: str) -> None:
    _STATE.write_text(json.dumps({known: at for known, at in _remembered().items() if known != key}))


def _analyse(file: Path) -> int:
    """Run the engine as the server would, and print what it found."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "index"
        command = [sys.executable, "-m", "analysis", str(file), "--out", str(out)]
        child = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parent.parent, check=False)  # noqa: S603
        lines = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
        error = next((line["error"] for line in lines if "error" in line), None)
        if error:
            raise CommandFailed(" ".join(part for part in (error["what"], error["where"], error["remedy"]) if part))
        if child.returncode:
            raise CommandFailed(f"the analysis stopped unexpectedly\n{child.stderr[-2000:]}")
        _say("\n".join(_report(open_index(out))))
    return 0


def _findings(index: Index) -> list[str]:
    """What the rules found, threads by id, locks by type and address."""
    items = index.facts("findings").get("items", [])
    if not items:
        return ["", f"None of {len(index.facts('findings').get('passed', []))} rules found anything wrong with the threads."]
    return [
        "",
        *(f"{item['severity']}: {_sentence(index, item['title'])}. {_sentence(index, item['summary'])}" for item in items),
    ]


def _sentence(index: Index, pieces: list[dict[str, Any]]) -> str:
    return "".join(str(piece["text"]) if "text" in piece else _named(index, piece["ref"], piece["row"]) for piece in pieces)


def _named(index: Index, kind: str, row: int) -> str:
    if kind == "thread":
        return f"thread {int(index.column('threads', 'managed_id')[row])}"
    if kind == "lock":
        return f"{index.text('locks', 'type_name')[row]} {int(index.column('locks', 'object')[row]):#x}"
    if kind == "exception":
        return str(index.text("exceptions", "type_name")[row])
    method = int(index.column("frames", "method")[row])
    return str(index.text("methods", "name")[method]) if method >= 0 else str(index.text("frames", "label")[row])


def _report(index: Index) -> list[str]:
    summary = index.facts("summary")
    coverage = index.facts("coverage")["items"]
    process, runtime, dump = summary["process"], summary["runtime"], summary["dump"]
    lines = [
        f"{process['name']}, pid {process['pid']}: .NET {runtime['version']} ({runtime['deployment']}), "
        f"{dump['operating_system']} {dump['architecture']}, {dump['kind']} dump by {dump['written_by']}",
        *(f"  {item['state']:<9} {item['title']}{': ' if item['reason'] else ''}{item['reason']}" for item in coverage),
    ]  # fmt: skip
    lines += _findings(index)
    if summary["heap"]:
        sizes, counts, names = index.column("types", "size"), index.column("types", "count"), index.text("types", "name")
        lines += ["", f"{'bytes':>15} {'objects':>11}  type"]
        for row in sizes.argsort()[::-1][:_TYPES_SHOWN].tolist():
            lines.append(f"{int(sizes[row]):>15,} {int(counts[row]):>11,}  {names[row]}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
