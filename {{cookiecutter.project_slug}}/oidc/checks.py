"""System checks for what would make logins fail or unsafe, as far as it can be known without asking the OP.

https://docs.djangoproject.com/en/stable/topics/checks/
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.core.checks import Warning as CheckWarning

from oidc.internal import discovery, keys, tenants
from oidc.internal.conf import Conf, conf

# Settings of mozilla-django-oidc that have no effect here, because this package always does what is safe.
WITHOUT_EFFECT = {
    "OIDC_ALLOW_UNSECURED_JWT", "OIDC_MAX_STATES", "OIDC_NONCE_SIZE", "OIDC_PKCE_CODE_CHALLENGE_METHOD",
    "OIDC_PKCE_CODE_VERIFIER_SIZE", "OIDC_REDIRECT_REQUIRE_HTTPS", "OIDC_STATE_SIZE", "OIDC_TOKEN_USE_BASIC_AUTH",
    "OIDC_USE_NONCE", "OIDC_USE_PKCE", "OIDC_VERIFY_JWT", "OIDC_VERIFY_KID", "OIDC_VERIFY_SSL",
}  # fmt: skip
NO_PAGE = "A failed login gets a page here: put your own into templates/oidc/login_failed.html."
NO_API = "mozilla_django_oidc.contrib.drf does not work with this backend: see oidc/README.md."
OF_LIBRARY = {"LOGIN_REDIRECT_URL_FAILURE": NO_PAGE, "OIDC_DRF_AUTH_BACKEND": NO_API}
# Settings that a site's own policy usually reads.
OF_SITES = {"OIDC_GROUPS_CLAIM", "OIDC_STAFF_GROUPS", "OIDC_SUPERUSER_GROUPS"}


@register(Tags.security)
def check_values(**kwargs: Any) -> Iterator[CheckMessage]:
    """Settings have values with which logins work and are safe."""
    if conf.SESSION_ENGINE.endswith(".signed_cookies"):
        # They also cannot be ended, and would show tokens to the browser.
        message = "SESSION_ENGINE keeps sessions in cookies, which can be replayed after logout."
        yield Error(message, "Use django.contrib.sessions.backends.db, cached_db or cache.", id="oidc.E001")
    if conf.SESSION_COOKIE_SAMESITE == "Strict":
        # It is not sent when the OP redirects back, so every login would seem to be lost.
        message = 'SESSION_COOKIE_SAMESITE is "Strict": the browser would not show the session after a login.'
        yield Error(message, 'Use "Lax", Django\'s default.', id="oidc.E002")
    try:
        if conf.OIDC_RP_IDP_SIGN_KEY:
            keys.load_public_key(conf.OIDC_RP_IDP_SIGN_KEY)
    except ValueError:
        hint = "Give the OP's public key or certificate in PEM or DER format, or leave it unset."
        yield Error("OIDC_RP_IDP_SIGN_KEY is not a public key.", hint, id="oidc.E003")
    algorithms = {"OIDC_RP_SIGN_ALGO": conf.OIDC_RP_SIGN_ALGO}
    algorithms |= {"OIDC_USERINFO_SIGN_ALGO": conf.OIDC_USERINFO_SIGN_ALGO} if conf.OIDC_USERINFO_SIGN_ALGO else {}
    for name, algorithm in algorithms.items():
        if algorithm not in keys.SUPPORTED:
            message = f"{name} is {algorithm!r}, which this site does not verify."
            yield Error(message, f"Use one of {', '.join(keys.SUPPORTED)}.", id="oidc.E004")
    if hint := discovery.issuer_hint(conf.OIDC_OP_ISSUER):
        yield Error("OIDC_OP_ISSUER is the address of a discovery document.", hint, id="oidc.E005")
    has_tenants = conf.OIDC_TENANTS or not tenants.MANY_TENANTS.fullmatch(conf.OIDC_OP_ISSUER)
    if not has_tenants or not all(map(tenants.TENANT_ID.fullmatch, conf.OIDC_TENANTS)):
        hint = "List the ids of the tenants whose people may log in, in small letters: OIDC_OP_ISSUER is that of many."
        yield Error("OIDC_TENANTS is empty, or has something else than ids of tenants.", hint, id="oidc.E006")
    if "HS256" in algorithms.values() and len(conf.OIDC_RP_CLIENT_SECRET.encode()) < 32:
        # A secret that signs has to be as long as the hash (RFC 7518 3.2).
        message = "OIDC_RP_CLIENT_SECRET is shorter than 32 bytes, and with HS256 whoever guesses it can forge logins."
        yield CheckWarning(message, "Let the OP make a longer one, or sign with RS256.", id="oidc.W001")


@register(Tags.security)
def check_names(**kwargs: Any) -> Iterator[CheckMessage]:
    """Every setting for logins is one that somebody reads: a misspelled one would be ignored."""
    known = {name for name in vars(Conf) if name.startswith("OIDC_")} | OF_SITES
    for name in sorted({name for name in dir(settings) if name.startswith("OIDC_") or name in OF_LIBRARY} - known):
        if name in OF_LIBRARY:
            hint = OF_LIBRARY[name]
        elif name in WITHOUT_EFFECT:
            hint = "Remove it: what it turns on is always on here, and what it turns off cannot be turned off."
        elif nearest := get_close_matches(name, known, 1):
            hint = f"Did you mean {nearest[0]}?"
        else:
            hint = "Rename it if it is your own: OIDC_ belongs to logins."
        yield CheckWarning(f"Nothing reads the setting {name}.", hint, id="oidc.W002")


@register(Tags.security, deploy=True)
def check_cache(**kwargs: Any) -> Iterator[CheckMessage]:
    """All processes share a cache, or each of them fetches the OP's keys for itself."""
    if conf.CACHES["default"]["BACKEND"].endswith((".LocMemCache", ".DummyCache")):
        message = "CACHE_URL is not set: the processes of this site do not share the OP's keys and spent attempts."
        yield Info(message, "Set CACHE_URL to a shared cache, e.g. redis://host:6379/0.", id="oidc.I001")
