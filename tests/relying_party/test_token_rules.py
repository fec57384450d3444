"""The rules for an ID Token, one table for each. Section numbers are those of OpenID Connect Core 1.0."""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oidc.internal import token_rules
from oidc.internal.token_rules import Expected, TokenError
from oidc.testing.op import ABSENT, changed, private_key

NOW = 2_000_000_000
EXPECTED = {"issuer": "https://op.example.org/", "client_id": "site", "nonce": "n", "now": NOW}
CLAIMS = {"iss": "https://op.example.org/", "aud": "site", "sub": "person", "exp": NOW + 300, "iat": NOW, "nonce": "n"}


def verdict(claims: dict[str, Any], **expected: Any) -> str:
    """Return the rule that an ID Token with these changes breaks, or "accepted"."""
    try:
        token_rules.check_id_token(changed(CLAIMS, claims), Expected(**EXPECTED | expected))
    except TokenError as error:
        return error.rule.name
    return "accepted"


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param(ABSENT, id="missing"),
        pytest.param(None, id="null"),
        pytest.param("", id="empty"),
        pytest.param("https://op.example.org", id="without-the-slash"),
        pytest.param("https://OP.example.org/", id="other-letter-case"),
        pytest.param("https://op.example.org/1", id="longer"),
        pytest.param(["https://op.example.org/"], id="in-a-list"),
    ],
)
def test_an_id_token_of_another_issuer_is_refused(issuer: object) -> None:
    """3.1.3.7 rule 2: equal to the last character, a trailing slash included."""
    assert verdict({"iss": issuer}) == "ISSUER"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ABSENT},
        {"aud": None},
        {"aud": ""},
        {"aud": []},
        {"aud": {"site": 1}},
        {"aud": "site1"},
        {"aud": ["another"]},
        {"aud": ["site", "another"], "azp": "site"},
        {"aud": ["site", {}], "azp": "site"},
        {"aud": ["site", "trusted"]},
        {"aud": ["site", "trusted"], "azp": "trusted"},
        {"azp": "another"},
        {"azp": None},
    ],
)
def test_an_id_token_for_another_client_is_refused(claims: dict[str, Any]) -> None:
    """3.1.3.7 rules 3 to 5: the client id, no audience that is not trusted, and azp where it is needed."""
    assert verdict(claims, trusted_audiences={"trusted"}) == "AUDIENCE"


@pytest.mark.parametrize("claims", [{"aud": ["site"]}, {"azp": "site"}, {"aud": ["trusted", "site"], "azp": "site"}])
def test_an_id_token_for_this_client_is_accepted(claims: dict[str, Any]) -> None:
    assert verdict(claims, trusted_audiences={"trusted"}) == "accepted"


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        *((claim, value) for claim in ("exp", "iat") for value in (ABSENT, None)),
        *((claim, value) for claim in ("exp", "iat", "nbf") for value in (str(NOW), True, [], 10**400, float("nan"))),
        ("exp", NOW - 60),
        ("exp", 0),
        ("exp", -1),
        ("iat", NOW + 61),
        ("iat", NOW - 60 * 60 - 1),
        ("iat", 0),
        ("nbf", NOW + 61),
        ("nbf", None),
    ],
)
def test_an_id_token_that_is_not_valid_now_is_refused(claim: str, value: object) -> None:
    """3.1.3.7 rules 9 and 10, RFC 7519 4.1.5."""
    assert verdict({claim: value}) == "TIME"


@pytest.mark.parametrize("claims", [{"exp": NOW - 59}, {"iat": NOW + 60}, {"nbf": NOW + 60}, {"nbf": NOW - 9e8}])
def test_clocks_may_differ_by_a_minute(claims: dict[str, Any]) -> None:
    assert verdict(claims) == "accepted"


@pytest.mark.parametrize("subject", [ABSENT, None, "", 7, ["person"], "x" * 256, "pérson", "a\0b", "a\nb"])
def test_a_subject_that_identifies_nobody_is_refused(subject: object) -> None:
    """Section 2: 1 to 255 ASCII characters."""
    assert verdict({"sub": subject}) == "SUBJECT"


