"""People, teams, who belongs to which with what role, and tokens for programs."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import timedelta
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone


class User(AbstractUser):
    """A person. ``must_change_password`` is set for one-time passwords."""

    must_change_password = models.BooleanField(default=False)


class Role(models.TextChoices):
    """What a member may do; explorer.permissions says exactly what each means."""

    VIEWER = "viewer", "Viewer"
    ANALYST = "analyst", "Analyst"
    LEAD = "lead", "Team lead"


class Team(models.Model):
    """The owner of dumps. A dump belongs to exactly one team."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
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

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_per_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team} as {self.get_role_display()}"


class ApiToken(models.Model):
    """Lets a program act for a person. Only a prefix and a hash are kept; the secret is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, user: User, name: str, days: int = 90) -> tuple[ApiToken, str]:
        """A new token and its secret, which is not kept."""
        secret = f"dex_{secrets.token_urlsafe(32)}"
        token = cls.objects.create(
            user=user, name=name, prefix=secret[:10], digest=cls._digest(secret), expires_at=timezone.now() + timedelta(days=days)
        )
        return token, secret

    @classmethod
    def holder(cls, secret: str) -> User | None:
        """The person a secret stands for, or None when it is unknown or has expired."""
        token = cls.objects.select_related("user").filter(digest=cls._digest(secret), expires_at__gt=timezone.now()).first()
        if token is None or not token.user.is_active:
            return None
        cls.objects.filter(pk=token.pk).update(last_used_at=timezone.now())
        return token.user

    @staticmethod
    def _digest(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()
