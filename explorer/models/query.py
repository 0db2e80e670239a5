"""Queries that people keep: SQL or a command, run on whichever dump of the team is open."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from explorer.models.team import Team, User


class SavedQuery(models.Model):
    """A query under a name. Its owner sees it on every dump of the team; when it is shared, so do the others."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="saved_queries")
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_queries")
    name = models.CharField(max_length=100)
    text = models.TextField()
    shared = models.BooleanField(default=False)
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["name", "saved_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "owner", "name"], name="one_query_per_name")]

    def __str__(self) -> str:
        return self.name
