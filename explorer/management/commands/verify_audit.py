"""``manage.py verify_audit``: whether the audit is whole, also against anchors that were kept elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from explorer.models import AuditEntry
from explorer.services.audit import anchor_file, anchors_in, faults


class Command(BaseCommand):
    help = "Check every row of the audit against its seal, the row before it, and the anchors."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--anchors", type=Path, default=None, help="a file of anchors; default: the server's own")

    def handle(self, *args: Any, **options: Any) -> None:
        anchors = anchors_in(options["anchors"] or anchor_file())
        found = list(faults(anchors))
        for fault in found[:100]:
            self.stdout.write(self.style.ERROR(fault))
        if found:
            raise CommandError(f"The audit is not whole: {len(found):,} faults.")
        self.stdout.write(
            self.style.SUCCESS(f"{AuditEntry.objects.count():,} rows and {len(anchors):,} anchors: the audit is whole.")
        )
