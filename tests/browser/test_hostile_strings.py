"""Texts made to be taken for something else, in everything that carries text, in a real browser (G15)."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Request

from explorer.models import AuditEntry, Dump, LentAccess, SavedQuery, ServerRole, SymbolFile, Team, User
from explorer.pages.names import visible
from explorer.services.audit import Purpose, write_down
from explorer.services.plain_text import plain
from tests.browser.conftest import Screen
from tests.execution_builder import LOCKS_AT, Execution
from tests.goals import Goals
from tests.graph_builder import GraphSpec
from tests.hostile_strings import STRINGS
from tests.index_builder import IndexSpec, TypeSpec, small_index
from tests.stored_dumps import analysed_dump, received_dump

#: Set before any script of a page: what would run says so, and what the policy stops is remembered.
_TRAPS = """
window.ran = []; window.stopped = [];
for (const name of ['hit', 'alert', 'confirm', 'prompt']) window[name] = () => window.ran.push(name);
document.addEventListener('securitypolicyviolation', event => window.stopped.push(event.violatedDirective));
"""
#: Everything a page says: its text, and what stands in attributes.
_SAID = """
[document.documentElement.textContent,
 ...[...document.querySelectorAll('*')].flatMap(one => [...one.attributes].map(attribute => attribute.value))].join('\\u0000')
"""
_AROUND = [
    "dump-overview", "dump-coverage", "dump-findings", "dump-gc", "dump-modules", "dump-stacks", "dump-locks", "dump-crash",
    "dump-retained", "dump-roots", "dump-strings", "dump-access", "dump-compare-choose",
]  # fmt: skip


def _index(directory: Path) -> Path:
    """Every string as type, thread, method, static field, field, and where a dump has text of its own."""
    types = [TypeSpec(text, 3, 24 + 8 * number, number % 3) for number, text in enumerate(STRINGS)]
    execution = Execution(STRINGS, texts=STRINGS, crash="unhandled exception", throwing_threads=len(STRINGS), message=STRINGS[0])
    graph = GraphSpec(fields=STRINGS, texts=STRINGS, chain=10)
    return small_index(directory, IndexSpec(types, execution, graph, gaps=[*STRINGS[:20]], module_path=STRINGS[1]))


@pytest.fixture
def told(team: Team, alice: User, bob: User, ada: User) -> Dump:
    """A dump whose index is made of the strings, among rows in which people wrote them."""
    dump = analysed_dump(team, alice, build=_index)
    request = HttpRequest()
    request.user = bob
    for number, text in enumerate(STRINGS):
        received_dump(team, alice, text, service=text, build=text, environment=text)
        SavedQuery.objects.create(team=team, owner=alice, name=text, text=text, shared=True)
        SymbolFile.objects.create(team=team, pdb_id=f"{number},1", file_name=text, size_bytes=1, uploaded_by=alice)
        purpose = Purpose("other", text, text)
        write_down(request, AuditEntry.Action.VIEW_HEX, dump=dump, detail=text, purpose=purpose)
    for text in STRINGS[::20]:
        LentAccess.objects.create(team=team, user=ada, explanation=text)
    User.objects.filter(pk=alice.pk).update(server_role=ServerRole.ADMINISTRATOR)
    Dump.objects.filter(pk=dump.pk).update(held_at=timezone.now(), hold_note=STRINGS[3])
    return dump


def _carriers(dump: Dump, team: Team) -> dict[str, str]:
    """Pages on which all strings stand, by what carries them."""
    of_dump = {
        "types": ("dump-types", "?rows=500"),
        "threads": ("dump-threads", "?rows=500"),
        "queries": ("dump-query", ""),
    }
    return {
        **{name: reverse(page, args=[dump.pk]) + query for name, (page, query) in of_dump.items()},
        "names of dumps": "/?rows=500",
        "labels of dumps": "/?rows=500&sort=service",
        "files of symbols": reverse("symbols", args=[team.pk]),
        "words in the audit": "/audit?rows=500",
    }


def test_hostile_strings_are_text_everywhere(screen: Screen, told: Dump, team: Team, alice: User, goals: Goals) -> None:
    page, left = screen.page, []
    page.add_init_script(_TRAPS)

    def watch(request: Request) -> None:
        if not request.url.startswith((screen.base, "data:")) or (
            request.is_navigation_request() and request.frame != page.main_frame
        ):
            left.append(request.url)

    page.on("request", watch)
    screen.sign_in(alice)
    missing: dict[str, list[str]] = {}
    for name, path in _carriers(told, team).items():
        said = _look(screen, path)
        # The audit takes the words of people as one line.
        shown = {text: visible(plain(text, 500) if "audit" in name else text) for text in STRINGS}
        missing[name] = [text for text in STRINGS if shown[text] not in said]
    around = [reverse(name, args=[told.pk]) for name in _AROUND]
    single = [("dump-type", 3), ("dump-thread", 2), ("dump-finding", 1), ("dump-lock", f"{LOCKS_AT:x}")]
    charts = [
        reverse("dump-types", args=[told.pk]) + "?view=treemap",
        reverse("dump-retained", args=[told.pk]) + "?chart=treemap",
    ]
    for path in [*around, *charts, *(reverse(name, args=[told.pk, one]) for name, one in single), "/team", "/holds"]:
        _look(screen, path)
    assert left == []
    cells = len(missing) * len(STRINGS)
    goals.count("G15 hostile strings shown as text, by what carries them", cells - sum(map(len, missing.values())), cells)
    assert [(name, text) for name, texts in missing.items() for text in texts] == []


def _look(screen: Screen, path: str) -> str:
    """Open a page: nothing runs, nothing is stopped for trying, nobody is led away. What the page says."""
    screen.complaints.clear()
    page = screen.go(path)
    screen.wait_for_charts()
    assert (page.evaluate("window.ran"), page.evaluate("window.stopped"), screen.complaints) == ([], [], []), path
    assert page.url == screen.base + path
    return page.evaluate(_SAID)
