"""``manage.py up``: the whole server on this machine, with nothing to install or configure."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from explorer.supervisor import StartFailed, Supervisor


class Command(BaseCommand):
    help = "Start broker, worker and web server on this machine, and stop them together."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            Supervisor(options["port"], self._say).run()
        except StartFailed as failure:
            raise CommandError(str(failure)) from failure

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