def test_a_subject_may_have_255_characters() -> None:
    assert verdict({"sub": "x" * 255}) == "accepted"


@pytest.mark.parametrize("nonce", [ABSENT, None, "", "N", "nn", ["n"], "\ud800"])
def test_an_id_token_of_another_login_attempt_is_refused(nonce: object) -> None:
    """3.1.3.7 rule 11."""
    assert verdict({"nonce": nonce}) == "NONCE"


@pytest.mark.parametrize(
    ("auth_time", "wanted"),
    [
        (NOW, "accepted"),
        (NOW - 160, "accepted"),
        (NOW - 161, "AUTHENTICATION_TIME"),
        (ABSENT, "AUTHENTICATION_TIME"),
        ("now", "TIME"),
    ],
)
def test_auth_time_must_be_within_the_max_age_that_was_asked_for(auth_time: object, wanted: str) -> None:
    """3.1.3.7 rule 13."""
    assert verdict({"auth_time": auth_time}, max_age=100) == wanted
    assert verdict({"auth_time": auth_time}) == "accepted"


@pytest.mark.parametrize("max_age", [None, 100])
def test_an_auth_time_in_the_future_is_refused(max_age: int | None) -> None:
    """Else the login would stay fresh for as long as its time is ahead."""
    assert verdict({"auth_time": NOW + 60}, max_age=max_age) == "accepted"
    assert verdict({"auth_time": NOW + 61}, max_age=max_age) == "TIME"


@pytest.mark.parametrize("acr", [ABSENT, None, "weak", ["strong"]])
def test_acr_must_be_one_that_was_asked_for(acr: object) -> None:
    """3.1.3.7 rule 12."""
    assert verdict({"acr": acr}, acr_values=("strong",)) == "AUTHENTICATION_CONTEXT"
    assert verdict({"acr": acr}) == verdict({"acr": "strong"}, acr_values=("strong",)) == "accepted"


FIRST = {"sub": "person", "auth_time": NOW - 1000, "nonce": "n"}
REFRESHED = changed(CLAIMS, {"nonce": ABSENT, "auth_time": NOW - 1000})


def verdict_on_refreshed(claims: dict[str, Any]) -> str:
    """Return the rule that a refreshed ID Token with these changes breaks, or "accepted"."""
    try:
        token_rules.check_refreshed_id_token(changed(REFRESHED, claims), FIRST, Expected(**EXPECTED))
    except TokenError as error:
        return error.rule.name
    return "accepted"


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        pytest.param({}, "accepted", id="faultless"),
        pytest.param({"nonce": "n"}, "accepted", id="the-nonce-of-the-login"),
        pytest.param({"auth_time": ABSENT}, "accepted", id="without-auth-time"),
        pytest.param({"sub": "another"}, "SUBJECT", id="another-person"),
        pytest.param({"sub": ABSENT}, "SUBJECT", id="nobody"),
        pytest.param({"auth_time": NOW}, "AUTHENTICATION_TIME", id="another-login"),
        pytest.param({"auth_time": None}, "AUTHENTICATION_TIME", id="auth-time-null"),
        pytest.param({"auth_time": NOW + 61}, "TIME", id="login-in-the-future"),
        pytest.param({"nonce": "another"}, "NONCE", id="another-nonce"),
        pytest.param({"nonce": None}, "NONCE", id="nonce-null"),
        pytest.param({"iss": "https://evil.example/"}, "ISSUER", id="another-issuer"),
        pytest.param({"aud": "another"}, "AUDIENCE", id="another-client"),
        pytest.param({"aud": ["site", "x"], "azp": "site"}, "AUDIENCE", id="another-audience-too"),
        pytest.param({"azp": "another"}, "AUDIENCE", id="another-authorized-party"),
        pytest.param({"exp": NOW - 60}, "TIME", id="expired"),
        pytest.param({"iat": NOW - 60 * 60 - 1}, "TIME", id="issued-long-ago"),
        pytest.param({"nbf": NOW + 61}, "TIME", id="not-yet-valid"),
    ],
)
def test_a_refreshed_id_token_says_what_the_login_said(claims: dict[str, Any], wanted: str) -> None:
    """12.2."""
    assert verdict_on_refreshed(claims) == wanted


