"""Values (D3) leave the server only here: after the permission, and with a row that says who saw what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.http import HttpRequest

from analysis.index.store import Index
from explorer.access import dump_for
from explorer.models import AuditEntry, Dump, User
from explorer.pages import numbers


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
