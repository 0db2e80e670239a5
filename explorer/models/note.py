"""What people write down about a dump, pinned to what it is about."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from analysis.index import DataClass
from explorer.models.dump import Dump
from explorer.models.team import User


class Note(models.Model):
    """A comment of a member, or a line that says what somebody changed about the dump.

    ``data_class`` is the sight that a reader needs: that of its writer, who may have quoted what they saw.
    """

    class Pin(models.TextChoices):
        DUMP = "dump", "the dump"
        FINDING = "finding", "a finding"
        OBJECT = "object", "an object"
        TYPE = "type", "a type"
        THREAD = "thread", "a thread"
        FRAME = "frame", "a frame"
        CHANGE = "change", "a change"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dump = models.ForeignKey(Dump, on_delete=models.CASCADE, related_name="notes")
    pin = models.CharField(max_length=8, choices=Pin, default=Pin.DUMP)
    #: What it is pinned to, by what stays the same when the dump is analysed again: a rule, an address, a name, a thread's id.
    key = models.CharField(max_length=1100, blank=True)
    #: The same for people, as it was when the note was written.
    label = models.CharField(max_length=300, blank=True)
    text = models.TextField()
    data_class = models.PositiveSmallIntegerField(default=DataClass.D2_CONTEXT)
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    written_at = models.DateTimeField(auto_now_add=True)
    edited_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["written_at"]
        indexes: ClassVar = [models.Index(fields=["dump", "pin"], name="notes_of_a_dump")]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"
