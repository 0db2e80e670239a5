"""Links that show the structure of one dump to whoever has them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from explorer.models.analysis import Analysis
from explorer.models.dump import Dump
from explorer.models.team import User


class ShareLink(models.Model):
    """One link: what it shows, until when. Of its secret a keyed hash is kept; the link is shown once."""

    class Scope(models.TextChoices):
        SUMMARY = "summary", "Summary: health, counts, findings"
        STACKS = "stacks", "Stacks: merged frames of all threads"
        HEAP_SHAPE = "heap-shape", "Heap: types, counts, sizes, retained bytes"
        FINDING = "finding", "One finding"
        THREAD = "thread", "One thread and its stack"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dump = models.ForeignKey(Dump, on_delete=models.CASCADE, related_name="shares")
    #: What was shared; a link does not follow to a later analysis.
    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="+")
    scope = models.CharField(max_length=12, choices=Scope)
    #: Number of the one finding, managed id of the one thread.
    part = models.PositiveIntegerField(null=True)
    digest = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    sign_in_only = models.BooleanField(default=False)
    views = models.PositiveIntegerField(default=0)
    most_views = models.PositiveIntegerField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.shown} of {self.dump}"

    @property
    def shown(self) -> str:
        """What it shows, for rows of the audit."""
        return self.scope if self.part is None else f"{self.scope} {self.part}"
