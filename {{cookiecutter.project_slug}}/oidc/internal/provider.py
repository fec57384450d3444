"""What this site asks of the OP: tokens, userinfo and keys.

OpenID Connect Core 1.0 sections 3.1.3, 5.3 and 12; RFC 6749 sections 2.3.1, 4.1.3 and 6.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from oidc import errors
from oidc.errors import LoginError, shorten
from oidc.internal import discovery, trace, transport
from oidc.internal.conf import conf
from oidc.internal.transport import Response
from oidc.signals import keys_fetched


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    """A token response (Core 3.1.3.3), as it came: nothing in it has been checked but that each is text."""

    id_token: object
    access_token: object
    refresh_token: str


def check_responds() -> None:
    """Raise `LoginError` if no login can be finished, because the token endpoint is known not to respond."""
    # The development OP is slow or down on purpose, and the way back is on its pages.
    if not conf.DEBUG:
        transport.check_responds(discovery.required_endpoint("token_endpoint"))


def exchange_code(code: str, redirect_uri: str, code_verifier: str, secret: str | None = None) -> Tokens:
    """Exchange an authorization code for tokens (RFC 6749 4.1.3, RFC 7636 4.5), with the client's secret or another.

    Raises `LoginError`: one of `errors.OF_OP`, OP_ERROR, OP_RESPONSE or that of `transport.request`.
    """
    form = {"code": code, "redirect_uri": redirect_uri, "code_verifier": code_verifier}
    return _ask_for_tokens({"grant_type": "authorization_code", **form}, secret)


def refresh(refresh_token: str) -> Tokens:
    """Exchange a refresh token for tokens (RFC 6749 6); raises `LoginError` as `exchange_code` does."""
    return _ask_for_tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})


def userinfo(access_token: object) -> Response:
    """Ask the userinfo endpoint with a bearer token in the header (RFC 6750 2.1).

    Raises `LoginError`: OP_RESPONSE for another status than 200 or a token that no header can hold, or that of
    `transport.request`.
    """
    if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
        raise LoginError(errors.OP_RESPONSE, "the token response has no usable access_token")
    url = discovery.required_endpoint("userinfo_endpoint")
    response = transport.request("GET", url, headers={"Authorization": f"Bearer {access_token}"})
    if response.status != 200:
        raise response.unusable("no userinfo")
    return response


def fetch_jwks(url: str) -> list[dict[str, Any]]:
    """Fetch a JWK Set (RFC 7517 5) and return those members that are objects.

    Raises `LoginError`: OP_RESPONSE, or that of `transport.request`.
    """
    keys = transport.get_json(url).get("keys")
    if not isinstance(keys, list):
        raise LoginError(errors.OP_RESPONSE, "the key set has no list of keys", endpoint=url)
    keys_fetched.send_robust(sender=Response, endpoint=url, keys=len(keys))
    return [key for key in keys if isinstance(key, dict)]


def _ask_for_tokens(form: dict[str, str], secret: str | None = None) -> Tokens:
    headers = _authenticate_client(form, conf.OIDC_RP_CLIENT_SECRET if secret is None else secret)
    secrets = [*form.values(), conf.OIDC_RP_CLIENT_SECRET, *(value.split()[-1] for value in headers.values())]
    url = discovery.required_endpoint("token_endpoint")
    # Who is refused begins anew with another code, while a refresh token may be good once.
    is_expendable = form["grant_type"] == "authorization_code"
    trace.step("The site asks for tokens", {**form, **headers}, "OIDC_TOKEN_ENDPOINT_AUTH_METHOD", url=url)
    try:
        response = transport.request("POST", url, is_expendable=is_expendable, data=form, headers=headers)
        body = response.json_object()
        if response.status != 200:
            raise _token_error(response, body, secrets)
    except LoginError as error:
        # A parser quotes what it cannot read.
        error.detail = _without(secrets, error.detail)
        raise
    trace.step("The token endpoint responds", body)
    refresh_token = body.get("refresh_token")
    return Tokens(
        id_token=body.get("id_token"),
        access_token=body.get("access_token"),
        # RFC 6749 A.17: printable ASCII; anything else could not be sent back.
        refresh_token=refresh_token if isinstance(refresh_token, str) and refresh_token.isascii() else "",
    )


def _authenticate_client(form: dict[str, str], secret: str) -> dict[str, str]:
    """Add the client's credentials to `form`, or return them as a header (RFC 6749 2.3.1)."""
    method, _ = client_method()
    if method == "client_secret_basic":
        # The credentials are form-encoded first, or a colon or a percent sign in them would change them.
        pair = f"{quote_plus(conf.OIDC_RP_CLIENT_ID)}:{quote_plus(secret)}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    form["client_id"] = conf.OIDC_RP_CLIENT_ID
    if method == "client_secret_post":
        form["client_secret"] = secret
    return {}


def client_method() -> tuple[str, str]:
    """Return how the client authenticates, and by whose choice."""
    if conf.OIDC_TOKEN_ENDPOINT_AUTH_METHOD:
        return conf.OIDC_TOKEN_ENDPOINT_AUTH_METHOD, "by OIDC_TOKEN_ENDPOINT_AUTH_METHOD"
    if not conf.OIDC_RP_CLIENT_SECRET:
        return "none", "as OIDC_RP_CLIENT_SECRET is not set"
    supported = discovery.metadata().get("token_endpoint_auth_methods_supported") if discovery.is_needed() else None
    # Discovery 3: basic is what an OP without this member supports.
    if not isinstance(supported, list):
        return "client_secret_basic", "as the metadata names no method"
    return "client_secret_basic" if "client_secret_basic" in supported else "client_secret_post", "by the metadata"


def _without(secrets: list[str], text: str) -> str:
    """Return `text` with [...] in place of each secret, in whatever letter case it was written."""
    return re.sub(
        "|".join(map(re.escape, sorted(filter(None, secrets), key=len, reverse=True))), "[...]", text, flags=re.I
    )


def _token_error(response: Response, body: dict[str, Any], secrets: list[str]) -> LoginError:
    """Return the error for a refused request (RFC 6749 5.2); some OPs quote what they refuse."""
    op_error = body.get("error")
    reason = response.reason
    if isinstance(op_error, str):
        reason = errors.OF_OP.get(op_error, errors.OP_ERROR if response.status < 500 else reason)
    detail = f"HTTP {response.status} {shorten(_without(secrets, str(body.get('error_description', ''))))}"
    if reason is errors.CLIENT_REFUSED:
        detail += "; sent {}, {}".format(*client_method())
    return LoginError(reason, detail, op_error=shorten(_without(secrets, str(op_error))), endpoint=response.endpoint)
