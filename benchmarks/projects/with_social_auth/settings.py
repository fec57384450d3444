"""social-auth-app-django with its backend for any OP.

https://python-social-auth.readthedocs.io/en/latest/configuration/django.html
https://python-social-auth.readthedocs.io/en/latest/backends/oidc.html
"""

from plain.settings import *  # noqa: F403
from plain.settings import CLIENT_ID, CLIENT_SECRET, INSTALLED_APPS, ISSUER

INSTALLED_APPS += ["social_django"]
AUTHENTICATION_BACKENDS = [
    "social_core.backends.open_id_connect.OpenIdConnectAuth",
    "django.contrib.auth.backends.ModelBackend",
]
SOCIAL_AUTH_OIDC_OIDC_ENDPOINT = ISSUER
SOCIAL_AUTH_OIDC_KEY, SOCIAL_AUTH_OIDC_SECRET = CLIENT_ID, CLIENT_SECRET
SOCIAL_AUTH_OIDC_USE_PKCE = True
