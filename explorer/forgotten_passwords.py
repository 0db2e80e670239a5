"""Forms of a forgotten password: allauth's, with the rules of this server (``explorer.services.password_reset``)."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import ResetPasswordForm, ResetPasswordKeyForm, UserTokenForm
from allauth.core import context
from django import forms
from django.http import HttpRequest

from explorer.services import password_reset
from explorer.services.plain_text import plain


class ForgottenForm(ResetPasswordForm):
    """Who asks: by name or by address, as it comes to their mind. Nothing is said about whether there is somebody."""

    email = forms.CharField(
        label="Name or e-mail address", max_length=254, widget=forms.TextInput(attrs={"autocomplete": "username"})
    )

    def clean_email(self) -> str:
        return plain(self.cleaned_data["email"], 254)

    def save(self, request: HttpRequest, **values: Any) -> str:
        named: str = self.cleaned_data["email"]
        password_reset.ask(request=request, name_or_address=named)
        return named


class LinkForm(UserTokenForm):
    """Whether a link may still be used: by then an account can be closed, or a provider's alone."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        if not password_reset.may_choose_anew(self.reset_user):
            raise get_adapter().validation_error("invalid_password_reset")
        return cleaned


class NewPasswordForm(ResetPasswordKeyForm):
    def save(self) -> None:
        password_reset.choose(request=context.request, user=self.user, password=self.cleaned_data["password1"])
