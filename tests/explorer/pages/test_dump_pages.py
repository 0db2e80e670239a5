"""Every page of a dump in every state, for everybody who may and may not see it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.test import Client
from django.urls import reverse

from explorer.models import Analysis, Dump, State, Team, User
from tests.execution_builder import Execution
from tests.index_builder import HOSTILE_NAMES, IndexSpec, TypeSpec, hostile_index, mini_index, small_index
from tests.stored_dumps import analysed_dump, received_dump

RESULT_PAGES = ("dump-types", "dump-gc", "dump-modules", "dump-threads", "dump-coverage")
ADDRESSES = (*RESULT_PAGES, "dump-overview")


def address(dump: Dump, name: str, *arguments: object) -> str:
    return reverse(name, args=[dump.pk, *arguments])


def text_of(response) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode()


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_stranger_gets_404_and_nobody_gets_the_sign_in_page(name: str, dump: Dump, as_mallory: Client) -> None:
    assert as_mallory.get(address(dump, name)).status_code == 404
    assert Client().get(address(dump, name))["Location"].startswith(reverse("account_login"))


def test_a_stranger_gets_404_for_one_type_and_its_export(dump: Dump, as_mallory: Client) -> None:
    assert as_mallory.get(address(dump, "dump-type", 0)).status_code == 404
    assert as_mallory.get(address(dump, "dump-type", 0), {"format": "csv"}).status_code == 404


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("build", [small_index, mini_index, hostile_index])
def test_every_page_draws_every_kind_of_index(name: str, build, team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, build=build)
    response = as_alice.get(address(dump, name))
    assert response.status_code == 200
    body = text_of(response)
    assert "<script>alert" not in body and "onerror=alert(2)>" not in body.replace("&gt;", "")
    assert not [character for character in body if character in "\x00\x1b\u202e\u2066\u200b\ufeff"]
    assert len(body) < 1_000_000
    assert 'style="' not in body
    assert "no-store" in response["Cache-Control"]
    assert "default-src 'none'" in response["Content-Security-Policy"]


@pytest.mark.parametrize("view", ["tree", "assemblies", "treemap"])
@pytest.mark.parametrize("build", [small_index, mini_index, hostile_index])
def test_the_other_views_of_types_draw_too(view: str, build, team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, build=build)
    response = as_alice.get(address(dump, "dump-types"), {"view": view})
    assert response.status_code in ((200,) if build is not mini_index or view == "treemap" else (200, 404))
    assert "<script>alert" not in text_of(response)


def test_types_show_counts_sizes_and_free_as_its_own_row(dump: Dump, as_bob: Client) -> None:
    body = text_of(as_bob.get(address(dump, "dump-types")))
    assert "Free</span>" in body
    assert "270\u202f000" in body
    assert "5 types" in body


def test_the_filter_is_in_the_url_and_says_what_it_found(dump: Dump, as_bob: Client) -> None:
    body = text_of(as_bob.get(address(dump, "dump-types"), {"q": "shop", "sort": "-count"}))
    assert "2 types match, of 5: 32 objects" in body
    assert 'value="shop"' in body
    nothing = text_of(as_bob.get(address(dump, "dump-types"), {"q": "nothing-like-this"}))
    assert "No type matches." in nothing


def test_a_namespace_opens_as_rows_for_the_script_and_as_a_page_without_it(dump: Dump, as_bob: Client) -> None:
    url = address(dump, "dump-types")
    rows = text_of(as_bob.get(url, {"view": "tree", "at": "System", "part": "rows", "level": "1"}))
    assert rows.count("<tr") == 3 and "<html" not in rows and 'data-level="1"' in rows
    assert "<html" in text_of(as_bob.get(url, {"view": "tree", "at": "System"}))
    assert as_bob.get(url, {"view": "tree", "at": "No.Such"}).status_code == 404


def test_one_type_has_fields_statics_and_paged_instances(dump: Dump, as_bob: Client) -> None:
    body = text_of(as_bob.get(address(dump, "dump-type", 0), {"sort": "-address", "rows": "50"}))
    assert "_System.String" in body and "s_System.String" in body
    assert "40 instances" in body
    assert as_bob.get(address(dump, "dump-type", 99)).status_code == 404


def test_an_address_leads_to_its_page_of_instances(team: Team, alice: User, as_alice: Client) -> None:
    spec = IndexSpec(types=[TypeSpec("Shop.Row", 400, 32)])
    dump = analysed_dump(team, alice, build=lambda directory: small_index(directory, spec))
    response = as_alice.get(address(dump, "dump-type", 0), {"near": hex(0x7F00_0000_0000 + 32 * 250)})
    assert response.status_code == 302
    assert "page=3" in response["Location"]


@pytest.mark.parametrize(("name", "secret"), [("dump-modules", "secret-place"), ("dump-threads", "secret-thread-name")])
def test_context_is_only_for_those_who_may_see_it(name: str, secret: str, dump: Dump, as_bob: Client, as_carol: Client) -> None:
    assert secret in text_of(as_bob.get(address(dump, name)))
    for parameters in ({}, {"format": "csv"}, {"format": "json"}, {"q": secret}, {"sort": "-path"}, {"sort": "-name"}):
        body = text_of(as_carol.get(address(dump, name), parameters))
        assert secret not in body.replace(f'value="{secret}"', "").replace(f"q={secret}", "")


def test_paths_and_the_command_line_are_not_on_a_viewers_overview(dump: Dump, as_bob: Client, as_carol: Client) -> None:
    assert "secret-place" in text_of(as_bob.get(address(dump, "dump-overview")))
    assert "secret-place" not in text_of(as_carol.get(address(dump, "dump-overview")))


def test_csv_holds_every_matching_row_and_no_formula(team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, build=hostile_index)
    response = as_alice.get(address(dump, "dump-types"), {"format": "csv"})
    assert 'filename="shop.dmp-types.csv"' in response["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(text_of(response))))
    assert len(rows) == len(HOSTILE_NAMES)
    assert {"name", "count", "size_bytes", "gen0_bytes", "method_table"} <= set(rows[0])
    assert not [row for row in rows if row["name"].startswith(("=", "+", "-", "@", "\t"))]
    assert "'=cmd|'/c calc'!A1" in {row["name"] for row in rows}


def test_json_names_units_and_gives_addresses_as_text(dump: Dump, as_alice: Client) -> None:
    response = as_alice.get(address(dump, "dump-type", 2), {"format": "json", "table": "instances"})
    document = json.loads(text_of(response))
    assert document["total"] == 25 == len(document["rows"])
    assert document["rows"][0]["size_bytes"] == 32
    assert document["rows"][0]["address"].startswith("0x7f")


def test_a_running_analysis_shows_its_stage_and_polls(team: Team, alice: User, as_alice: Client) -> None:
    dump = received_dump(team, alice)
    analysis = Analysis.objects.create(dump=dump, state=State.RUNNING, stage="types", fraction=0.5, detail="names")
    body = text_of(as_alice.get(address(dump, "dump-overview")))
    assert 'hx-trigger="every 1500ms"' in body
    assert 'value="50"' in body and 'aria-current="step"' in body
    assert as_alice.get(address(dump, "dump-types")).status_code == 302
    analysis.state = State.DONE
    analysis.save()
    small_index(analysis.index_directory)
    polled = as_alice.get(address(dump, "dump-overview"), headers={"HX-Request": "true", "HX-Target": "progress"})
    assert polled["HX-Refresh"] == "true"
    assert "hx-trigger" not in text_of(as_alice.get(address(dump, "dump-overview")))


@pytest.mark.parametrize("state", [State.RECEIVED, State.CHECKING, State.QUEUED])
def test_an_analysis_that_waits_says_so(state: State, team: Team, alice: User, as_alice: Client) -> None:
    dump = received_dump(team, alice)
    Analysis.objects.create(dump=dump, state=state)
    body = text_of(as_alice.get(address(dump, "dump-overview")))
    assert 'id="progress"' in body and "Cancel" in body


def test_a_failed_analysis_says_what_where_and_what_to_do(team: Team, alice: User, as_alice: Client, as_carol: Client) -> None:
    dump = received_dump(team, alice)
    Analysis.objects.create(
        dump=dump,
        state=State.FAILED,
        error_code="corrupt",
        error_what="<b>The file ends early.",
        error_where="offset 0x1000",
        error_remedy="Copy it again.",
    )
    body = text_of(as_alice.get(address(dump, "dump-overview")))
    assert "&lt;b&gt;The file ends early." in body and "offset 0x1000" in body and "Copy it again." in body
    assert "Analyse again" in body
    assert "Analyse again" not in text_of(as_carol.get(address(dump, "dump-overview")))


def test_an_older_result_stays_readable_when_a_newer_analysis_failed(dump: Dump, as_alice: Client) -> None:
    Analysis.objects.create(dump=dump, state=State.FAILED, error_what="No worker was left.")
    assert as_alice.get(address(dump, "dump-types")).status_code == 200
    body = text_of(as_alice.get(address(dump, "dump-overview")))
    assert "No worker was left." in body and "Biggest types" in body


def test_a_damaged_index_is_said_and_not_shown(dump: Dump, as_alice: Client) -> None:
    (dump.analysis.index_directory / "columns" / "types.count.npy").write_bytes(b"")
    body = text_of(as_alice.get(address(dump, "dump-overview")))
    assert "types.count.npy is missing or has another size" in body
    assert str(dump.directory) not in body
    assert as_alice.get(address(dump, "dump-types")).status_code == 302


def test_a_mini_dump_says_that_it_has_no_heap_and_shows_its_threads(team: Team, alice: User, as_alice: Client) -> None:
    dump = analysed_dump(team, alice, build=mini_index)
    body = text_of(as_alice.get(address(dump, "dump-overview")))
    assert "a mini dump does not hold the managed heap" in body
    assert "createdump --withheap" in body
    assert "No managed heap in this dump" in text_of(as_alice.get(address(dump, "dump-types")))
    assert "InvalidOperationException" in text_of(as_alice.get(address(dump, "dump-threads")))


def test_damage_in_the_heap_is_counted_on_the_map(team: Team, alice: User, as_alice: Client) -> None:
    spec = IndexSpec(gaps=["a method table that is none"])
    dump = analysed_dump(team, alice, build=lambda directory: small_index(directory, spec))
    body = text_of(as_alice.get(address(dump, "dump-gc")))
    assert "tone-gap" in body and "a method table that is none" in body


@pytest.mark.parametrize("name", ADDRESSES)
def test_the_number_of_queries_does_not_grow_with_the_heap(
    name: str, team: Team, alice: User, as_alice: Client, django_assert_max_num_queries
) -> None:
    types = [TypeSpec(f"Shop.Type{number}", 2, 32) for number in range(1500)]
    spec = IndexSpec(types=types, execution=Execution([f"thread {number}" for number in range(600)]))
    dump = analysed_dump(team, alice, build=lambda directory: small_index(directory, spec))
    with django_assert_max_num_queries(14):
        assert as_alice.get(address(dump, name)).status_code == 200


def test_only_pages_that_exist_are_in_the_rail(dump: Dump, as_alice: Client) -> None:
    body = text_of(as_alice.get(address(dump, "dump-overview")))
    rail = body.split('<nav class="rail"')[1].split("</nav>")[0]
    links = [part.split('"')[0] for part in rail.split('href="')[1:]]
    assert len(links) == 20
    assert all(as_alice.get(link).status_code == 200 for link in links)


def test_a_long_table_without_paging_is_cut_and_exported_whole(team: Team, alice: User, as_alice: Client) -> None:
    spec = IndexSpec(gaps=[f"cause {number}" for number in range(1200)])
    dump = analysed_dump(team, alice, build=lambda directory: small_index(directory, spec))
    body = text_of(as_alice.get(address(dump, "dump-gc")))
    assert "cause 999<" in body and "cause 1000<" not in body and "of 1\u202f200 gaps" in body
    exported = as_alice.get(address(dump, "dump-gc"), {"format": "csv", "table": "gaps"})
    assert len(text_of(exported).splitlines()) == 1201
