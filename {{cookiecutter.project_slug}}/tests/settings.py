"""Settings of the tests: an environment of their own, whatever is in .env."""

import os
import secrets

for name in [name for name in os.environ if name.startswith("OIDC_")]:
    del os.environ[name]
os.environ |= {
    "ENV_FILE": os.devnull,
    "DEBUG": "false",
    "SECRET_KEY": secrets.token_urlsafe(50),
    "SITE_URL": "http://localhost",
    "CACHE_URL": "",
    "BREAK_GLASS_LOGIN": "false",
    "OIDC_OP_ISSUER": "http://localhost:9400",
    "OIDC_RP_CLIENT_ID": "site-under-test",
    "OIDC_RP_CLIENT_SECRET": secrets.token_urlsafe(32),
    "OIDC_GROUPS_CLAIM": "groups",
    "OIDC_STAFF_GROUPS": "staff",
    "OIDC_SUPERUSER_GROUPS": "administrators",
}

from config.settings import *  # noqa: E402, F403

# What the provider of this site does in its own way, the OP of the tests does in the usual one.
OIDC_USERINFO, OIDC_RESPONSE_MODE, OIDC_TENANTS = "always", "query", list[str]()
# Slow hashes are for real passwords, compressed files for real visitors.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_AUTOREFRESH = True
