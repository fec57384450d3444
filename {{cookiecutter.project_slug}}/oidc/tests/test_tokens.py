"""The rules for an ID Token, one table a rule. Section numbers are those of OpenID Connect Core 1.0."""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oidc import tokens
from oidc.errors import LoginError
from oidc.tests.op import ABSENT, changed, private_key

NOW = 2_000_000_000
EXPECTED = {"issuer": "https://op.example.org/", "client_id": "site", "nonce": "n", "now": NOW}
CLAIMS = {"iss": "https://op.example.org/", "aud": "site", "sub": "person", "exp": NOW + 300, "iat": NOW, "nonce": "n"}


def verdict(claims: dict[str, Any], **expected: Any) -> str:
    """Return what the rules say about an ID Token with these changes: a reason, or "accepted"."""
    try:
        tokens.check_id_token(changed(CLAIMS, claims), tokens.Expected(**EXPECTED | expected))
    except LoginError as error:
        return error.reason.code
    return "accepted"


@pytest.mark.parametrize(
    "issuer", [ABSENT, None, "", "https://op.example.org", "https://OP.example.org/", "https://op.example.org/1", ["x"]]
)
def test_another_issuer_is_refused(issuer: object) -> None:
    """3.1.3.7 rule 2: equal to the last character, a trailing slash included."""
    assert verdict({"iss": issuer}) == "id_token_issuer"


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
def test_id_token_for_another_client_is_refused(claims: dict[str, Any]) -> None:
    """3.1.3.7 rules 3 to 5: the client id, no audience that is not trusted, and azp where it has to be."""
    assert verdict(claims, trusted_audiences={"trusted"}) == "id_token_audience"


@pytest.mark.parametrize("claims", [{"aud": ["site"]}, {"azp": "site"}, {"aud": ["trusted", "site"], "azp": "site"}])
def test_id_token_for_this_client_is_accepted(claims: dict[str, Any]) -> None:
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
def test_a_token_out_of_its_time_is_refused(claim: str, value: object) -> None:
    """3.1.3.7 rules 9 and 10, RFC 7519 4.1.5."""
    assert verdict({claim: value}) == "id_token_time"


@pytest.mark.parametrize("claims", [{"exp": NOW - 59}, {"iat": NOW + 60.5 - 1}, {"nbf": NOW + 60}, {"nbf": NOW - 9e8}])
def test_clocks_may_differ_by_a_minute(claims: dict[str, Any]) -> None:
    assert verdict(claims) == "accepted"


@pytest.mark.parametrize("subject", [ABSENT, None, "", 7, ["person"], "x" * 256, "pérson", "a\0b", "a\nb"])
def test_a_subject_that_names_nobody_is_refused(subject: object) -> None:
    """Section 2: 1 to 255 ASCII characters."""
    assert verdict({"sub": subject}) == "id_token_subject"


def test_a_subject_may_have_255_characters() -> None:
    assert verdict({"sub": "x" * 255}) == "accepted"


@pytest.mark.parametrize("nonce", [ABSENT, None, "", "N", "nn", ["n"], "\ud800"])
def test_an_id_token_of_another_attempt_is_refused(nonce: object) -> None:
    """3.1.3.7 rule 11."""
    assert verdict({"nonce": nonce}) == "id_token_nonce"


@pytest.mark.parametrize(
    ("auth_time", "wanted"),
    [
        (NOW, "accepted"),
        (NOW - 160, "accepted"),
        (NOW - 161, "authentication_too_old"),
        (ABSENT, "authentication_too_old"),
        ("now", "id_token_time"),
    ],
)
def test_auth_time_is_judged_when_max_age_was_asked_for(auth_time: object, wanted: str) -> None:
    """3.1.3.7 rule 13."""
    assert verdict({"auth_time": auth_time}, max_age=100) == wanted
    assert verdict({"auth_time": auth_time}) == "accepted"


@pytest.mark.parametrize("acr", [ABSENT, None, "weak", ["strong"]])
def test_acr_is_judged_when_it_was_asked_for(acr: object) -> None:
    """3.1.3.7 rule 12."""
    assert verdict({"acr": acr}, acr_values=("strong",)) == "authentication_too_weak"
    assert verdict({"acr": acr}) == verdict({"acr": "strong"}, acr_values=("strong",)) == "accepted"


