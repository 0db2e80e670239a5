"""Who looked at what: one row for every value that left the server."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class AuditEntry(models.Model):
    """One act on one dump. The row outlives the dump and the person: names are kept beside the links."""

    class Action(models.TextChoices):
        REVEAL_REGISTERS = "reveal_registers", "looked at registers"
        REVEAL_OBJECT = "reveal_object", "looked at values of an object"

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    user_name = models.CharField(max_length=150)
    team = models.ForeignKey("explorer.Team", null=True, on_delete=models.SET_NULL)
    dump = models.ForeignKey("explorer.Dump", null=True, on_delete=models.SET_NULL)
    dump_name = models.CharField(max_length=255)
    action = models.CharField(max_length=32, choices=Action.choices)
    #: What exactly was shown: "thread 4".
    detail = models.CharField(max_length=200, blank=True)
    remote_address = models.GenericIPAddressField(null=True)

    class Meta:
        ordering: ClassVar = ["-at"]

    def __str__(self) -> str:
        return f"{self.user_name} {self.get_action_display()} of {self.dump_name}"
