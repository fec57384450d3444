"""System checks for what would make logins fail or unsafe.

https://docs.djangoproject.com/en/stable/topics/checks/
"""

from typing import Any

from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.core.checks import Warning as CheckWarning

from oidc import keys
from oidc.conf import conf


@register(Tags.security)
def check_session_engine(**kwargs: Any) -> list[CheckMessage]:
    """Sessions in cookies can be replayed, cannot be ended, and would show tokens to the browser."""
    if not conf.SESSION_ENGINE.endswith(".signed_cookies"):
        return []
    return [
        Error(
            "SESSION_ENGINE keeps sessions in cookies, which can be replayed after logout.",
            hint="Use django.contrib.sessions.backends.db, cached_db or cache.",
            id="oidc.E001",
        )
    ]


@register(Tags.security)
def check_session_cookie(**kwargs: Any) -> list[CheckMessage]:
    """A Strict session cookie is not sent when the OP redirects back, so every login would seem to be lost."""
    if conf.SESSION_COOKIE_SAMESITE != "Strict":
        return []
    return [
        Error(
            'SESSION_COOKIE_SAMESITE is "Strict": the browser would not show the session after a login.',
            hint='Use "Lax", Django\'s default.',
            id="oidc.E002",
        )
    ]


@register(Tags.security)
def check_sign_key(**kwargs: Any) -> list[CheckMessage]:
    """OIDC_RP_IDP_SIGN_KEY is a public key or certificate in PEM or DER."""
    if not conf.OIDC_RP_IDP_SIGN_KEY:
        return []
    try:
        keys.load_public_key(conf.OIDC_RP_IDP_SIGN_KEY)
    except ValueError:
        return [
            Error(
                "OIDC_RP_IDP_SIGN_KEY is no public key.",
                hint="Give the OP's public key or certificate in PEM or DER format, or leave it unset.",
                id="oidc.E003",
            )
        ]
    return []


@register(Tags.security)
def check_sign_algorithm(**kwargs: Any) -> list[CheckMessage]:
    """OIDC_RP_SIGN_ALGO is one that this site can verify."""
    if conf.OIDC_RP_SIGN_ALGO in keys.SUPPORTED:
        return []
    return [
        Error(
            f"OIDC_RP_SIGN_ALGO is {conf.OIDC_RP_SIGN_ALGO!r}, which this site does not verify.",
            hint=f"Use one of {', '.join(keys.SUPPORTED)}.",
            id="oidc.E004",
        )
    ]


@register(Tags.security)
def check_client_secret(**kwargs: Any) -> list[CheckMessage]:
    """Where the client secret signs, it is as long as the hash (RFC 7518 3.2)."""
    if conf.OIDC_RP_SIGN_ALGO != "HS256" or len(conf.OIDC_RP_CLIENT_SECRET.encode()) >= 32:
        return []
    return [
        CheckWarning(
            "OIDC_RP_CLIENT_SECRET is shorter than 32 bytes, and with HS256 whoever guesses it can forge logins.",
            hint="Let the OP make a longer one, or sign with RS256.",
            id="oidc.W001",
        )
    ]


@register(Tags.security, deploy=True)
def check_cache(**kwargs: Any) -> list[CheckMessage]:
    """With a cache for each process, every process fetches the OP's keys for itself."""
    if not conf.CACHES["default"]["BACKEND"].endswith((".LocMemCache", ".DummyCache")):
        return []
    return [
        Info(
            "CACHE_URL is not set: the processes of this site do not share the OP's keys and spent attempts.",
            hint="Set CACHE_URL to a shared cache, e.g. redis://host:6379/0.",
            id="oidc.I001",
        )
    ]
