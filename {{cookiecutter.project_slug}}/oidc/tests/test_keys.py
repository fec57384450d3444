"""Which key verifies a token, and how seldom the OP is asked for keys."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from oidc import cached, keys
from oidc.errors import LoginError
from oidc.tests.conftest import Browser
from oidc.tests.op import ABSENT, KINDS, OP, changed, crowd, dead, jwk, private_key


@pytest.mark.parametrize("algorithm", keys.SUPPORTED)
def test_every_algorithm_signs_people_in(browser: Browser, op: OP, settings, algorithm: str) -> None:
    settings.OIDC_RP_SIGN_ALGO = algorithm
    op.sign_with(algorithm)
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize(("kid", "algorithm"), [("RSA-2", "RS256"), ("P-256-2", "ES256"), ("Ed25519-1", "EdDSA")])
def test_a_crowded_key_set_works(kid: str, algorithm: str) -> None:
    (key,) = keys.select(crowd(), {"alg": algorithm, "kid": kid})
    kind, _, number = kid.rpartition("-")
    assert key == private_key(kind, int(number)).public_key()


@pytest.mark.parametrize(("algorithm", "fitting"), [("RS256", 2), ("ES256", 2), ("ES384", 0), ("EdDSA", 1)])
def test_without_kid_a_key_fits_by_type_and_use(algorithm: str, fitting: int) -> None:
    assert len(keys.select(crowd(), {"alg": algorithm})) == fitting


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"use": None},
        {"alg": "RS512"},
        {"alg": ["RS256"]},
        {"kid": "another"},
        {"kid": ABSENT},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["RSA"]},
        {"key_ops": ["encrypt"]},
        {"n": ABSENT},
        {"n": "!"},
        {"n": "é"},
        {"n": 7},
        {"n": ""},
        {"n": "A" * 300_000},
        {"n": "_" * 300_000},
        {"e": "AA"},
        {"e": "_" * 3_000},
    ],
)
def test_a_key_that_does_not_fit_is_passed_over(changes: dict[str, Any]) -> None:
    good = jwk("RSA", kid="k")
    found = keys.select([changed(good, changes), good], {"alg": "RS256", "kid": "k"})
    assert found == [private_key("RSA", 1).public_key()]


def test_a_short_rsa_key_is_passed_over() -> None:
    """RFC 7518 3.3: 2048 bits or more."""
    short = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    assert keys.select([short], {"alg": "RS256"}) == []


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_configured_key_needs_no_key_set(browser: Browser, op: OP, settings, encoding: Encoding) -> None:
    public = private_key("RSA", 1).public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    settings.OIDC_RP_IDP_SIGN_KEY = public
    assert browser.outcome() == "signed_in"
    assert not op.asked("/jwks")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("no key", "id_token_key"),
        (private_key("RSA", 2).public_key(), "id_token_signature"),
        (private_key("P-256", 1).public_key(), "id_token_signature"),
    ],
)
def test_a_wrong_configured_key_is_refused(browser: Browser, settings, key: Any, reason: str) -> None:
    text = key if isinstance(key, str) else key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings.OIDC_RP_IDP_SIGN_KEY = text
    assert browser.outcome() == reason


def test_without_a_secret_no_symmetric_signature_is_believed(settings) -> None:
    settings.OIDC_RP_CLIENT_SECRET = ""
    with pytest.raises(LoginError, match="id_token_key"):
        keys.verification_key({"alg": "HS256"})


def test_keys_are_fetched_once_for_many_logins(browser: Browser, op: OP) -> None:
    for _ in range(3):
        browser.log_in()
    assert len(op.asked("/jwks")) == 1


def test_a_flood_of_unknown_kids_is_one_request_to_the_op(browser: Browser, op: OP) -> None:
    browser.log_in()
    for number in range(5):
        op.header = {"kid": f"forged-{number}"}
        assert browser.outcome() == "id_token_key"
    assert len(op.asked("/jwks")) == 2


@pytest.mark.parametrize("path", ["/jwks", "/.well-known/openid-configuration"])
def test_old_documents_serve_while_the_op_is_down(browser: Browser, op: OP, monkeypatch, path: str) -> None:
    browser.log_in()
    monkeypatch.setattr(cached, "FRESH_SECONDS", 0)
    op.faults[path] = dead
    assert [browser.outcome(), browser.outcome()] == ["signed_in", "signed_in"]
    assert len(op.asked(path)) == 2


@pytest.mark.parametrize("path", ["/jwks", "/.well-known/openid-configuration"])
def test_documents_are_refreshed_before_they_are_dropped(browser: Browser, op: OP, monkeypatch, path: str) -> None:
    browser.log_in()
    monkeypatch.setattr(cached, "FRESH_SECONDS", 0)
    assert cached.FRESH_SECONDS < cached.KEPT_SECONDS
    assert browser.outcome() == "signed_in"
    assert len(op.asked(path)) == 2


@pytest.mark.parametrize("algorithm", KINDS)
def test_the_key_of_another_type_is_never_used(algorithm: str) -> None:
    """RFC 8725 3.1."""
    others = [jwk(kind) for kind in {*KINDS.values()} - {KINDS[algorithm]}]
    assert keys.select(others, {"alg": algorithm}) == []


def test_a_cache_that_fails_costs_speed_only(browser: Browser, op: OP, settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "oidc.tests.test_keys.BrokenCache"}}
    assert browser.outcome() == "signed_in"


class BrokenCache:
    """A cache server that is down."""

    def __init__(self, *args: Any) -> None: ...

    def get(self, *args: Any) -> None:
        raise ConnectionError

    add = set = get

    def close(self) -> None: ...
