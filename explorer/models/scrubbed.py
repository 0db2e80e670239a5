"""Scrubbed copies: one for each dump, made when somebody asks."""

from __future__ import annotations

from pathlib import Path

from django.db import models

from explorer.models.dump import Dump
from explorer.models.team import User


class ScrubbedCopy(models.Model):
    """What was asked for and how far it is. The worker that holds ``token`` while ``lease_until`` lies ahead makes it.

    The copy and its certificate lie in the directory of the dump, and go with it.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "waiting for a worker"
        RUNNING = "running", "being made"
        DONE = "done", "made"
        FAILED = "failed", "not made"

    dump = models.OneToOneField(Dump, on_delete=models.CASCADE, related_name="scrubbed_copy")
    asked_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    #: How often it was started since it was asked for.
    attempts = models.PositiveSmallIntegerField(default=0)
    token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    stage = models.CharField(max_length=20, blank=True)
    fraction = models.FloatField(default=0.0)
    #: Why there is none, in words.
    problem = models.CharField(max_length=1000, blank=True)

    def __str__(self) -> str:
        return f"scrubbed copy of {self.dump}: {self.get_state_display()}"

    @property
    def is_open(self) -> bool:
        return self.state in (self.State.WAITING, self.State.RUNNING)

    @property
    def percent(self) -> int:
        """How far the present stage is."""
        return round(100 * min(1.0, max(0.0, self.fraction)))

    @property
    def file(self) -> Path:
        return self.dump.directory / "scrubbed"

    @property
    def certificate(self) -> Path:
        return self.dump.directory / "scrubbed.json"
