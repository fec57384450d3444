"""django-allauth with its provider for any OP; accounts need no confirmation, as the OP has verified the address.

https://docs.allauth.org/en/latest/installation/quickstart.html
https://docs.allauth.org/en/latest/socialaccount/providers/openid_connect.html
"""

from plain.settings import *  # noqa: F403
from plain.settings import CLIENT_ID, CLIENT_SECRET, INSTALLED_APPS, ISSUER, MIDDLEWARE

INSTALLED_APPS += [
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
]
MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware"]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
ACCOUNT_EMAIL_VERIFICATION = "none"
# The login begins with a GET, without a page on which to press a button.
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "op",
                "name": "OP",
                "client_id": CLIENT_ID,
                "secret": CLIENT_SECRET,
                "settings": {"server_url": ISSUER},
            }
        ],
    }
}
