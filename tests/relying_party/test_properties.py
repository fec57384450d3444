"""Whatever the OP or a browser sends: the parsers raise nothing but their own errors, and no page is a 500."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote_from_bytes, urljoin, urlsplit

import jwt
import pytest
from django.core.cache import cache
from django.http import HttpRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oidc import claims, logout, users
from oidc.errors import LoginError, shorten
from oidc.internal import discovery, keys, redirects, token_rules
from oidc.internal.token_rules import Expected, TokenError
from oidc.internal.transport import Response
from oidc.logs import WithoutSecrets
from oidc.testing.browser import Browser
from oidc.testing.op import DISCOVERY, OP, jwk, private_key, responds
from tests.relying_party.hostile import raw
from tests.relying_party.test_token_rules import CLAIMS, EXPECTED, encoded

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
def test_no_token_breaks_the_reader(token: object) -> None:
    with suppress(TokenError):
        token_rules.read(token, "RS256", lambda header: [private_key("RSA", 1).public_key()])


@given(objects(*CLAIMS, "azp", "nbf", "auth_time", "acr", "at_hash"))
def test_no_signed_claims_break_the_rules(changes: dict[str, Any]) -> None:
    expected = Expected(**EXPECTED, max_age=10, acr_values=("a",))
    token = jwt.PyJWS().encode(json.dumps(CLAIMS | changes).encode(), private_key("Ed25519", 1), "EdDSA")
    with suppress(TokenError):
        found = token_rules.read(token, "EdDSA", lambda header: [private_key("Ed25519", 1).public_key()])
        with suppress(TokenError):
            token_rules.check_id_token(found, expected)
        with suppress(TokenError):
            token_rules.check_refreshed_id_token(found, CLAIMS, expected)
    with suppress(TokenError):
        token_rules.check_access_token_hash(changes, "access-token-1", "EdDSA")
    token_rules.merge_claims(CLAIMS, changes)


@given(st.lists(KEYS, max_size=4), st.sampled_from([*keys.KEY_TYPES]), JSON)
def test_no_key_set_breaks_the_choice_of_a_key(jwks: list[dict[str, Any]], algorithm: str, kid: object) -> None:
    keys.select([*jwks, *(jwk("RSA", 1) | key for key in jwks)], {"alg": algorithm, "kid": kid})


@given(st.text() | st.binary() | st.binary().map(lambda data: b"-----BEGIN CERTIFICATE-----\n" + data))
def test_no_configured_key_raises_anything_but_value_error(text: str | bytes) -> None:
    with suppress(ValueError):
        keys.load_public_key(text)


@given(objects("issuer", *discovery.ENDPOINTS))
def test_no_metadata_breaks_discovery(document: dict[str, Any]) -> None:
    with suppress(LoginError):
        discovery.check_metadata(document | {"issuer": "i"}, "i")


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    with suppress(LoginError):
        Response("https://op.example.org/", 200, "", body).json_object()


@given(objects("email", "email_verified", "groups", "a", "_claim_names", "hasgroups", "preferred_username"))
def test_no_claims_break_the_reading_of_a_person(found: dict[str, Any]) -> None:
    found = {"iss": "i", "sub": "s"} | found
    for path in ("groups", "a.b.c", "email"):
        assert isinstance(claims.groups(found, path), set | None)
        claims.has_group_overage(found, path)
    assert claims.verified_email(found) in ("", claims.email(found))
    assert 0 < len(users.username_from(found, "preferred_username")) <= users.MAX_USERNAME_CHARACTERS


@given(objects("sub", "sid", "jti", "events", "nonce", "exp"))
def test_no_logout_token_breaks_its_checks(found: dict[str, Any]) -> None:
    for check in (logout.check_event, logout.check_person, logout.check_type):
        with suppress(TokenError):
            check(found)


def stays_here(location: str) -> bool:
    """Tell whether a browser on a page of the site would stay there; to browsers a backslash is a slash."""
    return urlsplit(urljoin("http://localhost/page/", location.replace("\\", "/"))).netloc == "localhost"


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["", "//", "http://localhost", "/\\"]))
def test_no_url_leads_to_another_site(url: str, start: str) -> None:
    request = HttpRequest()
    request.META |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}
    assert stays_here(redirects.page_of(request, start + url))


@given(st.text())
def test_text_from_outside_is_one_short_line_of_ascii(text: str) -> None:
    short = shorten(text)
    assert short.isascii()
    assert short.isprintable()
    assert len(short) <= 103
    WithoutSecrets().clean(text)


BODIES = st.builds(responds, st.binary() | JSON, st.sampled_from(["application/json", "application/jwt", "text/html"]))
RESPONSES = st.builds(
    lambda status, headers, body: raw(b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n\r\n" + body),
    st.sampled_from([b"200 OK", b"204 No", b"302 x", b"999", b"x"]) | st.binary(max_size=8),
    st.sampled_from([b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"Content-Length: -1"]) | st.binary(),
    st.binary() | st.sampled_from([b"0\r\n\r\n", b"zz\r\n", b"{}"]),
)


@pytest.mark.parametrize("path", [DISCOVERY, "/token", "/jwks", "/userinfo"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fault=BODIES | RESPONSES | st.builds(raw, st.binary()))
def test_no_response_of_the_op_is_a_crash(browser: Browser, op: OP, path: str, fault) -> None:
    cache.clear()
    op.faults[path] = fault
    leaving = browser.leave()
    if leaving.status_code == 302:
        leaving = browser.come_back(op.grant(leaving["Location"]))
    assert leaving.status_code != 500


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=objects(*CLAIMS, "email", "sid", "acr", "auth_time", "groups", "preferred_username"))
def test_no_claims_crash_a_login(browser: Browser, op: OP, changes: dict[str, Any]) -> None:
    op.claims = changes
    assert browser.come_back(op.grant(browser.leave()["Location"])).status_code != 500


PARAMETERS = st.dictionaries(st.sampled_from(["state", "code", "error", "iss", "error_description"]), st.binary())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PARAMETERS, st.sampled_from([["state"], ["state", "iss"], []]), st.text(st.characters(codec="latin-1")))
def test_no_forged_callback_crashes_or_logs_in(
    browser: Browser, changes: dict[str, bytes], known: list[str], cookie: str
) -> None:
    callback = browser.op.grant(browser.leave()["Location"])
    browser.client.cookies["oidc_attempt_x"] = cookie
    query = changes | {name: callback[name].encode() for name in known}
    encoded_query = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in query.items())
    response = browser.get(f"/oidc/callback/?{encoded_query}")
    assert response.status_code < 500
    assert not browser.is_signed_in


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["/", "//", "/\\", "http://localhost/", ""]))
def test_no_next_leads_to_another_site(browser: Browser, text: str, start: str) -> None:
    leaving = browser.leave(start + text)
    location = browser.come_back(browser.op.grant(leaving["Location"]))["Location"]
    assert stays_here(location)
