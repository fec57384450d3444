"""Whatever the OP or the browser sends, nothing but `LoginError` comes out of the parsers, and never a 500."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote_from_bytes

import jwt
import pytest
from django.core.cache import cache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oidc import http, keys, provider, tokens
from oidc.errors import LoginError
from oidc.tests.conftest import Browser
from oidc.tests.op import DISCOVERY, OP, answers, jwk, private_key, raw
from oidc.tests.test_tokens import CLAIMS, EXPECTED, encoded

pytestmark = pytest.mark.slow

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
WORDS = st.sampled_from(["RSA", "EC", "OKP", "RS256", "sig", "P-256", "k", "AQAB", "https://op.example.org/"])


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return JSON objects that have some of the members `names`, with values right, almost right and wrong."""
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=5), WORDS | JSON, max_size=len(names))


HEADERS = objects("alg", "kid", "typ", "crit", "jwk", "x5c")
KEYS = objects("kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y")


TOKENS = st.tuples(HEADERS | JSON, JSON, st.binary()).map(lambda parts: ".".join(map(encoded, parts)))


@given(TOKENS | JSON | st.binary())
def test_any_token(token: object) -> None:
    with suppress(LoginError):
        tokens.read(token, "RS256", lambda header: private_key("RSA", 1).public_key())


@given(objects(*CLAIMS, "azp", "nbf", "auth_time", "acr", "at_hash"))
def test_any_claims_of_a_signed_token(changes: dict[str, Any]) -> None:
    token = jwt.PyJWS().encode(json.dumps(CLAIMS | changes).encode(), private_key("Ed25519", 1), "EdDSA")
    with suppress(LoginError):
        claims = tokens.read(token, "EdDSA", lambda header: private_key("Ed25519", 1).public_key())
        tokens.check_id_token(claims, tokens.Expected(**EXPECTED, max_age=10, acr_values=("a",)))
    tokens.merge_claims(CLAIMS, changes)
    with suppress(LoginError):
        tokens.check_access_token_hash(changes, "access-token-1", "EdDSA")


@given(st.lists(KEYS, max_size=4), st.sampled_from([*keys.KEY_TYPES]), JSON)
def test_any_key_set(jwks: list[dict[str, Any]], algorithm: str, kid: object) -> None:
    keys.select([*jwks, *(jwk("RSA", 1) | key for key in jwks)], {"alg": algorithm, "kid": kid})


@given(objects("issuer", *provider.ENDPOINTS))
def test_any_metadata(document: dict[str, Any]) -> None:
    with suppress(LoginError):
        provider.check_metadata(document | {"issuer": "i"}, "i")


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body(body: bytes) -> None:
    with suppress(LoginError):
        http.Answer("https://op.example.org/", 200, "", body).json_object()


BODIES = st.builds(answers, st.binary() | JSON, st.sampled_from(["application/json", "application/jwt", "text/html"]))
RESPONSES = st.builds(
    lambda status, headers, body: raw(b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n\r\n" + body),
    st.sampled_from([b"200 OK", b"204 No", b"302 x", b"999", b"x"]) | st.binary(max_size=8),
    st.sampled_from([b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"Content-Length: -1"]) | st.binary(),
    st.binary() | st.sampled_from([b"0\r\n\r\n", b"zz\r\n", b"{}"]),
)


@pytest.mark.parametrize("path", [DISCOVERY, "/token", "/jwks", "/userinfo"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fault=BODIES | RESPONSES | st.builds(raw, st.binary()))
def test_any_answer_of_the_op(browser: Browser, op: OP, path: str, fault) -> None:
    cache.clear()
    op.faults[path] = fault
    assert browser.log_in().status_code != 500


PARAMETERS = st.dictionaries(st.sampled_from(["state", "code", "error", "iss", "error_description"]), st.binary())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PARAMETERS, st.sampled_from([["state"], ["state", "iss"], []]), st.text(st.characters(codec="latin-1")))
def test_any_callback(browser: Browser, changes: dict[str, bytes], known: list[str], cookie: str) -> None:
    callback = browser.op.grant(browser.leave()["Location"])
    browser.client.cookies["oidc_attempt_x"] = cookie
    query = changes | {name: callback[name].encode() for name in known}
    encoded_query = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in query.items())
    response = browser.client.get(f"/oidc/callback/?{encoded_query}")
    assert response.status_code < 500
    assert not browser.is_signed_in
