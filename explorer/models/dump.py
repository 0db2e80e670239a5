"""Dumps: what was uploaded, by whom, for which team, and where its files lie."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.template.defaultfilters import date
from django.urls import reverse
from django.utils import timezone

from explorer.models.team import Team, User
from explorer.sealed_files import is_sealed

if TYPE_CHECKING:
    from explorer.models.analysis import Analysis


_WITHOUT_KEY = (
    "The key of this dump is gone: its file cannot be read by anybody. Its analysis is kept. Where the server was restored from "
    "backups and the dump was not deleted, restore the key directory too; else upload the file again."
)


class Held(Exception):
    """A hold is on a dump: nobody and nothing deletes it, its file, its team or the account of who uploaded it."""


class Status(models.TextChoices):
    """How far people are with a dump."""

    OPEN = "open", "Open"
    INVESTIGATING = "investigating", "Investigating"
    RESOLVED = "resolved", "Resolved"
    WONT_FIX = "wont_fix", "Won't fix"


class Dump(models.Model):
    """One dump of one process. Names are labels only; files are found by id. Rows go by ``explorer.services.removal`` only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="dumps")
    name = models.CharField(max_length=200)
    original_name = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    format = models.CharField(max_length=80, default="ELF core")
    uploaded_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="dumps")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    service = models.CharField(max_length=100, blank=True)
    build = models.CharField(max_length=100, blank=True)
    environment = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=13, choices=Status, default=Status.OPEN)
    assignee = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    #: An address is context (D2): it is shown, sorted, filtered and found only for those who see that of this dump.
    ticket_url = models.CharField(max_length=500, blank=True)
    #: Of the crash that the newest result found, "" for none: the same crash has the same signature (D1).
    signature = models.CharField(max_length=16, blank=True, db_index=True)

    #: Set while nothing and nobody may delete the dump, and why.
    held_at = models.DateTimeField(null=True)
    hold_note = models.CharField(max_length=200, blank=True)
    #: From when the days that a team keeps dumps count: the upload, or when it came out of the trash.
    kept_since = models.DateTimeField(default=timezone.now)
    #: When the file itself was deleted; its analysis stays.
    original_removed_at = models.DateTimeField(null=True)
    #: In the trash nobody sees the dump; some days later it is gone for good.
    trashed_at = models.DateTimeField(null=True, db_index=True)
    trashed_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    #: Why, where no person did it.
    trash_note = models.CharField(max_length=100, blank=True)
    #: What all its files took on the disk when they were measured last.
    stored_bytes = models.BigIntegerField(default=0)
    #: Where there are some, only these people, the uploader and the leads of the team see the dump.
    only_people = models.ManyToManyField(User, blank=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "sha256"], name="same_file_once_per_team")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("dump-overview", args=[self.pk])

    @property
    def directory(self) -> Path:
        """Where everything about this dump lies."""
        return Path(settings.STORE_DIR) / str(self.pk)

    @property
    def original(self) -> Path:
        """The file as it was uploaded, encrypted; ``explorer.services.plain_dumps`` gives it to who must read it."""
        return self.directory / "original"

    @property
    def key(self) -> Path:
        """The wrapped key under which the original is encrypted (``explorer.services.vault``)."""
        return Path(settings.KEY_DIR) / str(self.pk)

    @property
    def without_original(self) -> str:
        """Why nothing can be read from the dump itself any more, "" where it can."""
        if self.original_removed_at is None:
            return _WITHOUT_KEY if is_sealed(self.original) and not self.key.exists() else ""
        when = date(self.original_removed_at, "j M Y")
        return (
            f"The original file was deleted on {when}; its analysis is kept. Values, raw memory and a new analysis need the "
            "file: upload it again to have them."
        )

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for label in (self.service, self.build, self.environment) if label)

    @property
    def tag_names(self) -> list[str]:
        return [tag.name for tag in self.tags.all()]

    @property
    def analysis(self) -> Analysis | None:
        """The latest analysis."""
        return self.analyses.order_by("-created_at").first()


class Tag(models.Model):
    """A word that people put on a dump to find it again (D0)."""

    dump = models.ForeignKey(Dump, on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(max_length=40, db_index=True)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["dump", "name"], name="one_tag_per_name")]

    def __str__(self) -> str:
        return self.name
