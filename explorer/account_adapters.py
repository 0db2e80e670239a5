"""Where the rules of this server meet allauth: who may have an account, and how second factors are kept."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from cryptography.fernet import Fernet
from django.conf import settings
from django.http import HttpRequest

from explorer.services import invitations

log = structlog.get_logger()


class AccountAdapter(DefaultAccountAdapter):
    """Accounts come from an invitation or from single sign-on, never from a form that anybody may fill in."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_reauthentication_required(self, *, app: str, **values: object) -> bool:
        """``recent_login_required`` stands before each view that needs it (explorer/views/account.py)."""
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is away keeps nobody from what they do; the log says so."""
        try:
            super().send_mail(template_prefix, email, context)
        except OSError as error:
            log.warning("mail_not_sent", what=template_prefix, error=type(error).__name__)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Somebody new comes in with an invitation, or when the provider vouches for an e-mail address of an allowed domain."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        if invitations.kept(request.session):
            return True
        verified = [address.email for address in sociallogin.email_addresses if address.verified is True]
        return any(email.rpartition("@")[2].lower() in settings.OIDC_DOMAINS for email in verified)


class MfaAdapter(DefaultMFAAdapter):
    """Secrets of second factors are kept encrypted under the server's key."""

    def encrypt(self, text: str) -> str:
        return self._cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return self._cipher().decrypt(encrypted_text.encode()).decode()

    @staticmethod
    def _cipher() -> Fernet:
        key = hashlib.blake2b(settings.SECRET_KEY.encode(), digest_size=32, person=b"second-factors").digest()
        return Fernet(base64.urlsafe_b64encode(key))
