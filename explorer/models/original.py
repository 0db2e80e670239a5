"""Asking for the original file of a dump: one person asks, another one lets them."""

from __future__ import annotations

from django.db import models

from explorer.models.dump import Dump
from explorer.models.team import Asked, User


class OriginalRequest(Asked):
    """Somebody wants the file itself. ``granted_by`` is never who asked; the download is open until ``expires_at``."""

    dump = models.ForeignKey(Dump, on_delete=models.CASCADE, related_name="original_requests")
    asked_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"{self.asked_by} asks for {self.dump}"
