"""Which key verifies a token, and how seldom the OP is asked for its keys."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from oidc.errors import LoginError
from oidc.internal import keys
from oidc.internal.token_rules import TokenError
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, DISCOVERY, KINDS, OP, changed, dead, jwk, private_key, responds
from tests.relying_party.hostile import crowd


def public(kind: str, number: int = 1) -> Any:
    return private_key(kind, number).public_key()


def exported(key: Any, encoding: Encoding = Encoding.PEM) -> bytes:
    return key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", keys.SUPPORTED)
def test_people_can_log_in_with_every_supported_algorithm(browser: Browser, op: OP, settings, algorithm: str) -> None:
    settings.OIDC_RP_SIGN_ALGO = algorithm
    op.sign_with(algorithm)
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize(("kid", "algorithm"), [("RSA-2", "RS256"), ("P-256-2", "ES256"), ("Ed25519-1", "EdDSA")])
def test_the_right_key_is_found_in_a_crowd(kid: str, algorithm: str) -> None:
    (key,) = keys.select(crowd(), {"alg": algorithm, "kid": kid})
    kind, _, number = kid.rpartition("-")
    assert key == public(kind, int(number))


@pytest.mark.parametrize(("algorithm", "fitting"), [("RS256", 2), ("ES256", 2), ("ES384", 0), ("EdDSA", 1)])
def test_without_a_kid_a_key_fits_by_its_type_and_use(algorithm: str, fitting: int) -> None:
    assert len(keys.select(crowd(), {"alg": algorithm})) == fitting


@pytest.mark.parametrize("members", [{}, {"use": "sig"}, {"alg": "RS256"}, {"key_ops": ["verify"]}, {"key_ops": "x"}])
def test_what_a_key_says_about_itself_is_optional(members: dict[str, Any]) -> None:
    assert keys.select([jwk("RSA", **members)], {"alg": "RS256"}) == [public("RSA")]


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
        pytest.param({"n": "A" * 300_000}, id="huge-zero"),
        pytest.param({"n": "_" * 300_000}, id="huge-modulus"),
        {"e": "AA"},
        pytest.param({"e": "_" * 3_000}, id="huge-exponent"),
    ],
)
def test_a_key_that_does_not_fit_is_passed_over(changes: dict[str, Any]) -> None:
    good = jwk("RSA", kid="k")
    assert keys.select([changed(good, changes), good], {"alg": "RS256", "kid": "k"}) == [public("RSA")]


def test_a_short_rsa_key_is_passed_over_and_refused_in_the_settings() -> None:
    """RFC 7518 3.3: 2048 bits or more."""
    short = rsa.generate_private_key(65537, 1024).public_key()
    assert keys.select([RSAAlgorithm.to_jwk(short, as_dict=True)], {"alg": "RS256"}) == []
    with pytest.raises(ValueError, match="an RSA key of 1024 bits"):
        keys.load_public_key(exported(short))


def test_a_token_that_several_keys_fit_is_refused(browser: Browser, op: OP) -> None:
    """The choice would be a guess."""
    op.header, op.jwks = {}, [jwk("RSA", 1), jwk("RSA", 2)]
    assert browser.outcome() == "id_token_key"


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_key_of_another_type_is_never_used(algorithm: str) -> None:
    """RFC 8725 3.1."""
    others = [jwk(kind) for kind in {*KINDS.values()} - {KINDS[algorithm]}]
    assert keys.select(others, {"alg": algorithm}) == []


def test_private_halves_that_an_op_publishes_by_mistake_are_not_read() -> None:
    private = RSAAlgorithm.to_jwk(private_key("RSA", 1), as_dict=True)
    assert keys.select([{**private, "key_ops": ["verify"]}], {"alg": "RS256"}) == [public("RSA")]


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_with_a_configured_key_the_key_set_is_not_needed(browser: Browser, op: OP, settings, encoding) -> None:
    settings.OIDC_RP_IDP_SIGN_KEY = exported(public("RSA"), encoding)
    assert browser.outcome() == "signed_in"
    assert not op.asked("/jwks")


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_certificate_serves_as_the_configured_key(certificate, encoding: Encoding) -> None:
    assert keys.load_public_key(certificate.public_bytes(encoding)) == public("P-256")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        pytest.param("not a key", "id_token_key", id="not-a-key"),
        pytest.param("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", "id_token_key", id="empty-key"),
        pytest.param("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "id_token_key", id="broken"),
        pytest.param(exported(public("RSA", 2)).decode(), "id_token_signature", id="another-key"),
        pytest.param(exported(public("P-256")).decode(), "id_token_signature", id="another-type"),
    ],
)
def test_a_wrong_configured_key_is_refused(browser: Browser, settings, key: str, reason: str) -> None:
    settings.OIDC_RP_IDP_SIGN_KEY = key
    assert browser.outcome() == reason


def test_without_a_client_secret_no_symmetric_signature_is_believed(settings) -> None:
    settings.OIDC_RP_CLIENT_SECRET = ""
    with pytest.raises(TokenError, match="OIDC_RP_CLIENT_SECRET is not set"):
        list(keys.verification_keys({"alg": "HS256"}))


def test_an_op_without_a_key_set_and_without_a_configured_key_is_refused(browser: Browser, op: OP) -> None:
    op.metadata["jwks_uri"] = None
    with pytest.raises(LoginError, match="OIDC_OP_JWKS_ENDPOINT is not set"):
        list(keys.verification_keys({"alg": "RS256"}))


def test_keys_are_fetched_once_for_many_logins(browser: Browser, op: OP) -> None:
    for _ in range(3):
        browser.outcome()
    assert len(op.asked("/jwks")) == 1


def test_after_a_key_rotation_people_log_in_at_once(browser: Browser, op: OP) -> None:
    """Core 10.1.1: an unknown kid makes the site look for new keys."""
    browser.outcome()
    op.rotate_keys()
    assert browser.outcome() == "signed_in"
    assert len(op.asked("/jwks")) == 2


def replaced_under_the_same_kid(op: OP) -> None:
    op.sign_with("RS256", 2)
    op.header, op.jwks[0]["kid"] = {"kid": "key-1"}, "key-1"


def without_kid(op: OP) -> None:
    op.sign_with("RS256", 2)
    op.header = {}
    del op.jwks[0]["kid"]


@pytest.mark.parametrize("change", [replaced_under_the_same_kid, without_kid, OP.rotate_keys])
def test_however_keys_are_replaced_people_log_in_at_once(browser: Browser, op: OP, change: Callable) -> None:
    assert browser.outcome() == "signed_in"
    change(op)
    assert browser.outcome() == "signed_in"
    assert browser.outcome() == "signed_in"
    assert len(op.asked("/jwks")) == 2


def test_keys_are_fetched_again_if_several_fit(browser: Browser, op: OP) -> None:
    op.jwks += [jwk("RSA", 2)]
    op.header, _ = {}, op.jwks[0].pop("kid")
    assert browser.outcome() == "id_token_key"
    op.jwks.pop()
    assert browser.outcome() == "signed_in"


def test_a_key_set_that_has_moved_is_found_by_the_metadata(browser: Browser, op: OP) -> None:
    assert browser.outcome() == "signed_in"
    op.rotate_keys()
    op.endpoints["/new-jwks"] = op.endpoints.pop("/jwks")
    op.metadata["jwks_uri"] = f"{op.issuer}/new-jwks"
    assert browser.outcome() == "signed_in"


def test_a_flood_of_forged_tokens_reaches_the_op_a_handful_of_times(browser: Browser, op: OP, client) -> None:
    browser.outcome()
    for number in range(30):
        token = op.logout_token({"kid": f"forged-{number}"})
        assert client.post("/oidc/backchannel-logout/", {"logout_token": token}).status_code == 400
    assert len(op.asked("/jwks")) <= 11


def test_forged_tokens_do_not_keep_people_out_after_a_rotation(browser: Browser, op: OP, client) -> None:
    browser.outcome()
    for number in range(5):
        client.post("/oidc/backchannel-logout/", {"logout_token": op.logout_token({"kid": f"forged-{number}"})})
    op.rotate_keys()
    assert browser.outcome() == "signed_in"


def test_when_keys_were_fetched_too_often_people_are_asked_to_wait(browser: Browser, op: OP, client) -> None:
    browser.outcome()
    for number in range(10):
        client.post("/oidc/backchannel-logout/", {"logout_token": op.logout_token({"kid": f"forged-{number}"})})
    op.rotate_keys()
    assert browser.outcome() == "keys_changing"


def test_a_login_that_finds_no_key_says_which_was_looked_for(op: OP) -> None:
    with pytest.raises(TokenError, match=rf"0 keys at {op.issuer}/jwks fit RS256, kid 'another'"):
        list(keys.verification_keys({"alg": "RS256", "kid": "another"}))


def test_an_op_that_is_down_while_new_keys_are_needed_is_told_from_an_unknown_key(browser: Browser, op: OP) -> None:
    browser.outcome()
    op.rotate_keys()
    op.faults["/jwks"] = dead
    assert browser.outcome() == "op_unreachable"


@pytest.mark.parametrize("path", ["/jwks", DISCOVERY])
def test_documents_are_read_again_after_an_hour(browser: Browser, op: OP, later, path: str) -> None:
    browser.outcome()
    later(hours=1)
    assert browser.outcome() == "signed_in"
    assert len(op.asked(path)) == 2


@pytest.mark.parametrize("path", ["/jwks", DISCOVERY])
@pytest.mark.parametrize("fault", [dead, responds(b"<html>", "text/html", status=500)], ids=["dead", "broken"])
def test_old_documents_serve_while_the_op_is_down(browser: Browser, op: OP, later, path: str, fault) -> None:
    browser.outcome()
    later(hours=1)
    op.faults[path] = fault
    assert [browser.outcome(), browser.outcome()] == ["signed_in", "signed_in"]
    # One for the site, one more on a new connection, and then the breaker's own.
    assert len(op.asked(path)) == 2 or fault is dead


def test_one_rotation_after_the_other_keeps_nobody_out(browser: Browser, op: OP) -> None:
    for _ in range(5):
        assert browser.outcome() == "signed_in"
        op.rotate_keys()
