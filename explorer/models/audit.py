"""Who did what that is sensitive: a chain of rows, each sealed over the one before."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.db import models

from explorer.models.team import keyed_hash

#: What the seal of every row is taken over, in this order.
_SEALED = (
    "sequence", "previous", "at", "actor_id", "actor_name", "team_key", "dump_key", "dump_name", "action", "outcome",
    "data_class", "detail", "reason", "explanation", "ticket", "remote_address", "session",
)  # fmt: skip
#: And of rows that name people only by what can be forgotten; empty in those before.
_SEALED_SINCE = ("form", "personal", "people")
#: How a row names people: in plain text, or under keys of their own (``AuditPerson``).
PLAIN, UNDER_KEYS = 1, 2


class AuditIsFinal(Exception):
    """Rows of the audit are written once."""


class AuditRows(models.QuerySet["AuditEntry"]):
    """Rows that nothing in the program changes or deletes."""

    def update(self, **values: Any) -> int:
        raise AuditIsFinal

    def delete(self) -> tuple[int, dict[str, int]]:
        raise AuditIsFinal


class AuditPerson(models.Model):
    """Somebody whom rows of the audit name. Their names lie encrypted under ``key``, which is wrapped under the server's; once
    it is gone (``erased_at``) nobody reads them, and no row was touched. The person's account may be gone for long."""

    person_id = models.BigIntegerField(primary_key=True)
    key = models.CharField(max_length=100, blank=True)
    #: The name they had last, under their key.
    name = models.TextField(blank=True)
    erased_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.short_id

    @property
    def short_id(self) -> str:
        return short_id_of(self.person_id)


def short_id_of(person_id: int) -> str:
    """What an erased person is called, so that their acts are still seen to be one person's."""
    return keyed_hash("audit-person", str(person_id))[:8]


