"""OpenID Connect, stricter than allauth by itself: the ID token's signature, issuer and nonce are checked every time."""

from __future__ import annotations

import secrets
from typing import Any

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest, HttpResponse
from requests import RequestException

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_NONCE = "oidc_nonce"


class SingleSignOn(OpenIDConnectOAuth2Adapter):
    """The way to the provider and back. Anything that does not fit ends as an OAuth2Error, which allauth shows as a page."""

    def start(self, next_url: str | None, *, again: bool) -> HttpResponse:
        """Lead to the provider; with ``again`` it must ask the person even if they are signed in there."""
        self.request.session[_NONCE] = nonce = secrets.token_urlsafe(32)
        parameters = {"nonce": nonce, **({"prompt": "login", "max_age": "0"} if again else {})}
        try:
            return self.get_provider().redirect(self.request, AuthProcess.LOGIN, next_url=next_url, auth_params=parameters)
        except (RequestException, ValueError, KeyError) as error:
            raise OAuth2Error("The provider does not describe itself.") from error

    def complete_login(self, request: HttpRequest, app: SocialApp, token: SocialToken, **values: Any) -> SocialLogin:
        """Who the provider says came. Raises OAuth2Error when the answer is not proven."""
        if not values["response"].get("id_token"):
            raise OAuth2Error("The answer holds no ID token.")
        login = super().complete_login(request, app, token, **values)
        data = login.account.extra_data
        if data["userinfo"].get("sub") != data["id_token"]["sub"]:
            raise OAuth2Error("The user information is about somebody else.")
        return login

    def _decode_id_token(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        nonce = self.request.session.pop(_NONCE, None)
        issuer = app.settings["server_url"]
        try:
            header = jwt.get_unverified_header(id_token)
            claims = jwt.decode(
                id_token,
                self._key(str(header.get("kid", ""))),
                algorithms=_ALGORITHMS,
                issuer=[issuer, issuer.rstrip("/"), f"{issuer.rstrip('/')}/"],
                audience=app.client_id,
                options={"require": ["exp", "iat", "iss", "aud", "sub", "nonce"]},
                leeway=30,
            )
        except (jwt.PyJWTError, ValueError, KeyError) as error:
            raise OAuth2Error("The ID token is not valid.") from error
        if nonce is None or not secrets.compare_digest(str(claims["nonce"]), nonce):
            raise OAuth2Error("The ID token answers another request.")
        return claims

    def _key(self, key_id: str) -> jwt.PyJWK:
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json())
        return keys[key_id]
