"""Uploads under way: how many bytes have arrived, for whom, until when they may go on."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import models

from explorer.models.dump import Dump
from explorer.models.team import Team, User


class Upload(models.Model):
    """One tus upload. ``offset`` counts bytes that are safely in the part file."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="uploads")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="uploads")
    original_name = models.CharField(max_length=255)
    service = models.CharField(max_length=100, blank=True)
    build = models.CharField(max_length=100, blank=True)
    environment = models.CharField(max_length=100, blank=True)
    length = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    format = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    dump = models.ForeignKey(Dump, on_delete=models.CASCADE, null=True, related_name="uploads")

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.original_name} ({self.offset} of {self.length})"

    @property
    def part(self) -> Path:
        """The file that grows as bytes arrive."""
        return Path(settings.UPLOAD_DIR) / f"{self.pk}.part"

    @property
    def sealed(self) -> Path:
        """All of it, encrypted, on its way into the store."""
        return self.part.with_suffix(".sealed")
