"""The OpenID Foundation's relying-party plans Basic, Config and Form Post Basic.

Every module runs with both response modes, which is how Form Post Basic differs from Basic. Each test has the name
of its module in the foundation's conformance suite, with underscores. The suite takes a userinfo request as the sign
that a client has believed the ID Token, and so does `believed`.
"""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import HttpResponse

from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, CLIENT, DISCOVERY, OP
from tests.relying_party.hostile import crowd


@pytest.fixture(params=["query", "form_post"])
def browser(browser: Browser, op: OP, settings, monkeypatch, request: pytest.FixtureRequest) -> Browser:
    """With form_post the response comes from the OP's site, and only cookies that may cross sites come along."""
    settings.OIDC_RESPONSE_MODE = request.param
    browser.client.handler.enforce_csrf_checks = True

    def post(parameters: dict[str, str]) -> HttpResponse:
        for name in [name for name, cookie in browser.client.cookies.items() if cookie["samesite"] != "None"]:
            del browser.client.cookies[name]
        return browser.post("/oidc/callback/", parameters, headers={"Origin": op.issuer})

    if request.param == "form_post":
        monkeypatch.setattr(browser, "come_back", post)
    return browser


def believed(browser: Browser) -> bool:
    """Log in; tell whether the site asked for userinfo, which it does for an ID Token that it believes."""
    outcome = browser.outcome()
    asked = bool(browser.op.asked("/userinfo"))
    assert asked == (outcome == "signed_in")
    return asked


def sign_and_damage(op: OP, monkeypatch, algorithm: str) -> None:
    """Make the OP sign with `algorithm`, then change the end of the signature."""
    op.sign_with(algorithm)
    sign = op.sign
    monkeypatch.setattr(op, "sign", lambda *args: sign(*args)[:-8] + "AAAAAAAA")


def test_oidcc_client_test(browser: Browser) -> None:
    assert believed(browser)


def test_oidcc_client_test_invalid_iss(browser: Browser, op: OP) -> None:
    op.claims["iss"] = op.issuer + "1"
    assert not believed(browser)


def test_oidcc_client_test_missing_sub(browser: Browser, op: OP) -> None:
    op.claims["sub"] = ABSENT
    assert not believed(browser)


def test_oidcc_client_test_invalid_aud(browser: Browser, op: OP) -> None:
    op.claims["aud"] = CLIENT[0] + "1"
    assert not believed(browser)


def test_oidcc_client_test_missing_aud(browser: Browser, op: OP) -> None:
    op.claims["aud"] = ABSENT
    assert not believed(browser)


def test_oidcc_client_test_missing_iat(browser: Browser, op: OP) -> None:
    op.claims["iat"] = ABSENT
    assert not believed(browser)


def test_oidcc_client_test_kid_absent_single_jwks(browser: Browser, op: OP) -> None:
    op.header, op.jwks = {}, [key for key in crowd(kid=None) if key.get("n") != crowd()[1]["n"]]
    assert believed(browser)


def test_oidcc_client_test_kid_absent_multiple_jwks(browser: Browser, op: OP) -> None:
    op.header, op.jwks = {}, crowd(kid=None)
    assert not believed(browser)


def test_oidcc_client_test_idtoken_sig_rs256(browser: Browser, op: OP) -> None:
    op.header, op.jwks = {"kid": "RSA-1"}, crowd()
    assert believed(browser)


def test_oidcc_client_test_idtoken_sig_none(browser: Browser, op: OP) -> None:
    op.algorithm, op.key = "none", None
    assert not believed(browser)


def test_oidcc_client_test_invalid_sig_rs256(browser: Browser, op: OP, settings, monkeypatch) -> None:
    settings.OIDC_RP_SIGN_ALGO = "RS256"
    sign_and_damage(op, monkeypatch, "RS256")
    assert not believed(browser)


def test_oidcc_client_test_invalid_sig_es256(browser: Browser, op: OP, settings, monkeypatch) -> None:
    settings.OIDC_RP_SIGN_ALGO = "ES256"
    sign_and_damage(op, monkeypatch, "ES256")
    assert not believed(browser)


