"""``manage.py prepare``: what a server needs before its processes start; safe to run again."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from explorer.services import plain_dumps
from explorer.services.engine import warm_kernels
from explorer.services.teams import first_administrator


class Command(BaseCommand):
    help = "Migrate, collect static files, compile kernels, remove working copies of dumps, and make the first administrator."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        warm_kernels()
        plain_dumps.sweep(unused_seconds=0)
        password = first_administrator()
        if password:
            self.stdout.write(f"Sign in as  admin  with the one-time password  {password}")
