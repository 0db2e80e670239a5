"""System checks of what is set; what would let a server others reach start unsafe is refused in the settings themselves."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

_STORE_KEY_CHARACTERS = 32
_MAKE_STORE_KEY = "python -c 'import secrets; print(secrets.token_urlsafe(48))'"


@register(Tags.security)
def provider_is_reached_safely(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Keys and tokens of the provider come over TLS, or from this machine."""
    issuer = urlsplit(settings.OIDC_ISSUER)
    if not settings.OIDC_ISSUER or issuer.scheme == "https" or issuer.hostname in ("127.0.0.1", "::1", "localhost"):
        return []
    return [Error("EXPLORER_OIDC_ISSUER must be an https:// address", id="explorer.E003")]


@register(Tags.security)
def store_key_is_long(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """It is a key, not a password."""
    short = [text for text in (settings.STORE_KEY, *settings.STORE_KEYS_BEFORE) if 0 < len(text) < _STORE_KEY_CHARACTERS]
    if not short:
        return []
    hint = f"Make one with `{_MAKE_STORE_KEY}`."
    return [Error(f"EXPLORER_STORE_KEY has fewer than {_STORE_KEY_CHARACTERS} characters", hint=hint, id="explorer.E004")]


@register(Tags.security, deploy=True)
def store_key_lies_elsewhere(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Without one, whoever has the data directory has the secret key, and with it the keys of dumps."""
    if settings.STORE_KEY:
        return []
    hint = f"Make one with `{_MAKE_STORE_KEY}` and keep it away from the data directory (docs/operating.md, Keys)."
    return [Warning("EXPLORER_STORE_KEY is not set: keys of dumps hang on the secret key", hint=hint, id="explorer.W001")]


@register()
def data_directory_is_writable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Everything a person uploads lives in the data directory."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    if not os.access(settings.DATA_DIR, os.W_OK):
        return [Error(f"The data directory {settings.DATA_DIR} cannot be written", id="explorer.E002")]
    return []
