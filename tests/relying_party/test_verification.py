"""From a token response to claims that can be believed: the rules for tokens, applied to this site and its OP."""

import time
from typing import Any

import jwt
import pytest
from django.test import RequestFactory

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import authorization, documents, provider, redirects, verification
from oidc.internal.authorization import Attempt
from oidc.internal.token_rules import Rule
from oidc.internal.verification import Login
from oidc.testing.op import ABSENT, CLIENT, OP, PERSON, Claims, private_key, responds


def log_in(op: OP, attempt: Attempt | None = None) -> Login:
    """Return what a whole login at the OP brings, without a session at the site; raises `LoginError`."""
    attempt = attempt or Attempt()
    leaving = authorization.leave(RequestFactory().get("/"), attempt)
    code = op.grant(leaving["Location"])["code"]
    return verification.verify(provider.exchange_code(code, redirects.callback_url(), attempt.code_verifier), attempt)


def outcome(op: OP, attempt: Attempt | None = None) -> str:
    """Return the code of the reason for which a login is refused, or "accepted"."""
    try:
        log_in(op, attempt)
    except LoginError as error:
        return error.reason.code
    return "accepted"


def test_a_login_brings_the_claims_of_the_id_token_and_of_userinfo(op: OP) -> None:
    login = log_in(op)
    assert {"iss": op.issuer, "aud": CLIENT[0], **PERSON}.items() <= login.claims.items()
    assert all((login.id_token, login.access_token, login.refresh_token))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"iss": "https://evil.example"}, "id_token_issuer", id="issuer"),
        pytest.param({"aud": "another"}, "id_token_audience", id="audience"),
        pytest.param({"azp": "another"}, "id_token_audience", id="authorized-party"),
        pytest.param({"exp": 1}, "id_token_time", id="expired"),
        pytest.param({"iat": 1}, "id_token_time", id="old"),
        pytest.param({"auth_time": 2**40}, "id_token_time", id="login-in-the-future"),
        pytest.param({"sub": ABSENT}, "id_token_subject", id="subject"),
        pytest.param({"nonce": "another"}, "id_token_nonce", id="nonce"),
        pytest.param({"at_hash": "another"}, "id_token_access_token", id="access-token"),
    ],
)
def test_an_id_token_that_breaks_a_rule_is_refused_before_anything_else_is_asked(
    op: OP, changes: Claims, reason: str
) -> None:
    """Core 3.1.3.7; an access token that the ID Token does not vouch for is not used."""
    op.claims = changes
    assert outcome(op) == reason
    assert not op.asked("/userinfo")


@pytest.mark.parametrize(
    ("attempt", "claims", "reason"),
    [
        (Attempt(max_age=300), {}, "accepted"),
        (Attempt(max_age=300), {"auth_time": ABSENT}, "authentication_too_old"),
        (Attempt(max_age=300), {"auth_time": 1}, "authentication_too_old"),
        (Attempt(acr_values=("gold", "platinum")), {}, "accepted"),
        (Attempt(acr_values=("gold", "platinum")), {"acr": "silver"}, "authentication_too_weak"),
        (Attempt(acr_values=("gold", "platinum")), {"acr": ABSENT}, "authentication_too_weak"),
    ],
)
def test_what_an_attempt_has_asked_for_is_verified(op: OP, attempt: Attempt, claims: Claims, reason: str) -> None:
    op.acr_values, op.claims = ["gold"], claims
    assert outcome(op, attempt) == reason


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"id_token": ABSENT}, "id_token_missing"),
        ({"id_token": None}, "id_token_missing"),
        ({"id_token": 7}, "id_token_malformed"),
        ({"id_token": "a.b.c"}, "id_token_malformed"),
        ({"access_token": ABSENT}, "op_response"),
        ({"access_token": ["x"]}, "op_response"),
        ({"access_token": "a\r\nX-Injected: b"}, "op_response"),
        ({"access_token": "é"}, "op_response"),
    ],
)
def test_a_token_response_that_lacks_something_is_refused(op: OP, response: Claims, reason: str) -> None:
    op.claims, op.token_response = {"at_hash": ABSENT}, response
    assert outcome(op) == reason


@pytest.mark.parametrize("audiences", [["trusted"], ["trusted", "other"]])
def test_audiences_beside_the_client_must_be_trusted(op: OP, settings, audiences: list[str]) -> None:
    settings.OIDC_TRUSTED_AUDIENCES = ["trusted"]
    op.claims = {"aud": [CLIENT[0], *audiences], "azp": CLIENT[0]}
    assert outcome(op) == ("accepted" if audiences == ["trusted"] else "id_token_audience")


