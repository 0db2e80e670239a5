"""Signing in, one's own account, and who belongs to a team."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from explorer import permissions
from explorer.access import team_for, viewer_of
from explorer.models import ApiToken, Membership, Role, User
from explorer.queries import members_of, teams_of
from explorer.services import teams
from explorer.services.plain_text import plain


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    template_name = "account/login.html"
    redirect_authenticated_user = True


@require_http_methods(["GET", "POST"])
def password_change(request: HttpRequest) -> HttpResponse:
    """Change one's own password; the way out for a one-time password."""
    user = request.user
    form = PasswordChangeForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid() and isinstance(user, User):
        form.save()
        user.must_change_password = False
        user.save(update_fields=["must_change_password"])
        update_session_auth_hash(request, user)
        messages.success(request, "Your password was changed.")
        return redirect("archive")
    return render(request, "account/password.html", {"form": form})


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    tokens = ApiToken.objects.filter(user_id=request.user.pk)
    return render(request, "account/account.html", {"tokens": tokens, "new_token": request.session.pop("new_token", None)})


@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    if isinstance(request.user, User):
        name = plain(request.POST.get("name", ""), 100) or "command line"
        _, request.session["new_token"] = ApiToken.issue(request.user, name)
    return redirect("account")


@require_POST
def revoke_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    get_object_or_404(ApiToken, pk=token_id, user_id=request.user.pk).delete()
    return redirect("account")


@require_GET
def team_list(request: HttpRequest) -> HttpResponse:
    """The person's teams, each with its members."""
    viewer = viewer_of(request.user)
    rows = [
        {"team": team, "members": members_of(team), "may_manage": permissions.can_manage_members(viewer, team.pk)}
        for team in teams_of(request.user)
    ]
    return render(request, "account/team.html", {"rows": rows, "roles": Role.choices})


@require_POST
def add_member(request: HttpRequest, team_id: UUID) -> HttpResponse:
    team = team_for(request, team_id, to_manage=True)
    username, role = request.POST.get("username", "").strip(), request.POST.get("role", "")
    try:
        User.username_validator(username)
        if role not in Role.values or len(username) > 150:
            raise ValidationError("Choose a role, and a name of at most 150 characters.")
        user, password = teams.add_member(team=team, username=username, role=Role(role))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("team")
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("team")
    once = f" One-time password, shown only here: {password}" if password else ""
    messages.success(request, f"{user.username} is now {Role(role).label.lower()} in {team}.{once}")
    return redirect("team")


@require_POST
def remove_member(request: HttpRequest, team_id: UUID, membership_id: int) -> HttpResponse:
    team = team_for(request, team_id, to_manage=True)
    get_object_or_404(Membership, team=team, pk=membership_id)
    try:
        teams.remove_member(team=team, membership_id=membership_id)
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("team")


@login_not_required
@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    """For health checks: the process answers and reaches its database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


urlpatterns = [
    path("login", SignIn.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("account", account, name="account"),
    path("account/password", password_change, name="password-change"),
    path("account/tokens", create_token, name="token-create"),
    path("account/tokens/<uuid:token_id>/revoke", revoke_token, name="token-revoke"),
    path("team", team_list, name="team"),
    path("team/<uuid:team_id>/members", add_member, name="member-add"),
    path("team/<uuid:team_id>/members/<int:membership_id>/remove", remove_member, name="member-remove"),
    path("healthz", healthz, name="healthz"),
]
