"""Names of settings: which ones somebody reads, and what to do about the others."""

from difflib import get_close_matches

from oidc.internal.conf import Conf

# What this package reads; `oidc/README.md` explains each.
SETTINGS = frozenset(name for name in vars(Conf) if name.startswith("OIDC_"))
# Settings of mozilla-django-oidc that have no effect here, because this package always does what is safe.
WITHOUT_EFFECT = {
    "OIDC_ALLOW_UNSECURED_JWT", "OIDC_MAX_STATES", "OIDC_NONCE_SIZE", "OIDC_PKCE_CODE_CHALLENGE_METHOD",
    "OIDC_PKCE_CODE_VERIFIER_SIZE", "OIDC_REDIRECT_REQUIRE_HTTPS", "OIDC_STATE_SIZE", "OIDC_TOKEN_USE_BASIC_AUTH",
    "OIDC_USE_NONCE", "OIDC_USE_PKCE", "OIDC_VERIFY_JWT", "OIDC_VERIFY_KID", "OIDC_VERIFY_SSL",
}  # fmt: skip
NO_PAGE = "A failed login gets a page here: put your own into templates/oidc/login_failed.html."
NO_API = "mozilla_django_oidc.contrib.drf does not work with this backend: see oidc/README.md."
OF_LIBRARY = {"LOGIN_REDIRECT_URL_FAILURE": NO_PAGE, "OIDC_DRF_AUTH_BACKEND": NO_API}


def unread(names: list[str]) -> list[str]:
    """Return those names that look like settings for logins and that nobody reads."""
    return sorted(name for name in names if (name.startswith("OIDC_") or name in OF_LIBRARY) and name not in SETTINGS)


def hint(name: str) -> str:
    """Return what to do about a setting that nobody reads."""
    if name in OF_LIBRARY:
        return OF_LIBRARY[name]
    if name in WITHOUT_EFFECT:
        return "Remove it: what it turns on is always on here, and what it turns off cannot be turned off."
    if nearest := get_close_matches(name, SETTINGS, 1):
        return f"Did you mean {nearest[0]}?"
    return "Rename it if it is your own: OIDC_ belongs to logins."
