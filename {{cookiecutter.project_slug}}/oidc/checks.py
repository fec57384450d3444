"""System checks for what would make logins fail or unsafe, as far as it can be known without asking the OP.

https://docs.djangoproject.com/en/stable/topics/checks/
"""

from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.core.checks import Warning as CheckWarning

from oidc.internal import keys
from oidc.internal.conf import Conf, conf

# Settings of mozilla-django-oidc that have no effect here, because this package always does what is safe.
WITHOUT_EFFECT = {
    "OIDC_ALLOW_UNSECURED_JWT", "OIDC_MAX_STATES", "OIDC_NONCE_SIZE", "OIDC_PKCE_CODE_CHALLENGE_METHOD",
    "OIDC_PKCE_CODE_VERIFIER_SIZE", "OIDC_REDIRECT_REQUIRE_HTTPS", "OIDC_STATE_SIZE", "OIDC_TOKEN_USE_BASIC_AUTH",
    "OIDC_USE_NONCE", "OIDC_USE_PKCE", "OIDC_VERIFY_JWT", "OIDC_VERIFY_KID", "OIDC_VERIFY_SSL",
}  # fmt: skip
# Settings that a site's own policy usually reads.
OF_SITES = {"OIDC_GROUPS_CLAIM", "OIDC_STAFF_GROUPS", "OIDC_SUPERUSER_GROUPS"}


@register(Tags.security)
def check_session_engine(**kwargs: Any) -> list[CheckMessage]:
    """Sessions in cookies can be replayed, cannot be ended, and would show tokens to the browser."""
    if not conf.SESSION_ENGINE.endswith(".signed_cookies"):
        return []
    message = "SESSION_ENGINE keeps sessions in cookies, which can be replayed after logout."
    return [Error(message, hint="Use django.contrib.sessions.backends.db, cached_db or cache.", id="oidc.E001")]


@register(Tags.security)
def check_session_cookie(**kwargs: Any) -> list[CheckMessage]:
    """A Strict session cookie is not sent when the OP redirects back, so every login would seem to be lost."""
    if conf.SESSION_COOKIE_SAMESITE != "Strict":
        return []
    message = 'SESSION_COOKIE_SAMESITE is "Strict": the browser would not show the session after a login.'
    return [Error(message, hint='Use "Lax", Django\'s default.', id="oidc.E002")]


@register(Tags.security)
def check_sign_key(**kwargs: Any) -> list[CheckMessage]:
    """OIDC_RP_IDP_SIGN_KEY is a public key or certificate in PEM or DER format."""
    if not conf.OIDC_RP_IDP_SIGN_KEY:
        return []
    try:
        keys.load_public_key(conf.OIDC_RP_IDP_SIGN_KEY)
    except ValueError:
        hint = "Give the OP's public key or certificate in PEM or DER format, or leave it unset."
        return [Error("OIDC_RP_IDP_SIGN_KEY is not a public key.", hint=hint, id="oidc.E003")]
    return []


@register(Tags.security)
def check_sign_algorithm(**kwargs: Any) -> list[CheckMessage]:
    """OIDC_RP_SIGN_ALGO is one that this site can verify."""
    if conf.OIDC_RP_SIGN_ALGO in keys.SUPPORTED:
        return []
    message = f"OIDC_RP_SIGN_ALGO is {conf.OIDC_RP_SIGN_ALGO!r}, which this site does not verify."
    return [Error(message, hint=f"Use one of {', '.join(keys.SUPPORTED)}.", id="oidc.E004")]


@register(Tags.security)
def check_client_secret(**kwargs: Any) -> list[CheckMessage]:
    """Where the client secret signs, it is as long as the hash (RFC 7518 3.2)."""
    if conf.OIDC_RP_SIGN_ALGO != "HS256" or len(conf.OIDC_RP_CLIENT_SECRET.encode()) >= 32:
        return []
    message = "OIDC_RP_CLIENT_SECRET is shorter than 32 bytes, and with HS256 whoever guesses it can forge logins."
    return [CheckWarning(message, hint="Let the OP make a longer one, or sign with RS256.", id="oidc.W001")]


@register(Tags.security)
def check_names(**kwargs: Any) -> list[CheckMessage]:
    """Every OIDC_* setting is one that somebody reads: a misspelled one would be ignored."""
    known = {name for name in vars(Conf) if name.startswith("OIDC_")} | OF_SITES
    messages: list[CheckMessage] = []
    for name in sorted(name for name in dir(settings) if name.startswith("OIDC_") and name not in known):
        nearest = get_close_matches(name, known, 1)
        hint = f"Did you mean {nearest[0]}?" if nearest else "Rename it if it is your own: OIDC_ belongs to logins."
        if name in WITHOUT_EFFECT:
            hint = "Remove it: what it turns on is always on here, and what it turns off cannot be turned off."
        messages.append(CheckWarning(f"Nothing reads the setting {name}.", hint=hint, id="oidc.W002"))
    return messages


@register(Tags.security, deploy=True)
def check_cache(**kwargs: Any) -> list[CheckMessage]:
    """With a cache for each process, every process fetches the OP's keys for itself."""
    if not conf.CACHES["default"]["BACKEND"].endswith((".LocMemCache", ".DummyCache")):
        return []
    message = "CACHE_URL is not set: the processes of this site do not share the OP's keys and spent attempts."
    return [Info(message, hint="Set CACHE_URL to a shared cache, e.g. redis://host:6379/0.", id="oidc.I001")]
