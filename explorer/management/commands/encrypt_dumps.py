"""``manage.py encrypt_dumps``: originals that were stored plain are encrypted, keys wrapped under the present store key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from analysis.errors import AnalysisError
from explorer.models import Dump
from explorer.services import encrypting


class Command(BaseCommand):
    help = "Encrypt what an earlier version stored plain, and wrap keys under EXPLORER_STORE_KEY. Safe to stop and run again."

    def handle(self, *args: Any, **options: Any) -> None:
        encrypted = rewrapped = left = 0
        for dump in Dump.objects.iterator():
            try:
                encrypted += encrypting.encrypt(dump)
                rewrapped += encrypting.rewrap(dump)
            except (AnalysisError, OSError) as error:
                self.stderr.write(self.style.ERROR(f"{dump.pk}: {error}"))
                left += 1
        self.stdout.write(f"{encrypted:,} originals encrypted, {rewrapped:,} keys wrapped anew.")
        if left:
            raise CommandError(f"{left:,} dumps are as they were; run this again when nothing reads them.")
