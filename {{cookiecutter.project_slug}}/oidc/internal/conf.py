"""The one place where this package reads Django's settings.

Names are those of mozilla-django-oidc wherever it has one. Settings are looked up at every use, so tests can
override them; a name that is not listed here is an `AttributeError`.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

from django.conf import settings


class Conf:
    """Typed access to settings, with the default of each."""

    # The OP. An empty endpoint comes from the issuer's discovery document.
    OIDC_OP_ISSUER: str = ""
    OIDC_OP_AUTHORIZATION_ENDPOINT: str = ""
    OIDC_OP_TOKEN_ENDPOINT: str = ""
    OIDC_OP_USER_ENDPOINT: str = ""
    OIDC_OP_JWKS_ENDPOINT: str = ""
    OIDC_OP_END_SESSION_ENDPOINT: str = ""
    OIDC_TENANTS: Sequence[str] = ()  # for an issuer of many tenants: the ids of those whose people may log in
    OIDC_OP_CA_BUNDLE: str = ""
    OIDC_PROXY: Mapping[str, str] | None = None
    OIDC_TIMEOUT: float = 5.0  # seconds for one request
    # This site as a client of the OP.
    OIDC_RP_CLIENT_ID: str = ""
    OIDC_RP_CLIENT_SECRET: str = ""
    OIDC_RP_SIGN_ALGO: str = "RS256"
    OIDC_RP_IDP_SIGN_KEY: str | bytes | None = None
    OIDC_RP_SCOPES: str = "openid email profile"
    OIDC_TOKEN_ENDPOINT_AUTH_METHOD: str = ""  # empty: `provider.client_method` goes by the OP's metadata
    OIDC_TRUSTED_AUDIENCES: Sequence[str] = ()  # audiences that may stand beside the client id
    OIDC_AUTH_REQUEST_EXTRA_PARAMS: Mapping[str, Any] = {}
    OIDC_RESPONSE_MODE: str = "query"  # or "form_post"
    OIDC_AUTHENTICATION_CALLBACK_URL: str = "oidc_authentication_callback"
    OIDC_CALLBACK_CLASS: str = "oidc.views.CallbackView"
    OIDC_AUTHENTICATE_CLASS: str = "oidc.views.AuthenticateView"
    OIDC_REDIRECT_FIELD_NAME: str = "next"
    OIDC_REDIRECT_ALLOWED_HOSTS: Sequence[str] = ()
    OIDC_USERINFO_SIGN_ALGO: str = ""  # empty: as the ID Token
    OIDC_USERINFO: str = "always"  # or "when-needed": only if OIDC_NEEDED_CLAIMS are not all in the ID Token
    OIDC_NEEDED_CLAIMS: Sequence[str] = ("email",)
    # Users.
    OIDC_CREATE_USER: bool = True
    OIDC_USERNAME_ALGO: Any = None
    # What a site's policy reads, for the doctor and the record of logins.
    OIDC_GROUPS_CLAIM: str = ""
    OIDC_STAFF_GROUPS: Sequence[str] = ()
    OIDC_SUPERUSER_GROUPS: Sequence[str] = ()
    # Sessions.
    OIDC_STORE_ACCESS_TOKEN: bool = False
    OIDC_STORE_ID_TOKEN: bool = True  # the id_token_hint of logout
    OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS: float = 15 * 60  # 0: never
    OIDC_RENEWAL: str = "redirect"  # or "refresh_token": in the background
    OIDC_RENEWAL_GRACE_SECONDS: float = 15 * 60
    OIDC_SESSION_MAX_SECONDS: float = 12 * 60 * 60  # 0: any age
    OIDC_EXEMPT_URLS: Sequence[str] = ()
    OIDC_LOGOUT_DIALECT: str = "standard"  # or "cognito", "auth0"
    OIDC_OP_LOGOUT_URL_METHOD: str = "oidc.logout.end_session_url"
    OIDC_FRONTCHANNEL_LOGOUT: bool = False
    OIDC_FAILED_LOGINS_PER_MINUTE: int = 10  # of one client; 0: any number
    BREAK_GLASS_LOGIN: bool = False
    # The site. Django itself has defaults for what is not set.
    SITE_URL: str = ""
    FORWARDED_ALLOW_IPS: Sequence[IPv4Network | IPv6Network] = ()  # the proxies whose X-Forwarded-For is true
    LOGIN_REDIRECT_URL: str = "/"
    LOGOUT_REDIRECT_URL: str | None = None
    DEBUG: bool = False
    SECRET_KEY: str = ""
    SECRET_KEY_FALLBACKS: Sequence[str] = ()
    SESSION_ENGINE: str = ""
    SESSION_COOKIE_AGE: int = 0
    SESSION_COOKIE_NAME: str = ""
    SESSION_COOKIE_SAMESITE: str = ""
    CACHES: Mapping[str, Any] = {}
    ENV_FILE: Any = None  # the path of `.env`, and what is wrong with the environment, for the doctor
    ENVIRONMENT_PROBLEMS: Sequence[str] = ()

    if not TYPE_CHECKING:  # a type checker would take any name, if it saw this

        def __getattribute__(self, name: str) -> Any:
            return getattr(settings, name, object.__getattribute__(self, name))


conf = Conf()
