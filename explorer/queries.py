"""The only way to lists: what a person may see, as querysets."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from analysis.index import DataClass
from explorer.models import (
    AuditEntry,
    Dump,
    Invitation,
    Membership,
    Note,
    Role,
    SavedQuery,
    SavedView,
    SearchPosting,
    ServerRole,
    SymbolFile,
    Team,
    Upload,
)  # fmt: skip
from explorer.permissions import (
    can_manage_members,
    can_read_whole_audit,
    can_upload,
    can_use_trash,
    teams_with_context,
)
from explorer.viewers import AnyUser, viewer_of


def dumps_visible_to(user: AnyUser) -> QuerySet[Dump]:
    """Dumps of a person's teams and of open archives, without the trash; the same rule as ``permissions.can_view``."""
    viewer = viewer_of(user)
    if not viewer.user_id:
        return Dump.objects.none()
    dumps, own = Dump.objects.filter(trashed_at=None), Q(uploaded_by_id=viewer.user_id)
    if viewer.program:
        return dumps.filter(own, team_id__in=[*viewer.roles])
    people = Dump.only_people.through.objects.filter(dump_id=OuterRef("pk"))
    to_all, led = ~Exists(people), [team for team, role in viewer.roles.items() if role == Role.LEAD]
    named = to_all | own | Q(team_id__in=led) | Exists(people.filter(user_id=viewer.user_id))
    return dumps.filter(Q(named, team_id__in=[*viewer.roles]) | Q(to_all, team__opens_archive=True))


def trash_visible_to(user: AnyUser) -> QuerySet[Dump]:
    """Dumps in the trash that a person may take out of it; the same rule as ``permissions.can_restore``."""
    viewer = viewer_of(user)
    usable = [team for team in viewer.roles if can_use_trash(viewer, team)]
    led = [team for team in usable if viewer.roles[team] == Role.LEAD]
    trashed = Dump.objects.select_related("team", "uploaded_by", "trashed_by").prefetch_related("only_people")
    trashed = trashed.exclude(trashed_at=None)
    return trashed.filter(Q(team_id__in=led) | Q(team_id__in=usable, trashed_by_id=viewer.user_id)).order_by("-trashed_at")


def teams_with_trash(user: AnyUser) -> list[Team]:
    """Teams in whose trash there is something for a person."""
    return list(Team.objects.filter(pk__in=trash_visible_to(user).order_by().values("team_id")))


def with_context(user: AnyUser, prefix: str = "") -> Q:
    """Of dumps that a person may see, those whose context (D2) they see; the same rule as ``permissions.highest_class``."""
    return Q(**{f"{prefix}team_id__in": teams_with_context(viewer_of(user))})


def _in_sight(user: AnyUser) -> Q:
    """Rows of visible dumps that carry a class, up to what the person may see of each of these dumps."""
    structure, context = Q(data_class__lte=DataClass.D1_STRUCTURE), Q(data_class__lte=DataClass.D2_CONTEXT)
    return structure | (context & with_context(user, "dump__"))


def postings_visible_to(user: AnyUser) -> QuerySet[SearchPosting]:
    """What full-text search may look through for a person."""
    return SearchPosting.objects.filter(_in_sight(user), dump__in=dumps_visible_to(user))


def notes_visible_to(user: AnyUser) -> QuerySet[Note]:
    """Notes on dumps of a person's own teams, of the classes they see there; an open archive shows no notes."""
    viewer = viewer_of(user)
    teams = [] if viewer.program else [*viewer.roles]
    return Note.objects.filter(_in_sight(user), dump__in=dumps_visible_to(user), dump__team_id__in=teams)


def views_visible_to(user: AnyUser) -> QuerySet[SavedView]:
    """Views of the archive: a person's own, and those that others share with a team of theirs."""
    viewer = viewer_of(user)
    if viewer.program or not viewer.user_id:
        return SavedView.objects.none()
    return SavedView.objects.select_related("owner", "team").filter(Q(owner_id=viewer.user_id) | Q(team_id__in=[*viewer.roles]))


