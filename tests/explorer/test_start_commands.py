"""The start commands of docker-compose.yml, run as processes against PostgreSQL and Redis on this machine."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import requests
import yaml

_PROJECT = Path(__file__).resolve().parents[2]
_SERVICES = yaml.safe_load((_PROJECT / "docker-compose.yml").read_text())["services"]
_SERVER = os.environ.get("TEST_DATABASE_SERVER", "postgres://root@127.0.0.1:5432")
_DATABASE = f"explorer_start_{os.getpid()}"
_REDIS = "redis://127.0.0.1:6379/11"
_KERNELS = Path("~/.cache/dump-explorer/test-kernels").expanduser()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "services" in metafunc.fixturenames:
        here = _answers(5432) and _answers(6379)
        metafunc.parametrize("services", ["PostgreSQL and Redis"] if here else [])


@pytest.fixture
def environment(tmp_path: Path, services: str) -> Iterator[dict[str, str]]:
    with psycopg.connect(f"{_SERVER}/test", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{_DATABASE}"')
        data = tmp_path / "data"
        data.mkdir()
        _KERNELS.mkdir(parents=True, exist_ok=True)
        (data / "kernels").symlink_to(_KERNELS)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EXPLORER_")}
        yield {
            **clean, "EXPLORER_DATA_DIR": str(data), "EXPLORER_DATABASE_URL": f"{_SERVER}/{_DATABASE}",
            "EXPLORER_BROKER_URL": _REDIS,
            "PATH": f"{Path(sys.executable).parent}:{clean['PATH']}",
        }  # fmt: skip
        connection.execute(f'DROP DATABASE "{_DATABASE}" WITH (FORCE)')


def _start(stack: ExitStack, name: str, environment: dict[str, str], port: int) -> None:
    command = (
        _SERVICES[name]["command"]
        .replace("0.0.0.0:8000", f"127.0.0.1:{port}")
        .replace("/tmp/", f"{environment['EXPLORER_DATA_DIR']}/")
    )
    process = subprocess.Popen(shlex.split(command), cwd=_PROJECT, env=environment, start_new_session=True)

    def stop() -> None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)

    stack.callback(stop)


def test_start_commands_serve_and_analyse(environment: dict[str, str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        for name in ("web", "worker", "maintenance", "beat"):
            _start(stack, name, environment, port)
        _until(lambda: _healthy(base), 60)
        issue = (
            "from explorer.models import *; User.objects.update(must_change_password=False); "
            "print(ApiToken.issue(User.objects.get(), 'test')[1])"
        )
        made = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", issue],
            cwd=_PROJECT,
            env=environment,
            capture_output=True,
            text=True,
        )
        sample = _PROJECT / "explorer" / "samples" / "zoo-net10.dmp.zst"
        command = [sys.executable, "-m", "explorer.cli", "upload", str(sample), "--server", base, "--token", made.stdout.strip()]
        sent = subprocess.run(command, cwd=_PROJECT, env=environment, capture_output=True, text=True)
        assert sent.returncode == 0, sent.stderr + made.stderr
        assert sent.stdout.startswith(f"{base}/dumps/")
        _until(lambda: _state(environment) == "done", 90)


def _healthy(base: str) -> bool:
    try:
        return requests.get(f"{base}/healthz", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def _state(environment: dict[str, str]) -> str:
    with psycopg.connect(environment["EXPLORER_DATABASE_URL"]) as connection:
        row = connection.execute("SELECT state FROM explorer_analysis").fetchone()
    return str(row[0]) if row else ""


def _until(condition: object, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.5)
