"""Inviting people, and what an invited person sees."""

from __future__ import annotations

from uuid import UUID

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import BaseUserCreationForm
from django.core.exceptions import ValidationError
from django.forms import EmailField
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from explorer.access import team_for
from explorer.models import Invitation, Role, User
from explorer.services import invitations


class NewcomerForm(BaseUserCreationForm):
    class Meta(BaseUserCreationForm.Meta):
        model = User


@never_cache
@require_POST
def create(request: HttpRequest, team_id: UUID) -> HttpResponse:
    """Make an invitation and show its link, this once."""
    team = team_for(request, team_id, to_manage=True)
    role = request.POST.get("role", "")
    try:
        if role not in Role.values:
            raise ValidationError("Choose a role.")
        email = EmailField(required=False, max_length=254).clean(request.POST.get("email", ""))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("team")
    assert isinstance(request.user, User)  # noqa: S101  (narrows the type; team_for lets nobody else through)
    invitation, secret = invitations.invite(request=request, team=team, role=Role(role), email=email)
    link = request.build_absolute_uri(reverse("invitation-open", args=[secret]))
    sent = bool(email) and invitations.send(invitation=invitation, link=link)
    return render(request, "account/invited.html", {"invitation": invitation, "link": link, "sent": sent})


@require_POST
def revoke(request: HttpRequest, team_id: UUID, invitation_id: UUID) -> HttpResponse:
    team = team_for(request, team_id, to_manage=True)
    invitation = get_object_or_404(Invitation.objects.select_related("team"), pk=invitation_id, team=team, accepted_at=None)
    invitations.take_back(request=request, invitation=invitation)
    return redirect("team")


@login_not_required
@require_GET
def open_link(request: HttpRequest, secret: str) -> HttpResponse:
    """The link itself: what it is goes into the session at once, so that the secret stays in no address bar."""
    invitation = invitations.invitation_of(secret)
    if invitation is None:
        raise Http404("There is no such invitation.")
    invitations.keep(request.session, invitation)
    return redirect("invitation")


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def answer(request: HttpRequest) -> HttpResponse:
    """Join the team: with one's account, or with a new one."""
    invitation = invitations.kept(request.session)
    if invitation is None:
        raise Http404("There is no such invitation.")
    user = request.user if isinstance(request.user, User) else None
    form = None if user else NewcomerForm(request.POST or None)
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            if user:
                invitations.accept(request=request, invitation=invitation, user=user)
            elif form:
                name, password = form.cleaned_data["username"], form.cleaned_data["password1"]
                newcomer = invitations.accept_as_newcomer(
                    request=request, invitation=invitation, username=name, password=password
                )
                perform_password_login(request, {"username": name}, Login(user=newcomer))
        except invitations.InvitationUnusable as error:
            messages.error(request, str(error))
        invitations.forget(request.session)
        return redirect("archive")
    return render(request, "account/invitation.html", {"invitation": invitation, "form": form})


urlpatterns = [
    path("team/<uuid:team_id>/invitations", create, name="invitation-create"),
    path("team/<uuid:team_id>/invitations/<uuid:invitation_id>/revoke", revoke, name="invitation-revoke"),
    path("invitation", answer, name="invitation"),
    path("invitation/<str:secret>", open_link, name="invitation-open"),
]