# Left halves of the hashes of "access-token-1", by another implementation: openssl dgst | head | base64url.
HASHES = {
    "RS256": "xbDyM5Wjs8mTAhnyPZlETA",
    "ES384": "Z2bWqw23yCiNi06TTWWJ6GDqNsCbm8iQ",
    "PS512": "ZDF0ZIrz-CeaQ43lPXZWSsjpu7TSFdVlDejvKcy1OlQ",
    "EdDSA": "ZDF0ZIrz-CeaQ43lPXZWSsjpu7TSFdVlDejvKcy1OlQ",
}


@pytest.mark.parametrize(("algorithm", "value"), HASHES.items())
def test_an_access_token_of_another_answer_is_refused(algorithm: str, value: str) -> None:
    """3.1.3.8, where at_hash is there."""
    tokens.check_access_token_hash({"at_hash": value}, "access-token-1", algorithm)
    for at_hash, access_token in [(value, "access-token-2"), (value, None), (7, "access-token-1")]:
        with pytest.raises(LoginError, match="id_token_access_token"):
            tokens.check_access_token_hash({"at_hash": at_hash}, access_token, algorithm)


def encoded(part: object) -> str:
    return urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).rstrip(b"=").decode()


RSA = private_key("RSA", 1)
PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def reading(token: object) -> str:
    try:
        tokens.read(token, "RS256", lambda header: RSA.public_key())
    except LoginError as error:
        return error.reason.code
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
        f"{encoded([])}.e30.x",
        f"{encoded(b'{')}.e30.x",
        f"{encoded(b'[' * 40_000)}.e30.x",
        f"{encoded({'alg': 'RS256', 'kid': 7})}.e30.x",
        f"{encoded({'alg': 'RS256', 'crit': ['exp']})}.e30.x",
        f"{encoded({'alg': 'RS256', 'b64': False})}.e30.x",
    ],
)
def test_what_is_no_jwt_is_refused(token: object) -> None:
    assert reading(token) == "id_token_malformed"


def test_an_oversized_token_is_refused() -> None:
    assert reading(jwt.PyJWS().encode(b'{"name": "%s"}' % (b"x" * 70_000), RSA, "RS256")) == "id_token_malformed"


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'"x"', b"[" * 40_000, b"\xff"])
def test_a_signed_payload_that_is_no_json_object_is_refused(payload: bytes) -> None:
    assert reading(jwt.PyJWS().encode(payload, RSA, "RS256")) == "id_token_malformed"


@pytest.mark.parametrize("algorithm", [ABSENT, None, "none", "None", "HS256", "RS512", "PS256", "rs256", ["RS256"]])
def test_another_algorithm_than_the_agreed_one_is_refused(algorithm: object) -> None:
    """3.1.3.7 rule 7, RFC 8725 3.1: so a public key is never taken for a secret."""
    signed = f"{encoded(changed({}, {'alg': algorithm}))}.{encoded(CLAIMS)}"
    assert reading(f"{signed}.{encoded(hmac.digest(PEM, signed.encode(), 'sha256'))}") == "id_token_algorithm"


def test_a_signature_of_another_key_is_refused() -> None:
    """3.1.3.7 rule 6."""
    assert reading(jwt.PyJWS().encode(b"{}", private_key("RSA", 2), "RS256")) == "id_token_signature"
    assert reading(jwt.PyJWS().encode(b"{}", RSA, "RS256")) == "accepted"


@pytest.mark.parametrize("userinfo", [{}, {"sub": None}, {"sub": "another"}, {"sub": ["person"]}])
def test_userinfo_about_somebody_else_is_refused(userinfo: dict[str, Any]) -> None:
    """Section 5.3.2."""
    with pytest.raises(LoginError, match="userinfo_subject"):
        tokens.check_same_subject(CLAIMS, userinfo)


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
def test_email_verified_speaks_of_the_address_beside_it(id_token: dict, userinfo: dict, verified: bool | None) -> None:
    """Section 5.1."""
    assert tokens.merge_claims(id_token, userinfo).get("email_verified") is verified


def test_claims_of_the_id_token_win_over_userinfo() -> None:
    assert tokens.merge_claims({"sub": "a", "iss": "b"}, {"sub": "a", "iss": "c", "name": "d"}) == {
        "sub": "a",
        "iss": "b",
        "name": "d",
    }