def teams_of(user: AnyUser) -> QuerySet[Team]:
    """Teams a person belongs to, or was let into for some hours."""
    return Team.objects.filter(pk__in=[*viewer_of(user).roles])


def teams_managed_by(user: AnyUser) -> QuerySet[Team]:
    """Teams whose members a person chooses; the same rule as ``permissions.can_manage_members``."""
    viewer = viewer_of(user)
    if viewer.server_role == ServerRole.ADMINISTRATOR and not viewer.program:
        return Team.objects.all()
    led = [team for team in viewer.roles if can_manage_members(viewer, team)]
    return Team.objects.filter(pk__in=led)


def teams_for_upload(user: AnyUser) -> QuerySet[Team]:
    """Teams a person may upload to; the same rule as ``permissions.can_upload``."""
    viewer = viewer_of(user)
    return Team.objects.filter(pk__in=[team for team in viewer.roles if can_upload(viewer, team)])


def audit_visible_to(user: AnyUser) -> QuerySet[AuditEntry]:
    """Rows of the audit: a person's own acts, those in teams they lead, those on dumps they gave; all for auditors."""
    viewer = viewer_of(user)
    if viewer.program or not viewer.user_id:
        return AuditEntry.objects.none()
    if can_read_whole_audit(viewer):
        return AuditEntry.objects.all()
    led = [team for team, role in viewer.roles.items() if role == Role.LEAD]
    own = Dump.objects.filter(uploaded_by_id=viewer.user_id, team_id__in=[*viewer.roles]).values("pk")
    return AuditEntry.objects.filter(Q(actor_id=viewer.user_id) | Q(team_key__in=led) | Q(dump_key__in=own))


def uploads_of(user: AnyUser) -> QuerySet[Upload]:
    """A person's own uploads that are not finished."""
    return Upload.objects.filter(user_id=user.pk, dump=None) if user.is_authenticated else Upload.objects.none()


def members_of(team: Team) -> QuerySet[Membership]:
    """Memberships of a team with their people."""
    return team.memberships.select_related("user").order_by("user__username")


def leads_of(team_id: UUID | OuterRef) -> QuerySet[Membership]:
    """Memberships of a team's leads who can come in: their account is not closed."""
    return Membership.objects.filter(team_id=team_id, role=Role.LEAD, user__is_active=True)


def open_invitations() -> QuerySet[Invitation]:
    """Invitations that can still be accepted: unused, in time, and their maker could still make them; the same rule as
    ``permissions.can_grant``."""
    leads = leads_of(OuterRef("team_id"))
    by_lead = Exists(leads.filter(user=OuterRef("invited_by")))
    by_administrator = Q(invited_by__server_role=ServerRole.ADMINISTRATOR)
    as_viewer = Q(by_lead | by_administrator, role=Role.VIEWER)
    as_analyst = Q(by_lead, role=Role.ANALYST)
    as_lead = Q(by_administrator, by_lead | ~Exists(leads), role=Role.LEAD)
    unused = Invitation.objects.select_related("team", "invited_by").filter(accepted_at=None, expires_at__gt=timezone.now())
    return unused.filter(as_viewer | as_analyst | as_lead, invited_by__is_active=True)


def symbols_of(team: Team) -> QuerySet[SymbolFile]:
    """PDBs of a team with who gave them, the latest first."""
    return team.symbol_files.select_related("uploaded_by")


def queries_visible_to(user: AnyUser, team_id: UUID) -> QuerySet[SavedQuery]:
    """Saved queries of a team of a person's: their own, and those that others share; an open archive shows none."""
    viewer = viewer_of(user)
    if viewer.program or team_id not in viewer.roles:
        return SavedQuery.objects.none()
    return SavedQuery.objects.select_related("owner").filter(Q(owner_id=viewer.user_id) | Q(shared=True), team_id=team_id)
