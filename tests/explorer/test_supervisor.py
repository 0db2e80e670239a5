"""``manage.py up`` as a newcomer runs it: from nothing to an analysed sample, stopped cleanly, started again with its data."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

_PROJECT = Path(__file__).resolve().parents[2]
_KERNELS = Path("~/.cache/dump-explorer/test-kernels").expanduser()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _said(process: subprocess.Popen[str], until: str, seconds: float = 120) -> str:
    """What the process printed up to the line that holds ``until``."""
    assert process.stdout is not None
    lines, deadline = [], time.monotonic() + seconds
    for line in process.stdout:
        lines.append(line)
        if until in line:
            break
        assert time.monotonic() < deadline, lines
    return "".join(lines)


@contextmanager
def _server(data: Path, port: int, **more: str) -> Iterator[subprocess.Popen[str]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EXPLORER_")} | more
    _KERNELS.mkdir(parents=True, exist_ok=True)
    data.mkdir(exist_ok=True)
    if not (data / "kernels").exists():
        (data / "kernels").symlink_to(_KERNELS)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port)], cwd=_PROJECT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**environment, "EXPLORER_DATA_DIR": str(data), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _processes_of(data: Path) -> list[str]:
    """Command lines of processes whose environment names the data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"EXPLORER_DATA_DIR={data}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def _sign_in(base: str, name: str, password: str) -> requests.Session:
    session = requests.Session()
    session.get(f"{base}/login")
    session.post(f"{base}/login", data={"login": name, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]})
    return session


def test_from_nothing_to_a_sample_and_again(tmp_path: Path) -> None:
    data, port = tmp_path / "data", _free_port()
    base = f"http://127.0.0.1:{port}"
    with _server(data, port) as process:
        said = _said(process, "one-time password")
        assert base in said
        password = re.search(r"one-time password\s+(\S+)", said)
        assert password
        session = _sign_in(base, "admin", password.group(1))
        assert session.get(base).url.endswith("/account/password")
        changed = {"old_password": password.group(1), "new_password1": "a long new secret", "new_password2": "a long new secret"}
        token = {"csrfmiddlewaretoken": session.cookies["csrftoken"]}
        assert session.post(f"{base}/account/password", data={**changed, **token}).status_code == 200
        archive = session.get(base)
        assert "Look at a sample" in archive.text
        sample = session.post(f"{base}/sample", data={"csrfmiddlewaretoken": session.cookies["csrftoken"]})
        assert "/dumps/" in sample.url
        deadline = time.monotonic() + 90
        while "System.String" not in session.get(f"{sample.url}/heap").text:
            assert time.monotonic() < deadline, session.get(sample.url).text
            time.sleep(1)
    assert process.returncode == 0
    assert _processes_of(data) == []
    with _server(data, port) as process:
        said = _said(process, base)
        assert "Sign in as" not in said
        assert "System.String" in _sign_in(base, "admin", "a long new secret").get(f"{sample.url}/heap").text
    assert process.returncode == 0


def test_a_child_that_dies_ends_the_server_with_a_message(tmp_path: Path) -> None:
    data, port = tmp_path / "data", _free_port()
    with _server(data, port) as process:
        _said(process, "one-time password")
        worker = next(
            int(entry.name) for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and (entry / "cmdline").exists() and b"celery" in (entry / "cmdline").read_bytes()
            and f"EXPLORER_DATA_DIR={data}".encode() in (entry / "environ").read_bytes()
        )  # fmt: skip
        os.killpg(os.getpgid(worker), signal.SIGKILL)
        said = _said(process, "stopped by itself", 30)
        assert "worker" in said or "maintenance" in said
        assert process.wait(timeout=30) != 0
    assert _processes_of(data) == []


def test_a_second_server_on_the_same_data_or_port_says_why_it_does_not_start(tmp_path: Path) -> None:
    data, port = tmp_path / "data", _free_port()
    with _server(data, port) as first:
        _said(first, "one-time password")
        with _server(data, _free_port()) as second:
            assert "already runs" in _said(second, "already runs", 30)
            assert second.wait(timeout=30) != 0
        with _server(tmp_path / "other", port) as third:
            assert f"Port {port} is in use" in _said(third, "in use", 30)
            assert third.wait(timeout=30) != 0
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok


def test_a_public_server_whose_supervisor_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    data, port = tmp_path / "data", _free_port()
    public = {"EXPLORER_PUBLIC_URL": "https://dumps.example.com", "EXPLORER_ALLOWED_HOSTS": "dumps.example.com"}
    with _server(data, port, **public) as process:
        _said(process, "one-time password")  # it became ready: the loopback address is answered besides the public name
        process.kill()
        deadline = time.monotonic() + 30
        while left := _processes_of(data):
            assert time.monotonic() < deadline, left
            time.sleep(0.2)
