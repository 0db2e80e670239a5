"""How a page asks for values: a POST with a reason, by somebody who proved lately who they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.cache import never_cache

from analysis.index import DataClass
from explorer.authentication import asked_from, recently_authenticated, second_factor_age, to_reauthentication
from explorer.models import AuditEntry, Dump
from explorer.permissions import (
    Subject,
    Viewer,
    can_open_window,
    can_reveal_values,
    can_search_values,
    can_see_masked_values,
    can_see_raw,
)
from explorer.services.audit import write_down
from explorer.services.reveals import WINDOW, PurposeMissing, purpose_of, window_of
from explorer.viewers import subject_of, viewer_of
from explorer.views.dump_page import DumpPage

View = Callable[..., HttpResponseBase]
Right = Callable[[Viewer, Subject], bool]
Proof = Callable[[HttpRequest], HttpResponse | None]
#: A second factor that opens raw memory is no older.
JUST_NOW = timedelta(minutes=5)


def value_act(action: AuditEntry.Action) -> Callable[[View], View]:
    """A view of a page that shows values (D3) and gets ``purpose``. Without a fresh sign-in the person is led to one first;
    without a reason, back to the page that asked. A denial is written down as ``action`` too."""
    return partial(_act, action, DataClass.D3_VALUE, can_reveal_values, _signed_in_lately)


def search_act(action: AuditEntry.Action) -> Callable[[View], View]:
    """The same for looking for a value, which fewer may do."""
    return partial(_act, action, DataClass.D3_VALUE, can_search_values, _signed_in_lately)


def raw_act(action: AuditEntry.Action) -> Callable[[View], View]:
    """The same for raw memory and the original file (D4), which ask for a second factor shown just now."""
    return partial(_act, action, DataClass.D4_RAW, can_see_raw, _second_factor_just_now)


def _act(action: AuditEntry.Action, of: DataClass, right: Right, proof: Proof, view: View) -> View:
    @wraps(view)
    @never_cache
    def asking(request: HttpRequest, page: DumpPage, **arguments: Any) -> HttpResponseBase:
        if not right(viewer_of(request.user), subject_of(page.dump)):
            denied = AuditEntry.Outcome.DENIED
            write_down(request, action, dump=page.dump, detail=request.path, outcome=denied, data_class=of)
            raise PermissionDenied("Your role does not let you look at values.")
        if to_proof := proof(request):
            return to_proof
        try:
            purpose = purpose_of(request, page.dump)
        except PurposeMissing as missing:
            messages.error(request, str(missing))
            return HttpResponseRedirect(asked_from(request))
        return view(request, page, purpose=purpose, **arguments)

    return asking


def _signed_in_lately(request: HttpRequest) -> HttpResponse | None:
    return None if recently_authenticated(request) else to_reauthentication(request)


def _second_factor_just_now(request: HttpRequest) -> HttpResponse | None:
    age = second_factor_age(request)
    return None if age is not None and age <= JUST_NOW else to_reauthentication(request, second_factor=True)


def value_form(request: HttpRequest, dump: Dump) -> dict[str, Any]:
    """What ``values/ask.html`` needs."""
    viewer, subject = viewer_of(request.user), subject_of(dump)
    window = window_of(request, dump)
    return {
        "without_original": dump.without_original,
        "may_reveal": can_reveal_values(viewer, subject),
        "may_see_masked": can_see_masked_values(viewer, subject),
        "may_see_raw": can_see_raw(viewer, subject),
        "may_search": can_search_values(viewer, subject),
        "may_open_window": can_open_window(viewer, subject),
        "window_minutes": int(WINDOW.total_seconds() // 60),
        "window_ends": datetime.fromtimestamp(window[0], timezone.get_current_timezone()) if window else None,
        "reasons": AuditEntry.Reason.choices,
    }
