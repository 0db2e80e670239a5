"""Texts made to be taken for something else, in everything that carries text, in a real browser (G15)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Request

from explorer.models import AuditEntry, Dump, LentAccess, SavedQuery, ServerRole, ShareLink, SymbolFile, Team, User
from explorer.pages.names import visible
from explorer.services import shares
from explorer.services.audit import Purpose, write_down
from explorer.services.plain_text import plain
from tests.browser.conftest import Screen
from tests.execution_builder import LOCKS_AT, Execution
from tests.explorer.test_originals import with_second_factor
from tests.explorer.test_shares import SHARED
from tests.explorer.test_teams import request_by
from tests.explorer.told_values import held, tell_at_once
from tests.goals import Goals
from tests.graph_builder import GraphSpec
from tests.hostile_strings import STRINGS
from tests.index_builder import HEAP_START, IndexSpec, TypeSpec, small_index
from tests.stored_dumps import analysed_dump, keep_original, received_dump

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
#: What people read of it: texts, and what is told of them; what a field holds is what was put there.
_READ = """
(() => {
  const texts = [document.title], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode())
    if (!walker.currentNode.parentElement.closest('textarea, script')) texts.push(walker.currentNode.data);
  for (const name of ['title', 'aria-label'])
    for (const one of document.querySelectorAll(`[${name}]`)) texts.push(one.getAttribute(name));
  return texts;
})()
"""
#: Characters that turn the direction of a text, or cannot be seen: a page shows their numbers.
_UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\x01-\x08\x0b\x0c\x0e-\x1f]")
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


def _trapped(screen: Screen) -> list[str]:
    """Set the traps; what is asked of another server, and of frames, is noted."""
    page, left = screen.page, list[str]()
    page.add_init_script(_TRAPS)

    def watch(request: Request) -> None:
        if not request.url.startswith((screen.base, "data:")) or (
            request.is_navigation_request() and request.frame != page.main_frame
        ):
            left.append(request.url)

    page.on("request", watch)
    return left


def test_hostile_strings_are_text_everywhere(screen: Screen, told: Dump, team: Team, alice: User, goals: Goals) -> None:
    left = _trapped(screen)
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
    _none_missing(missing, goals)


def test_hostile_values_are_text(screen: Screen, told: Dump, alice: User, goals: Goals, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read from the dump when somebody asks: every string as a field, its type, its value and why there is none."""
    keep_original(told, b"x")
    rows = [held(text, text, text) for text in STRINGS] + [held(text, "", text, text) for text in STRINGS]
    tell_at_once(monkeypatch, {
        "read_values": {"rows": rows, "more": True},
        "read_memory": {"hex": "".join(STRINGS).encode()[:4096].hex()},
        "read_registers": {"rip": 1},
        "search_texts": {"rows": [*range(20)], "lengths": [1] * 20, "total": 20, "read": 20, "cut": 0},
    })  # fmt: skip
    left, missing = _trapped(screen), dict[str, list[str]]()
    screen.take_session(with_second_factor(alice.username))
    at = f"{HEAP_START:x}"
    one = reverse("dump-object", args=[told.pk, at])
    _look(screen, one)
    screen.page.click("text=Show them masked")
    screen.page.wait_for_selector("text=Masked values", state="attached")
    missing["masked values"] = _missing(_said(screen, one))
    asked = {
        "values of an object": (one, reverse("dump-object-values", args=[told.pk, at]), {}),
        "raw memory": (one, reverse("dump-memory", args=[told.pk]), {}),
        "registers": (reverse("dump-thread", args=[told.pk, 2]), reverse("dump-registers", args=[told.pk, 2]), {}),
        "strings found": (reverse("dump-strings", args=[told.pk]), reverse("dump-strings-search", args=[told.pk]),
                          {"text": STRINGS[0]}),
    }  # fmt: skip
    for name, (start, action, values) in asked.items():
        _look(screen, start)
        screen.send(action, **values)
        said = _said(screen, action)
        if name == "values of an object":
            missing[name] = _missing(said)
    assert left == []
    _none_missing(missing, goals)


def test_hostile_strings_are_text_on_shared_pages(screen: Screen, told: Dump, alice: User, goals: Goals) -> None:
    """For whoever has the link: the name of the dump is one of them too."""
    left, missing = _trapped(screen), dict[str, list[str]]()
    for number, what in enumerate(SHARED):
        Dump.objects.filter(pk=told.pk).update(name=STRINGS[number])
        scope, _, part = what.partition(":")
        wanted = shares.Wanted(ShareLink.Scope(scope), int(part) if part else None, 1)
        link, secret = shares.make(request=request_by(alice), dump=told, analysis=told.analysis, wanted=wanted)
        screen.go(reverse("share-open", args=[secret]))
        said = _look(screen, reverse("share", args=[link.pk]))
        if scope == ShareLink.Scope.HEAP_SHAPE:
            missing["types of a shared page"] = _missing(said)
    assert left == []
    _none_missing(missing, goals)


def _missing(said: str) -> list[str]:
    return [text for text in STRINGS if visible(text) not in said]


def _none_missing(missing: dict[str, list[str]], goals: Goals) -> None:
    cells = len(missing) * len(STRINGS)
    goals.count("G15 hostile strings shown as text, by what carries them", cells - sum(map(len, missing.values())), cells)
    assert [(name, text) for name, texts in missing.items() for text in texts] == []


def _look(screen: Screen, path: str) -> str:
    """Open a page; what it says."""
    screen.complaints.clear()
    screen.go(path)
    return _said(screen, path)


def _said(screen: Screen, path: str) -> str:
    """What the open page says: nothing ran, nothing was stopped for trying, nobody was led away."""
    page = screen.page
    screen.wait_for_charts()
    assert (page.evaluate("window.ran"), page.evaluate("window.stopped"), screen.complaints) == ([], [], []), path
    assert page.url == screen.base + path
    unseen = [text for text in page.evaluate(_READ) if _UNSEEN.search(text)]
    assert unseen == [], path
    return page.evaluate(_SAID)
