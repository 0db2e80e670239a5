"""``manage.py remove_account NAME``: the end of somebody's account; for the operator of the machine."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from explorer.models import AuditEntry, Held, User
from explorer.models.audit import PLAIN
from explorer.services import audit_names
from explorer.services.audit import by_the_operator
from explorer.services.removal import remove_account


class Command(BaseCommand):
    help = (
        "Remove an account with its tokens, links and sessions. Dumps stay with their teams; the audit keeps the name, unless it "
        "is erased too, now or later."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--erase-name", action="store_true", help="destroy the key under which the audit holds the person's name"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name, erase = options["name"], options["erase_name"]
        user = User.objects.filter(username=name).first()
        if user is not None:
            try:
                remove_account(request=by_the_operator(), user=user, erase_name=erase)
            except (Held, ValueError) as refused:
                raise CommandError(str(refused)) from refused
            self.stdout.write(f"The account {name} is gone.")
        elif not erase or not audit_names.erase_removed(name):
            raise CommandError(f"There is nobody of the name {name}.")
        if erase:
            self._say_what_stays(name)

    def _say_what_stays(self, name: str) -> None:
        """Rows of an earlier version are sealed over the plain name: they cannot be changed without breaking the chain."""
        old = AuditEntry.objects.filter(form=PLAIN)
        still = old.filter(Q(actor_name=name) | Q(detail__contains=name)).count()
        self.stdout.write("Their name in the audit can be read by nobody any more.")
        if still:
            self.stdout.write(f"{still:,} rows that an earlier version wrote are sealed over the plain name and keep it.")
