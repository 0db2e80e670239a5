"""Somebody who opens the overview of a leak finds it: the first sentence names it, and a click shows the way from the root."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from analysis.pipeline import analyse
from explorer.models import Team, User
from tests.analysis.reference_dumps import reference_dumps
from tests.explorer.pages.visits import body_of
from tests.stored_dumps import analysed_dump

#: Words of the first sentence, and what stands behind one more click. Names are those of the programs' sources.
_LEAKS = {
    "net10/leak": (("Dictionary<", "Leak.processor", "20,000", "Customer"), ("CustomerCache", "byId")),
    "net9/leak": (("Dictionary<", "Leak.processor", "20,000", "Customer"), ("CustomerCache", "byId")),
    "net8/leak": (("Dictionary<", "Leak.processor", "20,000", "Customer"), ("CustomerCache", "byId")),
    "net10/events": (("EventHandler<", "EventLeak.publisher", "3,000"), ("Publisher",)),
    "web/webshop": (("MemoryCache", "3,000", "CacheEntry"), ("MemoryCache",)),
}
_DUMPS = [dump for dump in reference_dumps() if dump.name in _LEAKS]


@pytest.mark.parametrize("reference", _DUMPS, ids=lambda dump: dump.name)
def test_the_leak_is_named_and_its_way_is_one_click_away(reference, team: Team, alice: User, as_alice: Client) -> None:  # type: ignore[no-untyped-def]
    def build(directory: Path) -> Path:
        analyse(reference.path, directory, lambda stage, fraction, detail: None)
        return directory

    dump = analysed_dump(team, alice, reference.path.name, build)
    verdict = body_of(as_alice, dump.get_absolute_url()).split('class="verdict"')[1].split("</p>")[0]
    named, behind = _LEAKS[reference.name]
    for word in named:
        assert word in unescape(verdict), word
    found = re.search(r'href="([^"]*/objects/[0-9a-f]+)"', verdict)
    assert found
    way = unescape(body_of(as_alice, found[1])).split("Why it is alive")[1].split("</ol>")[0]
    for word in behind:
        assert word in way, word
    first_finding = unescape(body_of(as_alice, f"{dump.get_absolute_url()}/findings/1"))
    shared = first_finding.split("Why they are alive")[1].split("</ol>")[0]
    assert any(word in shared for word in (named[-1], *behind))
