"""Notes on a dump, and what people say of it: labels, tags, status, owner, ticket."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from analysis.errors import AnalysisError
from analysis.index import DataClass
from explorer.access import dump_for, highest_class_for, note_for
from explorer.exports import export_response
from explorer.models import Dump, Note, Status
from explorer.pages.pins import Pinned, read_pin, url_of
from explorer.pages.tables import ListedRows, Query, Table, structure
from explorer.pages.written import written
from explorer.permissions import can_comment, can_delete_note, can_edit_note, can_tag
from explorer.queries import notes_visible_to
from explorer.services import cases, notes
from explorer.services.audit import as_person
from explorer.viewers import subject_of, viewer_of
from explorer.views.dump_page import DumpPage, finished_analysis, frame_of, page_of

_MOST_PINNED = 50
#: The rows are notes of the classes that the person sees: no column is left out for its own.
_COLUMNS = (
    structure("written_at", "Written", "when"),
    structure("author", "By"),
    structure("pin", "Pinned to"),
    structure("label", "What"),
    structure("text", "Note"),
    structure("data_class", "Class"),
)


@never_cache
@require_GET
def of_dump(request: HttpRequest, dump_id: UUID) -> HttpResponseBase:
    """All notes of a dump that the person may read, and its case."""
    dump = dump_for(request, dump_id, "comment")
    page = _page(request, dump)
    rows = [*notes_visible_to(request.user).filter(dump=dump).select_related("author")]
    table = _table(rows)
    if file := export_response(request, dump.name, table):
        return file
    may_tag = can_tag(viewer_of(request.user), subject_of(dump))
    context = {
        "frame": page.frame if page else frame_of(request, dump, "notes", None),
        "dump": dump, "cards": [_card(request, dump, note, page) for note in rows], "table": table,
        "may_tag": may_tag, "statuses": Status.choices, "people": cases.assignable(dump) if may_tag else [],
        "tags": ", ".join(dump.tag_names), **_form(request, dump, Pinned(Note.Pin.DUMP), ""),
    }  # fmt: skip
    return render(request, "notes/notes.html", context)


def _page(request: HttpRequest, dump: Dump) -> DumpPage | None:
    """The page of the newest result, where there is one that can be read."""
    analysis = finished_analysis(dump)
    try:
        return page_of(request, dump, analysis, "notes") if analysis else None
    except AnalysisError:
        return None


def _table(rows: list[Note]) -> Table:
    """The notes as a file."""
    listed = [
        {
            "written_at": note.written_at, "author": str(note.author or ""), "pin": note.get_pin_display(), "label": note.label,
            "text": note.text, "data_class": f"D{note.data_class}",
        }
        for note in rows
    ]  # fmt: skip
    return Table("notes", "Notes", _COLUMNS, Query.unpaged(len(listed)), ListedRows(listed), noun="notes")


def _card(request: HttpRequest, dump: Dump, note: Note, page: DumpPage | None) -> dict[str, Any]:
    """One note with what the person may do with it."""
    viewer, subject = viewer_of(request.user), subject_of(dump)
    comment = note.pin != Note.Pin.CHANGE
    return {
        "note": note,
        "pieces": written(note.text),
        "for_all": note.data_class <= DataClass.D1_STRUCTURE,
        "url": url_of(page.index, page.references, note) if page and note.key else "",
        "may_edit": comment and can_edit_note(viewer, subject, note.author_id),
        "may_delete": comment and can_delete_note(viewer, subject, note.author_id),
    }


def _form(request: HttpRequest, dump: Dump, pinned: Pinned, place: str) -> dict[str, Any]:
    """What the form for a new note needs."""
    return {
        "may_comment": can_comment(viewer_of(request.user), subject_of(dump)),
        "sees_context": highest_class_for(request, dump) >= DataClass.D2_CONTEXT,
        "longest": notes.LONGEST_NOTE, "pin": pinned.pin.value, "place": place, "note_dump": dump.pk,
    }  # fmt: skip


def pinned_notes(request: HttpRequest, page: DumpPage, pinned: Pinned, place: str) -> dict[str, Any]:
    """For the page of one thing: the notes pinned to it, of a thread also those of its frames, and the form for another."""
    same = Q(pin=pinned.pin, key=pinned.key)
    if pinned.pin == Note.Pin.THREAD:
        same |= Q(pin=Note.Pin.FRAME, key__startswith=f"{pinned.key} ")
    rows = notes_visible_to(request.user).filter(same, dump=page.dump).select_related("author")[:_MOST_PINNED]
    cards = [_card(request, page.dump, note, page if note.pin == Note.Pin.FRAME else None) for note in rows]
    return {"pinned": {"cards": cards, **_form(request, page.dump, pinned, place)}}


@require_POST
def add(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Write a note, pinned to what the form names."""
    dump = dump_for(request, dump_id, "comment")
    pin, place = request.POST.get("pin", "dump"), request.POST.get("place", "")
    if ":" in pin:  # one box that chooses between a thread and its frames
        pin, _, place = pin.partition(":")
    page = _page(request, dump) if pin != Note.Pin.DUMP else None
    pinned = read_pin(page.index, page.references, pin, place) if page else Pinned(Note.Pin.DUMP)
    if pinned is None or (page is None and pin != Note.Pin.DUMP):
        messages.error(request, "What the note was to be pinned to is not in the newest result.")
        return _back(request, dump)
    sight = highest_class_for(request, dump)
    try:
        notes.add_note(
            dump=dump, author=as_person(request), text=request.POST.get("text", ""), pinned=pinned, sight=sight,
            for_all=request.POST.get("readers") == "all",
        )  # fmt: skip
    except notes.NoteRefused as refused:
        messages.error(request, str(refused))
    return _back(request, dump)


