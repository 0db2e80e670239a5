"""Where the product can be struck, and with what: functions are replaced in the process that is to meet the fault.

The product knows nothing of it: there is no hook in it that a setting or a message could reach.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

KILL, BROKER, DATABASE, FULL, BROKEN = "killed", "broker lost", "database lost", "disk full", "disk broken"
FAULTS = (KILL, BROKER, DATABASE, FULL, BROKEN)
_NUMBERS = {FULL: errno.ENOSPC, BROKEN: errno.EIO}
_SAID_BY_SQLITE = {FULL: "database or disk is full", BROKEN: "disk I/O error"}


@dataclass(frozen=True)
class Point:
    """A place: what the process does there (``scenario``), the function that is struck when it is called, and when.

    ``after`` names a function whose first call arms the fault. ``stage`` is one of the engine, which is then what is
    killed or has its disk fail. ``by_database`` says that the disk is that of the database, which has words of its own.
    """

    name: str
    scenario: str
    function: str = ""
    after: str = ""
    stage: str = ""
    by_database: bool = False


_COMMIT = "django.db.backends.base.base:BaseDatabaseWrapper._commit"
POINTS = (
    Point("create", "upload", "pathlib:Path.touch"),
    Point("chunk write", "upload", "explorer.services.uploads:_write"),
    Point("fsync", "upload", "os:fdatasync"),
    Point("offset", "upload", _COMMIT, after="os:fdatasync", by_database=True),
    Point("finalise", "upload", "explorer.services.uploads:finish"),
    Point("encrypt", "upload", "explorer.services.uploads:seal"),
    Point("key", "upload", "explorer.services.vault:_write_key"),
    Point("rename", "upload", "pathlib:Path.replace", after="explorer.services.vault:_sync"),
    Point("commit", "upload", _COMMIT, after="explorer.services.vault:_sync", by_database=True),
    Point("publish", "upload", "explorer.tasks:analyse.delay"),
    Point("dequeue", "analysis", "explorer.services.analyses:run_next"),
    Point("ack", "analysis", "kombu.transport.virtual.base:Channel.basic_ack"),
    Point("lease", "analysis", "explorer.services.analyses:_work", by_database=True),
    Point("decrypt", "archive", "explorer.services.plain_dumps:_decrypted"),
    Point("unpack", "archive", "explorer.services.plain_dumps:_require_plain_file"),
    Point("cache", "analysis", "shutil:copytree"),
    Point("spawn", "analysis", "subprocess:Popen"),
    Point("header", "analysis", stage="open"),
    Point("walk", "analysis", stage="heap"),
    Point("index write", "analysis", stage="write"),
    Point("index publish", "analysis", "pathlib:Path.replace"),
    Point("result commit", "analysis", _COMMIT, after="explorer.services.analyses:replace_findings", by_database=True),
    Point("reap", "lost", "explorer.services.analyses:enqueue"),
    Point("share", "share", "explorer.models.share:ShareLink.save", by_database=True),
    Point("audit anchor", "anchor", "explorer.services.audit:anchor_file"),
    Point("key destroyed", "delete", "explorer.services.removal:destroy_key"),
    Point("key of an original destroyed", "original", "explorer.services.removal:destroy_key"),
    Point("blob delete", "delete", "explorer.services.removal:remove"),
    Point("blob delete, half done", "delete", "shutil:rmtree", after="explorer.services.removal:remove"),
    Point("original delete", "original", "pathlib:Path.unlink", after="explorer.services.removal:remove"),
    Point("restore", "restore", "explorer.services.trash:write_down", by_database=True),
)  # fmt: skip


def arm(point: Point, fault: str, lose_broker: Callable[[], None], note: Callable[[], None]) -> None:
    """From now on the fault happens once, at the point; ``note`` is called before it does."""
    struck = False
    armed = not point.after

    def strike() -> None:
        nonlocal struck
        if struck or not armed:
            return
        struck = True
        note()
        if fault == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault == BROKER:
            lose_broker()
        elif fault == DATABASE:
            lose_database()
        elif point.by_database:
            raise OperationalError(_SAID_BY_SQLITE[fault])
        else:
            raise OSError(_NUMBERS[fault], os.strerror(_NUMBERS[fault]))

    def arm_now() -> None:
        nonlocal armed
        armed = True

    if point.after:
        _before(point.after, arm_now)
    if point.stage:
        _before_stage(point.stage, strike)
    else:
        _before(point.function, strike)


def _before(function: str, act: Callable[[], None]) -> None:
    """Do something each time before the function runs."""
    module, _, path = function.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for attribute in outer:
        owner = getattr(owner, attribute)
    original = getattr(owner, name)

    def replaced(*arguments: Any, **more: Any) -> Any:
        act()
        return original(*arguments, **more)

    setattr(owner, name, replaced)


def _before_stage(stage: str, act: Callable[[], None]) -> None:
    """When the worker hears that its engine has come so far."""
    from explorer.services.analyses import Lease

    original = Lease.renew

    def renew(lease: Lease, **changes: Any) -> None:
        if changes.get("stage") == stage:
            act()
        original(lease, **changes)

    Lease.renew = renew  # type: ignore[method-assign]


def lose_database() -> None:
    """No statement and no commit reaches it any more."""

    def gone(*arguments: Any) -> None:
        raise OperationalError("the database is gone")

    connection.execute_wrappers.append(gone)
    BaseDatabaseWrapper._commit = gone  # type: ignore[method-assign]


def in_engine(point: Point, fault: str) -> str:
    """The fault that the engine itself meets, as ``faulty_engine`` takes it; "" for one that its worker meets."""
    if not point.stage or fault in (BROKER, DATABASE):
        return "none"
    return "kill" if fault == KILL else str(_NUMBERS[fault])
