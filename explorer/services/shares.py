"""Share links: make one, open one, and whether one still lives, asked anew at every request."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils import timezone

from analysis.index import DataClass
from explorer.models import Analysis, AuditEntry, Dump, ShareLink, State, User
from explorer.models.team import keyed_hash
from explorer.permissions import can_share
from explorer.services.audit import as_person, write_down
from explorer.viewers import subject_of, viewer_of

DAYS = (1, 7, 30)
_OPENED = "shares"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a link is to show, for how long, how often, and to whom."""

    scope: ShareLink.Scope
    part: int | None
    days: int
    most_views: int | None = None
    sign_in_only: bool = False

    def __str__(self) -> str:
        part = "" if self.part is None else f" {self.part}"
        often = f", {self.most_views:,} views" if self.most_views else ""
        return f"{self.scope}{part}, {self.days} days{often}{', signed in only' if self.sign_in_only else ''}"


def make(*, request: HttpRequest, dump: Dump, analysis: Analysis, wanted: Wanted) -> tuple[ShareLink, str]:
    """A new link and the secret in its address, which is not kept. The caller has asked for the right to share."""
    secret = secrets.token_urlsafe(32)
    write_down(request, AuditEntry.Action.SHARE, dump=dump, detail=str(wanted), data_class=DataClass.D1_STRUCTURE)
    link = ShareLink.objects.create(
        dump=dump, analysis=analysis, scope=wanted.scope, part=wanted.part, digest=keyed_hash("share", secret),
        created_by=as_person(request),
        expires_at=timezone.now() + timedelta(days=wanted.days), most_views=wanted.most_views, sign_in_only=wanted.sign_in_only,
    )  # fmt: skip
    return link, secret


def end(*, request: HttpRequest, link: ShareLink) -> None:
    """Revoke a link: the next request finds it gone."""
    write_down(request, AuditEntry.Action.END_SHARE, dump=link.dump, detail=link.shown)
    ShareLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=timezone.now())


def exchange(request: HttpRequest, secret: str) -> ShareLink | None:
    """The living link of a secret, noted in the session so that the secret stays in no address bar; None for all others."""
    link = _living(request, digest=keyed_hash("share", secret))
    if link is not None:
        request.session[_OPENED] = {str(link.pk): False, **request.session.get(_OPENED, {})}
    return link


def opened(request: HttpRequest, share_id: UUID) -> ShareLink | None:
    """The link that this session opened, while it lives. The first look counts as a view and is written down."""
    looked = request.session.get(_OPENED, {}).get(str(share_id))
    if looked is None:
        return None
    link = _living(request, pk=share_id, counted=not looked)
    if link is not None and not looked:
        room = Q(most_views=None) | Q(views__lt=F("most_views"))
        with transaction.atomic():  # a view that cannot be written down is none, and uses none up
            if not ShareLink.objects.filter(room, pk=link.pk).update(views=F("views") + 1):
                return None
            of = DataClass.D1_STRUCTURE
            write_down(request, AuditEntry.Action.OPEN_SHARE, dump=link.dump, detail=link.shown, data_class=of)
        request.session[_OPENED] = {**request.session[_OPENED], str(link.pk): True}
    return link


def _living(request: HttpRequest, *, counted: bool = True, **which: object) -> ShareLink | None:
    """Not revoked, in time, not used up, of the latest analysis, and its maker could still make it."""
    links = ShareLink.objects.select_related("dump__team", "analysis", "created_by").filter(**which)
    if counted:
        links = links.filter(Q(most_views=None) | Q(views__lt=F("most_views")))
    link = links.filter(revoked_at=None, expires_at__gt=timezone.now(), created_by__is_active=True).first()
    if link is None or (link.sign_in_only and not isinstance(request.user, User)):
        return None
    latest = link.dump.analyses.filter(state=State.DONE).order_by("-created_at").values_list("pk", flat=True).first()
    may = can_share(viewer_of(link.created_by), subject_of(link.dump))
    return link if may and latest == link.analysis_id else None
