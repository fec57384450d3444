"""Settings of the tests: an environment of their own, whatever stands in .env."""

import os
import secrets

for name in [name for name in os.environ if name.startswith("OIDC_")]:
    del os.environ[name]
os.environ |= {
    "ENV_FILE": os.devnull,
    "SECRET_KEY": secrets.token_urlsafe(50),
    "SITE_URL": "http://localhost",
    "OIDC_OP_ISSUER": "http://localhost:9400",
    "OIDC_RP_CLIENT_ID": "site-under-test",
    "OIDC_RP_CLIENT_SECRET": secrets.token_urlsafe(32),
    "OIDC_RP_SIGN_ALGO": "RS256",
    "OIDC_CREATE_USER": "true",
    "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": "900",
    "OIDC_LOGOUT_DIALECT": "standard",
    "OIDC_STAFF_GROUPS": "staff",
    "OIDC_SUPERUSER_GROUPS": "administrators",
}

from config.settings import *  # noqa: E402, F403

# Tests of a policy choose it themselves.
OIDC_USER_MATCHING = "subject"
OIDC_USERNAME = "preferred_username"

# Hashing slowly is for real passwords, compressing and collecting files for real visitors.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_AUTOREFRESH = True  # needs no collectstatic
