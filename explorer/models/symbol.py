"""Symbols: portable PDBs a team gave, from which the lines in its stacks come."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import models

from explorer.models.team import Team, User


class SymbolFile(models.Model):
    """One PDB of one team. Pages find it by the id that the compiler put into both the PDB and its module."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="symbol_files")
    pdb_id = models.CharField(max_length=48)
    file_name = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    uploaded_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="symbol_files")
    uploaded_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["-uploaded_at", "file_name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "pdb_id"], name="same_pdb_once_per_team")]

    def __str__(self) -> str:
        return f"{self.file_name} ({self.pdb_id})"

    @property
    def directory(self) -> Path:
        """Where the file and its lines lie. The id was checked to be a GUID and a number before there was a row."""
        return Path(settings.DATA_DIR) / "symbols" / str(self.team_id) / self.pdb_id

    @property
    def original(self) -> Path:
        """The file as it was uploaded."""
        return self.directory / "original"

    @property
    def lines(self) -> Path:
        """Its source lines, as ``analysis.index.lines`` keeps them."""
        return self.directory / "lines.npz"
