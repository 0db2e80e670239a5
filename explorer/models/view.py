"""Views of the archive that people keep: filters, sort and search under a name."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from explorer.models.team import Team, User


class SavedView(models.Model):
    """Its owner sees it on their archive; when it is shared with a team, so do the others there."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    #: With whom it is shared, None for its owner's own.
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, related_name="saved_views")
    name = models.CharField(max_length=60)
    #: The query of the archive's address, known parameters only.
    parameters = models.CharField(max_length=2000, blank=True)
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["name", "saved_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "name"], name="one_view_per_name")]

    def __str__(self) -> str:
        return self.name
