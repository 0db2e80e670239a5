"""What full-text search looks through: names that analyses found, and in which dumps they are."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from explorer.models.dump import Dump
from explorer.models.team import Team


class SearchedName(models.Model):
    """A text that stands in at least one dump of a team, kept once. It says nothing of who may read it: postings do.

    ``words`` are what it is found by, each behind the scope of the name (``explorer.services.search_words``), so that who
    looks for a word passes by what other teams have and what is above their sight; an index over them is made by the
    migration: FTS5 on SQLite, GIN on PostgreSQL.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=32)
    text = models.TextField()
    words = models.TextField()
    #: The lowest class of the postings that name it.
    data_class = models.PositiveSmallIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "digest"], name="one_searched_name_per_text")]

    def __str__(self) -> str:
        return self.text[:80]


class SearchPosting(models.Model):
    """The names of one kind in one dump, under the data class of that kind.

    ``names`` holds ids of ``SearchedName``, ascending, ``places`` the row of the index where each stands first; both are
    arrays of little-endian unsigned 32-bit integers, equally long.
    """

    dump = models.ForeignKey(Dump, on_delete=models.CASCADE, related_name="postings")
    #: A number of ``explorer.services.search_kinds``.
    kind = models.PositiveSmallIntegerField()
    #: Docs/security.md; nobody whose sight of the dump is lower gets to read or count this row.
    data_class = models.PositiveSmallIntegerField()
    names = models.BinaryField()
    places = models.BinaryField()
    #: Names beyond the most that are kept.
    left_off = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["dump", "kind"], name="one_posting_per_kind")]

    def __str__(self) -> str:
        return f"{self.dump_id}: kind {self.kind}"