def test_every_rule_has_a_reason() -> None:
    assert {rule.value for rule in Rule} <= set(errors.REASONS)


def test_tokens_and_claims_stay_out_of_what_is_printed(op: OP) -> None:
    login = log_in(op)
    assert not [text for text in (login.id_token, login.access_token, PERSON["email"]) if text in repr(login)]


@pytest.mark.parametrize("changes", [{"sub": "person-2"}, {"sub": ABSENT}, {"sub": None}, {"sub": ["person-1"]}])
@pytest.mark.parametrize("is_signed", [False, True])
def test_userinfo_about_somebody_else_is_refused(op: OP, changes: Claims, is_signed: bool) -> None:
    """Core 5.3.2."""
    op.userinfo, op.userinfo_is_signed = changes, is_signed
    assert outcome(op) == "userinfo_subject"


def test_signed_userinfo_is_believed(op: OP) -> None:
    op.userinfo_is_signed = True
    assert log_in(op).claims["email"] == PERSON["email"]


def signed_otherwise(op: OP, algorithm: str) -> None:
    """Let userinfo be signed with another algorithm, and one more key, than the ID Token."""
    id_token_keys, respond = op.jwks, op.endpoints["/userinfo"]

    def sign_with_another_key(asked: Any) -> Any:
        before = op.algorithm, op.key, op.header
        op.sign_with(algorithm, 2)
        op.jwks += id_token_keys
        try:
            return respond(asked)
        finally:
            op.algorithm, op.key, op.header = before

    op.userinfo_is_signed, op.endpoints["/userinfo"] = True, sign_with_another_key


@pytest.mark.parametrize("algorithm", ["ES256", "RS384", "PS256", "EdDSA", "HS256"])
def test_userinfo_may_be_signed_with_another_algorithm_than_the_id_token(op: OP, settings, algorithm: str) -> None:
    """Client registration says which (Registration 2)."""
    signed_otherwise(op, algorithm)
    settings.OIDC_USERINFO_SIGN_ALGO = algorithm
    assert log_in(op).claims["email"] == PERSON["email"]


@pytest.mark.parametrize("expected", ["", "PS256", "none"])
def test_userinfo_with_another_algorithm_than_expected_is_refused(op: OP, settings, expected: str) -> None:
    signed_otherwise(op, "ES256")
    settings.OIDC_USERINFO_SIGN_ALGO = expected
    assert outcome(op) == "userinfo_invalid"


def test_unsigned_userinfo_is_refused_even_where_the_setting_says_none(op: OP, settings) -> None:
    settings.OIDC_USERINFO_SIGN_ALGO = "none"
    unsigned = jwt.encode(PERSON | {"iss": op.issuer, "aud": op.client[0]}, None, "none").encode()
    op.faults["/userinfo"] = responds(unsigned, **{"Content-Type": "application/jwt"})
    assert outcome(op) == "userinfo_invalid"


def test_userinfo_with_hs256_needs_the_secret(op: OP, settings) -> None:
    signed_otherwise(op, "HS256")
    settings.OIDC_USERINFO_SIGN_ALGO, settings.OIDC_RP_CLIENT_SECRET = "HS256", ""
    op.auth_methods = ["none"]
    assert outcome(op) == "userinfo_invalid"


def test_userinfo_waits_for_keys_as_the_id_token_does(op: OP, monkeypatch) -> None:
    monkeypatch.setattr(documents, "REFETCHES", 0)
    op.userinfo_is_signed, respond = True, op.endpoints["/userinfo"]

    def sign_with_an_unknown_key(asked: Any) -> Any:
        op.header = {"kid": "unknown"}
        return respond(asked)

    op.endpoints["/userinfo"] = sign_with_an_unknown_key
    assert outcome(op) == "keys_changing"


@pytest.mark.parametrize("changes", [{"iss": "https://other.example.org"}, {"aud": "another"}, {"aud": ABSENT}])
def test_signed_userinfo_for_somebody_else_is_refused(op: OP, changes: Claims) -> None:
    """Core 5.3.2."""
    op.userinfo_is_signed, op.userinfo = True, changes
    assert outcome(op) == "userinfo_invalid"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"sub": "person-1"}', id="json"),
        pytest.param(b"\xff.\xff.\xff", id="not-ascii"),
        pytest.param(jwt.encode(PERSON, None, "none").encode(), id="unsigned"),
        pytest.param(jwt.encode(PERSON, private_key("RSA", 2), "RS256", {"kid": "key-1"}).encode(), id="another-key"),
    ],
)
def test_userinfo_that_claims_to_be_signed_must_be(op: OP, body: bytes) -> None:
    op.faults["/userinfo"] = responds(body, "application/jwt")
    assert outcome(op) == "userinfo_invalid"


