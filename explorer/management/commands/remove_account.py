"""``manage.py remove_account NAME``: the end of somebody's account; for the operator of the machine."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from explorer.models import Held, User
from explorer.services.audit import by_the_operator
from explorer.services.removal import remove_account


class Command(BaseCommand):
    help = "Remove an account with its tokens, links and sessions. Dumps stay with their teams; the audit keeps the name."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"There is nobody of the name {options['name']}.")
        try:
            remove_account(request=by_the_operator(), user=user)
        except (Held, ValueError) as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(f"The account {options['name']} is gone.")
