"""The one place where this package reads Django's settings.

Names are those of mozilla-django-oidc wherever it has one. A setting that is missing has the
default of this table; settings are looked up at every use, so tests can override them.
"""

from typing import Any

from django.conf import settings

DEFAULTS: dict[str, Any] = {
    # The OP. An empty endpoint comes from the issuer's discovery document.
    "OIDC_OP_ISSUER": "",
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "",
    "OIDC_OP_TOKEN_ENDPOINT": "",
    "OIDC_OP_USER_ENDPOINT": "",
    "OIDC_OP_JWKS_ENDPOINT": "",
    "OIDC_OP_END_SESSION_ENDPOINT": "",
    # This site as a client of the OP.
    "OIDC_RP_CLIENT_ID": "",
    "OIDC_RP_CLIENT_SECRET": "",
    "OIDC_RP_SIGN_ALGO": "RS256",
    "OIDC_RP_IDP_SIGN_KEY": None,
    "OIDC_RP_SCOPES": "openid email profile",
    "OIDC_TOKEN_ENDPOINT_AUTH_METHOD": "",  # empty: what the OP's metadata prefers
    "OIDC_TRUSTED_AUDIENCES": [],  # audiences that may stand beside the client id
    "OIDC_AUTH_REQUEST_EXTRA_PARAMS": {},
    "OIDC_RESPONSE_MODE": "query",
    "OIDC_AUTHENTICATION_CALLBACK_URL": "oidc_authentication_callback",
    "OIDC_REDIRECT_FIELD_NAME": "next",
    "OIDC_REDIRECT_ALLOWED_HOSTS": [],
    "OIDC_USERINFO": "always",  # or "when-needed": only if OIDC_NEEDED_CLAIMS are not all in the ID Token
    "OIDC_NEEDED_CLAIMS": ["email"],
    # Talking to the OP: seconds for one request, and how many requests of this process may wait for it at once.
    "OIDC_TIMEOUT": 5.0,
    "OIDC_OP_MAX_WAITING": 4,
    "OIDC_OP_CA_BUNDLE": "",
    "OIDC_PROXY": None,
    # Sessions.
    "OIDC_STORE_ACCESS_TOKEN": False,
    "OIDC_STORE_ID_TOKEN": False,
    "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": 15 * 60,
    "OIDC_RENEWAL": "redirect",  # or "refresh_token": in the background
    "OIDC_RENEWAL_GRACE_SECONDS": 15 * 60,
    "OIDC_SESSION_MAX_SECONDS": 0,
    "OIDC_LOGOUT_DIALECT": "standard",
    "OIDC_FRONTCHANNEL_LOGOUT": False,
    "OIDC_CREATE_USER": True,
    # The site. Django itself has defaults for what is not set.
    "SITE_URL": "",
    "LOGIN_REDIRECT_URL": "/",
    "LOGOUT_REDIRECT_URL": "/",
    "DEBUG": False,
    "SECRET_KEY": "",
    "SECRET_KEY_FALLBACKS": [],
    "SESSION_ENGINE": "",
    "SESSION_COOKIE_SAMESITE": "",
    "CACHES": {},
}


class Conf:
    """Attribute access to the settings of `DEFAULTS`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(settings, name, DEFAULTS[name])


conf = Conf()
