"""The quick start of mozilla-django-oidc.

https://mozilla-django-oidc.readthedocs.io/en/stable/installation.html
"""

from plain.settings import *  # noqa: F403
from plain.settings import CLIENT_ID, CLIENT_SECRET, INSTALLED_APPS, ISSUER

INSTALLED_APPS += ["mozilla_django_oidc"]
AUTHENTICATION_BACKENDS = ["mozilla_django_oidc.auth.OIDCAuthenticationBackend"]
OIDC_RP_CLIENT_ID, OIDC_RP_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
OIDC_RP_SIGN_ALGO = "RS256"
OIDC_USE_PKCE = True
OIDC_OP_AUTHORIZATION_ENDPOINT = f"{ISSUER}/authorize"
OIDC_OP_TOKEN_ENDPOINT = f"{ISSUER}/token"
OIDC_OP_USER_ENDPOINT = f"{ISSUER}/userinfo"
OIDC_OP_JWKS_ENDPOINT = f"{ISSUER}/jwks"
LOGIN_REDIRECT_URL_FAILURE = "/failed/"
