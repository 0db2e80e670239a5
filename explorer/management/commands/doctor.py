"""``manage.py doctor``: whether this system keeps the reader of dumps behind all its walls, has room on its disk, and a key."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from explorer.services.disk import disk
from explorer.services.engine import attempts_from_inside


class Command(BaseCommand):
    help = (
        "Start the reader as an analysis does, try from inside what a captured one would, and say which walls are missing; "
        "say how full the disk is, and whether keys of dumps have a store key of their own."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        has_room = self._disk()
        self._store_key()
        self._walls()
        if not has_room:
            raise CommandError("The disk is too full: delete dumps and empty the trash of teams, or add disk.")

    def _disk(self) -> bool:
        found = disk()
        problem = "" if found.takes_uploads and found.room_bytes else ": new uploads are refused"
        said = f"{found}{problem}"
        self.stdout.write(f"  {'disk of the data directory':<52} {self.style.ERROR(said) if problem else said}")
        return not problem

    def _store_key(self) -> None:
        """On a machine of one's own it may hang on the secret key."""
        said = "its own" if settings.STORE_KEY else "hangs on the secret key: set EXPLORER_STORE_KEY"
        warned = settings.HTTPS and not settings.STORE_KEY
        self.stdout.write(f"  {'store key':<52} {self.style.WARNING(said) if warned else said}")

    def _walls(self) -> None:
        walls = attempts = problems = 0
        for found in attempts_from_inside():
            problem = found.get("missing") or found.get("problem") or ""
            walls += "wall" in found
            attempts += "attempt" in found
            problems += bool(problem)
            text = f"wall: {found['wall']}" if "wall" in found else f"attempt to {found.get('attempt', '?')}"
            outcome = self.style.ERROR(problem) if problem else "stands" if "wall" in found else "denied"
            self.stdout.write(f"  {text:<52} {outcome}")
        if not attempts:
            raise CommandError("The reader did not start; `python -m analysis walls` says why.")
        if problems:
            raise CommandError(
                f"{problems} of {walls + attempts} are not as they should be. Dumps are untrusted input: run on Linux 5.13 or "
                "later with Landlock and seccomp (in a container, with its default seccomp profile)."
            )
        self.stdout.write(self.style.SUCCESS(f"All {walls} walls stand; {attempts} attempts from inside were denied."))
