"""Who may see one dump, who looked at it, and holds on dumps."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from explorer.access import dump_for, highest_class_for
from explorer.models import AuditEntry, Dump, ScrubbedCopy
from explorer.pages import shared
from explorer.pages.opened import opened
from explorer.pages.references import References
from explorer.pages.secrets import secret_hints
from explorer.permissions import can_comment, can_hold, can_lift_hold, can_narrow, can_scrub, can_share, can_take_original
from explorer.queries import audit_visible_to, members_of
from explorer.services import originals
from explorer.services.audit import write_down
from explorer.services.audit_names import Names
from explorer.services.holds import lift_hold, set_hold
from explorer.services.plain_text import plain
from explorer.services.scrubbed import certificate_of
from explorer.services.shares import DAYS
from explorer.value_acts import value_form
from explorer.viewers import subject_of, viewer_of
from explorer.views.dump_page import finished_analysis, frame_of

_LATEST_LOOKS, _LISTED = 50, 200
_SHORTEST_NOTE = 10


@never_cache
@require_GET
def who(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """The people who see a dump, and what the reader may know of who looked."""
    dump = dump_for(request, dump_id)
    viewer, subject = viewer_of(request.user), subject_of(dump)
    if not can_comment(viewer, subject):
        raise PermissionDenied("Members of the team see this.")
    analysis = finished_analysis(dump)
    index = opened(analysis.index_directory, highest_class_for(request, dump)) if analysis else None
    frame = frame_of(request, dump, "access", index)
    asked = request.GET.get("share", "")
    looks = list(audit_visible_to(request.user).filter(dump_key=dump.pk)[:_LATEST_LOOKS])
    names = Names(looks)
    may_share = can_share(viewer, subject) and index is not None
    context = {
        "frame": frame,
        "hints": secret_hints(index) if index else None,
        "secrets_url": f"{frame.url('dump-strings')}#secrets",
        "dump": dump,
        "members": members_of(dump.team),
        "only": subject.only or frozenset(),
        "may_narrow": can_narrow(viewer, subject),
        "may_share": may_share,
        "shares": dump.shares.select_related("created_by").filter(revoked_at=None, expires_at__gt=timezone.now()),
        "scopes": shared.choices(index.structure, References(index.structure, dump.pk), asked) if index and may_share else [],
        "asked_scope": asked,
        "days": DAYS,
        "asked": originals.waiting(dump) if can_take_original(viewer, subject) and analysis is not None else [],
        "granted": originals.granted_to(request, dump),
        **_scrubbed(dump, may=can_scrub(viewer, subject) and analysis is not None),
        "may_take": can_take_original(viewer, subject) and analysis is not None,
        **value_form(request, dump),
        "looks": [(one, names.actor(one), names.detail(one)) for one in looks],
    }
    return render(request, "access/access.html", context)


def _scrubbed(dump: Dump, *, may: bool) -> dict[str, object]:
    """The scrubbed copy and what it still holds, for those who may have it."""
    copy = ScrubbedCopy.objects.select_related("dump", "asked_by").filter(dump=dump).first() if may else None
    made = copy is not None and copy.state == ScrubbedCopy.State.DONE
    return {"may_scrub": may, "copy": copy, "certificate": certificate_of(copy) if copy and made else None}


@require_POST
def narrow(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Let only the chosen members see a dump; with none chosen the whole team."""
    dump = dump_for(request, dump_id, "narrow")
    chosen = {int(text) for text in request.POST.getlist("person") if text.isdecimal() and len(text) < 12}
    people = [row.user for row in members_of(dump.team) if row.user_id in chosen]
    whom = f"only {', '.join(map(str, people))}" if people else "the whole team"
    detail = f"only {', '.join(f'{{{number}}}' for number in range(len(people)))}" if people else whom
    write_down(request, AuditEntry.Action.NARROW_DUMP, dump=dump, detail=detail, people=people)
    dump.only_people.set(people)
    messages.success(request, f"{dump.name} is seen by {whom}.")
    return redirect("dump-access", dump.pk)


def _dumps_for_holds(request: HttpRequest) -> QuerySet[Dump]:
    """All dumps, of which auditors and administrators know that they exist (D0) and no more."""
    if not can_hold(viewer_of(request.user)):
        raise PermissionDenied("Auditors and administrators set holds.")
    return Dump.objects.select_related("team").order_by("held_at", "-created_at")


@never_cache
@require_GET
def holds(request: HttpRequest) -> HttpResponse:
    """Dumps with a hold, and those that could get one."""
    dumps, wanted = _dumps_for_holds(request), plain(request.GET.get("q", ""), 100)
    found = dumps.filter(name__icontains=wanted) if wanted else dumps
    context = {
        "held": found.exclude(held_at=None), "others": found.filter(held_at=None)[:_LISTED], "wanted": wanted,
        "may_lift": can_lift_hold(viewer_of(request.user)), "most": _LISTED,
    }  # fmt: skip
    return render(request, "access/holds.html", context)


@require_POST
def hold(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Set a hold: nobody and nothing deletes the dump until an auditor lifts it."""
    dump = get_object_or_404(_dumps_for_holds(request), pk=dump_id)
    note = plain(request.POST.get("note", ""), 200)
    if len(note) < _SHORTEST_NOTE:
        messages.error(request, f"Say in at least {_SHORTEST_NOTE} letters what the hold is for.")
    else:
        set_hold(request=request, dump=dump, note=note)
    return redirect("holds")


@require_POST
def lift(request: HttpRequest, dump_id: UUID) -> HttpResponse:
    """Lift a hold."""
    dump = get_object_or_404(_dumps_for_holds(request), pk=dump_id)
    if not can_lift_hold(viewer_of(request.user)):
        raise PermissionDenied("Auditors lift holds.")
    lift_hold(request=request, dump=dump)
    return redirect("holds")


urlpatterns = [
    path("dumps/<uuid:dump_id>/access", who, name="dump-access"),
    path("dumps/<uuid:dump_id>/access/people", narrow, name="dump-narrow"),
    path("holds", holds, name="holds"),
    path("holds/<uuid:dump_id>", hold, name="hold-set"),
    path("holds/<uuid:dump_id>/lift", lift, name="hold-lift"),
]