@pytest.mark.parametrize("nonce", ["None", "n"])
def test_a_refreshed_id_token_has_no_nonce_where_the_login_had_none(nonce: str) -> None:
    """12.2."""
    claims = changed(REFRESHED, {"nonce": nonce})
    with pytest.raises(TokenError, match="nonce"):
        token_rules.check_refreshed_id_token(claims, FIRST | {"nonce": None}, Expected(**EXPECTED))


# The left halves of the hashes of "access-token-1", made with another tool: openssl dgst | head | base64url.
HASHES = {
    "RS256": "xbDyM5Wjs8mTAhnyPZlETA",
    "ES384": "Z2bWqw23yCiNi06TTWWJ6GDqNsCbm8iQ",
    "PS512": "ZDF0ZIrz-CeaQ43lPXZWSsjpu7TSFdVlDejvKcy1OlQ",
    "EdDSA": "ZDF0ZIrz-CeaQ43lPXZWSsjpu7TSFdVlDejvKcy1OlQ",
}


@pytest.mark.parametrize(("algorithm", "value"), HASHES.items())
def test_an_access_token_of_another_response_is_refused(algorithm: str, value: str) -> None:
    """3.1.3.8, where at_hash is there."""
    token_rules.check_access_token_hash({"at_hash": value}, "access-token-1", algorithm)
    for at_hash, access_token in [(value, "access-token-2"), (value, None), (7, "access-token-1")]:
        with pytest.raises(TokenError, match="access_token"):
            token_rules.check_access_token_hash({"at_hash": at_hash}, access_token, algorithm)


def encoded(part: object) -> str:
    return urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).rstrip(b"=").decode()


RSA = private_key("RSA", 1)
PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def reading(token: object) -> str:
    """Return the rule that a signed token breaks, or "accepted"."""
    try:
        token_rules.read(token, "RS256", lambda header: [RSA.public_key()])
    except TokenError as error:
        return error.rule.name
    return "accepted"


@pytest.mark.parametrize(
    "token",
    [
        None,
        7,
        b"a.b.c",
        ["a.b.c"],
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "é.é.é",
        f"{encoded([])}.e30.eA",
        f"{encoded(b'{')}.e30.eA",
        pytest.param(f"{encoded(b'[' * 40_000)}.e30.eA", id="deep"),
        f"{encoded({'alg': 'RS256', 'kid': 7})}.e30.eA",
        f"{encoded({'alg': 'RS256', 'crit': ['exp']})}.e30.eA",
        f"{encoded({'alg': 'RS256', 'crit': []})}.e30.eA",
        f"{encoded({'alg': 'RS256', 'b64': False})}.e30.eA",
        f"{encoded({'alg': 'RS256', 'b64': True})}.e30.eA",
        f"{encoded({'alg': 'RS256'})}.e30.!",
        f"{encoded({'alg': 'RS256'})}.!.eA",
    ],
)
def test_anything_but_a_jwt_is_refused(token: object) -> None:
    assert reading(token) == "MALFORMED"


def test_critical_headers_are_refused_however_well_they_are_signed() -> None:
    """RFC 7515 4.1.11, RFC 7797: whoever does not understand them must not take the token."""
    assert reading(jwt.PyJWS().encode(b"{}", RSA, "RS256", {"b64": True, "crit": ["b64"]})) == "MALFORMED"


def test_an_oversized_token_is_refused() -> None:
    assert reading(jwt.PyJWS().encode(b'{"name": "%s"}' % (b"x" * 70_000), RSA, "RS256")) == "MALFORMED"


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'"x"', b'{"exp": NaN}', b"\xff", pytest.param(b"[" * 40_000, id="deep")]
)
def test_a_signed_payload_that_is_not_a_json_object_is_refused(payload: bytes) -> None:
    assert reading(jwt.PyJWS().encode(payload, RSA, "RS256")) == "MALFORMED"