class AuditEntry(models.Model):
    """One act, done, denied or failed. People, teams and dumps are named, not linked: the row outlives them all.

    Who acted and from where is in ``personal``, other people are in ``people``, each under a key of the person's own
    (``explorer.services.audit_names`` reads them); ``actor_name`` and ``remote_address`` hold what is nobody's.

    ``digest`` is a keyed hash over the row and the digest of the row before it, so that a changed, missing or swapped row
    shows (``explorer.services.audit.faults``). Values out of memory are never in a row.
    """

    class Action(models.TextChoices):
        REVEAL_REGISTERS = "reveal_registers", "looked at registers"
        REVEAL_OBJECT = "reveal_object", "looked at values of an object"
        SEARCH_VALUES = "search_values", "looked for a value"
        OPEN_WINDOW = "open_window", "opened a window for values"
        VIEW_HEX = "view_hex", "looked at raw memory"
        ASK_ORIGINAL = "ask_original", "asked for the original file"
        GRANT_ORIGINAL = "grant_original", "let somebody download the original file"
        DOWNLOAD_ORIGINAL = "download_original", "downloaded the original file"
        TRASH_DUMP = "trash_dump", "moved a dump to the trash"
        RESTORE_DUMP = "restore_dump", "took a dump out of the trash"
        MAKE_SCRUBBED = "make_scrubbed", "asked for a scrubbed copy"
        DOWNLOAD_SCRUBBED = "download_scrubbed", "downloaded the scrubbed copy"
        DELETE_DUMP = "delete_dump", "deleted a dump"
        DELETE_ORIGINAL = "delete_original", "deleted the original file of a dump"
        CHANGE_KEEPING = "change_keeping", "changed how long dumps are kept"
        CHANGE_QUOTA = "change_quota", "changed how much a team may keep"
        REMOVE_TEAM = "remove_team", "removed a team"
        REMOVE_ACCOUNT = "remove_account", "removed an account"
        NARROW_DUMP = "narrow_dump", "chose who sees a dump"
        DELETE_NOTE = "delete_note", "deleted a note of somebody else"
        HOLD_DUMP = "hold_dump", "set a hold"
        LIFT_HOLD = "lift_hold", "lifted a hold"
        SHARE = "share", "made a share link"
        END_SHARE = "end_share", "revoked a share link"
        OPEN_SHARE = "open_share", "opened a share link"
        CHANGE_ROLE = "change_role", "changed a role"
        REMOVE_MEMBER = "remove_member", "took somebody out of a team"
        INVITE = "invite", "invited somebody"
        JOIN = "join", "joined a team"
        BREAK_GLASS = "break_glass", "asked for access to a team"
        GRANT_GLASS = "grant_glass", "granted access to a team"
        MAKE_TOKEN = "make_token", "made an API token"
        REVOKE_TOKEN = "revoke_token", "revoked an API token"
        EXPORT_AUDIT = "export_audit", "exported the audit"
        RESET_PASSWORD = "reset_password", "chose a new password by mail"
        CHANGE_MAIL = "change_mail", "confirmed an e-mail address"
        DROP_ROLE = "drop_role", "took away a role that was not used"

    class Outcome(models.TextChoices):
        DONE = "done", "done"
        DENIED = "denied", "denied"
        FAILED = "failed", "failed"

    class Reason(models.TextChoices):
        INCIDENT = "incident", "incident"
        LEAK = "leak", "memory leak"
        CRASH = "crash", "crash"
        HANG = "hang", "hang or deadlock"
        CUSTOMER = "customer", "customer request"
        SECURITY = "security", "security investigation"
        OTHER = "other", "something else"

    sequence = models.BigIntegerField(unique=True)
    at = models.DateTimeField(db_index=True)
    actor_id = models.BigIntegerField(null=True, db_index=True)
    form = models.PositiveSmallIntegerField(default=UNDER_KEYS)
    actor_name = models.CharField(max_length=150, blank=True)
    #: Name and address of the actor, encrypted.
    personal = models.TextField(blank=True)
    #: Others whom ``detail`` names as {0}, {1}: pairs of an id and an encrypted name.
    people = models.JSONField(default=list)
    team_key = models.UUIDField(null=True, db_index=True)
    dump_key = models.UUIDField(null=True, db_index=True)
    dump_name = models.CharField(max_length=255, blank=True)
    action = models.CharField(max_length=32, choices=Action)
    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.DONE)
    #: Class of what was asked for (docs/security.md), None where no data was.
    data_class = models.SmallIntegerField(null=True)
    #: What exactly: "thread 4".
    detail = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=10, choices=Reason, blank=True)
    explanation = models.CharField(max_length=500, blank=True)
    ticket = models.CharField(max_length=100, blank=True)
    remote_address = models.GenericIPAddressField(null=True)
    #: Tells two sessions of a person apart; worth nothing for signing in.
    session = models.CharField(max_length=12, blank=True)
    previous = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64)

    objects = AuditRows.as_manager()

    class Meta:
        ordering: ClassVar = ["-sequence"]

    def __str__(self) -> str:
        return f"row {self.sequence}: {self.get_action_display()} {self.dump_name}".strip()

    def save(self, *arguments: Any, **values: Any) -> None:
        if self.pk is not None:
            raise AuditIsFinal
        super().save(*arguments, **values)

    def delete(self, *arguments: Any, **values: Any) -> tuple[int, dict[str, int]]:
        raise AuditIsFinal


def seal(row: AuditEntry) -> str:
    """The digest that belongs to a row."""
    content = {name: getattr(row, name) for name in _SEALED}
    since = {name: getattr(row, name) for name in _SEALED_SINCE}
    if since != {"form": PLAIN, "personal": "", "people": []}:
        content |= since
    # A time comes back from every database with microseconds, in UTC or not: the moment is sealed, not its spelling.
    content["at"] = f"{row.at.timestamp():.6f}"
    return keyed_hash("audit", json.dumps(content, default=str, ensure_ascii=True))
