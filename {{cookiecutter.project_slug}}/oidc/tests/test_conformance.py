"""The OpenID Foundation's relying-party plans Basic, Config and Form Post Basic.

Every module runs with both response modes, which is what makes Form Post Basic of Basic. Each
test has the name of its module in the foundation's conformance suite, with underscores. The suite takes
a userinfo request as the sign that a client believed the ID Token, so `believed` does that too.
"""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import HttpResponse

from oidc.tests.conftest import Browser
from oidc.tests.op import ABSENT, CLIENT, DISCOVERY, OP, crowd


@pytest.fixture(params=["query", "form_post"])
def browser(browser: Browser, op: OP, settings, request: pytest.FixtureRequest) -> Browser:
    """With form_post the answer comes from the OP's site, so only cookies that may cross sites come along."""
    settings.OIDC_RESPONSE_MODE = request.param
    browser.client.handler.enforce_csrf_checks = True

    def post(parameters: dict[str, str]) -> HttpResponse:
        for name in [name for name, cookie in browser.client.cookies.items() if cookie["samesite"] != "None"]:
            del browser.client.cookies[name]
        return browser.client.post("/oidc/callback/", parameters, headers={"Origin": op.issuer})

    if request.param == "form_post":
        browser.come_back = post
    return browser


def believed(browser: Browser) -> bool:
    outcome = browser.outcome()
    asked = bool(browser.op.asked("/userinfo"))
    assert asked == (outcome == "signed_in")
    return asked


def sign_and_damage(op: OP, algorithm: str) -> None:
    """Make the OP sign with `algorithm`, then change the end of the signature."""
    op.sign_with(algorithm)
    sign = op.sign
    op.sign = lambda claims: sign(claims)[:-8] + "AAAAAAAA"


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


def test_oidcc_client_test_invalid_sig_rs256(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_RP_SIGN_ALGO = "RS256"
    sign_and_damage(op, "RS256")
    assert not believed(browser)


def test_oidcc_client_test_invalid_sig_es256(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_RP_SIGN_ALGO = "ES256"
    sign_and_damage(op, "ES256")
    assert not believed(browser)


def test_oidcc_client_test_invalid_sig_hs256(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_RP_SIGN_ALGO = "HS256"
    sign_and_damage(op, "HS256")
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
    browser.log_in()
    assert op.asked("/userinfo")[0].headers["Authorization"] == "Bearer access-token-1"


def test_oidcc_client_test_userinfo_signed(browser: Browser, op: OP) -> None:
    op.userinfo_is_signed = True
    assert believed(browser)


def test_oidcc_client_test_discovery_openid_config(browser: Browser, op: OP) -> None:
    browser.leave()
    assert [asked.path for asked in op.requests] == [DISCOVERY]


def test_oidcc_client_test_discovery_jwks_uri_keys(browser: Browser, op: OP) -> None:
    op.metadata["jwks_uri"] = f"{op.issuer}/keys-of-this-run"
    op.answers["/keys-of-this-run"] = op.answers.pop("/jwks")
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
