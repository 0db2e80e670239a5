"""The only way to lists: what a person may see, as querysets."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from explorer.models import Dump, Invitation, Membership, Role, SavedQuery, SymbolFile, Team, Upload, User

AnyUser = User | AnonymousUser


def dumps_visible_to(user: AnyUser) -> QuerySet[Dump]:
    """Dumps of the teams a person belongs to; the same rule as ``permissions.can_view``."""
    return Dump.objects.filter(team__memberships__user_id=user.pk) if user.is_authenticated else Dump.objects.none()


def teams_of(user: AnyUser) -> QuerySet[Team]:
    """Teams a person belongs to."""
    return Team.objects.filter(memberships__user_id=user.pk) if user.is_authenticated else Team.objects.none()


def teams_for_upload(user: AnyUser) -> QuerySet[Team]:
    """Teams a person may upload to; the same rule as ``permissions.can_upload``."""
    if not user.is_authenticated:
        return Team.objects.none()
    return Team.objects.filter(memberships__user_id=user.pk, memberships__role__in=[Role.ANALYST, Role.LEAD])


def uploads_of(user: AnyUser) -> QuerySet[Upload]:
    """A person's own uploads that are not finished."""
    return Upload.objects.filter(user_id=user.pk, dump=None) if user.is_authenticated else Upload.objects.none()


def members_of(team: Team) -> QuerySet[Membership]:
    """Memberships of a team with their people."""
    return team.memberships.select_related("user").order_by("user__username")


def open_invitations() -> QuerySet[Invitation]:
    """Invitations that can still be accepted: unused, in time, and their maker still leads the team."""
    makers = Membership.objects.filter(team=OuterRef("team"), user=OuterRef("invited_by"), role=Role.LEAD, user__is_active=True)
    unused = Invitation.objects.select_related("team", "invited_by").filter(accepted_at=None, expires_at__gt=timezone.now())
    return unused.filter(Exists(makers))


def symbols_of(team: Team) -> QuerySet[SymbolFile]:
    """PDBs of a team with who gave them, the latest first."""
    return team.symbol_files.select_related("uploaded_by")


def queries_visible_to(user: AnyUser, team_id: UUID) -> QuerySet[SavedQuery]:
    """Saved queries of a team: a person's own, and those that others share."""
    if not user.is_authenticated:
        return SavedQuery.objects.none()
    return SavedQuery.objects.select_related("owner").filter(Q(owner_id=user.pk) | Q(shared=True), team_id=team_id)
