"""What only a browser can tell: that pages draw, fit, obey the keyboard and the security policy, and can be read by all."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Route, expect

from analysis.index.store import Index
from explorer.models import Analysis, AuditEntry, Dump, LentAccess, OriginalRequest, ServerRole, State, Team, Upload, User
from explorer.services.audit import Purpose, write_down
from tests.browser.conftest import Screen
from tests.execution_builder import LOCKS_AT
from tests.index_builder import hostile_index
from tests.stored_dumps import analysed_dump, received_dump

DATA = Path(__file__).resolve().parents[1] / "data"
# A frame that zstd readers skip: makes a file bigger and another one without changing what is in it.
SKIPPABLE_FRAME = (0x184D2A50).to_bytes(4, "little") + (1 << 20).to_bytes(4, "little") + bytes(1 << 20)
DUMP_PAGES = (
    ("dump-overview", ""),
    ("dump-types", ""),
    ("dump-types", "?columns=generations"),
    ("dump-types", "?view=tree"),
    ("dump-types", "?view=treemap"),
    ("dump-gc", ""),
    ("dump-modules", ""),
    ("dump-modules", "?show=native"),
    ("dump-threads", ""),
    ("dump-threads", "?view=groups"),
    ("dump-stacks", ""),
    ("dump-locks", ""),
    ("dump-findings", ""),
    ("dump-crash", ""),
    ("dump-coverage", ""),
    ("dump-access", ""),
)
#: Pages that say more, or anything at all, where references were followed.
GRAPH_PAGES = (
    ("dump-overview", ""),
    ("dump-types", ""),
    ("dump-types", "?objects=live&columns=generations"),
    ("dump-types", "?view=tree&at=System"),
    ("dump-types", "?view=assemblies"),
    ("dump-types", "?view=treemap&objects=dead"),
    ("dump-retained", ""),
    ("dump-retained", "?chart=treemap"),
    ("dump-roots", ""),
    ("dump-strings", ""),
    ("dump-gc", ""),
    ("dump-compare-choose", ""),
    ("dump-query", ""),
    ("dump-query", "?q=dumpheap+-stat"),
    ("dump-query", "?q=SELECT+address,+type,+size,+retained+FROM+heap+LIMIT+20"),
    ("dump-query", "?q=SELECT+nothing+FROM+nowhere"),
)
BOTH_WIDTHS = pytest.mark.parametrize("screen", [(1280, "light"), (390, "light")], indirect=True, ids=["wide", "narrow"])
BOTH_THEMES = pytest.mark.parametrize("screen", [(1280, "light"), (1280, "dark")], indirect=True, ids=["light", "dark"])


def paths_of(dump: Dump) -> list[str]:
    pages = [reverse(name, args=[dump.pk]) + query for name, query in DUMP_PAGES]
    single = (("dump-type", 0), ("dump-thread", 1), ("dump-thread", 2), ("dump-lock", f"{LOCKS_AT:x}"), ("dump-finding", 1))
    return [*pages, *(reverse(name, args=[dump.pk, one]) for name, one in single)]


@BOTH_WIDTHS
@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
def test_pages_fit_the_window_and_the_console_is_silent(screen: Screen, hostile: bool, team: Team, alice: User) -> None:
    dump = analysed_dump(team, alice, build=hostile_index) if hostile else analysed_dump(team, alice)
    screen.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    screen.sign_in(alice)
    for path in ["/", "/upload", "/team", "/account", *paths_of(dump)]:
        screen.go(path)
        screen.wait_for_charts()
        assert screen.overflow() <= 0, path
    assert screen.complaints == []


@BOTH_WIDTHS
def test_words_of_people_are_text_and_fit(screen: Screen, team: Team, alice: User, bob: User, erin: User) -> None:
    """Names of dumps and teams, reasons and notes, with nothing to see yet and with everything there is."""
    dump = analysed_dump(team, alice)
    screen.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    User.objects.filter(pk=alice.pk).update(server_role=ServerRole.ADMINISTRATOR)
    screen.sign_in(alice)
    paths = ["/team", "/audit", "/holds", reverse("dump-access", args=[dump.pk])]
    for filled in (False, True):
        if filled:
            words = f"<script>alert(1)</script>\u202e\"' onerror=x {'long' * 30}"
            Dump.objects.update(name=words, held_at=timezone.now(), hold_note=words)
            Team.objects.filter(pk=team.pk).update(name=f"<b>{'x' * 90}</b>")
            OriginalRequest.objects.create(dump=dump, asked_by=erin, explanation=words)
            LentAccess.objects.create(team=team, user=bob, explanation=words)
            request = HttpRequest()
            request.user = bob
            purpose = Purpose("other", words, words[:100])
            write_down(request, AuditEntry.Action.VIEW_HEX, dump=Dump.objects.get(), detail=words, purpose=purpose)
        for path in paths:
            screen.go(path)
            assert screen.overflow() <= 0, (path, filled)
            assert "\u202e" not in screen.page.content()
            check_with_axe(screen, path)
    assert screen.complaints == []


@pytest.fixture
def graph_paths(real: Dump, index: Index, finalizer: Path, team: Team, alice: User) -> list[str]:
    """Pages of a dump whose graph is known, and of its comparison with one that has a long name."""
    long_name = f"{'very_' * 16}long.dmp"
    other = analysed_dump(team, alice, long_name, lambda directory: Path(shutil.copytree(finalizer, directory)))
    names = index.text("types", "name").all
    types = [reverse("dump-type", args=[real.pk, names.index(name)]) for name in ("Free", "System.String", "Scenarios.Derived")]
    rows, counts = index.column("collections", "object").tolist(), index.column("collections", "count").tolist()
    fullest = int(index.column("objects", "address")[rows[counts.index(max(counts))]])
    types.append(reverse("dump-object", args=[real.pk, f"{fullest:x}"]))
    comparisons = [reverse("dump-compare", args=pair) for pair in ((real.pk, other.pk), (other.pk, real.pk))]
    return [*(reverse(name, args=[real.pk]) + query for name, query in GRAPH_PAGES), *types, *comparisons]


@BOTH_WIDTHS
def test_pages_about_what_is_alive_fit_the_window(screen: Screen, graph_paths: list[str], alice: User) -> None:
    screen.sign_in(alice)
    for path in graph_paths:
        screen.go(path)
        screen.wait_for_charts()
        assert screen.overflow() <= 0, path
    assert screen.complaints == []


@BOTH_THEMES
def test_pages_about_what_is_alive_are_accessible(screen: Screen, graph_paths: list[str], alice: User) -> None:
    screen.sign_in(alice)
    _check_all_with_axe(screen, graph_paths)


@BOTH_THEMES
def test_pages_are_accessible(screen: Screen, dump: Dump, team: Team, alice: User) -> None:
    Analysis.objects.create(dump=received_dump(team, alice, "running.dmp"), state=State.RUNNING, stage="heap", fraction=0.3)
    failed = received_dump(team, alice, "failed.dmp")
    Analysis.objects.create(dump=failed, state=State.FAILED, error_what="The file ends early.", error_remedy="Copy it again.")
    screen.sign_in(alice)
    others = ["/", "/upload", "/team", "/account", "/account/password", failed.get_absolute_url()]
    _check_all_with_axe(screen, [*others, *paths_of(dump)])


def _check_all_with_axe(screen: Screen, paths: list[str]) -> None:
    for path in paths:
        screen.go(path)
        check_with_axe(screen, path)


def check_with_axe(screen: Screen, path: str) -> None:
    """The page that is open breaks no rule."""
    problems = found_by_axe(screen)
    assert not problems, f"{path}: {json.dumps(problems[:4], indent=1)}"


def found_by_axe(screen: Screen) -> list[tuple[str, str, str]]:
    """Which rules the page that is open breaks, where, and how to mend it."""
    screen.wait_for_charts()
    # Of rules that hold, axe would work out a selector for each of thousands of elements.
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"], "resultTypes": ["violations"]}
    found = Axe().run(screen.page, options=rules)
    return [
        (violation["id"], node["html"][:160], node["failureSummary"][:200])
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]


def test_the_treemap_draws_and_leads_to_a_type(screen: Screen, dump: Dump, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(reverse("dump-types", args=[dump.pk]) + "?view=treemap")
    screen.wait_for_charts()
    assert page.locator("[data-chart] g.slice").count() >= 5
    page.locator("g.slice", has_text="Byte[]").last.click(force=True)
    page.wait_for_url("**/heap/types/3")
    assert screen.complaints == []


def test_hostile_names_are_text_in_charts_and_tables(screen: Screen, team: Team, alice: User) -> None:
    dump = analysed_dump(team, alice, build=hostile_index)
    screen.sign_in(alice)
    page = screen.go(reverse("dump-types", args=[dump.pk]))
    expect(page.get_by_text("<script>alert(1)</script>", exact=True).first).to_be_visible()
    screen.go(reverse("dump-types", args=[dump.pk]) + "?view=treemap")
    screen.wait_for_charts()
    drawn = page.evaluate("document.querySelector('[data-chart]').textContent")
    assert "<script>alert(1)</script>" in drawn
    assert page.locator("[data-chart] img, [data-chart] a, [data-chart] script").count() == 0


def test_typing_in_the_filter_narrows_the_list_and_the_url(screen: Screen, dump: Dump, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(reverse("dump-types", args=[dump.pk]))
    page.keyboard.press("/")
    page.keyboard.type("order")
    expect(page.locator("#table-types tbody tr")).to_have_count(2)
    assert "q=order" in page.url
    page.reload()
    expect(page.locator("#table-types tbody tr")).to_have_count(2)


def test_a_query_is_run_from_the_keyboard_and_kept(screen: Screen, dump: Dump, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(reverse("dump-query", args=[dump.pk]))
    page.get_by_label("A command of SOS, or SQL").fill("dumpheap -stat")
    page.keyboard.press("Control+Enter")
    expect(page.locator("pre.answer")).to_contain_text("Class Name")
    page.get_by_text("Save this query").click()
    page.get_by_label("Name of the query").fill("Types")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="Types", exact=True).last).to_be_visible()
    expect(page.get_by_text("Saved as Types.")).to_be_visible()
    assert screen.complaints == []


def test_a_namespace_opens_and_closes_in_place(screen: Screen, dump: Dump, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(reverse("dump-types", args=[dump.pk]) + "?view=tree")
    rows = page.locator(".tree tbody tr:visible")
    closed = rows.count()
    page.get_by_role("link", name="System", exact=True).click()
    expect(rows).to_have_count(closed + 3)
    page.get_by_role("link", name="Collections", exact=True).click()
    expect(rows).to_have_count(closed + 4)
    page.get_by_role("link", name="System", exact=True).click()
    expect(rows).to_have_count(closed)


def test_keys_lead_to_pages_and_help(screen: Screen, dump: Dump, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(dump.get_absolute_url())
    for key, path in (("h", "heap"), ("t", "threads"), ("c", "gc"), ("m", "modules")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/{path}")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_theme_switch_is_remembered(screen: Screen, dump: Dump, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("[data-theme-switch]").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_a_running_analysis_turns_into_its_result_by_itself(screen: Screen, dump: Dump, alice: User) -> None:
    analysis = Analysis.objects.get(dump=dump)
    Analysis.objects.filter(pk=analysis.pk).update(state=State.RUNNING, stage="types", fraction=0.5)
    screen.sign_in(alice)
    page = screen.go(dump.get_absolute_url())
    expect(page.locator("#progress")).to_be_visible()
    Analysis.objects.filter(pk=analysis.pk).update(state=State.DONE)
    expect(page.get_by_role("heading", name="Biggest types")).to_be_visible(timeout=8000)


def test_a_dump_dropped_on_the_page_becomes_a_result(screen: Screen, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go("/upload")
    page.fill("[name=service]", "scenarios")
    page.set_input_files("input[type=file]", DATA / "zoo-mini-net10.dmp.zst")
    page.wait_for_url("**/dumps/*", timeout=60000)
    expect(page.get_by_text("No managed heap in this dump")).to_be_visible(timeout=60000)
    expect(page.locator(".chip", has_text="scenarios")).to_be_visible()
    assert screen.complaints == []


def test_a_wrong_file_is_refused_with_its_reason(screen: Screen, alice: User, tmp_path: Path) -> None:
    wrong = tmp_path / "notes.txt"
    wrong.write_text("not a dump\n" * 5000)
    screen.sign_in(alice)
    page = screen.go("/upload")
    page.set_input_files("input[type=file]", wrong)
    refusal = page.locator("[data-uploads] .refused")
    expect(refusal).to_be_visible(timeout=20000)
    assert "text" in refusal.inner_text().lower()
    assert not Dump.objects.exists()


def test_an_upload_goes_on_after_its_tab_was_closed(screen: Screen, alice: User, tmp_path: Path) -> None:
    big = tmp_path / "big.dmp.zst"
    big.write_bytes((DATA / "zoo-mini-net10.dmp.zst").read_bytes() + SKIPPABLE_FRAME)
    screen.sign_in(alice)
    page = screen.go("/upload")
    page.route("**/api/uploads/*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_())
    page.set_input_files("input[type=file]", big)
    expect(page.locator("[data-uploads] li")).to_have_count(1)
    # The page's own policy forbids a waiting function to be compiled in it, so that the question is asked from outside.
    for _ in range(100):
        if page.evaluate("Object.keys(localStorage).some(key => key.startsWith('tus::'))"):
            break
        page.wait_for_timeout(50)
    context = page.context
    page.close()
    again = context.new_page()
    again.goto(screen.base + "/upload")
    expect(again.get_by_text("Unfinished since")).to_be_visible()
    again.set_input_files("input[type=file]", big)
    again.wait_for_url("**/dumps/*", timeout=60000)
    assert Upload.objects.count() == 1


def test_an_upload_pauses_and_goes_on(screen: Screen, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go("/upload")
    held: list[Route] = []
    page.route("**/api/uploads/*", lambda route: held.append(route) if route.request.method == "PATCH" else route.continue_())
    page.set_input_files("input[type=file]", DATA / "zoo-mini-net10.dmp.zst")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("What was sent is kept.")).to_be_visible()
    page.unroute("**/api/uploads/*")
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/dumps/*", timeout=60000)


def test_a_newcomer_looks_at_the_sample(screen: Screen, alice: User) -> None:
    page = screen.sign_in(alice)
    page.get_by_role("button", name="Look at a sample").click()
    expect(page.get_by_role("heading", name="Biggest types")).to_be_visible(timeout=60000)
    screen.wait_for_charts()
    expect(page.locator(".coverage")).to_contain_text("Heap complete, 15,850 objects")
    assert screen.complaints == []


def test_the_lock_graph_is_walked_by_keyboard_and_saved(screen: Screen, dump: Dump, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(reverse("dump-locks", args=[dump.pk]))
    graph = page.locator("[data-lock-graph][data-drawn]")
    expect(graph).to_be_visible()
    for button, ending, beginning in (("svg", ".svg", b"<svg"), ("png", ".png", b"\x89PNG")):
        with page.expect_download() as saved:
            page.click(f"[data-graph-{button}]")
        assert saved.value.suggested_filename.endswith(ending)
        assert Path(saved.value.path()).read_bytes().startswith(beginning)
    graph.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-graph-status]")).to_contain_text("Enter opens it")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/(threads|locks)/[0-9a-f]+$"))
    assert screen.complaints == []


@BOTH_WIDTHS
def test_the_flame_graph_is_drawn(screen: Screen, dump: Dump, alice: User) -> None:
    screen.sign_in(alice)
    page = screen.go(reverse("dump-stacks", args=[dump.pk]))
    screen.wait_for_charts()
    assert page.locator("[data-chart] .slice").count() == 4
    assert screen.complaints == []
