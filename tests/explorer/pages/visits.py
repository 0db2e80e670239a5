"""Visits to the pages about execution: their addresses, their bodies, and where their links lead."""

from __future__ import annotations

import html
import re
from urllib.parse import urldefrag, urljoin

from django.test import Client
from django.urls import reverse

from explorer.models import Dump, Team, User
from tests.execution_builder import LOCKS_AT, NATIVE_THREAD, Execution
from tests.index_builder import IndexSpec, small_index
from tests.stored_dumps import analysed_dump

PAGES = ("dump-overview", "dump-threads", "dump-stacks", "dump-locks", "dump-findings", "dump-crash", "dump-coverage")

#: What a form that asks for values sends.
WHY = {"reason": "incident", "explanation": "looking for what leaks", "ticket": "OPS-1"}


def address(dump: Dump, name: str, *arguments: object) -> str:
    return reverse(name, args=[dump.pk, *arguments])


def body_of(client: Client, path: str, **parameters: str) -> str:
    response = client.get(path, parameters)
    assert response.status_code == 200, path
    raw = b"".join(response.streaming_content) if response.streaming else response.content
    return raw.decode()


def everything(dump: Dump) -> list[str]:
    """Every address of a dump that says something about its execution."""
    single = [
        address(dump, "dump-thread", 1),
        address(dump, "dump-thread", 2),
        address(dump, "dump-native-thread", NATIVE_THREAD),
        address(dump, "dump-lock", f"{LOCKS_AT:x}"),
        address(dump, "dump-finding", 1),
    ]
    return [*(address(dump, name) for name in PAGES), *single]


def dump_of(team: Team, user: User, execution: Execution, name: str = "made.dmp") -> Dump:
    """An analysed dump whose threads did what ``execution`` says."""
    return analysed_dump(team, user, name, build=lambda directory: small_index(directory, IndexSpec(execution=execution)))


def threads(count: int) -> list[str]:
    """Names for ``count`` threads; the last one has ended."""
    return [f"worker {number}" for number in range(count)]


def broken_links(client: Client, pages: list[str]) -> list[str]:
    """Links to a dump's pages that lead nowhere, and links to a part of a page that is not there."""
    links: set[str] = set()
    for page in pages:
        links |= {urljoin(page, html.unescape(link)) for link in re.findall(r'href="([^"]*)"', body_of(client, page))}
    found, bodies = [], dict[str, str]()
    for link in sorted(link for link in links if link.startswith("/dumps/")):
        path, part = urldefrag(link)
        if path not in bodies:
            response = client.get(path)
            raw = b"".join(response.streaming_content) if response.streaming else response.content
            bodies[path] = raw.decode() if response.status_code == 200 else ""
        if not bodies[path] or (part and f'id="{part}"' not in bodies[path]):
            found.append(link)
    return found