@pytest.mark.parametrize(("claims", "is_asked"), [({}, True), ({"email": "a@example.org"}, False)])
def test_userinfo_can_be_asked_only_when_it_is_needed(op: OP, settings, claims: Claims, is_asked: bool) -> None:
    settings.OIDC_USERINFO, op.claims = "when-needed", claims
    log_in(op)
    assert bool(op.asked("/userinfo")) is is_asked


def test_a_site_says_which_claims_it_needs(op: OP, settings) -> None:
    settings.OIDC_USERINFO, settings.OIDC_NEEDED_CLAIMS = "when-needed", ["email", "groups"]
    op.claims = {"email": "a@example.org"}
    log_in(op)
    op.claims["groups"] = []
    log_in(op)
    assert len(op.asked("/userinfo")) == 1


def test_a_login_with_all_claims_in_the_id_token_is_one_request(op: OP, settings) -> None:
    settings.OIDC_USERINFO, op.claims = "when-needed", {"email": "a@example.org"}
    log_in(op)
    op.requests.clear()
    log_in(op)
    assert [asked.path for asked in op.requests] == ["/token"]


def refresh(op: OP, **changes: Any) -> Login:
    """Log in, then return what the refresh token brings at an OP whose ID Tokens have changed; raises `LoginError`."""
    attempt = Attempt()
    login = log_in(op, attempt)
    first = {name: login.claims[name] for name in ("sub", "auth_time", "nonce")}
    op.claims = {name: first[name] if value == "as before" else value for name, value in changes.items()}
    op.requests.clear()
    return verification.verify_refreshed(provider.refresh(login.refresh_token), first)


def test_a_refresh_brings_claims_and_new_tokens(op: OP) -> None:
    login = refresh(op)
    assert {"iss": op.issuer, **PERSON}.items() <= login.claims.items()
    assert all((login.id_token, login.access_token, login.refresh_token))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({}, "accepted", id="faultless"),
        pytest.param({"nonce": "as before"}, "accepted", id="nonce-of-the-login"),
        pytest.param({"auth_time": ABSENT}, "accepted", id="without-auth-time"),
        pytest.param({"sub": "person-2"}, "id_token_subject", id="another-person"),
        pytest.param({"sub": ABSENT}, "id_token_subject", id="nobody"),
        pytest.param({"auth_time": 1}, "authentication_too_old", id="another-login"),
        pytest.param({"auth_time": time.time() + 1e6}, "id_token_time", id="login-in-the-future"),
        pytest.param({"nonce": "another"}, "id_token_nonce", id="another-nonce"),
        pytest.param({"nonce": ""}, "id_token_nonce", id="empty-nonce"),
        pytest.param({"iss": "https://evil.example"}, "id_token_issuer", id="another-issuer"),
        pytest.param({"aud": "another"}, "id_token_audience", id="another-client"),
        pytest.param({"exp": 1}, "id_token_time", id="expired"),
        pytest.param({"at_hash": "another"}, "id_token_access_token", id="another-access-token"),
    ],
)
def test_a_refreshed_id_token_says_what_that_of_the_login_said(op: OP, changes: Claims, reason: str) -> None:
    """Core 12.2."""
    if reason == "accepted":
        assert refresh(op, **changes).claims["sub"] == PERSON["sub"]
        return
    with pytest.raises(LoginError, match=rf"^{reason}:"):
        refresh(op, **changes)
    assert not op.asked("/userinfo")


@pytest.mark.parametrize("id_token", [ABSENT, None])
def test_a_refresh_without_an_id_token_is_judged_by_userinfo(op: OP, id_token: object) -> None:
    """Core 12.2: a refresh response might not contain an id_token."""
    login = log_in(op)
    op.token_response = {"id_token": id_token}
    refreshed = verification.verify_refreshed(provider.refresh(login.refresh_token), login.claims)
    assert refreshed.claims == {"iss": op.issuer, **PERSON}
    assert refreshed.id_token == ""


def test_a_refresh_is_refused_when_userinfo_is_about_somebody_else(op: OP) -> None:
    login = log_in(op)
    op.token_response, op.userinfo = {"id_token": ABSENT}, {"sub": "person-2"}
    with pytest.raises(LoginError, match=r"^userinfo_subject:"):
        verification.verify_refreshed(provider.refresh(login.refresh_token), login.claims)


def test_a_refreshed_id_token_of_a_broken_kind_is_not_taken_for_none(op: OP) -> None:
    login = log_in(op)
    op.token_response = {"id_token": ""}
    with pytest.raises(LoginError, match=r"^id_token_malformed:"):
        verification.verify_refreshed(provider.refresh(login.refresh_token), login.claims)
