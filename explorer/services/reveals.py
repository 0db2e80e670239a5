"""Values (D3) leave the server only here: after the permission, and with a row that says who saw what."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest

from analysis.index.store import Index
from explorer.access import dump_for
from explorer.models import AuditEntry, Dump, User
from explorer.pages import numbers
from explorer.services.engine import EngineCrashed, EngineRefused, read_values
from explorer.services.plain_text import plain


@dataclass(frozen=True, slots=True)
class Register:
    """One register of a thread."""

    name: str
    value: str


def reveal_registers(*, request: HttpRequest, dump: Dump, index: Index, thread: int) -> list[Register]:
    """Registers of the thread in row ``thread``. Raises PermissionDenied for who may not see values."""
    dump = dump_for(request, dump.pk, "reveal_values")
    rows = np.flatnonzero(index.column("registers", "thread") == thread).tolist()
    managed_id = int(index.column("threads", "managed_id")[thread])
    _write_down(request, dump, AuditEntry.Action.REVEAL_REGISTERS, f"thread {managed_id}")
    names, values = index.text("registers", "name"), index.column("registers", "value")
    return [Register(str(names[row]), numbers.address(int(values[row]))) for row in rows]


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


def reveal_object(*, request: HttpRequest, dump: Dump, address: int, type_name: str) -> ObjectValues:
    """Values of the object at ``address``. Raises PermissionDenied for who may not see values."""
    dump = dump_for(request, dump.pk, "reveal_values")
    _write_down(request, dump, AuditEntry.Action.REVEAL_OBJECT, plain(f"{address:#x} {type_name}", 200))
    path = dump.unpacked if dump.unpacked.exists() else dump.original
    if not path.exists():
        return ObjectValues(problem="The dump itself is no longer kept; its analysis holds no values.")
    settings.SCRATCH_DIR.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR) as directory:
            result = Path(directory) / "values.json"
            read_values(path, address, result)
            found = json.loads(result.read_text())
    except EngineRefused as refused:
        return ObjectValues(problem=f"{refused.what[:1].upper()}{refused.what[1:]}. {refused.remedy}".strip())
    except EngineCrashed as crashed:
        return ObjectValues(problem=f"Reading the values failed: {crashed}.")
    return ObjectValues(tuple(ObjectValue(**row) for row in found["rows"]), bool(found["more"]))


def _write_down(request: HttpRequest, dump: Dump, action: AuditEntry.Action, detail: str) -> None:
    """The row is there before the value is: a reveal that cannot be written down does not happen."""
    user = request.user
    with transaction.atomic():
        AuditEntry.objects.create(
            user=user if isinstance(user, User) else None,
            user_name=user.get_username(),
            team=dump.team,
            dump=dump,
            dump_name=dump.name[:255],
            action=action,
            detail=detail,
            remote_address=request.META.get("REMOTE_ADDR") or None,
        )
