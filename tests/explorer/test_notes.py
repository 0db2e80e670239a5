"""Notes and cases: who reads, writes, changes and deletes them, and that words of people stay words."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analysis.index import DataClass, open_index
from explorer.models import AuditEntry, Dump, Note, Role, Team, User
from explorer.pages.written import written
from explorer.queries import notes_visible_to
from explorer.services.cases import CaseRefused, assignable, read_case
from tests.explorer.pages.visits import body_of
from tests.goals import Goals
from tests.index_builder import HEAP_START, hostile_index
from tests.stored_dumps import analysed_dump, received_dump

HOSTILE = (
    "<script>alert(1)</script> \u202eevil\x00 javascript:alert(2) https://tickets.example.com/OPS-1?a=1&b=2. [x](javascript:x)"
)


@pytest.fixture
def dump(team: Team, alice: User) -> Dump:
    return analysed_dump(team, alice)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def at(dump: Dump, name: str, *arguments: object) -> str:
    return reverse(name, args=[dump.pk, *arguments])


def write(user: User, dump: Dump, text: str, **fields: str) -> Note | None:
    """Send the form; the note, where one was kept."""
    before = set(Note.objects.values_list("pk", flat=True))
    response = client_of(user).post(at(dump, "dump-note-add"), {"text": text, **fields})
    assert response.status_code == 302
    return Note.objects.exclude(pk__in=before).first()


def test_a_note_is_read_by_those_who_see_as_much_as_its_writer(
    dump: Dump, alice: User, bob: User, carol: User, erin: User, mallory: User, goals: Goals
) -> None:
    write(bob, dump, "quotes context-secret")
    write(bob, dump, "for everybody", readers="all")
    write(carol, dump, "a viewer asks", readers="")
    seen = {"alice": 3, "bob": 3, "erin": 3, "carol": 2}
    Team.objects.update(opens_archive=True)
    good = 0
    for name, count in seen.items():
        client = client_of(User.objects.get(username=name))
        body = body_of(client, at(dump, "dump-notes"))
        assert body.count('class="words"') == count, name
        assert ("context-secret" in body) == (count == 3)
        rail = re.search(r'/notes" data-key="n".*?<span class="n ">(\d+)</span>', body)
        assert rail and int(rail[1]) == count
        exported = body_of(client, at(dump, "dump-notes"), format="json")
        assert ("context-secret" in exported) == (count == 3) and json.loads(exported)["total"] == count
        good += 1
    assert client_of(mallory).get(at(dump, "dump-notes")).status_code == 403
    assert not notes_visible_to(mallory).exists()
    goals.count("Notes: members who read and counted just what they may see", good, len(seen))


def test_a_program_reads_no_notes(dump: Dump, alice: User) -> None:
    write(alice, dump, "words", readers="all")
    alice.by_token = object()
    assert not notes_visible_to(alice).exists()


def test_notes_on_a_dump_that_is_narrowed_away_are_gone(dump: Dump, alice: User, bob: User, carol: User) -> None:
    write(bob, dump, "words", readers="all")
    dump.only_people.set([carol])
    assert not notes_visible_to(bob).exists()
    assert notes_visible_to(carol).count() == notes_visible_to(alice).count() == 1


def test_a_viewer_cannot_reach_a_note_that_is_context(dump: Dump, bob: User, carol: User) -> None:
    note = write(bob, dump, "context-secret")
    for name in ("dump-note-edit", "dump-note-delete"):
        assert client_of(carol).post(at(dump, name, note.pk), {"text": "x"}).status_code == 404
    assert Note.objects.get() == note


def test_own_notes_are_changed_and_deleted_and_leads_delete_all(dump: Dump, alice: User, bob: User, erin: User) -> None:
    first, second = write(bob, dump, "first"), write(bob, dump, "second")
    assert client_of(erin).post(at(dump, "dump-note-edit", first.pk), {"text": "x"}).status_code == 403
    assert client_of(erin).post(at(dump, "dump-note-delete", first.pk)).status_code == 403
    assert client_of(alice).post(at(dump, "dump-note-edit", first.pk), {"text": "x"}).status_code == 403
    client_of(bob).post(at(dump, "dump-note-edit", first.pk), {"text": "better"})
    first.refresh_from_db()
    assert first.text == "better" and first.edited_at
    client_of(bob).post(at(dump, "dump-note-delete", first.pk))
    assert not AuditEntry.objects.exists()
    client_of(alice).post(at(dump, "dump-note-delete", second.pk))
    assert not Note.objects.exists()
    assert AuditEntry.objects.get().action == AuditEntry.Action.DELETE_NOTE


@pytest.mark.parametrize(
    ("pin", "place", "page"),
    [
        ("finding", "1", ("dump-finding", 1)),
        ("type", "2", ("dump-type", 2)),
        ("thread:1", "", ("dump-thread", 1)),
        ("frame:2-2", "", ("dump-thread", 2)),
        ("object", f"{HEAP_START:x}", ("dump-object", f"{HEAP_START:x}")),
    ],
)
def test_notes_are_pinned_to_what_a_page_is_about(pin: str, place: str, page: tuple, dump: Dump, alice: User, bob: User) -> None:
    note = write(bob, dump, "look here", pin=pin, place=place)
    assert note.pin == pin.partition(":")[0] and note.label
    body = body_of(client_of(alice), at(dump, *page))
    assert "look here" in body and "Notes (1)" in body
    listed = html.unescape(body_of(client_of(alice), at(dump, "dump-notes")))
    assert f'href="{at(dump, *page)}' in listed
    other = body_of(client_of(alice), at(dump, "dump-type", 0))
    assert "look here" not in other


@pytest.mark.parametrize(
    ("pin", "place"),
    [("finding", "99"), ("type", "99"), ("thread:99", ""), ("frame:1-99999", ""), ("object", "1"), ("object", "zz"),
     ("nothing", "1"), ("change", ""), ("type", "-1"), ("frame", "1"), ("finding", "")],
)  # fmt: skip
def test_what_is_not_there_cannot_be_pinned_to(pin: str, place: str, dump: Dump, bob: User) -> None:
    assert write(bob, dump, "x", pin=pin, place=place) is None


def test_a_pin_shows_no_name_of_a_thread(dump: Dump, bob: User, carol: User) -> None:
    """Its label is structure, whoever wrote the note."""
    for pin, place in (("finding", "1"), ("thread:2", ""), ("frame:2-2", "")):
        note = write(bob, dump, "x", pin=pin, place=place, readers="all")
        names = [name for name in dump_thread_names(dump) if name]
        assert names and note and not any(name in f"{note.key} {note.label}" for name in names)


def dump_thread_names(dump: Dump) -> list[str]:
    return list(open_index(dump.analysis.index_directory).text("threads", "name").all)


def test_words_stay_words(dump: Dump, alice: User) -> None:
    write(alice, dump, HOSTILE)
    body = body_of(client_of(alice), at(dump, "dump-notes"))
    shown = re.search(r'<p class="words">(.*?)</p>', body, re.DOTALL)[1]
    links = re.findall(r"<a [^>]*>", shown)
    assert links == ['<a href="https://tickets.example.com/OPS-1?a=1&amp;b=2" rel="noreferrer noopener nofollow">']
    assert "<script" not in shown and "\u202e" not in shown and "⟨U+202E⟩" in shown


@pytest.mark.parametrize("text", ["javascript:alert(1)", "data:text/html,x", "ftp://x/", "https://", "http:// x", "//evil"])
def test_what_is_no_address_of_the_web_is_no_link(text: str) -> None:
    assert not any(piece.url for piece in written(text))


def test_an_address_with_hidden_marks_is_no_link() -> None:
    assert not any(piece.url for piece in written("https://good.example\u202e/moc.live"))


@pytest.mark.parametrize("text", ["", "   \n ", "x" * 5001])
def test_a_note_needs_words_but_not_too_many(text: str, dump: Dump, bob: User) -> None:
    assert write(bob, dump, text) is None


def test_where_the_form_leads_back_to_is_this_dump(dump: Dump, bob: User) -> None:
    for back in ("https://evil.example/", "//evil.example", "/team", "javascript:x", f"/dumps/{dump.pk}"):
        response = client_of(bob).post(at(dump, "dump-note-add"), {"text": "x", "back": back})
        assert response["Location"] == at(dump, "dump-notes")


def test_hostile_names_can_be_pinned_to(team: Team, alice: User) -> None:
    dump = analysed_dump(team, alice, "hostile.dmp", hostile_index)
    for type_id in range(16):
        assert write(alice, dump, "x", pin="type", place=str(type_id))
    assert "\u202e" not in body_of(client_of(alice), at(dump, "dump-notes"))


def test_a_dump_without_a_result_has_notes_too(team: Team, alice: User) -> None:
    dump = received_dump(team, alice)
    assert write(alice, dump, "still waiting")
    assert write(alice, dump, "x", pin="type", place="0") is None
    assert "still waiting" in body_of(client_of(alice), at(dump, "dump-notes"))


TICKET = "https://tickets.example.com/browse/OPS-1?from=dump"


def say(user: User, dump: Dump, **fields: str) -> int:
    return client_of(user).post(at(dump, "dump-case"), fields).status_code


def test_what_people_say_of_a_dump(dump: Dump, bob: User, carol: User, alice: User) -> None:
    fields = {"status": "investigating", "assignee": str(carol.pk), "ticket": TICKET, "service": "orders", "build": "1.2",
              "environment": "live", "tags": "Leak, leak, after deploy,"}  # fmt: skip
    assert say(bob, dump, **fields) == 302
    dump = Dump.objects.get()
    assert (dump.status, dump.assignee, dump.ticket_url, dump.labels) == (
        "investigating", carol, TICKET, ("orders", "1.2", "live"),
    )  # fmt: skip
    assert dump.tag_names == ["after deploy", "leak"]
    line = Note.objects.get(pin=Note.Pin.CHANGE)
    assert "status: Open → Investigating" in line.text and "tickets.example.com" not in line.text
    assert not AuditEntry.objects.exists()
    assert say(bob, dump, **fields) == 302 and Note.objects.count() == 1
    for name in ("dump-overview", "dump-types", "dump-notes"):
        body = body_of(client_of(alice), at(dump, name))
        assert "Investigating" in body and "owner carol" in body and "tickets.example.com" in body
    say(bob, dump, assignee="", ticket="", tags="")
    dump = Dump.objects.get()
    assert (dump.assignee, dump.ticket_url, dump.tag_names, dump.status) == (None, "", [], "investigating")


def test_the_ticket_is_context(dump: Dump, carol: User, mallory: User, alice: User) -> None:
    say(alice, dump, ticket=TICKET)
    Team.objects.update(opens_archive=True)
    for person, seen in ((alice, True), (carol, False), (mallory, False)):
        for name in ("dump-overview", "dump-types"):
            assert ("tickets.example.com" in body_of(client_of(person), at(dump, name))) == seen
    assert "tickets.example.com" not in body_of(client_of(carol), at(dump, "dump-notes"))


@pytest.mark.parametrize(
    "ticket",
    ["http://tickets.example.com/1", "javascript:alert(1)", "https://", "https:///x", "https://a b/", "https://user@evil.example/",
     "https://good.example\\@evil.example/", "https://x/\u202e", "https://x:99999999/", "https://[x/", "https://x/" + "a" * 500,
     "data:text/html,x", "//x.example/"],
)  # fmt: skip
def test_a_ticket_is_an_https_address(ticket: str, dump: Dump) -> None:
    with pytest.raises(CaseRefused):
        read_case(dump, {"ticket": ticket})


def test_the_owner_is_somebody_who_sees_the_dump(dump: Dump, alice: User, bob: User, mallory: User, carol: User) -> None:
    with pytest.raises(CaseRefused):
        read_case(dump, {"assignee": str(mallory.pk)})
    dump.only_people.set([bob])
    dump = Dump.objects.get()
    with pytest.raises(CaseRefused):
        read_case(dump, {"assignee": str(carol.pk)})
    assert read_case(dump, {"assignee": str(bob.pk)}).assignee == bob
    assert (
        "carol" not in re.search(r'name="assignee".*?</select>', body_of(client_of(alice), at(dump, "dump-notes")), re.DOTALL)[0]
    )


def test_who_can_be_owner_costs_the_same_for_all_members(dump: Dump, alice: User, bob: User, carol: User) -> None:
    with CaptureQueriesContext(connection) as for_three:
        assert {*assignable(dump)} >= {alice, bob, carol}
    for number in range(3):
        dump.team.memberships.create(user=User.objects.create_user(f"member{number}"), role=Role.VIEWER)
    with CaptureQueriesContext(connection) as for_more:
        assert len(assignable(dump)) >= 6
    assert len(for_more) == len(for_three)


@pytest.mark.parametrize("fields", [{"status": "gone"}, {"tags": ",".join(map(str, range(30)))}, {"tags": "x" * 60}])
def test_what_cannot_be_said_is_refused_and_nothing_changes(fields: dict[str, str], dump: Dump, bob: User) -> None:
    say(bob, dump, service="changed", **fields)
    assert Dump.objects.get().service == ""


def test_a_new_note_has_the_class_of_what_its_writer_sees(dump: Dump, bob: User, carol: User) -> None:
    assert write(bob, dump, "x").data_class == DataClass.D2_CONTEXT
    assert write(carol, dump, "x").data_class == DataClass.D1_STRUCTURE
    assert Note._meta.get_field("data_class").default == DataClass.D2_CONTEXT
