"""Originals that were stored plain by an earlier version get what all others have: a key, and only encrypted bytes on disk."""

from __future__ import annotations

from contextlib import suppress

from django.db import transaction

from analysis.errors import AnalysisError, Corrupt
from explorer.models import Dump
from explorer.models.analysis import OPEN_STATES
from explorer.sealed_files import Sealed, is_sealed, seal
from explorer.services import vault


class InUse(AnalysisError):
    """An analysis reads the file at this moment."""

    code = "in_use"


def encrypt(dump: Dump) -> bool:
    """Encrypt the original of a dump, and remove the unpacked copy that used to lie beside it; False where nothing was plain.
    Raises InUse, Corrupt where the file is not what was uploaded, and OSError; then all is as it was."""
    unpacked = dump.directory / "unpacked"
    plain = dump.original.exists() and not is_sealed(dump.original)
    if not plain and not unpacked.exists():
        return False
    made = dump.directory / "original.sealed"
    try:
        _put(dump, seal(dump.original, made) if plain else None)
    finally:
        made.unlink(missing_ok=True)
    return True


def _put(dump: Dump, sealed: Sealed | None) -> None:
    if sealed is not None and sealed.sha256 != dump.sha256:
        raise Corrupt("the stored file is not the one that was uploaded", remedy="Restore it from a backup.")
    with suppress(Dump.DoesNotExist), transaction.atomic():  # deleted meanwhile
        row = Dump.objects.select_for_update().get(pk=dump.pk, original_removed_at=None)
        if row.analyses.filter(state__in=OPEN_STATES).exists():
            raise InUse("an analysis of this dump is under way")
        if sealed is not None:
            vault.keep(row, dump.directory / "original.sealed", sealed)
        (dump.directory / "unpacked").unlink(missing_ok=True)


def rewrap(dump: Dump) -> bool:
    """Wrap the key of a dump under the present store key; False where there is none, or it is already. Raises KeyGone."""
    with transaction.atomic():
        row = Dump.objects.select_for_update().filter(pk=dump.pk).first()
        return row is not None and row.key.exists() and vault.rewrap(row)
