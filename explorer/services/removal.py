"""The one gate through which dumps go: rows and files, whoever or whatever removes them.

A hold beats them all: a person who deletes, the trash, the days a team keeps dumps, the end of a team or of an account. Services
ask ``unheld``; whatever else deletes rows (a cascade, a queryset) meets the guards below, which Django calls for every row.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from analysis.index import DataClass
from explorer.models import AuditEntry, Dump, Held, Membership, Role, Team, Upload, User
from explorer.models.analysis import OPEN_STATES
from explorer.pages.opened import forget
from explorer.services import audit_names, search_rows
from explorer.services.audit import AuditUnavailable, write_down
from explorer.services.plain_dumps import working_copy
from explorer.services.quotas import measure
from explorer.services.vault import destroy_key

log = structlog.get_logger()
_INDEXES = "index-"
#: Says that the directory of a dump is to go; written before its row is deleted.
DELETED = "deleted"
SET_ASIDE = "removed-"


@contextmanager
def unheld(dump_id: UUID) -> Iterator[Dump]:
    """A dump while its row is locked, so that no hold can be set before what is done to it is done. Raises Held, and
    Dump.DoesNotExist when it is gone meanwhile."""
    with transaction.atomic():
        dump = Dump.objects.select_for_update().get(pk=dump_id)
        _require_no_hold(dump)
        yield dump


@contextmanager
def one_of_many(dump: Dump) -> Iterator[None]:
    """For what the clock does to many dumps: a hold or a fault keeps this one, and no other. Faults are in the log."""
    try:
        yield
    except (Held, Dump.DoesNotExist):
        pass
    except (OSError, DatabaseError, AuditUnavailable) as error:
        log.warning("dump_not_removed", dump=str(dump.pk), error=type(error).__name__)


def _require_no_hold(dump: Dump) -> None:
    if dump.held_at is not None:
        raise Held(f"A hold is on {dump.name}: it stays until an auditor lifts the hold.")


def purge(*, request: HttpRequest, dump: Dump, detail: str = "") -> None:
    """Remove a dump for good: rows first, so that no page leads to missing files, then its key and everything on disk.
    Raises Held."""
    with unheld(dump.pk) as row:
        write_down(request, AuditEntry.Action.DELETE_DUMP, dump=row, detail=detail, data_class=DataClass.D4_RAW)
        row.delete()


def remove_original(*, request: HttpRequest, dump: Dump, detail: str) -> bool:
    """Remove the file of a dump, its key, and all that was made from it but indexes, which pages go on to read; False while an
    analysis needs it. Raises Held."""
    with unheld(dump.pk) as row:
        if row.analyses.filter(state__in=OPEN_STATES).exists():
            return False
        write_down(request, AuditEntry.Action.DELETE_ORIGINAL, dump=row, detail=detail, data_class=DataClass.D4_RAW)
        Dump.objects.filter(pk=row.pk).update(original_removed_at=timezone.now())
        kept = [file for file in _files_of(row) if not file.name.startswith(_INDEXES)]
        # The key too: the same file may be uploaded again before this one is destroyed, and gets another.
        with _set_aside([row.key, *kept]) as (key, *files):
            transaction.on_commit(partial(shred, [key], [*files, *_scratch_of(row), working_copy(row.pk)]))
            transaction.on_commit(partial(measure, row))
    return True


def remove_team(*, request: HttpRequest, team: Team) -> None:
    """Remove a team with all it has. Raises Held, with nothing removed, while a hold is on one of its dumps."""
    with transaction.atomic():
        locked = Team.objects.select_for_update().get(pk=team.pk)
        search_rows.forget_team(locked)
        for dump in Dump.objects.filter(team=locked):
            purge(request=request, dump=dump, detail="with its team")
        write_down(request, AuditEntry.Action.REMOVE_TEAM, team=locked, detail=locked.name)
        locked.delete()
        transaction.on_commit(partial(remove, [Path(settings.DATA_DIR) / "symbols" / str(team.pk)]))


def remove_account(*, request: HttpRequest, user: User, erase_name: bool = False) -> None:
    """Remove a person's account. Their dumps stay with the team, without their name; the audit keeps it unless it is erased
    there too. Raises Held while a hold is on one of those, ValueError for the last lead of a team."""
    with transaction.atomic():
        led = Team.objects.select_for_update().filter(memberships__user=user, memberships__role=Role.LEAD)
        for team in led:
            if not Membership.objects.filter(team=team, role=Role.LEAD).exclude(user=user).exists():
                raise ValueError(f"{user} is the last lead of {team}: make somebody else lead first.")
        write_down(request, AuditEntry.Action.REMOVE_ACCOUNT, detail="{0}", people=[user])
        person_id = user.pk
        user.delete()
        if erase_name:
            audit_names.erase(person_id)


@receiver(pre_delete, sender=Dump, dispatch_uid="dumps go by the gate")
def _before_a_dump_goes(instance: Dump, **_: Any) -> None:
    """Whatever deletes the row: not while a hold is on it, and its files go once it is gone."""
    dump = Dump.objects.select_for_update().filter(pk=instance.pk).first()
    if dump is not None:
        _require_no_hold(dump)
        with suppress(OSError):  # a full disk, or no directory, is no reason to keep it
            (dump.directory / DELETED).touch()
        search_rows.forget(dump)
        transaction.on_commit(partial(shred, keys_of(dump), [dump.directory, *_scratch_of(dump), working_copy(dump.pk)]))
        transaction.on_commit(forget)


@receiver(pre_delete, sender=User, dispatch_uid="accounts go by the gate")
def _before_an_account_goes(instance: User, **_: Any) -> None:
    """Who uploaded a dump under a hold stays on record. A dump narrowed to this person alone stays with the leads: with nobody
    named the whole team would see it."""
    held = Dump.objects.select_for_update().filter(uploaded_by=instance).exclude(held_at=None).first()
    if held is not None:
        raise Held(f"A hold is on {held.name}, which {instance} uploaded: the account stays until an auditor lifts the hold.")
    for dump in Dump.objects.filter(only_people=instance):
        if dump.only_people.count() == 1:
            dump.only_people.add(_lead_beside(dump.team_id, instance))


def _lead_beside(team_id: UUID, user: User) -> User:
    other = Membership.objects.select_related("user").filter(team_id=team_id, role=Role.LEAD).exclude(user=user).first()
    if other is None:
        raise ValueError("A team needs a lead; make somebody else lead first.")
    return other.user


@receiver(post_delete, sender=Upload, dispatch_uid="bytes that arrived go with their upload")
def _after_an_upload_went(instance: Upload, **_: Any) -> None:
    if not Dump.objects.filter(pk=instance.pk).exists():
        transaction.on_commit(partial(destroy_key, Dump(id=instance.pk).key))
    transaction.on_commit(partial(remove, [instance.part, instance.sealed]))


def keys_of(dump: Dump) -> tuple[Path, Path]:
    """Where its key lies, and where one lies that was set aside."""
    return dump.key, dump.key.with_name(f"{SET_ASIDE}{dump.key.name}")


def _files_of(dump: Dump) -> list[Path]:
    return list(dump.directory.iterdir()) if dump.directory.exists() else []


def _scratch_of(dump: Dump) -> list[Path]:
    """What analyses and a scrubbed copy that are under way have written so far."""
    scratch = Path(settings.SCRATCH_DIR)
    made_for = [dump.pk, *dump.analyses.values_list("pk", flat=True)]
    return [path for row_id in made_for for path in scratch.glob(f"{row_id}-*")]


@contextmanager
def _set_aside(files: Iterable[Path]) -> Iterator[list[Path]]:
    """Files renamed, at once and all of them or none: what was set aside is gone for every page, and waits to be removed."""
    moved: list[tuple[Path, Path]] = []
    try:
        for file in files:
            aside = file if file.name.startswith(SET_ASIDE) else file.with_name(f"{SET_ASIDE}{file.name}")
            with suppress(FileNotFoundError):  # what was stored plain has no key
                file.rename(aside)
            moved.append((file, aside))
        yield [aside for _, aside in moved]
    except BaseException:
        for file, aside in moved:
            with suppress(FileNotFoundError):
                aside.rename(file)
        raise


def shred(keys: Iterable[Path], files: Iterable[Path]) -> None:
    """Destroy keys of a dump, which ends all copies of its original wherever they are, then remove files of it. What was made
    to be read comes last: once the rest is gone, nobody makes it again."""
    for key in keys:
        destroy_key(key)
    remove(files)


def remove(paths: Iterable[Path]) -> None:
    """Files and whole directories, as far as they are there."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
