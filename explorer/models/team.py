"""People, teams, who belongs to which with what role, and tokens for programs."""

from __future__ import annotations

import secrets
import uuid
from datetime import date, timedelta
from typing import TYPE_CHECKING, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

if TYPE_CHECKING:
    from explorer.permissions import Viewer


class ServerRole(models.TextChoices):
    """What somebody may do on the whole server, beside what they may do in teams; explorer.permissions says what each means."""

    NONE = "", "none"
    AUDITOR = "auditor", "Auditor"
    ADMINISTRATOR = "administrator", "Administrator"


class User(AbstractUser):
    """A person. ``must_change_password`` is set for one-time passwords.

    ``by_token`` is the token that the person's program came with, None where the person is here themselves.
    """

    must_change_password = models.BooleanField(default=False)
    server_role = models.CharField(max_length=15, choices=ServerRole, default=ServerRole.NONE, blank=True)
    #: How many uploads the person began in the hour from then on.
    uploads_counted_from = models.DateTimeField(null=True)
    uploads_counted = models.PositiveIntegerField(default=0)
    by_token: ApiToken | None = None
    #: What the rules know of the person, kept for the time of one request; None outside of requests.
    as_viewer: list[Viewer] | None = None
    #: The day of last use by team, as it was when the rules were read.
    used_on: dict[uuid.UUID, date] | None = None


class Role(models.TextChoices):
    """What a member may do; explorer.permissions says exactly what each means."""

    VIEWER = "viewer", "Viewer"
    ANALYST = "analyst", "Analyst"
    PROTECTED = "protected", "Protected reader"
    LEAD = "lead", "Team lead"


class Team(models.Model):
    """The owner of dumps. A dump belongs to exactly one team."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    #: Everybody on this server sees the structure (D1) of the team's dumps.
    opens_archive = models.BooleanField(default=False)
    #: Days after which original files are deleted and dumps move to the trash; None keeps them.
    keep_originals_days = models.PositiveIntegerField(null=True)
    keep_dumps_days = models.PositiveIntegerField(null=True)
    #: What the team's dumps may take on the disk; None is what the server's settings say.
    quota_bytes = models.BigIntegerField(null=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person in one team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.ANALYST)
    #: The day on which the person last did something with the team's dumps, or got the role.
    last_used_on = models.DateField(default=timezone.localdate)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_per_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team} as {self.get_role_display()}"


class RoleProposal(models.Model):
    """A member is to read a team's memory, or to lead it: a lead of the team and an administrator must both want it."""

    #: The roles that take two people.
    ROLES: ClassVar = (Role.PROTECTED, Role.LEAD)

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="proposals")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=[(role.value, role.label) for role in ROLES], default=Role.PROTECTED)
    lead = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    administrator = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "user", "role"], name="one_proposal_per_role")]

    def __str__(self) -> str:
        return f"{self.user} as {self.get_role_display().lower()} of {self.team}"


class Asked(models.Model):
    """What one person asks for with a reason, and another one grants for a time."""

    explanation = models.CharField(max_length=500)
    asked_at = models.DateTimeField(auto_now_add=True)
    granted_by = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        ordering: ClassVar = ["-asked_at"]

    def grant(self, by: User, lasting: timedelta) -> None:
        """Open it from now on."""
        self.granted_by, self.expires_at = by, timezone.now() + lasting
        self.save(update_fields=["granted_by", "expires_at"])


class LentAccess(Asked):
    """An administrator in somebody else's team for some hours (break-glass); granted by a lead."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="lent")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="lent")

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class ApiToken(models.Model):
    """Lets a program act for a person, within what is ticked. A prefix and a keyed hash are kept; the secret is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    may_upload = models.BooleanField(default=False)
    may_read = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(
        cls, user: User, name: str, days: int = 90, *, may_upload: bool = True, may_read: bool = False
    ) -> tuple[ApiToken, str]:
        """A new token and its secret, which is not kept."""
        secret = f"dex_{secrets.token_urlsafe(32)}"
        token = cls.objects.create(
            user=user,
            name=name,
            prefix=secret[:10],
            digest=keyed_hash("token", secret),
            may_upload=may_upload,
            may_read=may_read,
            expires_at=timezone.now() + timedelta(days=days),
        )
        return token, secret

    @classmethod
    def of(cls, secret: str) -> ApiToken | None:
        """The token of a secret with its person, or None: unknown, expired, or of somebody who may not come in themselves."""
        token = (
            cls.objects.select_related("user")
            .filter(digest=keyed_hash("token", secret), expires_at__gt=timezone.now())
            .filter(user__is_active=True, user__must_change_password=False)
            .first()
        )
        if token is not None:
            cls.objects.filter(pk=token.pk).update(last_used_at=timezone.now())
        return token


def keyed_hash(purpose: str, secret: str) -> str:
    """64 hexadecimal digits that stand for a secret in the database and are worth nothing without the server's key."""
    return salted_hmac(f"explorer.{purpose}", secret, algorithm="sha256").hexdigest()
