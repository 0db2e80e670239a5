"""One run of the engine over a dump: its state, its lease, its outcome."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import ClassVar

from django.db import models

from explorer.models.dump import Dump


class State(models.TextChoices):
    """Where an analysis stands."""

    RECEIVED = "received", "Received"
    CHECKING = "checking", "Checking"
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


#: Which state may follow which. A lost worker brings an analysis back to queued.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.CHECKING, State.FAILED, State.CANCELLED}),
    State.CHECKING: frozenset({State.RUNNING, State.QUEUED, State.FAILED, State.CANCELLED}),
    State.QUEUED: frozenset({State.CHECKING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.DONE, State.QUEUED, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
OPEN_STATES = tuple(state for state, following in TRANSITIONS.items() if following)


class IllegalTransition(Exception):
    """An analysis was asked to go where its state does not lead."""


class Analysis(models.Model):
    """The worker that holds ``token`` while ``lease_until`` lies ahead is the only one that may write this row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dump = models.ForeignKey(Dump, on_delete=models.CASCADE, related_name="analyses")
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVED, db_index=True)
    stage = models.CharField(max_length=20, blank=True)
    fraction = models.FloatField(default=0.0)
    detail = models.CharField(max_length=200, blank=True)
    #: How often it was started, and how often of these the process that reads the dump died.
    attempts = models.PositiveSmallIntegerField(default=0)
    crashes = models.PositiveSmallIntegerField(default=0)
    token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_what = models.TextField(blank=True)
    error_where = models.TextField(blank=True)
    error_remedy = models.TextField(blank=True)
    log = models.TextField(blank=True)
    dump_kind = models.CharField(max_length=20, blank=True)
    runtime_version = models.CharField(max_length=40, blank=True)
    process_name = models.CharField(max_length=100, blank=True)
    object_count = models.BigIntegerField(null=True)
    heap_bytes = models.BigIntegerField(null=True)
    thread_count = models.IntegerField(null=True)
    #: With which version of ``explorer.services.search_rows`` its names were made searchable, 0 for not yet.
    search_version = models.PositiveSmallIntegerField(default=0, db_index=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "analyses"

    def __str__(self) -> str:
        return f"{self.dump}: {self.get_state_display()}"

    @property
    def is_open(self) -> bool:
        """Whether something may still happen to it."""
        return self.state in OPEN_STATES

    @property
    def index_directory(self) -> Path:
        return self.dump.directory / f"index-{self.pk}"

    def check_transition(self, to: State) -> None:
        """Raise IllegalTransition unless ``to`` may follow the present state."""
        if to not in TRANSITIONS[State(self.state)]:
            raise IllegalTransition(f"{self.state} cannot become {to}")
