"""Run the tests of the web application that use its database once more, on PostgreSQL and Redis, when both answer on this
machine: ``python -m tests.on_services``. Those that start servers of their own ran as they are (``tests/conftest.py``).

Without them it says so and ends well: everything ran on SQLite and the embedded broker before.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

_DATABASE = os.environ.get("TEST_DATABASE_URL", "postgres://root@127.0.0.1:5432/test?options=-c%20synchronous_commit%3Doff")
_BROKER = os.environ.get("TEST_BROKER_URL", "redis://127.0.0.1:6379/9")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def main() -> int:
    if not (_answers(5432) and _answers(6379)):
        print("No PostgreSQL and Redis on 127.0.0.1: the web tests ran on SQLite and the embedded broker only.")
        return 0
    environment = {**os.environ, "EXPLORER_DATABASE_URL": _DATABASE, "EXPLORER_BROKER_URL": _BROKER}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", "tests/explorer", *sys.argv[1:]]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
