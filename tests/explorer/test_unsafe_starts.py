"""A server that others reach does not start with settings that are fit for one machine only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.explorer.served import ROOT, clean_environment

PUBLIC = {"EXPLORER_PUBLIC_URL": "https://dumps.example.com", "EXPLORER_ALLOWED_HOSTS": "dumps.example.com"}


def started(data: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """The application as a web server loads it."""
    command = [sys.executable, "-c", "from explorer.wsgi import application"]
    environment = clean_environment(data, **given)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({**PUBLIC, "EXPLORER_DEBUG": "1"}, "EXPLORER_DEBUG"),
        ({**PUBLIC, "EXPLORER_ALLOWED_HOSTS": "*"}, "EXPLORER_ALLOWED_HOSTS"),
        ({**PUBLIC, "EXPLORER_PUBLIC_URL": "http://dumps.example.com"}, "EXPLORER_PUBLIC_URL"),
        ({"EXPLORER_ALLOWED_HOSTS": "dumps.example.com"}, "EXPLORER_PUBLIC_URL"),
        ({"EXPLORER_ALLOWED_HOSTS": "*"}, "EXPLORER_ALLOWED_HOSTS"),
        ({"EXPLORER_ALLOWED_HOSTS": "10.0.0.7", "EXPLORER_DEBUG": "1", "EXPLORER_INSECURE_HTTP": "1"}, "EXPLORER_DEBUG"),
    ],
)
def test_an_unsafe_start_is_refused_and_says_why(given: dict[str, str], named: str, tmp_path: Path) -> None:
    found = started(tmp_path, **given)
    assert found.returncode != 0
    assert "ImproperlyConfigured" in found.stderr.splitlines()[-1] and named in found.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "given",
    [{}, {"EXPLORER_DEBUG": "1"}, PUBLIC, {"EXPLORER_ALLOWED_HOSTS": "10.0.0.7", "EXPLORER_INSECURE_HTTP": "1"}],
    ids=["one machine", "a developer's", "public", "without TLS on purpose"],
)
def test_a_safe_start(given: dict[str, str], tmp_path: Path) -> None:
    found = started(tmp_path, **given)
    assert found.returncode == 0, found.stderr