def test_oidcc_client_test_invalid_sig_hs256(browser: Browser, op: OP, settings, monkeypatch) -> None:
    settings.OIDC_RP_SIGN_ALGO = "HS256"
    sign_and_damage(op, monkeypatch, "HS256")
    assert not believed(browser)


def test_oidcc_client_test_userinfo_invalid_sub(browser: Browser, op: OP) -> None:
    op.userinfo["sub"] = "person-2"
    assert browser.outcome() == "userinfo_subject"


def test_oidcc_client_test_nonce_invalid(browser: Browser, op: OP) -> None:
    op.claims["nonce"] = "another"
    assert not believed(browser)


def test_oidcc_client_test_scope_userinfo_claims(browser: Browser, op: OP) -> None:
    query = parse_qs(urlsplit(browser.leave()["Location"]).query)
    assert {"openid", "email", "profile"} <= set(query["scope"][0].split())
    assert believed(browser)


def test_oidcc_client_test_client_secret_basic(browser: Browser, op: OP) -> None:
    op.auth_methods = ["client_secret_basic"]
    assert believed(browser)


def test_oidcc_client_test_userinfo_bearer_header(browser: Browser, op: OP) -> None:
    assert believed(browser)
    (asked,) = op.asked("/userinfo")
    assert asked.headers["Authorization"].startswith("Bearer ")
    assert not asked.query
    assert not asked.form


def test_oidcc_client_test_userinfo_signed(browser: Browser, op: OP) -> None:
    op.userinfo_is_signed = True
    assert believed(browser)


@pytest.fixture
def refreshed(browser: Browser, op: OP, settings) -> Callable[[], bool]:
    """A function that renews a session by its refresh token, and tells whether the ID Token that came is believed."""
    settings.OIDC_RENEWAL = "refresh_token"
    assert believed(browser)
    browser.age(15 * 60 + 1)
    op.requests.clear()

    def refresh() -> bool:
        is_shown = browser.get("/page/").status_code == 200
        assert [asked.form["grant_type"] for asked in op.asked("/token")] == ["refresh_token"]
        assert bool(op.asked("/userinfo")) == is_shown
        return is_shown

    return refresh


def test_oidcc_client_test_refresh_token(refreshed: Callable[[], bool]) -> None:
    assert refreshed()


def test_oidcc_client_test_refresh_token_invalid_issuer(refreshed: Callable[[], bool], op: OP) -> None:
    op.claims["iss"] = op.issuer + "1"
    assert not refreshed()


def test_oidcc_client_test_refresh_token_invalid_sub(refreshed: Callable[[], bool], op: OP) -> None:
    op.claims["sub"] = "person-2"
    assert not refreshed()


def test_oidcc_client_test_discovery_openid_config(browser: Browser, op: OP) -> None:
    browser.leave()
    assert [asked.path for asked in op.requests] == [DISCOVERY]


def test_oidcc_client_test_discovery_jwks_uri_keys(browser: Browser, op: OP) -> None:
    op.metadata["jwks_uri"] = f"{op.issuer}/keys-of-this-run"
    op.endpoints["/keys-of-this-run"] = op.endpoints.pop("/jwks")
    assert believed(browser)


def test_oidcc_client_test_discovery_issuer_mismatch(browser: Browser, op: OP) -> None:
    op.metadata["issuer"] = "https://other.example.org"
    assert browser.leave().status_code == 502
    assert [asked.path for asked in op.requests] == [DISCOVERY]


def test_oidcc_client_test_signing_key_rotation_just_before_signing(browser: Browser, op: OP) -> None:
    browser.outcome()
    callback = op.grant(browser.leave()["Location"])
    op.sign_with("RS256", number=2)
    browser.come_back(callback)
    assert len(op.asked("/userinfo")) == 2


def test_oidcc_client_test_signing_key_rotation(browser: Browser, op: OP) -> None:
    assert believed(browser)
    op.sign_with("RS256", number=2)
    assert browser.outcome() == "signed_in"


def test_oidcc_client_test_error_response(browser: Browser, op: OP) -> None:
    browser.come_back(op.grant(browser.leave()["Location"]) | {"error": "invalid_request"})
    assert browser.refusals[0]["reason"].code == "op_error"
    assert not op.asked("/token")
