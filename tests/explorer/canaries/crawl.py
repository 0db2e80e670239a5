"""Everything that somebody gets by GET: links followed breadth first, parts of pages and exports among them."""

from __future__ import annotations

import html
import re
from collections import Counter, deque
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

from django.core.cache import cache
from django.http import HttpResponseBase
from django.test import Client
from django.urls import Resolver404, resolve

_LINK = re.compile(r'(?:href|hx-get|src|action|data-[a-z-]+)="([^"]*)"')
#: Addresses of one name with the same parameters.
_ALIKE = 2
#: Leaves the session, or ends it.
_LEFT_OUT = ("account_logout", "openid_connect_login")


@dataclass
class Crawled:
    """What one person got: names of addresses that answered, and everything that came back."""

    names: Counter[str] = field(default_factory=Counter)
    answers: dict[str, bytes] = field(default_factory=dict)


def crawl(client: Client, most: int, *starts: str) -> Crawled:
    """Visit what ``starts`` lead to, of each name at most so many addresses."""
    found, waiting, known, alike = Crawled(), deque(starts), set(starts), Counter[object]()
    while waiting:
        path = waiting.popleft()
        cache.clear()  # requests count toward a limit
        name = resolve(urlsplit(path).path).url_name
        response = client.get(path)
        found.answers[path] = sent(response)
        found.names[name] += response.status_code == 200
        links = _LINK.findall(found.answers[path].decode("utf-8", "replace"))
        for link in [*links, response.headers.get("Location", "")]:
            address = urldefrag(urljoin(path, html.unescape(link))).url
            if address not in known and _wanted(address, alike, most):
                known.add(address)
                waiting.append(address)
    return found


def sent(response: HttpResponseBase) -> bytes:
    """Body, headers and cookies of an answer."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    head = "\n".join(f"{name}: {value}" for name, value in response.items())
    return f"{head}\n{response.cookies.output()}\n\n".encode() + body


def _wanted(address: str, alike: Counter[object], most: int) -> bool:
    parts = urlsplit(address)
    if parts.netloc or not parts.path.startswith("/") or parts.path.startswith("/static/"):
        return False
    try:
        name = resolve(parts.path).url_name
    except Resolver404:
        return False
    parameters = parse_qsl(parts.query)
    kind = (
        name,
        *sorted(key for key, _ in parameters),
        *(value for key, value in parameters if key in ("format", "view", "table")),
    )
    alike[kind] += 1
    alike[name] += 1
    return name not in _LEFT_OUT and alike[kind] <= _ALIKE and alike[name] <= most
