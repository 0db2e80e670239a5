"""``manage.py server_role NAME auditor``: what somebody may do on the whole server; for the operator of the machine."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from explorer.models import AuditEntry, ServerRole, User
from explorer.services.audit import by_the_operator, write_down


class Command(BaseCommand):
    help = "Make somebody an auditor, an administrator, or neither (none). It is written into the audit."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("role", choices=[role.value or "none" for role in ServerRole])

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"There is nobody of the name {options['name']}.")
        role = ServerRole("" if options["role"] == "none" else options["role"])
        detail = f"{{0}}: {user.server_role or 'none'} to {role or 'none'} on the server"
        write_down(by_the_operator(), AuditEntry.Action.CHANGE_ROLE, detail=detail, people=[user])
        user.server_role = role
        user.save(update_fields=["server_role"])
        self.stdout.write(f"{user}: {role.label.lower()}")
