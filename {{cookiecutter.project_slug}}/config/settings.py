"""
Django settings.

What differs between environments comes from environment variables, which `.env.example` lists. What differs between
sites is written here: change it. All settings of the login, with their defaults, are in `oidc/README.md`.

https://docs.djangoproject.com/en/{{ cookiecutter.django_version }}/ref/settings/
"""

import logging
import os
from pathlib import Path
from urllib.parse import urlsplit

from config.environment import LOOPBACK_HOSTS, Environment

BASE_DIR = Path(__file__).resolve().parent.parent

ENV_FILE = Path(os.environ.get("ENV_FILE", BASE_DIR / ".env"))
env = Environment(ENV_FILE)

# Core
# https://docs.djangoproject.com/en/stable/ref/settings/#core-settings

SITE_NAME = {{ cookiecutter.project_name | quoted("python") }}

# SECURITY WARNING: don't run with debug turned on in production!
DEBUG = env.flag("DEBUG", default=False)

# SECURITY WARNING: keep the secret key used in production secret!
SECRET_KEY = env.text("SECRET_KEY", hint='This prints one: python -c "import secrets; print(secrets.token_hex(32))"')
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")

# The one public address of this site. The redirect URI of every login is built from it.
SITE_URL = env.url("SITE_URL", hint="It is where people find the site, such as https://app.example.org").rstrip("/")
site = urlsplit(SITE_URL)
if site.path or site.query:
    env.problem("SITE_URL", "has a path or a query: give scheme and host only, such as https://app.example.org.")

ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or [site.hostname or ""]
if site.hostname in LOOPBACK_HOSTS:
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
]
if DEBUG:
    INSTALLED_APPS += ["dev"]

