"""What is done by mail: confirming one's own address, and a new password for who has forgotten theirs. allauth's pages again."""

from __future__ import annotations

from allauth.account import views as allauth_account
from allauth.account.models import get_emailconfirmation_model
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from explorer.authentication import recent_login_required
from explorer.models import AuditEntry
from explorer.services import password_reset
from explorer.services.audit import write_down


@never_cache
@require_http_methods(["GET", "POST"])
@recent_login_required
def address(request: HttpRequest) -> HttpResponse:
    """One's own address: whoever reads its mail may choose a new password, so it counts only once it is confirmed."""
    if not settings.MAIL_IS_SET_UP:
        return render(request, "account/email_change.html", {"no_mail": True})
    return allauth_account.email(request)


@never_cache
@require_http_methods(["GET", "POST"])
def confirm(request: HttpRequest, key: str) -> HttpResponse:
    """The link in the mail to a new address, for the person who gave it and nobody else."""
    confirmation = get_emailconfirmation_model().from_key(key)
    if confirmation is None or confirmation.email_address.user_id != request.user.pk:
        raise Http404("The link was used, is too old, or belongs to somebody else.")
    if request.method == "POST":
        write_down(request, AuditEntry.Action.CHANGE_MAIL)
    return allauth_account.confirm_email(request, key=key)


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def forgotten(request: HttpRequest) -> HttpResponse:
    """Ask for a link by mail; the answer is the same whoever is named."""
    if not password_reset.is_possible():
        return render(request, "account/password_reset.html")
    return allauth_account.password_reset(request)


_GET_OR_POST = require_http_methods(["GET", "POST"])
_from_link = login_not_required(never_cache(_GET_OR_POST(allauth_account.password_reset_from_key)))
urlpatterns = [
    path("account/address", address, name="account_email"),
    path("account/address/<str:key>", confirm, name="account_confirm_email"),
    path("login/forgotten", forgotten, name="account_reset_password"),
    path(
        "login/forgotten/sent",
        login_not_required(require_GET(allauth_account.password_reset_done)),
        name="account_reset_password_done",
    ),
    path(
        "login/forgotten/done",
        login_not_required(require_GET(allauth_account.password_reset_from_key_done)),
        name="account_reset_password_from_key_done",
    ),
    path("login/forgotten/<str:uidb36>/<str:key>", _from_link, name="account_reset_password_from_key"),
]