@pytest.mark.parametrize("algorithm", [ABSENT, None, "none", "None", "HS256", "RS512", "PS256", "rs256", ["RS256"]])
def test_an_algorithm_other_than_the_agreed_one_is_refused(algorithm: object) -> None:
    """3.1.3.7 rule 7, RFC 8725 3.1: so a public key is never taken for a secret."""
    signed = f"{encoded(changed({}, {'alg': algorithm}))}.{encoded(CLAIMS)}"
    assert reading(f"{signed}.{encoded(hmac.digest(PEM, signed.encode(), 'sha256'))}") == "ALGORITHM"


def test_a_signature_by_another_key_is_refused() -> None:
    """3.1.3.7 rule 6."""
    assert reading(jwt.PyJWS().encode(b"{}", private_key("RSA", 2), "RS256")) == "SIGNATURE"
    assert reading(jwt.PyJWS().encode(b"{}", RSA, "RS256")) == "accepted"


@pytest.mark.parametrize(
    "key", [PEM, b"secret", private_key("P-256", 1).public_key(), None], ids=lambda key: type(key).__name__
)
def test_a_key_of_the_wrong_kind_verifies_nothing(key: object) -> None:
    with pytest.raises(TokenError, match="signature"):
        token_rules.read(jwt.PyJWS().encode(b"{}", private_key("RSA", 2), "RS256"), "RS256", lambda header: [key])


def test_a_broken_rule_names_itself_and_keeps_the_token_to_itself() -> None:
    token = jwt.PyJWS().encode(b"{}", private_key("RSA", 2), "RS256")
    with pytest.raises(TokenError) as caught:
        token_rules.read(token, "RS256", lambda header: [RSA.public_key()])
    assert str(caught.value) == "signature: the signature does not verify"
    assert token not in str(caught.value)


@pytest.mark.parametrize("claims", [{}, {"sub": None}, {"sub": "another"}, {"sub": ["person"]}])
def test_claims_about_somebody_else_are_refused(claims: dict[str, Any]) -> None:
    """5.3.2 for userinfo, 12.2 for refreshed ID Tokens."""
    with pytest.raises(TokenError, match="subject"):
        token_rules.check_same_subject(claims, CLAIMS)


@pytest.mark.parametrize(
    ("id_token", "userinfo", "verified"),
    [
        ({}, {"email": "a@example.org", "email_verified": True}, True),
        ({"email": "a@example.org"}, {"email": "a@example.org", "email_verified": True}, True),
        ({"email": "b@example.org"}, {"email": "a@example.org", "email_verified": True}, None),
        ({"email": "b@example.org"}, {"email_verified": True}, None),
        ({"email_verified": True}, {"email": "a@example.org"}, None),
        ({"email": "b@example.org", "email_verified": False}, {"email_verified": True}, False),
    ],
)
def test_email_verified_is_about_the_address_beside_it(id_token: dict, userinfo: dict, verified: bool | None) -> None:
    """5.1."""
    assert token_rules.merge_claims(id_token, userinfo).get("email_verified") is verified


def test_claims_of_the_id_token_win_over_userinfo() -> None:
    assert token_rules.merge_claims({"sub": "a", "iss": "b"}, {"sub": "a", "iss": "c", "name": "d"}) == {
        "sub": "a",
        "iss": "b",
        "name": "d",
    }


@pytest.mark.parametrize("name", ["acr", "amr", "at_hash", "auth_time", "azp", "nonce", "sid"])
def test_userinfo_says_nothing_of_the_authentication(name: str) -> None:
    """It is not signed, and an OP may have it from what people enter themselves."""
    assert name not in token_rules.merge_claims({"sub": "a"}, {"sub": "a", name: "gold"})
    assert token_rules.merge_claims({"sub": "a", name: "low"}, {"sub": "a", name: "gold"})[name] == "low"