@require_POST
def edit(request: HttpRequest, dump_id: UUID, note_id: UUID) -> HttpResponse:
    """Replace the words of an own note."""
    dump = dump_for(request, dump_id, "comment")
    note = note_for(request, dump, note_id, to_edit=True)
    try:
        notes.edit_note(note=note, text=request.POST.get("text", ""))
    except notes.NoteRefused as refused:
        messages.error(request, str(refused))
    return _back(request, dump)


@require_POST
def delete(request: HttpRequest, dump_id: UUID, note_id: UUID) -> HttpResponse:
    """Remove a note."""
    dump = dump_for(request, dump_id, "comment")
    notes.delete_note(request=request, note=note_for(request, dump, note_id))
    return _back(request, dump)


@require_POST
def case(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Say what a dump is and how far people are with it."""
    dump = dump_for(request, dump_id, "tag")
    try:
        changes = cases.change_case(dump=dump, case=cases.read_case(dump, request.POST.dict()), by=as_person(request))
    except cases.CaseRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "; ".join(changes).capitalize() if changes else "Nothing was changed.")
    return redirect("dump-notes", dump.pk)


def _back(request: HttpRequest, dump: Dump) -> HttpResponse:
    """To the page of the dump that the form was on."""
    wanted, of_dump = request.POST.get("back", ""), reverse("dump-overview", args=[dump.pk])
    here = url_has_allowed_host_and_scheme(wanted, None) and wanted.startswith(f"{of_dump}/")
    return HttpResponseRedirect(f"{wanted}#notes" if here else reverse("dump-notes", args=[dump.pk]))


urlpatterns = [
    path("dumps/<uuid:dump_id>/notes", of_dump, name="dump-notes"),
    path("dumps/<uuid:dump_id>/notes/add", add, name="dump-note-add"),
    path("dumps/<uuid:dump_id>/notes/<uuid:note_id>", edit, name="dump-note-edit"),
    path("dumps/<uuid:dump_id>/notes/<uuid:note_id>/delete", delete, name="dump-note-delete"),
    path("dumps/<uuid:dump_id>/case", case, name="dump-case"),
]
