"""``manage.py index_search``: make every dump searchable now that is not yet; the server does it by itself, bit by bit."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from explorer.services.search_rows import catch_up, sweep


class Command(BaseCommand):
    help = "Make dumps searchable that were analysed before, and delete texts that no dump holds any more."

    def handle(self, *args: Any, **options: Any) -> None:
        done = 0
        while read := catch_up():
            done += read
            self.stdout.write(f"{done:,} analyses read")
        self.stdout.write(self.style.SUCCESS(f"All dumps are searchable; {sweep():,} texts were left over and are gone."))