MIDDLEWARE = [
    "oidc.logs.RequestIds",
    "config.health.HealthChecks",
    "config.headers.permissions_policy",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "{{ "csp.middleware.CSPMiddleware" if cookiecutter.django_version == "5.2" else "django.middleware.csp.ContentSecurityPolicyMiddleware" }}",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "oidc.middleware.SessionRefresh",
    "django.contrib.messages.middleware.MessageMiddleware",
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
        "DIRS": [BASE_DIR / "templates", BASE_DIR / "oidc" / "templates"],
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
# https://docs.djangoproject.com/en/stable/ref/settings/#databases

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(BASE_DIR / "db.sqlite3")}
DATABASES = {"default": env.database("DATABASE_URL", default=SQLITE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

options = DATABASES["default"].setdefault("OPTIONS", {})
if DATABASES["default"]["ENGINE"] == SQLITE["ENGINE"]:
    # Writers wait for one another instead of failing with "database is locked".
    options |= {"transaction_mode": "IMMEDIATE", "timeout": 20}
    options["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    # Opening the file costs as much as the queries of a page. The development server has no use for open connections.
    DATABASES["default"].setdefault("CONN_MAX_AGE", 0 if DEBUG else 60)
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql" and not DATABASES["default"].get("CONN_MAX_AGE"):
    # A new connection costs more than most requests; each process keeps some open, up to one for each thread. One that
    # a restart of the database has broken is replaced before a request gets it.
    options.setdefault("pool", {"min_size": 1, "max_size": 16, "timeout": 2, "reconnect_timeout": 5})
    options.setdefault("connect_timeout", 5)
    # A server that has gone without a word is found out in seconds instead of a quarter of an hour.
    silence = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 8000}
    DATABASES["default"]["OPTIONS"] = silence | options
    DATABASES["default"].setdefault("CONN_HEALTH_CHECKS", True)

# Cache: keys and metadata of the sign-in service, spent login attempts, and copies of sessions. In production all
# processes share one, and all goes on while it is down or empty.
# https://docs.djangoproject.com/en/stable/ref/settings/#caches

CACHES = {"default": env.cache("CACHE_URL", default="locmemcache://")}

# Sessions, cookies and transport
# https://docs.djangoproject.com/en/stable/topics/security/

SESSION_ENGINE = "django.contrib.sessions.backends.db"
if CACHES["default"]["BACKEND"].endswith(".RedisCache"):
    SESSION_ENGINE = "oidc.cached_db"
    # A cache that hangs is given up after half a second, and then left alone for five.
    limits = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    CACHES["default"]["OPTIONS"] = limits | CACHES["default"].get("OPTIONS", {})
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL else []
CSRF_FAILURE_VIEW = "pages.errors.csrf_failure"
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = site.scheme == "https"
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", default=365 * 24 * 60 * 60) if SECURE_SSL_REDIRECT else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
if SECURE_SSL_REDIRECT:
    # A cookie with this prefix cannot come from a neighbouring host of the domain.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"

# The proxies whose X-Forwarded-* headers are true; gunicorn.conf.py drops those headers from everyone else.
FORWARDED_ALLOW_IPS = env.networks("FORWARDED_ALLOW_IPS")
if FORWARDED_ALLOW_IPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Scripts and styles are files under static/, or see oidc/README.md. No form-action: a logout goes on to the OP.
CSP_DIRECTIVES = {
    "default-src": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
    "object-src": ["'none'"],
}
{{ 'CONTENT_SECURITY_POLICY = {"DIRECTIVES": CSP_DIRECTIVES}' if cookiecutter.django_version == "5.2" else "SECURE_CSP = CSP_DIRECTIVES" }}

# Internationalization
# https://docs.djangoproject.com/en/stable/topics/i18n/

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"

# Static files, served by WhiteNoise
# https://docs.djangoproject.com/en/stable/howto/static-files/

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if DEBUG:
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

# Users: who may log in, and who they are here, is decided in accounts/backends.py
# https://docs.djangoproject.com/en/stable/topics/auth/

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.OIDCBackend"]
# Staff with a password may use /admin/password/ while this is on: for the day on which the sign-in service is down.
BREAK_GLASS_LOGIN = env.flag("BREAK_GLASS_LOGIN", default=False)
if BREAK_GLASS_LOGIN:
    AUTHENTICATION_BACKENDS += ["django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "oidc_authentication_init"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

OIDC_CREATE_USER = env.flag("OIDC_CREATE_USER", default={{ cookiecutter.create_users }})
{{ cookiecutter | reason("groups") }}OIDC_GROUPS_CLAIM = env.text("OIDC_GROUPS_CLAIM", default={{ cookiecutter | preset("groups_claim") | quoted("python") }})
OIDC_STAFF_GROUPS = env.words("OIDC_STAFF_GROUPS")
OIDC_SUPERUSER_GROUPS = env.words("OIDC_SUPERUSER_GROUPS")

# The sign-in service (OpenID Provider). An endpoint that is not set comes from the issuer's discovery document.
# https://mozilla-django-oidc.readthedocs.io/en/stable/settings.html

OIDC_OP_ISSUER = env.url("OIDC_OP_ISSUER", hint="It is the `issuer` in the provider's discovery document.")
if "/.well-known/" in OIDC_OP_ISSUER:
    env.problem("OIDC_OP_ISSUER", "is the address of the discovery document: give the `issuer` in that document.")
elif "?" in OIDC_OP_ISSUER:
    env.problem("OIDC_OP_ISSUER", "has a query, which an issuer never has: give the `issuer` of the provider.")
OIDC_OP_AUTHORIZATION_ENDPOINT = env.url("OIDC_OP_AUTHORIZATION_ENDPOINT")
OIDC_OP_TOKEN_ENDPOINT = env.url("OIDC_OP_TOKEN_ENDPOINT")
OIDC_OP_USER_ENDPOINT = env.url("OIDC_OP_USER_ENDPOINT")
OIDC_OP_JWKS_ENDPOINT = env.url("OIDC_OP_JWKS_ENDPOINT")
OIDC_OP_END_SESSION_ENDPOINT = env.url("OIDC_OP_END_SESSION_ENDPOINT")
OIDC_OP_CA_BUNDLE = env.text("OIDC_OP_CA_BUNDLE")
if OIDC_OP_CA_BUNDLE and not Path(OIDC_OP_CA_BUNDLE).exists():
    env.problem("OIDC_OP_CA_BUNDLE", "names a file that does not exist; leave it empty for the public authorities.")

# This site as a client of it: one registration for each environment, the secret never in a tracked file.
OIDC_RP_CLIENT_ID = env.text("OIDC_RP_CLIENT_ID", hint="The provider gives one to every site that is registered.")
OIDC_TOKEN_ENDPOINT_AUTH_METHOD = ""  # one that the provider's metadata has; "none" for a client without a secret
if OIDC_TOKEN_ENDPOINT_AUTH_METHOD != "none":
    OIDC_RP_CLIENT_SECRET = env.text("OIDC_RP_CLIENT_SECRET", hint="The provider gives one with the client id.")
OIDC_RP_SIGN_ALGO = env.choice(
    "OIDC_RP_SIGN_ALGO",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"],
    default={{ cookiecutter.oidc_rp_sign_algo | quoted("python") }},
)
OIDC_RP_IDP_SIGN_KEY = env.key("OIDC_RP_IDP_SIGN_KEY")
{{ cookiecutter | reason("scopes") }}OIDC_RP_SCOPES = env.text("OIDC_RP_SCOPES", default={{ cookiecutter | preset("scopes") | quoted("python") }}){{ cookiecutter | provider_settings }}

# Sessions are renewed at the sign-in service this often, in seconds (0: never), and end after half a day at the latest.
OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = env.number("OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS", default={{ cookiecutter.session_renewal_seconds | int }})
OIDC_RENEWAL = env.choice("OIDC_RENEWAL", ["redirect", "refresh_token"], default="redirect")
OIDC_SESSION_MAX_SECONDS = 12 * 60 * 60

# Logging
# https://docs.djangoproject.com/en/stable/topics/logging/

LOG_LEVEL = env.choice("LOG_LEVEL", ["DEBUG", "INFO", "WARNING", "ERROR"], default="INFO")
LOG_LINES = "line" if DEBUG else "json"
logging.captureWarnings(not DEBUG)  # what packages warn of is a line like any other
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"without_secrets": {"()": "oidc.logs.WithoutSecrets"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
        "json": {"()": "oidc.logs.JSONFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["without_secrets"], "formatter": LOG_LINES}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": LOG_LEVEL} for name in ("django", "mozilla_django_oidc", "oidc", "accounts")},
        "django.server": {"level": LOG_LEVEL, "propagate": True},
    },
}

ENVIRONMENT_PROBLEMS = env.check()
