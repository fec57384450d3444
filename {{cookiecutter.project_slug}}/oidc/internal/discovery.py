"""What the OP says about itself: its metadata and endpoints (OpenID Connect Discovery 1.0)."""

from typing import Any
from urllib.parse import urlsplit

from oidc import errors
from oidc.errors import LoginError, shorten
from oidc.internal import documents, tenants, transport
from oidc.internal.conf import conf

# Metadata name -> the setting that takes its place.
ENDPOINTS = {
    "authorization_endpoint": "OIDC_OP_AUTHORIZATION_ENDPOINT",
    "token_endpoint": "OIDC_OP_TOKEN_ENDPOINT",
    "userinfo_endpoint": "OIDC_OP_USER_ENDPOINT",
    "jwks_uri": "OIDC_OP_JWKS_ENDPOINT",
    "end_session_endpoint": "OIDC_OP_END_SESSION_ENDPOINT",
}
LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}


def endpoint(name: str) -> str:
    """Return the URL for a metadata name of `ENDPOINTS`: the setting if it is set, else what the OP publishes.

    Returns "" where the OP has no such endpoint. Raises `LoginError` if the metadata cannot be had.
    """
    configured: str = getattr(conf, ENDPOINTS[name])
    return configured or metadata().get(name) or ""


def required_endpoint(name: str) -> str:
    """Return the URL for a metadata name of `ENDPOINTS`; raises `LoginError` (METADATA_INVALID) where there is none."""
    url = endpoint(name)
    if not url:
        raise LoginError(errors.METADATA_INVALID, f"the metadata has no {name}, and {ENDPOINTS[name]} is not set")
    return url


def metadata() -> dict[str, Any]:
    """Return the issuer's discovery document, from the shared cache while it is fresh.

    Raises `LoginError`: METADATA_INVALID, or that of `transport.request`, if there is no older copy.
    """
    document: dict[str, Any] = documents.document("metadata", conf.OIDC_OP_ISSUER, _fetch)
    return document


def refetch() -> dict[str, Any] | None:
    """Return the discovery document, newly fetched, or None if that happened too often of late; raises `LoginError`."""
    document: dict[str, Any] | None = documents.refetched("metadata", conf.OIDC_OP_ISSUER, _fetch)
    return document


def fetch_anew() -> dict[str, Any]:
    """Return the discovery document as it is now, which all processes use within seconds; raises `LoginError`."""
    document: dict[str, Any] = documents.replaced("metadata", conf.OIDC_OP_ISSUER, _fetch)
    return document


def _fetch(issuer: str) -> dict[str, Any]:
    try:
        return check_metadata(transport.get_json(metadata_url(issuer)), tenants.template())
    except LoginError as error:
        if error.reason is errors.OP_RESPONSE:
            error.hint = issuer_hint(issuer) or "Check OIDC_OP_ISSUER: there is no discovery document at the endpoint."
        raise


def is_needed() -> bool:
    """Tell whether this site relies on discovery, i.e. an endpoint of the login is not set by hand."""
    login = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    return any(not getattr(conf, ENDPOINTS[name]) for name in login)


def issuer_hint(issuer: str) -> str:
    """Return the hint for an issuer that is the address of its discovery document, "" for others."""
    before, well_known, _ = issuer.partition("/.well-known/")
    return well_known and f"Set OIDC_OP_ISSUER to {before}, or as the document at that address spells its `issuer`."


def metadata_url(issuer: str) -> str:
    """Return where the discovery document of `issuer` is (Discovery 4)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def check_metadata(document: dict[str, Any], issuer: str) -> dict[str, Any]:
    """Return `document` if it may be believed (Discovery 4.3), else raise `LoginError` (METADATA_INVALID)."""
    if document.get("issuer") != issuer:
        error = LoginError(errors.METADATA_INVALID, f"issuer is {shorten(document.get('issuer'))}, expected {issuer!r}")
        error.hint = _near_miss(document.get("issuer"), issuer) or error.hint
        raise error
    for name in ENDPOINTS:
        # Some OPs write null or an empty text for "none".
        if document.get(name) not in (None, "") and not is_safe_endpoint(document[name]):
            raise LoginError(errors.METADATA_INVALID, f"{name} is not an https URL: {shorten(document[name])}")
    return document


def _near_miss(found: object, issuer: str) -> str:
    """Return the hint for an OP that spells itself in another way than the settings do, "" if it is another host."""
    if not is_safe_endpoint(found) or urlsplit(str(found)).netloc != urlsplit(issuer).netloc:
        return ""
    if "{" in str(found):  # Entra ID, for many tenants at once
        return "Name your own tenant in OIDC_OP_ISSUER, by its id."
    return f"Set OIDC_OP_ISSUER to {found}, with or without a slash at the end as it is here."


def is_safe_endpoint(url: object) -> bool:
    """Tell whether `url` is absolute and https; http is safe on this machine only."""
    # urlsplit drops line breaks, which would begin a line of their own in the log.
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.fragment or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_HOSTS)


def op_is_reachable() -> bool:
    """Tell whether the OP responds at all, as far as this process knows; nobody waits longer than a second for it."""
    return transport.op_is_up(conf.OIDC_OP_TOKEN_ENDPOINT or metadata_url(conf.OIDC_OP_ISSUER))
