"""Notes on dumps: written by members under the class of what they see, changed by their writers, deleted by those and leads."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone

from analysis.index import DataClass
from explorer.models import AuditEntry, Dump, Note, User
from explorer.pages.pins import Pinned
from explorer.services.audit import write_down

LONGEST_NOTE = 5000


class NoteRefused(Exception):
    """Why a note cannot be kept."""


def note_text(text: str) -> str:
    """What is kept of a note: its lines, without NUL and lone surrogates, which no database stores. Raises NoteRefused."""
    lines = text.replace("\r\n", "\n").replace("\0", "\ufffd").encode("utf-8", "replace").decode().strip()
    if not lines:
        raise NoteRefused("A note needs some words.")
    if len(lines) > LONGEST_NOTE:
        raise NoteRefused(f"A note has at most {LONGEST_NOTE:,} characters; this one has {len(lines):,}.")
    return lines


def add_note(*, dump: Dump, author: User, text: str, pinned: Pinned, sight: DataClass, for_all: bool) -> Note:
    """Write a note. Readers need the ``sight`` of its writer, unless they say that it is ``for_all`` members."""
    data_class = DataClass.D1_STRUCTURE if for_all else sight
    return Note.objects.create(
        dump=dump, author=author, text=note_text(text), pin=pinned.pin, key=pinned.key, label=pinned.label,
        data_class=int(data_class),
    )  # fmt: skip


def edit_note(*, note: Note, text: str) -> None:
    """Replace the words of a note; who reads it stays the same."""
    Note.objects.filter(pk=note.pk).update(text=note_text(text), edited_at=timezone.now())


def delete_note(*, request: HttpRequest, note: Note) -> None:
    """Remove a note; that of somebody else is written down first."""
    if note.author_id != request.user.pk:
        by = "by {0}" if note.author else "by somebody who is gone"
        people, detail = [note.author] if note.author else [], f"{by}, on {note.label or 'the dump'}"
        write_down(request, AuditEntry.Action.DELETE_NOTE, dump=note.dump, detail=detail, people=people)
    note.delete()
