"""From a token response to claims that can be believed: the rules for tokens, applied to this site and its OP."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import discovery, keys, provider, tenants, token_rules, trace
from oidc.internal.authorization import Attempt
from oidc.internal.conf import conf
from oidc.internal.provider import Tokens
from oidc.internal.token_rules import Expected, Rule, TokenError

RULES = "signature, issuer, audience, times, subject; nonce, max_age, acr_values and at_hash where there are such"
SETTINGS = ("OIDC_OP_ISSUER", "OIDC_RP_CLIENT_ID", "OIDC_RP_SIGN_ALGO", "OIDC_TRUSTED_AUDIENCES")


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """What a login or a renewal has brought.

    `claims` are verified: those of the ID Token, with userinfo merged in; `iss` and `sub` are always there.
    Of the tokens those that did not come are "".
    """

    claims: Mapping[str, Any]
    id_token: str = ""
    access_token: str = ""
    refresh_token: str = ""


def verify(tokens: Tokens, attempt: Attempt) -> Login:
    """Return the login that a token response means for `attempt` (Core 3.1.3.7, 5.3.2); raises `LoginError`."""
    if tokens.id_token is None:
        raise LoginError(errors.ID_TOKEN_MISSING, "the token response has no id_token")
    try:
        claims = read_token(tokens.id_token)
        token_rules.check_id_token(claims, _expected(claims, attempt.nonce, attempt.max_age, attempt.acr_values))
        token_rules.check_access_token_hash(claims, tokens.access_token, conf.OIDC_RP_SIGN_ALGO)
    except TokenError as error:
        raise LoginError(error.rule.value, error.detail) from error
    return _login(claims, tokens)


def verify_refreshed(tokens: Tokens, first: Mapping[str, Any]) -> Login:
    """Return the login that the response for a refresh token means (Core 12.2); raises `LoginError`.

    `first` is what the login said: `sub`, `auth_time`, `nonce`. A response without an ID Token is judged by userinfo.
    """
    claims: Mapping[str, Any] = {"iss": conf.OIDC_OP_ISSUER, "sub": first["sub"]}
    if tokens.id_token is not None or conf.OIDC_TENANTS:  # nothing else says which tenant it is
        try:
            claims = read_token(tokens.id_token)
            token_rules.check_refreshed_id_token(claims, first, _expected(claims))
            token_rules.check_access_token_hash(claims, tokens.access_token, conf.OIDC_RP_SIGN_ALGO)
        except TokenError as error:
            raise LoginError(error.rule.value, error.detail) from error
    return _login(claims, tokens)


def read_token(token: object, algorithm: str = "") -> dict[str, Any]:
    """Return the claims of a token that the OP has signed, with OIDC_RP_SIGN_ALGO unless `algorithm` is another.

    Raises `TokenError`, or the `LoginError` of its keys.
    """
    trace.token(token)
    if (algorithm := algorithm or conf.OIDC_RP_SIGN_ALGO) not in keys.SUPPORTED:
        raise TokenError(Rule.ALGORITHM, f"this site does not verify {algorithm}")
    return token_rules.read(token, algorithm, partial(keys.verification_keys, scopes=tenants.scopes_of_keys(token)))


def _expected(
    claims: Mapping[str, Any], nonce: str = "", max_age: int | None = None, acr_values: tuple[str, ...] = ()
) -> Expected:
    issuer, trusted = tenants.issuer_of(claims), conf.OIDC_TRUSTED_AUDIENCES
    return Expected(issuer, conf.OIDC_RP_CLIENT_ID, nonce, time.time(), trusted, max_age, acr_values)


def _login(claims: Mapping[str, Any], tokens: Tokens) -> Login:
    if tokens.id_token is not None:
        trace.step("The ID Token keeps every rule", {"rules": RULES}, *SETTINGS)
    complete = _with_userinfo(claims, tokens.access_token)
    id_token, access_token = (
        token if isinstance(token, str) else "" for token in (tokens.id_token, tokens.access_token)
    )
    return Login(complete, id_token, access_token, tokens.refresh_token)


def _with_userinfo(claims: Mapping[str, Any], access_token: object) -> Mapping[str, Any]:
    """Return the verified claims of an ID Token with those of userinfo merged in, where it is needed (Core 5.3.2)."""
    complete = all(name in claims for name in conf.OIDC_NEEDED_CLAIMS)
    if (conf.OIDC_USERINFO == "when-needed" and complete) or not discovery.endpoint("userinfo_endpoint"):
        trace.step("Userinfo is not asked", None, "OIDC_USERINFO", "OIDC_NEEDED_CLAIMS", "OIDC_OP_USER_ENDPOINT")
        return claims
    response = provider.userinfo(access_token)
    details = _signed_userinfo(response.body) if response.content_type == "application/jwt" else response.json_object()
    trace.step("Userinfo says more", details, "OIDC_USERINFO", url=response.endpoint)
    try:
        token_rules.check_same_subject(details, claims)
    except TokenError as error:
        raise LoginError(errors.USERINFO_SUBJECT, error.detail, endpoint=response.endpoint) from error
    return token_rules.merge_claims(claims, details)


def _signed_userinfo(body: bytes) -> dict[str, Any]:
    """Return the claims of a signed userinfo response (Core 5.3.2): issuer and audience are those of the ID Token."""
    try:
        claims = read_token(body.decode("ascii", "replace").strip(), conf.OIDC_USERINFO_SIGN_ALGO)
        token_rules.check_issuer(claims, conf.OIDC_OP_ISSUER)
        token_rules.check_audience(claims, conf.OIDC_RP_CLIENT_ID, conf.OIDC_TRUSTED_AUDIENCES)
    except TokenError as error:
        reason = errors.KEYS_CHANGING if error.rule is Rule.KEY_PENDING else errors.USERINFO_INVALID
        raise LoginError(reason, str(error)) from error
    return claims
