"""Values (D3) and raw memory (D4) leave the server only here: after the permission, with a reason, and with a row that says
who saw what. Masked values leave here too: kind, length, and a mark that equal values share."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest

from analysis.errors import AnalysisError
from analysis.index import DataClass
from explorer.access import dump_for
from explorer.models import AuditEntry, Dump, User
from explorer.models.team import keyed_hash
from explorer.pages import numbers
from explorer.permissions import can_open_window
from explorer.services.audit import SHORTEST_EXPLANATION, Purpose, acts_within, as_person, write_down
from explorer.services.engine import EngineCrashed, EngineRefused, read_memory, read_registers, read_values, search_texts
from explorer.services.notices import tell_of
from explorer.services.plain_dumps import plain_dump
from explorer.services.plain_text import plain, sentences
from explorer.viewers import subject_of, viewer_of

Action = AuditEntry.Action
WINDOW = timedelta(minutes=60)
MOST_IN_AN_HOUR = 100
MOST_BYTES = 4096
_REVEALS = (Action.REVEAL_REGISTERS, Action.REVEAL_OBJECT, Action.SEARCH_VALUES, Action.VIEW_HEX)
_WINDOWS = "reveal_windows"
#: Dumps that one web process reads values from at a time: each may have to be decrypted first.
_AT_ONCE = threading.BoundedSemaphore(3)
_WAIT_SECONDS = 5
#: Shorter texts would be guessed from their mark.
_SHORTEST_MARKED = 8
_MARK_DIGITS = 10  # 40 bits


class PurposeMissing(Exception):
    """No reason was given, or none that says anything; the text tells the person what to do."""


class TooManyReveals(Exception):
    """Somebody looked at more values within an hour than a person reads."""


def purpose_of(request: HttpRequest, dump: Dump) -> Purpose:
    """Why the person looks: as the form says it, or as they said it when they opened a window of an hour for this dump.

    A form that asks for a window opens one, where the role allows it. Raises PurposeMissing.
    """
    if request.POST.get("reason") is None and (kept := window_of(request, dump)) is not None:
        return kept[1]
    reason, explanation = request.POST.get("reason", ""), plain(request.POST.get("explanation", ""), 500)
    if reason not in AuditEntry.Reason.values or len(explanation) < SHORTEST_EXPLANATION:
        raise PurposeMissing(
            f"Choose a reason and say in at least {SHORTEST_EXPLANATION} letters what you look for: it is written down."
        )
    found = Purpose(reason, explanation, plain(request.POST.get("ticket", ""), 100))
    if "window" in request.POST and can_open_window(viewer_of(request.user), subject_of(dump)):
        write_down(request, Action.OPEN_WINDOW, dump=dump, data_class=DataClass.D3_VALUE, purpose=found)
        until = time.time() + WINDOW.total_seconds()
        kept_windows = dict(request.session.get(_WINDOWS, {}))
        kept_windows[str(dump.pk)] = [until, found.reason, found.explanation, found.ticket]
        request.session[_WINDOWS] = kept_windows
    return found


def window_of(request: HttpRequest, dump: Dump) -> tuple[float, Purpose] | None:
    """Until when (seconds since 1970) the person's reason for this dump holds, and the reason; None where they have to give
    one."""
    until, *purpose = request.session.get(_WINDOWS, {}).get(str(dump.pk), [0.0])
    if until < time.time() or not can_open_window(viewer_of(request.user), subject_of(dump)):
        return None
    return until, Purpose(*purpose)


def _begin(
    request: HttpRequest, dump: Dump, right: str, action: AuditEntry.Action, detail: str, purpose: Purpose | None, of: DataClass
) -> Dump:
    """Permission, number of looks, row: in this order. Raises PermissionDenied (``explorer.value_acts`` writes that down),
    TooManyReveals, AuditUnavailable."""
    user = as_person(request)
    dump = dump_for(request, dump.pk, right)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # looks at one moment are counted one after the other
        blocked = acts_within(user, _REVEALS, timedelta(hours=1)) >= MOST_IN_AN_HOUR
        outcome = AuditEntry.Outcome.DENIED if blocked else AuditEntry.Outcome.DONE
        row = write_down(request, action, dump=dump, detail=detail, outcome=outcome, data_class=of, purpose=purpose)
        if blocked and not _blocked_before(row):
            tell_of(row)
    if blocked:
        raise TooManyReveals
    return dump


def _blocked_before(row: AuditEntry) -> bool:
    """Whether the person was refused a look at the team's values for their number already, since they last had one. Who is
    refused for want of a right is asked for no reason."""
    own = AuditEntry.objects.filter(actor_id=row.actor_id, action__in=_REVEALS, sequence__lt=row.sequence)
    looked = own.filter(outcome=AuditEntry.Outcome.DONE).values_list("sequence", flat=True).first() or 0
    refused = own.filter(outcome=AuditEntry.Outcome.DENIED, team_key=row.team_key, sequence__gt=looked)
    return refused.exclude(reason="").exists()


@dataclass(frozen=True, slots=True)
class Register:
    """One register of a thread."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RegisterValues:
    """Registers of a thread, none where the dump holds none of it. ``problem`` says why none could be read."""

    rows: tuple[Register, ...] = ()
    problem: str = ""


def reveal_registers(*, request: HttpRequest, dump: Dump, managed_id: int, os_id: int, purpose: Purpose) -> RegisterValues:
    """Registers of a thread. Raises as ``_begin``."""
    detail = f"thread {managed_id}"
    dump = _begin(request, dump, "reveal_values", Action.REVEAL_REGISTERS, detail, purpose, DataClass.D3_VALUE)
    if not os_id:  # it has ended
        return RegisterValues()
    found, problem = _ask_the_dump(dump, lambda path, result: read_registers(path, os_id, result))
    return RegisterValues(tuple(Register(str(name), numbers.address(int(value))) for name, value in found.items()), problem)


