"""
Django settings.

What differs between environments comes from environment variables, `.env.example` lists them all.

https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/topics/settings/
https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/ref/settings/
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

{% if cookiecutter.django_version == "6.1" %}
from django.utils.csp import CSP

{% endif %}
from config.environment import Environment, is_loopback

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment(Path(os.environ.get("ENV_FILE", BASE_DIR / ".env")))

# Core
# https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/ref/settings/#core-settings

SITE_NAME = {{ cookiecutter.project_name | quoted("python") }}

# SECURITY WARNING: don't run with debug turned on in production!
DEBUG = env.flag("DEBUG", default=False)

# SECURITY WARNING: keep the secret key used in production secret!
SECRET_KEY = env.text(
    "SECRET_KEY",
    default=None,
    mend='Put the output of this into .env: python -c "import secrets; print(secrets.token_urlsafe(50))"',
)
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS", default=[])

# The one public address of this site. The redirect URI of every login is built from it.
SITE_URL = env.url("SITE_URL", default=None, mend="Say where people find the site: https://app.example.org")
SITE_URL = (SITE_URL or "").rstrip("/")
if urlsplit(SITE_URL).path or urlsplit(SITE_URL).query:
    env.problem("SITE_URL", "has a path or a query; give scheme and host only, such as https://app.example.org.")
SERVED_OVER_HTTPS = SITE_URL.startswith("https://")

ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default=[urlsplit(SITE_URL).hostname or ""])
if is_loopback(SITE_URL):
    ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "mozilla_django_oidc",  # after django.contrib.auth
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    {% if cookiecutter.django_version == "5.2" %}
    "csp",
    {% endif %}
    "oidc",
    "accounts",
    "pages",
    "dev",
]

MIDDLEWARE = [
    "config.health.HealthChecks",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "{{ "csp.middleware.CSPMiddleware" if cookiecutter.django_version == "5.2" else "django.middleware.csp.ContentSecurityPolicyMiddleware" }}",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "oidc.middleware.SessionRefresh",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

CONTEXT_PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
    "pages.context_processors.site",
]

TEMPLATES = [
    {% if cookiecutter.template_engine == "jinja2" %}
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {"environment": "config.jinja2.environment", "context_processors": CONTEXT_PROCESSORS},
    },
    {% endif %}
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [{{ 'BASE_DIR / "templates"' if cookiecutter.template_engine == "django" }}],
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": CONTEXT_PROCESSORS},
    },
]

# Database
# https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/ref/settings/#databases

DATABASES = {
    "default": env.database(
        "DATABASE_URL",
        default={"ENGINE": "django.db.backends.sqlite3", "NAME": str(BASE_DIR / "db.sqlite3")},
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

match DATABASES["default"]["ENGINE"]:
    case "django.db.backends.sqlite3":
        # Writers wait for one another instead of failing with "database is locked".
        DATABASES["default"].setdefault("OPTIONS", {}).update(
            transaction_mode="IMMEDIATE",
            timeout=20,
            init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        )
    case "django.db.backends.postgresql":
        # A new connection costs more than most requests; each process keeps a few open.
        DATABASES["default"].setdefault("OPTIONS", {}).setdefault("pool", {"min_size": 1, "max_size": 8})

# Cache: keys and metadata of the OP, and login attempts that are spent. Production shares it: redis://
# https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/ref/settings/#caches

CACHES = {"default": env.cache("CACHE_URL", default="locmemcache://")}

# Sessions, cookies and transport
# https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/topics/security/

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_SECURE = SERVED_OVER_HTTPS
CSRF_COOKIE_SECURE = SERVED_OVER_HTTPS
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL else []
CSRF_FAILURE_VIEW = "pages.errors.csrf_failure"

SECURE_SSL_REDIRECT = SERVED_OVER_HTTPS
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", default=31_536_000) if SERVED_OVER_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=True)
SECURE_HSTS_PRELOAD = env.flag("SECURE_HSTS_PRELOAD", default=True)
X_FRAME_OPTIONS = "DENY"

# Only a proxy that always sets X-Forwarded-Proto itself may be believed, so this is never on by default.
if env.flag("TRUST_PROXY_HEADERS", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# No form-action: the answer to the logout form is a redirect to the OP, whose host is known by discovery only.
{% if cookiecutter.django_version == "5.2" %}
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}
{% else %}
SECURE_CSP = {
    "default-src": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    "object-src": [CSP.NONE],
}
{% endif %}

# Internationalization
# https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/topics/i18n/

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Static files, served by WhiteNoise
# https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/howto/static-files/

STATIC_URL = "static/"
STATIC_ROOT = env.text("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# Users: who they are here is decided in accounts/backends.py
# https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/topics/auth/

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.OIDCBackend"]
# Staff with a password may use /admin/password/ while this is on: for the day on which the OP is down.
BREAK_GLASS_LOGIN = env.flag("BREAK_GLASS_LOGIN", default=False)
if BREAK_GLASS_LOGIN:
    AUTHENTICATION_BACKENDS += ["django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "oidc_authentication_init"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

OIDC_USER_MATCHING = {{ cookiecutter.user_matching | quoted("python") }}
OIDC_CREATE_USER = env.flag("OIDC_CREATE_USER", default={{ cookiecutter.create_users }})
OIDC_USERNAME = {{ cookiecutter.username | quoted("python") }}
OIDC_EMAILS_ARE_VERIFIED = env.flag("OIDC_EMAILS_ARE_VERIFIED", default=False)
OIDC_ALLOWED_EMAIL_DOMAINS = env.words("OIDC_ALLOWED_EMAIL_DOMAINS", default=[])
OIDC_ALLOWED_HOSTED_DOMAINS = env.words("OIDC_ALLOWED_HOSTED_DOMAINS", default=[])
OIDC_ALLOWED_TENANTS = env.words("OIDC_ALLOWED_TENANTS", default=[])
OIDC_REQUIRED_GROUPS = env.words("OIDC_REQUIRED_GROUPS", default=[])
OIDC_REQUIRED_ANY_GROUP = env.words("OIDC_REQUIRED_ANY_GROUP", default=[])
OIDC_GROUPS_CLAIM = env.text("OIDC_GROUPS_CLAIM", default="groups")
OIDC_STAFF_GROUPS = env.words("OIDC_STAFF_GROUPS", default=[])
OIDC_SUPERUSER_GROUPS = env.words("OIDC_SUPERUSER_GROUPS", default=[])
OIDC_MANAGED_GROUPS = env.words("OIDC_MANAGED_GROUPS", default=[])
OIDC_ABSENT_GROUPS_REVOKE = env.flag("OIDC_ABSENT_GROUPS_REVOKE", default=False)

# The OpenID Provider (OP). An endpoint that is not set comes from the issuer's discovery document.
# https://mozilla-django-oidc.readthedocs.io/en/stable/settings.html

OIDC_OP_ISSUER = env.url("OIDC_OP_ISSUER", default=None, mend="It is the `issuer` in the OP's discovery document.")
OIDC_OP_AUTHORIZATION_ENDPOINT = env.url("OIDC_OP_AUTHORIZATION_ENDPOINT")
OIDC_OP_TOKEN_ENDPOINT = env.url("OIDC_OP_TOKEN_ENDPOINT")
OIDC_OP_USER_ENDPOINT = env.url("OIDC_OP_USER_ENDPOINT")
OIDC_OP_JWKS_ENDPOINT = env.url("OIDC_OP_JWKS_ENDPOINT")
OIDC_OP_END_SESSION_ENDPOINT = env.url("OIDC_OP_END_SESSION_ENDPOINT")
OIDC_OP_CA_BUNDLE = env.text("OIDC_OP_CA_BUNDLE")
if OIDC_OP_CA_BUNDLE and not Path(OIDC_OP_CA_BUNDLE).exists():
    env.problem("OIDC_OP_CA_BUNDLE", "names a file that does not exist; leave it empty for the public authorities.")
OIDC_PROXY = {"https": proxy, "http": proxy} if (proxy := env.text("OIDC_PROXY")) else None
OIDC_TIMEOUT = env.number("OIDC_TIMEOUT", default=5.0, minimum=0.1)

# This site as a Relying Party (RP): one client per environment, its secret never in a tracked file.

OIDC_RP_CLIENT_ID = env.text("OIDC_RP_CLIENT_ID", default=None, mend="The OP gives one to every registered site.")
OIDC_RP_CLIENT_SECRET = env.text("OIDC_RP_CLIENT_SECRET")
OIDC_TOKEN_ENDPOINT_AUTH_METHOD = env.choice(
    "OIDC_TOKEN_ENDPOINT_AUTH_METHOD", ["client_secret_basic", "client_secret_post", "none"], default=""
)
OIDC_TRUSTED_AUDIENCES = env.words("OIDC_TRUSTED_AUDIENCES", default=[])
OIDC_RP_SIGN_ALGO = env.choice(
    "OIDC_RP_SIGN_ALGO",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"],
    default={{ cookiecutter.oidc_rp_sign_algo | quoted("python") }},
)
OIDC_RP_IDP_SIGN_KEY = env.key("OIDC_RP_IDP_SIGN_KEY")
OIDC_RP_SCOPES = env.text("OIDC_RP_SCOPES", default="openid email profile")
# "when-needed" saves a request for each login whose ID Token has all OIDC_NEEDED_CLAIMS.
OIDC_USERINFO = env.choice("OIDC_USERINFO", ["always", "when-needed"], default="always")
OIDC_NEEDED_CLAIMS = env.words("OIDC_NEEDED_CLAIMS", default=["email"])
OIDC_RESPONSE_MODE = env.choice("OIDC_RESPONSE_MODE", ["query", "form_post"], default="query")
OIDC_USE_PKCE = True  # always, whatever stands here
OIDC_CALLBACK_CLASS = "oidc.views.CallbackView"
OIDC_AUTHENTICATE_CLASS = "oidc.views.AuthenticateView"

if not OIDC_RP_CLIENT_SECRET and (OIDC_TOKEN_ENDPOINT_AUTH_METHOD != "none" or OIDC_RP_SIGN_ALGO == "HS256"):
    env.problem(
        "OIDC_RP_CLIENT_SECRET",
        "is not set. The OP gives one with the client id; a public client sets OIDC_TOKEN_ENDPOINT_AUTH_METHOD=none.",
    )

# Sessions are renewed at the OP this often, in seconds (0: never), and logout goes there too.

OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = env.number("OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS", default={{ cookiecutter.session_renewal_seconds | int }})
OIDC_RENEWAL = env.choice("OIDC_RENEWAL", ["redirect", "refresh_token"], default="redirect")
OIDC_RENEWAL_GRACE_SECONDS = env.number("OIDC_RENEWAL_GRACE_SECONDS", default=900)
OIDC_SESSION_MAX_SECONDS = env.number("OIDC_SESSION_MAX_SECONDS", default=12 * 60 * 60)
OIDC_LOGOUT_DIALECT = env.choice(
    "OIDC_LOGOUT_DIALECT",
    ["standard", "cognito", "auth0"],
    default="{{ "cognito" if cookiecutter.oidc_provider == "cognito" else "standard" }}",
)
OIDC_FRONTCHANNEL_LOGOUT = env.flag("OIDC_FRONTCHANNEL_LOGOUT", default=False)
OIDC_EXEMPT_URLS = ["oidc_initiate", "oidc_backchannel_logout", "oidc_frontchannel_logout"]
OIDC_STORE_ID_TOKEN = True  # the id_token_hint of logout
OIDC_OP_LOGOUT_URL_METHOD = "oidc.logout.end_session_url"

# Logging
# https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/topics/logging/

LOG_LEVEL = env.choice("LOG_LEVEL", ["DEBUG", "INFO", "WARNING", "ERROR"], default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"without_query": {"()": "dev.logs.WithoutQuery"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False, "filters": ["without_query"]},
        "mozilla_django_oidc": {"level": LOG_LEVEL},
        "oidc": {"level": LOG_LEVEL},
        "accounts": {"level": LOG_LEVEL},
    },
}

env.check()
