"""A server that is killed in the middle of an upload, and one that takes a large file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests

from tests.explorer.elf_cores import core_bytes
from tests.explorer.served import Server, clean_environment, migrate, run_python

MEGABYTE = 1 << 20
MAKE_PERSON = """
from explorer.models import ApiToken, User
from explorer.services.teams import first_administrator
first_administrator()
User.objects.update(must_change_password=False)
print(ApiToken.issue(User.objects.get(), "test")[1])
"""
FIND_DUMP = """
import hashlib
from explorer.models import Dump
from explorer.services.vault import open_original
dump, digest = Dump.objects.get(), hashlib.sha256()
for piece in open_original(dump).pieces():
    digest.update(piece)
print(digest.hexdigest(), dump.sha256, dump.size_bytes)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = clean_environment(tmp_path_factory.mktemp("served"), EXPLORER_FREE_DISK_BYTES="1000000")
    migrate(environment)
    server = Server(environment)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def headers(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {run_python(MAKE_PERSON, server.environment)}", "Tus-Resumable": "1.0.0"}


def create(server: Server, headers: dict[str, str], length: int) -> str:
    answer = requests.post(f"{server.url}/api/uploads/", headers={**headers, "Upload-Length": str(length)}, timeout=20)
    assert answer.status_code == 201, answer.text
    return server.url + answer.headers["Location"]


def patch(address: str, headers: dict[str, str], offset: int, body: object) -> requests.Response:
    sent = {**headers, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return requests.patch(address, data=body, headers=sent, timeout=120)


class Throttled:
    """A body that goes out slowly; ``on_sent`` hears how much is gone."""

    def __init__(self, content: bytes, kill_at: int, server: Server) -> None:
        self.content, self.kill_at, self.server, self.at = content, kill_at, server, 0

    def __len__(self) -> int:
        return len(self.content)

    def read(self, size: int = -1) -> bytes:
        if self.kill_at and self.at >= self.kill_at:
            self.server.kill()
            self.kill_at = 0
        time.sleep(0.0008)
        piece = self.content[self.at : self.at + min(size, 256 << 10) if size > 0 else None]
        self.at += len(piece)
        return piece


def test_an_upload_survives_servers_that_are_killed(server: Server, headers: dict[str, str]) -> None:
    content = core_bytes(210 * MEGABYTE)
    address = create(server, headers, len(content))
    offsets = [0]
    for kill_after in (80 * MEGABYTE, 80 * MEGABYTE):
        body = Throttled(content[offsets[-1] :], kill_after, server)
        with suppress(requests.ConnectionError):
            patch(address, headers, offsets[-1], body)
        server.start()
        head = requests.head(address, headers=headers, timeout=20)
        assert head.status_code == 200
        offsets.append(int(head.headers["Upload-Offset"]))
    assert 0 < offsets[1] < offsets[2] < len(content)
    answer = patch(address, headers, offsets[-1], content[offsets[-1] :])
    assert answer.status_code == 204
    kept, digest, size = run_python(FIND_DUMP, server.environment).split()
    assert int(size) == len(content)
    assert kept == digest == hashlib.sha256(content).hexdigest()


def test_a_large_upload_needs_little_memory(server: Server, headers: dict[str, str]) -> None:
    piece, pieces = core_bytes(MEGABYTE, seed=2), 300
    address = create(server, headers, pieces * MEGABYTE)
    began = time.monotonic()
    answer = patch(address, headers, 0, _Repeated(piece, pieces))
    seconds = time.monotonic() - began
    assert answer.status_code == 204
    assert answer.headers["Dump-Location"]
    assert server.resident_bytes() < 150 * MEGABYTE
    print(f"{pieces / seconds:.0f} MB/s, {server.resident_bytes() >> 20} MiB")


class _Repeated:
    def __init__(self, piece: bytes, times: int) -> None:
        self.piece, self.left, self.length = piece, times, times * len(piece)

    def __len__(self) -> int:
        return self.length

    def read(self, size: int = -1) -> bytes:
        self.left -= 1
        return self.piece if self.left >= 0 else b""
