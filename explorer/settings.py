"""Settings, read from environment variables that begin with ``EXPLORER_`` (docs/operating.md lists them)."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import environ
import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
if (BASE_DIR / ".env").exists():
    env.read_env(BASE_DIR / ".env")  # variables that are set already win

DEBUG = env.bool("EXPLORER_DEBUG", default=False)
DATA_DIR = Path(env.str("EXPLORER_DATA_DIR", default=str(BASE_DIR / "data"))).resolve()
STORE_DIR, UPLOAD_DIR, SCRATCH_DIR = DATA_DIR / "store", DATA_DIR / "uploads", DATA_DIR / "scratch"


def _secret_key() -> str:
    """The key given, or one made once and kept in the data directory: there is no default that works."""
    given: str = env.str("EXPLORER_SECRET_KEY", default="")
    if given:
        return given
    kept = DATA_DIR / "secret_key"
    if not kept.exists():
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_urlsafe(64))
    return kept.read_text().strip()


SECRET_KEY = _secret_key()
# Originals of dumps lie encrypted, their keys wrapped under this one (docs/operating.md, "Keys").
STORE_KEY: str = env.str("EXPLORER_STORE_KEY", default="")
STORE_KEYS_BEFORE: list[str] = env.list("EXPLORER_STORE_KEYS_BEFORE", default=[])
KEY_DIR = Path(env.str("EXPLORER_KEY_DIR", default=str(DATA_DIR / "keys"))).resolve()
PUBLIC_URL: str = env.str("EXPLORER_PUBLIC_URL", default="")
HTTPS = PUBLIC_URL.startswith("https://")
# Health checks and the supervisor ask on the loopback address, whatever name people use.
ALLOWED_HOSTS: list[str] = [*env.list("EXPLORER_ALLOWED_HOSTS", default=[]), "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []


def _refuse_unsafe_start() -> None:
    """A server that others reach starts with settings that are fit for that, or not at all."""
    if {*ALLOWED_HOSTS, urlsplit(PUBLIC_URL).hostname or "localhost"} <= {"127.0.0.1", "localhost", "[::1]", "::1"}:
        return
    if DEBUG:
        raise ImproperlyConfigured("EXPLORER_DEBUG shows memory on error pages: leave it out where others reach the server.")
    if "*" in ALLOWED_HOSTS:
        raise ImproperlyConfigured("EXPLORER_ALLOWED_HOSTS must name the hosts of this server, not *.")
    if not HTTPS and not env.bool("EXPLORER_INSECURE_HTTP", default=False):
        raise ImproperlyConfigured(
            "Others reach this server, so EXPLORER_PUBLIC_URL must be its https:// address (docs/operating.md). "
            "EXPLORER_INSECURE_HTTP=1 takes the risk that passwords and values are read on the way."
        )


_refuse_unsafe_start()

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "django_htmx",
    "django_cotton",
    "explorer",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "explorer.middleware.SessionAgeMiddleware",
    "explorer.middleware.SecurityHeadersMiddleware",
    "explorer.middleware.ApiTokenMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "explorer.middleware.SensitiveActsMiddleware",
    "explorer.middleware.PersonMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "explorer.urls"
WSGI_APPLICATION = "explorer.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

COTTON_DIR = "components"

DATABASES = {"default": env.db("EXPLORER_DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'explorer.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Readers never wait, and a writer takes its lock at once instead of failing in the middle of a transaction. What is
    # deleted is overwritten: a dump's rows do not stay behind in free pages of the file.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "explorer.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "account_login", "archive", "account_login"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]

# Accounts (docs/operating.md, "Signing in"). Who may have one: explorer/account_adapters.py.
ALLAUTH_TRUSTED_PROXY_COUNT = int(HTTPS)
ACCOUNT_ADAPTER = "explorer.account_adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
# One address for each, which counts once it is confirmed; a forgotten password is chosen anew by a link to it.
ACCOUNT_CHANGE_EMAIL, ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = True, 1
ACCOUNT_EMAIL_CONFIRMATION_AUTHENTICATED_REDIRECT_URL = "/account"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Dump Explorer: "
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_FORMS = {
    "reset_password": "explorer.forgotten_passwords.ForgottenForm",
    "reset_password_from_key": "explorer.forgotten_passwords.NewPasswordForm",
    "user_token": "explorer.forgotten_passwords.LinkForm",
}
ACCOUNT_RATE_LIMITS = {"reset_password": "20/h/ip,3/h/key", "reset_password_mail": "3/h/key"}
PASSWORD_RESET_TIMEOUT = 1800
SOCIALACCOUNT_ADAPTER = "explorer.account_adapters.SocialAccountAdapter"
MFA_ADAPTER = "explorer.account_adapters.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Dump Explorer"
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS

OIDC_ISSUER: str = env.str("EXPLORER_OIDC_ISSUER", default="")
OIDC_DOMAINS: list[str] = [domain.lower() for domain in env.list("EXPLORER_OIDC_DOMAINS", default=[])]
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": []}}
if OIDC_ISSUER:
    SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] = [
        {
            "provider_id": "oidc",
            "name": env.str("EXPLORER_OIDC_NAME", default="single sign-on"),
            "client_id": env.str("EXPLORER_OIDC_CLIENT_ID"),
            "secret": env.str("EXPLORER_OIDC_CLIENT_SECRET", default=""),
            "settings": {"server_url": OIDC_ISSUER},
        }
    ]

# Invitations and notices to leads go by mail; without a server for it, what would be sent is printed.
vars().update(env.email_url("EXPLORER_EMAIL_URL", default="consolemail://"))
MAIL_IS_SET_UP = bool(env.str("EXPLORER_EMAIL_URL", default=""))
ACCOUNT_EMAIL_NOTIFICATIONS = MAIL_IS_SET_UP  # people hear of a new password, address or second factor of theirs
DEFAULT_FROM_EMAIL: str = env.str("EXPLORER_EMAIL_FROM", default="dump-explorer@localhost")

LANGUAGE_CODE, TIME_ZONE, USE_TZ, USE_I18N = "en", "UTC", True, False
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or env.bool("EXPLORER_PLAIN_STATIC", default=False)
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# Plotly makes one empty style element; its hash is that of the empty string. Nothing inline is allowed otherwise.
_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF, _EMPTY_STYLE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # Signing in with the provider begins with a form, and browsers hold its redirect to this too.
        "form-action": [SELF, *({"{0.scheme}://{0.netloc}".format(urlsplit(OIDC_ISSUER))} if OIDC_ISSUER else ())],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        # static/js/trusted-types.js is the one policy: no text becomes a script.
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["default"],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
# A session ends when nobody used it for so long, and however much it is used.
SESSION_IDLE_SECONDS = env.int("EXPLORER_SESSION_IDLE_HOURS", default=8) * 3600
SESSION_COOKIE_AGE = env.int("EXPLORER_SESSION_DAYS", default=14) * 86_400
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]

CELERY_BROKER_URL: str = env.str("EXPLORER_BROKER_URL", default="memory://")
CELERY_TASK_ALWAYS_EAGER = env.bool("EXPLORER_EAGER_TASKS", default=False)
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 86_400}
if CELERY_BROKER_URL.startswith("filesystem:"):
    _BROKER_DIR = DATA_DIR / "broker"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_BROKER_DIR),
        "data_folder_out": str(_BROKER_DIR),
        "control_folder": str(_BROKER_DIR / "control"),
    }

# What an upload and an analysis may use.
MAXIMUM_UPLOAD_BYTES = env.int("EXPLORER_MAX_UPLOAD_BYTES", default=64 << 30)
MAXIMUM_UNPACKED_BYTES = env.int("EXPLORER_MAX_UNPACKED_BYTES", default=128 << 30)
FREE_DISK_BYTES = env.int("EXPLORER_FREE_DISK_BYTES", default=1 << 30)
FREE_DISK_PERCENT = env.int("EXPLORER_FREE_DISK_PERCENT", default=5)
DISK_WATERMARK_PERCENT = env.int("EXPLORER_DISK_WATERMARK_PERCENT", default=85)
TEAM_QUOTA_BYTES = env.int("EXPLORER_TEAM_QUOTA_BYTES", default=0)
UPLOADS_UNDER_WAY = env.int("EXPLORER_UPLOADS_UNDER_WAY", default=50)
UPLOADS_PER_HOUR = env.int("EXPLORER_UPLOADS_PER_HOUR", default=200)
WORKING_COPY_SECONDS = env.int("EXPLORER_WORKING_COPY_SECONDS", default=900)
TRASH_DAYS = env.int("EXPLORER_TRASH_DAYS", default=7)
UNUSED_ROLE_DAYS = env.int("EXPLORER_UNUSED_ROLE_DAYS", default=90)
UPLOAD_EXPIRY_HOURS = env.int("EXPLORER_UPLOAD_EXPIRY_HOURS", default=48)
ANALYSIS_SECONDS = env.int("EXPLORER_ANALYSIS_SECONDS", default=3600)
ANALYSIS_MEMORY_BYTES = env.int("EXPLORER_ANALYSIS_MEMORY_BYTES", default=16 << 30)
REQUIRE_WALLS = env.bool("EXPLORER_REQUIRE_WALLS", default=HTTPS)
LEASE_SECONDS = env.int("EXPLORER_LEASE_SECONDS", default=40)
# An analysis ends when its worker was lost this often, or when the process that reads the dump died this often.
MAXIMUM_LOSSES, MAXIMUM_CRASHES = 3, 2
MAXIMUM_SYMBOL_BYTES = 64 << 20  # the engine reads no larger PDB
ENGINE_COMMAND: list[str] = env.list("EXPLORER_ENGINE_COMMAND", default=[])
# The body of an upload is streamed; nothing else sends more than this, besides PDBs in a form.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20
FILE_UPLOAD_HANDLERS = ["explorer.form_files.CappedFiles"]

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer(colors=False) if DEBUG else structlog.processors.JSONRenderer(),
    ]
)