@dataclass(frozen=True, slots=True)
class ObjectValue:
    """A field or element of an object: declared type, content, the object it refers to (0 for none)."""

    name: str
    type_name: str
    text: str
    object: int
    missing: str


@dataclass(frozen=True, slots=True)
class ObjectValues:
    """What an object holds; ``more``: only its beginning. ``problem`` says why nothing could be read."""

    rows: tuple[ObjectValue, ...] = ()
    more: bool = False
    problem: str = ""


def reveal_object(*, request: HttpRequest, dump: Dump, address: int, type_name: str, purpose: Purpose) -> ObjectValues:
    """Values of the object at ``address``. Raises as ``_begin``."""
    detail = f"{address:#x} {type_name}"
    dump = _begin(request, dump, "reveal_values", Action.REVEAL_OBJECT, detail, purpose, DataClass.D3_VALUE)
    return _values(dump, address)


@dataclass(frozen=True, slots=True)
class FoundStrings:
    """Rows of objects whose text contains what was looked for, and their lengths; how many there are, how many strings were
    read, how many are not whole in the dump. ``problem`` says why none could be read."""

    rows: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    total: int = 0
    read: int = 0
    cut: int = 0
    problem: str = ""


def search_strings(
    *, request: HttpRequest, dump: Dump, directory: Path, text: str, any_case: bool, purpose: Purpose
) -> FoundStrings:
    """Strings that contain ``text``, of the index in ``directory``. What was looked for may be a value: the row says its
    length alone. Raises as ``_begin``."""
    detail = f"strings that contain a text of {len(text)} characters"
    dump = _begin(request, dump, "search_values", Action.SEARCH_VALUES, detail, purpose, DataClass.D3_VALUE)

    def read(path: Path, result: Path) -> None:
        wanted = result.with_name("wanted")
        wanted.write_text(text)
        search_texts(path, directory, wanted, result, any_case=any_case)

    found, problem = _ask_the_dump(dump, read)
    return FoundStrings(problem=problem) if problem else FoundStrings(**found)


@dataclass(frozen=True, slots=True)
class MaskedValue:
    """A field or element without its content: declared type, how long its text is, and a mark that equal values of the dump
    share ("" for what is too short to be told apart safely)."""

    name: str
    type_name: str
    length: str
    mark: str
    missing: str


def masked_object(*, request: HttpRequest, dump: Dump, address: int) -> tuple[list[MaskedValue], str]:
    """What an object holds, masked, and why nothing could be read. Raises PermissionDenied."""
    dump = dump_for(request, dump.pk, "see_masked")
    found = _values(dump, address)
    masked = [
        MaskedValue(row.name, row.type_name, "" if row.missing else _length_class(row.text), _mark(dump, row.text), row.missing)
        for row in found.rows
    ]
    return masked, found.problem


def _length_class(text: str) -> str:
    """About how long it is: a power of two."""
    if not text:
        return "empty"
    return (
        "1 character"
        if len(text) == 1
        else f"{1 << (len(text).bit_length() - 1)} to {(1 << len(text).bit_length()) - 1} characters"
    )


def _mark(dump: Dump, text: str) -> str:
    return keyed_hash(f"mark:{dump.pk}", text)[:_MARK_DIGITS] if len(text) >= _SHORTEST_MARKED else ""


def _values(dump: Dump, address: int) -> ObjectValues:
    found, problem = _ask_the_dump(dump, lambda path, result: read_values(path, address, result))
    if problem:
        return ObjectValues(problem=problem)
    return ObjectValues(tuple(ObjectValue(**row) for row in found["rows"]), bool(found["more"]))


@dataclass(frozen=True, slots=True)
class MemoryView:
    """Bytes of the dump from ``address`` on, as many as it holds there; ``problem`` says why there are none."""

    address: int
    content: bytes
    problem: str = ""


def view_memory(*, request: HttpRequest, dump: Dump, address: int, length: int, purpose: Purpose) -> MemoryView:
    """Raw memory. The caller has asked for a second factor. Raises as ``_begin``."""
    length = max(1, min(length, MOST_BYTES))
    detail = f"{length:,} bytes at {address:#x}"
    dump = _begin(request, dump, "see_raw", Action.VIEW_HEX, detail, purpose, DataClass.D4_RAW)
    found, problem = _ask_the_dump(dump, lambda path, result: read_memory(path, address, length, result))
    return MemoryView(address, bytes.fromhex(found["hex"]) if not problem else b"", problem)


def _ask_the_dump(dump: Dump, read: Callable[[Path, Path], None]) -> tuple[dict[str, Any], str]:
    """What a child process read out of the dump itself, and why it could not."""
    if not _AT_ONCE.acquire(timeout=_WAIT_SECONDS):
        return {}, "Others read values at this moment; ask again in a moment."
    settings.SCRATCH_DIR.mkdir(parents=True, exist_ok=True)
    try:
        with plain_dump(dump) as path, tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR) as directory:
            result = Path(directory) / "values.json"
            read(path, result)
            found: dict[str, Any] = json.loads(result.read_text())
            return found, ""
    except (EngineRefused, AnalysisError) as refused:
        return {}, sentences(refused.what, refused.remedy)
    except EngineCrashed as crashed:
        return {}, f"Reading the values failed: {crashed}."
    except OSError as error:
        return {}, f"Reading the values failed: {error.strerror}."
    finally:
        _AT_ONCE.release()
