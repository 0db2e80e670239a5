"""Signing in and out, one's own account: password, second factors, sessions, tokens. The pages of allauth that are open here."""

from __future__ import annotations

from uuid import UUID

from allauth.account import views as allauth_account
from allauth.account.models import EmailAddress
from allauth.account.signals import password_changed
from allauth.mfa.base import views as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.socialaccount import views as allauth_socialaccount
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialAccount, SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.usersessions import views as sessions
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from explorer.authentication import recent_login_required
from explorer.models import ApiToken, AuditEntry, User
from explorer.services.audit import write_down
from explorer.services.plain_text import plain
from explorer.single_sign_on import SingleSignOn

TOKEN_DAYS = (7, 30, 90, 365)
MOST_TOKENS = 50


@never_cache
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    return _account_page(request)


def _account_page(request: HttpRequest, **more: object) -> HttpResponse:
    user = request.user
    context = {
        "tokens": ApiToken.objects.filter(user_id=user.pk),
        "token_days": TOKEN_DAYS,
        "factors": Authenticator.objects.filter(user_id=user.pk).exclude(type=Authenticator.Type.RECOVERY_CODES),
        "session_count": len(UserSession.objects.purge_and_list(user)),
        "address": EmailAddress.objects.get_verified(user),
        "identities": SocialAccount.objects.filter(user_id=user.pk),
    }
    return render(request, "account/account.html", {**context, **more})


@require_http_methods(["GET", "POST"])
def password_change(request: HttpRequest) -> HttpResponse:
    """Change one's own password; the way out for a one-time password. Who signs in elsewhere has none here."""
    user = request.user
    if not isinstance(user, User) or not user.has_usable_password():
        raise PermissionDenied("You sign in with a provider, not with a password.")
    form = PasswordChangeForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        user.must_change_password = False
        user.save(update_fields=["must_change_password"])
        update_session_auth_hash(request, user)  # every other session ends with the old password
        password_changed.send(sender=User, request=request, user=user)
        messages.success(request, "Your password was changed.")
        return redirect("archive")
    return render(request, "account/password.html", {"form": form})


@never_cache
@require_POST
@recent_login_required
def create_token(request: HttpRequest) -> HttpResponse:
    """Make a token and show its secret, this once."""
    user, days = request.user, request.POST.get("days", "")
    assert isinstance(user, User)  # noqa: S101  (narrows the type; a proof of who one is needs a person)
    may_upload, may_read = "may_upload" in request.POST, "may_read" in request.POST
    if days not in map(str, TOKEN_DAYS) or not (may_upload or may_read):
        messages.error(request, "Say what the token is for, and for how long.")
        return redirect("account")
    if user.api_tokens.count() >= MOST_TOKENS:
        messages.error(request, f"You have {MOST_TOKENS} tokens. Revoke one that you no longer use.")
        return redirect("account")
    name = plain(request.POST.get("name", ""), 100) or "command line"
    scope = " and ".join(part for part, wanted in (("uploads", may_upload), ("reads", may_read)) if wanted)
    write_down(request, AuditEntry.Action.MAKE_TOKEN, detail=f"{name}: {scope}, {days} days")
    _, secret = ApiToken.issue(user, name, int(days), may_upload=may_upload, may_read=may_read)
    return _account_page(request, new_token=secret)


@require_POST
def revoke_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    token = get_object_or_404(ApiToken, pk=token_id, user_id=request.user.pk)
    write_down(request, AuditEntry.Action.REVOKE_TOKEN, detail=token.name)
    token.delete()
    return redirect("account")


@require_GET
def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Proving who one is for people without a password or second factor here: the provider asks them."""
    return render(request, "account/sign_in_again.html", {"next": request.GET.get("next", "")})


@login_not_required
@require_POST
def single_sign_on(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Lead to the provider. Who is signed in already is asked again there."""
    next_url = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(next_url, {request.get_host()}, require_https=settings.HTTPS):
        next_url = ""
    way = SingleSignOn(request, provider_id)
    try:
        return way.start(next_url or None, again=request.user.is_authenticated)
    except SocialApp.DoesNotExist:
        raise Http404("There is no such provider.") from None
    except OAuth2Error as error:
        return render_authentication_error(request, way.get_provider(), exception=error)


@login_not_required
@require_GET
def single_sign_on_callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """The provider sends people back to here."""
    try:
        return OAuth2CallbackView.adapter_view(SingleSignOn(request, provider_id))(request)
    except SocialApp.DoesNotExist:
        raise Http404("There is no such provider.") from None


_codes = never_cache(recent_login_required(recovery_codes.view_recovery_codes))
_remove_key = recent_login_required(webauthn.remove_webauthn)
_cancelled = login_not_required(allauth_socialaccount.login_cancelled)
urlpatterns = [
    path("login", allauth_account.login, name="account_login"),
    path("login/second-factor", mfa.authenticate, name="mfa_authenticate"),
    path("login/inactive", login_not_required(allauth_account.account_inactive), name="account_inactive"),
    path("logout", require_POST(allauth_account.logout), name="account_logout"),
    path("single-sign-on/cancelled", _cancelled, name="socialaccount_login_cancelled"),
    path("single-sign-on/<slug:provider_id>", single_sign_on, name="openid_connect_login"),
    path("single-sign-on/<slug:provider_id>/callback", single_sign_on_callback, name="openid_connect_callback"),
    path("account", account, name="account"),
    path("account/password", password_change, name="password-change"),
    path("account/confirm", allauth_account.reauthenticate, name="account_reauthenticate"),
    path("account/confirm/again", sign_in_again, name="sign-in-again"),
    path("account/confirm/code", mfa.reauthenticate, name="mfa_reauthenticate"),
    path("account/confirm/key", webauthn.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("account/second-factors", mfa.index, name="mfa_index"),
    path("account/second-factors/app", recent_login_required(totp.activate_totp), name="mfa_activate_totp"),
    path("account/second-factors/app/remove", recent_login_required(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("account/second-factors/codes", _codes, name="mfa_view_recovery_codes"),
    path(
        "account/second-factors/codes/new",
        recent_login_required(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path("account/second-factors/keys", webauthn.list_webauthn, name="mfa_list_webauthn"),
    path("account/second-factors/keys/add", recent_login_required(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path("account/second-factors/keys/<int:pk>/remove", _remove_key, name="mfa_remove_webauthn"),
    path("account/sessions", sessions.list_usersessions, name="usersessions_list"),
    path("account/tokens", create_token, name="token-create"),
    path("account/tokens/<uuid:token_id>/revoke", revoke_token, name="token-revoke"),
]
