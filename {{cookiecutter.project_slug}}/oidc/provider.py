"""The OP: its metadata, its token endpoint and its userinfo endpoint.

OpenID Connect Discovery 1.0; OpenID Connect Core 1.0 sections 3.1.3 and 5.3; RFC 6749 sections 2.3.1 and 4.1.3.
"""

from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus, urlsplit

from oidc import cached, http
from oidc.conf import conf
from oidc.errors import LoginError, Reason, shorten

ENDPOINTS = {
    "authorization_endpoint": "OIDC_OP_AUTHORIZATION_ENDPOINT",
    "token_endpoint": "OIDC_OP_TOKEN_ENDPOINT",
    "userinfo_endpoint": "OIDC_OP_USER_ENDPOINT",
    "jwks_uri": "OIDC_OP_JWKS_ENDPOINT",
    "end_session_endpoint": "OIDC_OP_END_SESSION_ENDPOINT",
}
LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}
TOKEN_ERRORS = {
    "invalid_grant": Reason.CODE_REFUSED,
    "invalid_client": Reason.CLIENT_REFUSED,
    "unauthorized_client": Reason.CLIENT_REFUSED,
    "server_error": Reason.OP_UNAVAILABLE,
    "temporarily_unavailable": Reason.OP_UNAVAILABLE,
}


def endpoint(name: str) -> str:
    """Return the URL for a metadata name of `ENDPOINTS`: the setting if it is set, else what the OP publishes.

    Returns "" where the OP has no such endpoint. Raises `LoginError` if the metadata cannot be had.
    """
    return getattr(conf, ENDPOINTS[name]) or metadata().get(name, "")


def metadata() -> dict[str, Any]:
    """Return the issuer's discovery document, from the shared cache while it is fresh.

    Raises `LoginError`: METADATA_INVALID, or that of `oidc.http.request`, if no older copy exists.
    """
    return cached.document("metadata", conf.OIDC_OP_ISSUER, fetch_metadata)


def fetch_metadata(issuer: str) -> dict[str, Any]:
    """Fetch the discovery document of `issuer` (Discovery 4.1); raises `LoginError`."""
    return check_metadata(_get_json(_metadata_url(issuer)), issuer)


def needs_metadata() -> bool:
    """Tell whether this site relies on discovery, i.e. an endpoint of the login is not set by hand."""
    login = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    return any(not getattr(conf, ENDPOINTS[name]) for name in login)


def check_metadata(document: dict[str, Any], issuer: str) -> dict[str, Any]:
    """Return `document` if it may be believed (Discovery 4.3), else raise `LoginError` (METADATA_INVALID)."""
    if document.get("issuer") != issuer:
        found = shorten(document.get("issuer"))
        raise LoginError(Reason.METADATA_INVALID, f"issuer is {found}, expected {issuer!r}")
    for name in ENDPOINTS:
        if name in document and not is_safe_endpoint(document[name]):
            raise LoginError(Reason.METADATA_INVALID, f"{name} is no https URL: {shorten(document[name])}")
    return document


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


def exchange_code(code: str, redirect_uri: str, code_verifier: str) -> dict[str, Any]:
    """Exchange an authorization code for the token response (RFC 6749 4.1.3, RFC 7636 4.5).

    Raises `LoginError`: CODE_REFUSED, CLIENT_REFUSED, OP_ERROR, OP_ANSWER or that of `oidc.http.request`.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier,
    }
    return _ask_for_tokens(form)


def refresh(refresh_token: str) -> dict[str, Any]:
    """Exchange a refresh token for a token response (RFC 6749 6); raises `LoginError` as `exchange_code` does."""
    return _ask_for_tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})


def is_reachable() -> bool:
    """Tell whether the OP answers at all; the site asks it every half minute at most."""
    url = conf.OIDC_OP_TOKEN_ENDPOINT or _metadata_url(conf.OIDC_OP_ISSUER)
    return cached.probe(url, lambda: http.request("GET", url))


def userinfo(access_token: str) -> http.Answer:
    """Ask the userinfo endpoint with a bearer token in the header (RFC 6750 2.1).

    Raises `LoginError`: OP_ANSWER for another status than 200, or that of `oidc.http.request`.
    """
    headers = {"Authorization": f"Bearer {access_token}"}
    answer = http.request("GET", _required("userinfo_endpoint"), headers=headers)
    if answer.status != 200:
        raise answer.unusable("no userinfo")
    return answer


def fetch_jwks(url: str) -> list[dict[str, Any]]:
    """Fetch a JWK Set (RFC 7517 5) and return those members that are objects.

    Raises `LoginError`: OP_ANSWER, or that of `oidc.http.request`.
    """
    keys = _get_json(url).get("keys")
    if not isinstance(keys, list):
        raise LoginError(Reason.OP_ANSWER, "the key set has no list of keys", endpoint=url)
    return [key for key in keys if isinstance(key, dict)]


def _metadata_url(issuer: str) -> str:
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def _get_json(url: str) -> dict[str, Any]:
    answer = http.request("GET", url)
    if answer.status != 200:
        raise answer.unusable("no document")
    return answer.json_object()


def _ask_for_tokens(form: dict[str, str]) -> dict[str, Any]:
    secrets = [*form.values(), conf.OIDC_RP_CLIENT_SECRET]
    headers = _authenticate_client(form)
    answer = http.request("POST", _required("token_endpoint"), data=form, headers=headers)
    tokens = answer.json_object()
    if answer.status != 200:
        raise _token_error(answer, tokens, secrets)
    return tokens


def _required(name: str) -> str:
    url = endpoint(name)
    if not url:
        raise LoginError(Reason.METADATA_INVALID, f"the metadata has no {name}, and {ENDPOINTS[name]} is not set")
    return url


def _authenticate_client(form: dict[str, str]) -> dict[str, str]:
    """Add the client's credentials to `form`, or return them as a header (RFC 6749 2.3.1)."""
    method = conf.OIDC_TOKEN_ENDPOINT_AUTH_METHOD or _preferred_method()
    if method == "client_secret_basic":
        # The credentials are form-encoded first, or a colon or a percent sign in them would change them.
        pair = f"{quote_plus(conf.OIDC_RP_CLIENT_ID)}:{quote_plus(conf.OIDC_RP_CLIENT_SECRET)}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    form["client_id"] = conf.OIDC_RP_CLIENT_ID
    if method == "client_secret_post":
        form["client_secret"] = conf.OIDC_RP_CLIENT_SECRET
    return {}


def _preferred_method() -> str:
    if not conf.OIDC_RP_CLIENT_SECRET:
        return "none"
    supported = metadata().get("token_endpoint_auth_methods_supported") if needs_metadata() else None
    # Discovery 3: basic is what an OP without this member supports.
    if not isinstance(supported, list) or "client_secret_basic" in supported:
        return "client_secret_basic"
    return "client_secret_post"


def _token_error(answer: http.Answer, body: dict[str, Any], secrets: list[str]) -> LoginError:
    """Return the error for a refused code; some OPs quote what they refuse, so `secrets` are taken out of the text."""
    op_error = body.get("error")
    reason = TOKEN_ERRORS.get(op_error, Reason.OP_ERROR) if isinstance(op_error, str) else Reason.OP_ANSWER
    description = str(body.get("error_description", ""))
    for secret in filter(None, secrets):
        description = description.replace(secret, "[...]")
    detail = f"HTTP {answer.status} {shorten(description)}"
    return LoginError(reason, detail, op_error=shorten(op_error), endpoint=answer.endpoint)
