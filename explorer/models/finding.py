"""What rules found in a dump, as far as lists of dumps need it; the whole is in the index."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Finding(models.Model):
    """One finding of the latest analysis. ``title`` names threads by id only: it is structure (D1)."""

    class Severity(models.TextChoices):
        CRITICAL = "critical"
        WARNING = "warning"
        NOTICE = "notice"

    dump = models.ForeignKey("explorer.Dump", on_delete=models.CASCADE, related_name="findings")
    #: Place in the index, from 1: the most important first.
    number = models.PositiveIntegerField()
    rule = models.CharField(max_length=64, db_index=True)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    confidence = models.CharField(max_length=10)
    title = models.CharField(max_length=300)

    class Meta:
        ordering: ClassVar = ["dump", "number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["dump", "number"], name="one_finding_per_number")]

    def __str__(self) -> str:
        return self.title
