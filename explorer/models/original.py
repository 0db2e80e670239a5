"""Asking for the original file of a dump: one person asks, another one lets them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from explorer.models.dump import Dump
from explorer.models.team import User


class OriginalRequest(models.Model):
    """Somebody wants the file itself. ``granted_by`` is never who asked; the download is open until ``expires_at``."""

    dump = models.ForeignKey(Dump, on_delete=models.CASCADE, related_name="original_requests")
    asked_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    explanation = models.CharField(max_length=500)
    asked_at = models.DateTimeField(auto_now_add=True)
    granted_by = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-asked_at"]

    def __str__(self) -> str:
        return f"{self.asked_by} asks for {self.dump}"
